"""Whose readings may have become too old, without a look at every job every time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator


class ReadingAges:
    """When the oldest reading of each job came, or earlier: who is due is looked at, and put again.

    Readings that come meanwhile change nothing here, so a job moves once in the time that readings
    may last. All times are Unix seconds.
    """

    def __init__(self) -> None:
        self._queues: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
        self._queued: set[tuple[str, str]] = set()

    def put(self, account: str, job_id: str, oldest: float) -> None:
        """Note when the oldest reading of a job of this account came, unless an older one is."""
        if (account, job_id) not in self._queued:
            self._queued.add((account, job_id))
            heapq.heappush(self._queues[account], (oldest, job_id))

    def take_older(self, account: str, bound: float) -> Iterator[str]:
        """Yield the jobs of an account that may have a reading from before ``bound``."""
        queue = self._queues[account]
        while queue and queue[0][0] < bound:
            _, job_id = heapq.heappop(queue)
            self._queued.discard((account, job_id))
            yield job_id

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
        self._queued.clear()
