"""Counters of what was ever spent; they outlive the jobs and go on after a restart."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Activity, Spend, Waste

spend = Families(
    Spend,
    labels=("project_id", "owner", "gpu_type"),
    identity=lambda s: (s.project_id, s.owner, s.gpu_type),
)


@spend.counter(
    "trainwave_project_cost_dollars_total",
    ("Dollars spent, including jobs that are no longer shown."),
)
def cost(s: Spend) -> float | None:
    return s.cost_dollars


@spend.counter(
    "trainwave_project_gpu_hours_total", "GPU hours used, including jobs that are no longer shown."
)
def gpu_hours(s: Spend) -> float | None:
    return s.gpu_hours


@spend.counter(
    "trainwave_project_activity_gpu_hours_total",
    "GPU hours of running jobs by activity: idle, busy or unknown; together all of their running"
    " time.",
    labels=("activity",),
)
def activity(s: Spend) -> Mapping[LabelValues, float]:
    return {(activity.value,): s.activity_gpu_hours.get(activity, 0.0) for activity in Activity}


@spend.counter(
    "trainwave_waste_dollars_total",
    "Dollars spent without useful work, by reason.",
    labels=("reason",),
)
def waste(s: Spend) -> Mapping[LabelValues, float]:
    return {(reason.value,): s.waste_dollars.get(reason, 0.0) for reason in Waste}
