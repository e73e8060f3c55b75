"""Which running jobs' prices have to be read again, as their cost grows at another rate.

Lists report the cost of a job, but not always its price. A price that changed makes spend rate,
forecasts and the value of idle time wrong; the growth of the cost shows it. Bills that come in
steps are compared from step to step, so that a cost that stands still is no sign. A cost that fell
may be that of another run, whose start only the details report. A confirmed price is not doubted
again for two minutes, and for longer each time that it is contradicted all the same.

Times are Unix seconds, money is US dollars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trainwave_exporter.model import Job

_SHORTEST: Final = 45.0
"""Seconds between two reports that can be compared: costs are rounded to cents."""
_LONGEST: Final = 600.0
"""Seconds after which growth is compared from a later moment on, so that a change soon counts."""
_TOLERATED: Final = 0.02
"""By which part growth may miss the price, and by how many dollars besides."""
_LATENCY: Final = 2.0
"""Seconds by which an answer may be older than it seems."""
_FIRST_PAUSE: Final = 120.0
_LONGEST_PAUSE: Final = 3600.0


@dataclass(slots=True)
class _Growth:
    """How a job's cost grows, since a moment from which on it can be compared."""

    price: float
    since: float
    cost: float
    still_at: float | None = None
    """When the cost was last reported to be the same: bills come in steps."""
    pause: float = _FIRST_PAUSE
    trusted_until: float = 0.0
    """Until when the price is not doubted, as it was just confirmed."""


class PriceCheck:
    """Compares the growth of running jobs' costs with their prices."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Growth] = {}

    def doubts(self, job: Job) -> bool:
        """Take in what is known of a job now, and return whether its price has to be read again."""
        cost, price, now = job.cost_dollars, job.hourly_cost_dollars, job.confirmed_at
        if not job.running or cost is None or price is None:
            self.forget(job.id)
            return False
        known = self._jobs.get(job.id)
        if known is None or known.price != price or now < known.since:
            self._jobs[job.id] = _Growth(price, now, cost)
            return False
        if cost < known.cost and job.started_at is not None and now >= known.trusted_until:
            return True
        if cost < known.cost:
            self._jobs[job.id] = _Growth(
                price, now, cost, pause=known.pause, trusted_until=known.trusted_until
            )
            return False
        if cost == known.cost:
            # A reading brings what was last reported; two reports of one moment say no more.
            if now - known.since > _LATENCY:
                known.still_at = now
            return False
        if now - known.since < _SHORTEST:
            return False
        # A step came at any time between two reports, and so did the one before it.
        slack = 0.0 if known.still_at is None else 2 * (now - known.still_at)
        growth, expected = cost - known.cost, price * (now - known.since) / 3600
        tolerated = _TOLERATED * (1 + max(growth, expected)) + price * (slack + _LATENCY) / 3600
        if abs(growth - expected) <= tolerated:
            if now - known.since >= _LONGEST:
                # It agrees again, so that the next contradiction is a new one.
                self._jobs[job.id] = _Growth(price, now, cost)
            return False
        return now >= known.trusted_until

    def confirmed(self, job: Job) -> None:
        """Note that the job's details were read, and its price is what it is known to be."""
        known = self._jobs.get(job.id)
        if known is None or job.cost_dollars is None:
            return
        now = job.confirmed_at
        self._jobs[job.id] = _Growth(
            known.price,
            now,
            job.cost_dollars,
            pause=min(2 * known.pause, _LONGEST_PAUSE),
            trusted_until=now + known.pause,
        )

    def forget(self, job_id: str) -> None:
        """Forget a job, known or not."""
        self._jobs.pop(job_id, None)
