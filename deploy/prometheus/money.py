"""Alerts on budgets, credit and books."""

from __future__ import annotations

from deploy.prometheus.rule import Group
from deploy.prometheus.settings import Settings


def group(settings: Settings) -> Group:
    """All alerts on budgets, credit and books."""
    return Group(name="trainwave-money-alerts", rules=())
