"""Jobs and readings as planners know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trainwave_exporter.model import Job, Point, Quantity, Reading

NOW = 10_000.0


def job(job_id: str = "j-1", state: str = "RUNNING", **fields: Any) -> Job:
    """Return a job of which the list tells all that its details would."""
    known = {
        "account": "a",
        "confirmed_at": NOW - 5,
        "name": "mnist",
        "gpus": 1.0,
        "hourly_cost_dollars": 1.0,
        "started_at": 1.0,
    }
    return Job(id=job_id, state=state, **{**known, **fields})


def reading(*values: float, at: float = NOW - 5) -> Reading:
    """Return a reading in ratios, with a device for each value if there are several."""
    devices: Iterable[str | None] = map(str, range(len(values))) if len(values) > 1 else (None,)
    return Reading.of(Quantity.RATIO, map(Point, values, devices), at)
