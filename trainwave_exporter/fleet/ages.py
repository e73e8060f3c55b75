"""Whose readings may have become too old, without a look at every job every time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

_SLACK: Final = 1000
"""So many entries of jobs that left may lie about, and as many as there are jobs."""


class _AgeQueue:
    """The jobs of one account. An entry that is not as noted is of a job that left since."""

    def __init__(self) -> None:
        self._noted: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def put(self, job_id: str, oldest: float) -> None:
        if job_id not in self._noted:
            self._noted[job_id] = oldest
            heapq.heappush(self._heap, (oldest, job_id))

    def forget(self, job_id: str) -> None:
        self._noted.pop(job_id, None)
        if len(self._heap) > 2 * len(self._noted) + _SLACK:
            self._heap = [(oldest, job_id) for job_id, oldest in self._noted.items()]
            heapq.heapify(self._heap)

    def take_older(self, bound: float) -> Iterator[str]:
        while self._heap and self._heap[0][0] < bound:
            oldest, job_id = heapq.heappop(self._heap)
            if self._noted.get(job_id) == oldest:
                del self._noted[job_id]
                yield job_id


class ReadingAges:
    """When the oldest reading of each job came, or earlier: who is due is looked at, and put again.

    Readings that come meanwhile change nothing here, so a job moves once in the time that readings
    may last. All times are Unix seconds.
    """

    def __init__(self) -> None:
        self._queues: defaultdict[str, _AgeQueue] = defaultdict(_AgeQueue)

    def put(self, account: str, job_id: str, oldest: float) -> None:
        """Note when the oldest reading of a job of this account came, unless an older one is."""
        self._queues[account].put(job_id, oldest)

    def forget(self, account: str, job_id: str) -> None:
        """Note that a job has no readings any more."""
        self._queues[account].forget(job_id)

    def take_older(self, account: str, bound: float) -> Iterator[str]:
        """Yield the jobs of an account that may have a reading from before ``bound``."""
        return self._queues[account].take_older(bound)

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
