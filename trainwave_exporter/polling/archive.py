"""History that lists tell too little of, and how much of the budget goes into learning the rest.

What is over for long is not shown, so nothing but its money matters: what it was spent on, and
when. One answer tells; what nobody else needs of the budget goes there, and a small share in any
case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

PACE_SECONDS: Final = 10.0
"""However much else there is to ask, one job is asked for in so much time."""
AGAIN_SECONDS: Final = 86_400.0
"""What could not be answered is asked for again after this long."""


class Archive:
    """The jobs of one account that are history and whose details nobody told yet."""

    def __init__(self, wanted: Callable[[], Sequence[str]]) -> None:
        """``wanted`` names some of them, the most wanted first."""
        self._wanted = wanted
        self._asked: dict[str, float] = {}
        self._asked_at = float("-inf")

    def due(self, now: float) -> bool:
        """Whether one should be asked for even if there is nothing to spare."""
        return not 0 <= now - self._asked_at < PACE_SECONDS

    def take(self, most: int, now: float) -> list[str]:
        """Return at most so many jobs to be asked for now (Unix seconds)."""
        if most <= 0:
            return []
        for job_id, asked in list(self._asked.items()):
            if not 0 <= now - asked < AGAIN_SECONDS:
                del self._asked[job_id]
        taken = [job_id for job_id in self._wanted() if job_id not in self._asked][:most]
        if taken:
            self._asked_at = now
            self._asked.update(dict.fromkeys(taken, now))
        return taken
