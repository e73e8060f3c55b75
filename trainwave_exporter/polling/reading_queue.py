"""Which reading of the running jobs is requested next.

GPU utilization, by which idle jobs are found, has a lane of its own; all other readings share one.
Every reading that no list brings along waits in exactly one heap:

* *new*, one for each lane: never answered; those of the newest jobs go first;
* *contradicted*, in the lane of GPU utilization: a list contradicts what is known of it;
* *due*: answered before, one heap for each lane and rank of importance. Within a heap all have
  the same interval, so the one requested longest ago is the next, and a change of the interval
  moves nobody. What was requested at about the same time goes in the order of the jobs' places in
  the exposition, so that a round touches few of its cells at a time;
* *free*: the newest list brought it, so it costs nothing; looked at from time to time;
* *resting*: it failed a moment ago.

All times are Unix seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from trainwave_exporter.model import Job, Metric
from trainwave_exporter.polling.allocation import Allocation, rank_of
from trainwave_exporter.polling.job_request import JobRequest, pause_seconds, resting
from trainwave_exporter.polling.pending_readings import (
    ExpositionPlace,
    PendingReading,
    ReadingHeap,
    ReadingLane,
    TrackedJob,
    brought_by_list,
)

_GENERATION: Final = 60.0
"""Jobs that came within so many seconds are equally new."""
_PASSES: Final = 16
"""So many times in an interval the order of places begins anew."""
_SLACK: Final = 1000
"""So many invalid entries may be left in the heaps, and as many as there are readings."""
_TICK: Final = 1.0


class ReadingQueue:
    """The readings of one account's running jobs, and which is next."""

    def __init__(self, *, ideal: float, pause: float) -> None:
        """``ideal``: seconds from one request for a reading to the next, if there is enough.

        ``pause``: seconds of rest after a first failure.
        """
        self._pause = pause
        self._tracked_jobs: dict[str, TrackedJob] = {}
        self._new: dict[ReadingLane, ReadingHeap[tuple[float, ExpositionPlace]]] = {
            lane: ReadingHeap() for lane in ReadingLane
        }
        self._contradicted = ReadingHeap[float]()
        self._due: dict[
            ReadingLane, defaultdict[int, ReadingHeap[tuple[float, ExpositionPlace]]]
        ] = {lane: defaultdict(ReadingHeap) for lane in ReadingLane}
        self._free = ReadingHeap[float]()
        self._resting = ReadingHeap[float]()
        self._looked_at = 0.0
        self.allocation = Allocation(ideal=ideal)
        self.counts: dict[Metric, Counter[int]] = {metric: Counter() for metric in Metric}
        """Readings that have to be requested, by metric and rank."""

    @property
    def readings(self) -> int:
        """How many readings have to be requested."""
        return sum(counts.total() for counts in self.counts.values())

    # What happens to jobs

    def track(self, job: Job, now: float) -> None:
        """Take in what is known of a job now: its readings are wanted while it runs."""
        tracked = self._tracked_jobs.get(job.id)
        if not job.running:
            if tracked is not None:
                self.dismiss(job.id)
        elif tracked is None:
            tracked = self._tracked_jobs[job.id] = TrackedJob(job, now)
            for reading in tracked.readings.values():
                known = job.readings.get(reading.metric)
                reading.requested_at = None if known is None else min(known.at, now)
                self._count(reading)
                self._enqueue(reading)
        else:
            tracked.job = job

    def dismiss(self, job_id: str) -> None:
        """Forget a job that left or runs no more."""
        tracked = self._tracked_jobs.pop(job_id, None)
        if tracked is None:
            return
        for reading in tracked.readings.values():
            reading.stamp = 0
            if not reading.free:
                self._forget_rank(reading)
        tracked.readings.clear()  # a cycle of references would wait for the garbage collector

    def contradict(self, job_id: str, now: float) -> None:
        """Note that a job's GPU utilization is probably not true any more, so it is wanted soon.

        That is so if it waits to be due and was not requested a moment ago.
        """
        reading = self._reading(JobRequest(job_id, Metric.GPU_UTILIZATION))
        if reading is None or not reading.waits or reading.free or reading.failures:
            return
        if reading.requested_at is not None:
            age = now - reading.requested_at
            if age >= self.allocation.ideal / 2:
                self._contradicted.push(now, reading)

    # What is next

    def look(self, now: float) -> None:
        """Bring the heaps up to a moment; to be called before readings are taken at it."""
        if now < self._looked_at:
            self._set_back(now)
        self._looked_at = now
        self._tidy()
        while (until := self._resting.first_key()) is not None and not resting(now, until):
            self._requeue(self._resting)
        for _ in range(len(self._free)):
            since = self._free.first_key()
            if since is None or 0 <= now - since < self.allocation.ideal:
                break
            self._requeue(self._free)

    def take_new(self, lane: ReadingLane) -> JobRequest | None:
        """Return a reading that was never answered."""
        return _request_of(self._new[lane].take())

    def take_contradicted(self) -> JobRequest | None:
        """Return a GPU utilization that is probably not true any more."""
        return _request_of(self._contradicted.take())

    def due(self, lane: ReadingLane, now: float) -> Iterator[JobRequest]:
        """Yield the readings that are overdue, at each step the one that is so most.

        That is in parts of its interval. Nothing may be put in the heaps between two steps.
        """
        heaps = self._due[lane]
        most = [entry for rank in heaps if (entry := self._overdue(rank, heaps[rank], now))]
        heapq.heapify(most)
        while most:
            _, rank = most[0]
            if request := _request_of(heaps[rank].take()):
                yield request
            if after := self._overdue(rank, heaps[rank], now):
                heapq.heapreplace(most, after)
            else:
                heapq.heappop(most)

    def _overdue(
        self, rank: int, heap: ReadingHeap[tuple[float, ExpositionPlace]], now: float
    ) -> tuple[float, int] | None:
        """Return minus how overdue the first of a rank is, and the rank; None where it is not."""
        reading = heap.first()
        if reading is None or reading.requested_at is None:
            return None
        interval = self.allocation.interval(reading.metric, rank)
        parts = (now - reading.requested_at + _TICK / 2) / interval
        return (-parts, rank) if parts >= 1.0 else None

    # How it went

    def answered(self, request: JobRequest, requested_at: float) -> float | None:
        """Note that a reading came that was requested at ``requested_at``.

        Return the seconds since the request that was answered before, if one was.
        """
        reading = self._reading(request)
        if reading is None:
            return None
        before = reading.requested_at
        reading.requested_at = requested_at
        reading.failures = 0
        self._forget_rank(reading)
        self._count(reading)
        self._enqueue(reading)
        return None if before is None else max(0.0, requested_at - before)

    def failed(self, request: JobRequest, now: float) -> None:
        """Note that nothing came, so that it is not requested again at once."""
        reading = self._reading(request)
        if reading is not None:
            reading.failures += 1
            self._resting.push(now + pause_seconds(self._pause, reading.failures), reading)

    def put_off(self, request: JobRequest) -> None:
        """Note that it was not sent, for no fault of its own."""
        reading = self._reading(request)
        if reading is not None:
            self._enqueue(reading)

    # Heaps

    def _reading(self, request: JobRequest) -> PendingReading | None:
        tracked = self._tracked_jobs.get(request.job_id)
        if tracked is None or request.metric is None:
            return None
        return tracked.readings[request.metric]

    def _enqueue(self, reading: PendingReading) -> None:
        """Put a reading where it belongs by what is known of it."""
        job, metric = reading.tracked.job, reading.metric
        free = brought_by_list(job, metric)
        if free != reading.free:
            reading.free = free
            self.counts[metric][reading.rank] += -1 if free else 1
        if free:
            reading.requested_at = job.confirmed_at
            self._free.push(job.confirmed_at, reading)
        elif reading.requested_at is None:
            generation = reading.tracked.since // _GENERATION
            self._new[reading.lane].push((-generation, reading.place), reading)
        else:
            length = self._pass_seconds(reading)
            since = reading.requested_at // length * length
            self._due[reading.lane][reading.rank].push((since, reading.place), reading)

    def _pass_seconds(self, reading: PendingReading) -> float:
        """Return for how long requests go in the order of places before it begins anew."""
        if self.allocation.ample:
            return _TICK  # each has its exact time
        return max(_TICK, self.allocation.interval(reading.metric, reading.rank) / _PASSES)

    def _requeue(self, heap: ReadingHeap[float]) -> None:
        if (reading := heap.take()) is not None:
            self._enqueue(reading)

    def _tidy(self) -> None:
        """Drop invalid entries where they are most."""
        heaps: list[ReadingHeap[Any]] = [
            *(self._contradicted, self._free, self._resting),
            *self._new.values(),
            *(heap for ranks in self._due.values() for heap in ranks.values()),
        ]
        if sum(map(len, heaps)) > 2 * len(Metric) * len(self._tracked_jobs) + _SLACK:
            for heap in heaps:
                heap.drop_invalid()

    def _set_back(self, now: float) -> None:
        """After the clock was set back: times that are in the future now count as now."""
        for tracked in self._tracked_jobs.values():
            for reading in tracked.readings.values():
                if reading.requested_at is not None and reading.requested_at > now:
                    reading.requested_at = now
                    if reading.waits and not reading.failures:
                        self._enqueue(reading)

    # Ranks

    def _count(self, reading: PendingReading) -> None:
        reading.rank = rank_of(reading.metric, reading.tracked.job.hourly_cost_dollars)
        self.counts[reading.metric][reading.rank] += 1

    def _forget_rank(self, reading: PendingReading) -> None:
        self.counts[reading.metric][reading.rank] -= 1


def _request_of(reading: PendingReading | None) -> JobRequest | None:
    return None if reading is None else reading.request
