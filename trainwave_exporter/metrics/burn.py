"""What is being spent now."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import Burn

burn = Families(
    Burn,
    labels=("project_id", "owner", "gpu_type"),
    identity=lambda b: (b.project_id, b.owner, b.gpu_type),
)


@burn.gauge(
    "trainwave_burn_dollars_per_hour", ("Current spend rate of running jobs, in dollars per hour.")
)
def dollars_per_hour(b: Burn) -> float | None:
    return b.dollars_per_hour
