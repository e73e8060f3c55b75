"""Dashboards as code: what Grafana shows of the exporter, and how it is provisioned."""
