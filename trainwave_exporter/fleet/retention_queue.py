"""When finished jobs leave, by the best knowledge of their end; and which have left.

Lists go on naming jobs whose retention ended: so those are remembered, or they would come again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from trainwave_exporter.fleet import lifecycle
from trainwave_exporter.fleet.entry import Entry
from trainwave_exporter.fleet.noted_jobs import Memory
from trainwave_exporter.model import Job


class RetentionQueue:
    """Keeps finished jobs for so many seconds after their end, which are given with every call."""

    def __init__(self) -> None:
        self._leaving: list[tuple[float, str]] = []
        self._left = Memory()

    def is_over(self, job: Job, now: float, seconds: float) -> bool:
        """Whether a job that is not kept has left, or ended too long ago to be taken in."""
        if not job.finished:
            return False
        if job.id in self._left:
            self._left.note(job.id, now)
            return True
        ended = lifecycle.latest_end(job)
        return ended is not None and now - ended >= seconds

    def schedule(self, entry: Entry, seconds: float) -> None:
        """Set when a job leaves, if it is finished."""
        leaves_at = None
        if entry.job.finished:
            ended = entry.job.finished_at or entry.finished_seen or entry.admitted_at
            leaves_at = ended + seconds
        if leaves_at is not None and leaves_at != entry.leaves_at:
            heapq.heappush(self._leaving, (leaves_at, entry.job.id))
        entry.leaves_at = leaves_at

    def take_due(self, entries: Mapping[str, Entry], now: float) -> Iterator[Entry]:
        """Yield those of the jobs that are kept which leave now."""
        self._left.tidy(now)
        while self._leaving and self._leaving[0][0] <= now:
            leaves_at, job_id = heapq.heappop(self._leaving)
            entry = entries.get(job_id)
            if entry is not None and entry.leaves_at == leaves_at:
                self._left.note(job_id, now)
                yield entry
