"""History that lists tell too little of.

What is over for long is not shown, so nothing but its money matters: what it was spent on, and
when. One answer tells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

AGAIN_SECONDS: Final = 86_400.0
"""What could not be answered is asked for again after this long."""


class Archive:
    """The jobs of one account that are history and whose details nobody told yet."""

    def __init__(self, wanted: Callable[[], Sequence[str]]) -> None:
        """``wanted`` names some of them, the most wanted first."""
        self._wanted = wanted
        self._asked: dict[str, float] = {}
        self._next: deque[str] = deque()
        self._looked_at: float | None = None

    def take(self, now: float) -> str | None:
        """Return the next job to be asked for (Unix seconds), if any is known at this moment."""
        if not self._next and self._looked_at != now:
            self._looked_at = now
            self._look(now)
        if not self._next:
            return None
        job_id = self._next.popleft()
        self._asked[job_id] = now
        return job_id

    def _look(self, now: float) -> None:
        for job_id, asked in list(self._asked.items()):
            if not 0 <= now - asked < AGAIN_SECONDS:
                del self._asked[job_id]
        self._next.extend(job_id for job_id in self._wanted() if job_id not in self._asked)
