"""Alerts on jobs: GPUs that do nothing, costs that run away, launches and ends that go wrong."""

from __future__ import annotations

from deploy.prometheus import job_life, job_spend
from deploy.prometheus.rule import Group
from deploy.prometheus.settings import Settings


def group(settings: Settings) -> Group:
    """All alerts on jobs."""
    return Group(
        name="trainwave-jobs-alerts",
        rules=(*job_spend.alerts(settings), *job_life.alerts(settings)),
    )
