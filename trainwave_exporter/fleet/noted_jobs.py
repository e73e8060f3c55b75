"""What is remembered for a while of jobs that left."""

from __future__ import annotations

MEMORY_SECONDS = 86_400.0
"""How long a job is remembered after it was last noted."""
MOST_NOTED = 100_000
"""So many jobs are remembered, those that were noted last: some fifteen megabytes."""


def outdated(reported_at: float | None, now: float, bound: float) -> bool:
    """Whether something was reported too long ago, or ahead of now, as the clock was set back."""
    return reported_at is not None and not 0 <= now - reported_at < bound


class Memory:
    """Jobs by their ids, and when each was last noted (Unix seconds)."""

    def __init__(self, most: int = MOST_NOTED) -> None:
        self._most = most
        self._noted: dict[str, float] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._noted

    def note(self, job_id: str, now: float) -> None:
        """Remember a job from now on."""
        self._noted.pop(job_id, None)  # the newest comes last
        self._noted[job_id] = now
        if len(self._noted) > self._most:
            del self._noted[next(iter(self._noted))]

    def take(self, job_id: str) -> bool:
        """Forget a job; return whether it was remembered."""
        return self._noted.pop(job_id, None) is not None

    def tidy(self, now: float) -> None:
        """Forget what was noted too long ago."""
        for job_id in [key for key, at in self._noted.items() if outdated(at, now, MEMORY_SECONDS)]:
            del self._noted[job_id]
