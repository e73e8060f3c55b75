"""Readings that wait to be requested, and the heaps that they wait in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from enum import Enum
from itertools import count
from typing import Final, Generic, TypeAlias, TypeVar

from trainwave_exporter.model import Job, Metric
from trainwave_exporter.polling.job_request import JobRequest

_ORDER: Final = {metric: place for place, metric in enumerate(Metric)}
_STAMPS: Final = count(1)

ExpositionPlace: TypeAlias = tuple[str, int]
"""Where a reading stands in the exposition: its job, and the place of its metric within."""
_Key = TypeVar("_Key", float, tuple[float, ExpositionPlace])


class ReadingLane(Enum):
    """Which readings are chosen from one after the other."""

    GPUS = "GPU utilization"
    OTHERS = "all others"


class PendingReading:
    """One reading of one job."""

    __slots__ = ("failures", "free", "metric", "rank", "requested_at", "stamp", "tracked")

    def __init__(self, tracked: TrackedJob, metric: Metric) -> None:
        self.tracked = tracked
        self.metric = metric
        self.rank = 0
        self.free = False
        """The newest list brought it, so that it costs no request."""
        self.requested_at: float | None = None
        """When the request was sent that was answered last (Unix seconds)."""
        self.failures = 0
        self.stamp = 0
        """Of its one valid entry in the heaps; 0: in none, since it is being requested."""

    @property
    def lane(self) -> ReadingLane:
        """Its lane, by its metric."""
        return ReadingLane.GPUS if self.metric is Metric.GPU_UTILIZATION else ReadingLane.OTHERS

    @property
    def request(self) -> JobRequest:
        """The request for it."""
        return JobRequest(self.tracked.job.id, self.metric)

    @property
    def place(self) -> ExpositionPlace:
        """Where it stands in the exposition."""
        return self.tracked.job.id, _ORDER[self.metric]

    @property
    def waits(self) -> bool:
        """Whether it waits in a heap; else it is being requested, or its job left."""
        return self.stamp != 0


class TrackedJob:
    """A running job and its readings."""

    __slots__ = ("job", "readings", "since")

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.since = now
        self.readings = {metric: PendingReading(self, metric) for metric in Metric}


class ReadingHeap(Generic[_Key]):
    """Readings in the order of their keys, the least first.

    A reading is in one heap at a time: to push it invalidates its entry elsewhere, which is dropped
    when it is met.
    """

    def __init__(self) -> None:
        self._entries: list[tuple[_Key, int, PendingReading]] = []
        """Key, stamp, reading. Stamps are unique, so that readings are never compared."""

    def __len__(self) -> int:
        """Count all entries, valid or not."""
        return len(self._entries)

    def push(self, key: _Key, reading: PendingReading) -> None:
        """Put a reading in; it is in no other heap from then on."""
        reading.stamp = next(_STAMPS)
        heapq.heappush(self._entries, (key, reading.stamp, reading))

    def first(self) -> PendingReading | None:
        """Return the first reading, and leave it there; None if there is none."""
        entry = self._first()
        return None if entry is None else entry[2]

    def first_key(self) -> _Key | None:
        """Return the key of the first reading; None if there is none."""
        entry = self._first()
        return None if entry is None else entry[0]

    def take(self) -> PendingReading | None:
        """Return the first reading, which is in no heap from then on; None if there is none."""
        if self._first() is None:
            return None
        _, _, reading = heapq.heappop(self._entries)
        reading.stamp = 0
        return reading

    def drop_invalid(self) -> None:
        """Drop entries that are not valid any more: they hold jobs that left."""
        self._entries = [entry for entry in self._entries if entry[2].stamp == entry[1]]
        heapq.heapify(self._entries)

    def _first(self) -> tuple[_Key, int, PendingReading] | None:
        while self._entries:
            _, stamp, reading = self._entries[0]
            if reading.stamp == stamp:
                return self._entries[0]
            heapq.heappop(self._entries)
        return None


def brought_by_list(job: Job, metric: Metric) -> bool:
    """Whether the list itself brought this reading: it is as old as the job's own facts.

    One number over several GPUs cannot show which of them idles: there the devices are wanted.
    """
    reading = job.readings.get(metric)
    several_devices = metric is Metric.GPU_UTILIZATION and (job.gpus or 1) > 1
    return reading is not None and reading.at == job.confirmed_at and not several_devices


def readings_in_a_round(jobs: Iterable[Job]) -> int:
    """Return how many requests it takes to read all running jobs once."""
    return sum(not brought_by_list(job, metric) for job in jobs if job.running for metric in Metric)
