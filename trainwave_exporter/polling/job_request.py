"""A request about a job, and how long one that failed is not repeated."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from trainwave_exporter.model import Metric

LONGEST_PAUSE_SECONDS: Final = 900.0
"""However often a request failed, it is repeated after this long."""
_MOST_DOUBLINGS: Final = 20


class JobRequest(Struct, frozen=True):
    """One request worth sending: a job's details, or one of its readings."""

    job_id: str
    metric: Metric | None = None
    """None: the details."""


def pause_seconds(first: float, failures: int) -> float:
    """Return the seconds until a request is repeated that failed so often in a row.

    ``first`` seconds after one, doubled with each, up to `LONGEST_PAUSE_SECONDS`.
    """
    return min(LONGEST_PAUSE_SECONDS, first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))


def resting(now: float, until: float) -> bool:
    """Whether a pause is not over; one further ahead than any pause (clock set back) is."""
    return now < until <= now + LONGEST_PAUSE_SECONDS
