"""Prometheus exporter for the jobs, costs and GPU use of Trainwave."""

__version__ = "0.1.0"
