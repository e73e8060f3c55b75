"""Alerts on the exporter itself."""

from __future__ import annotations

from deploy.prometheus.rule import Group
from deploy.prometheus.settings import Settings


def group(settings: Settings) -> Group:
    """All alerts on the exporter itself."""
    return Group(name="trainwave-exporter-alerts", rules=())
