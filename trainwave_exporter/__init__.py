"""Prometheus exporter for the jobs, costs and GPU use of Trainwave."""

__version__ = "0.2.0.dev0"
