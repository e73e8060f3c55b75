"""Whose turn it is among the readings of running jobs.

GPU utilization, by which idle jobs are found, has a lane of its own; all other readings share one.
Every reading that no list brings along stands in exactly one queue:

* *new*, one for each lane: never answered; those of the newest jobs go first;
* *hinted*, in the lane of GPU utilization: a list contradicts what is known of it;
* *due*: answered before, one queue for each lane and rank of importance. Within a queue all have
  the same interval, so the one asked longest ago is the next, and a change of the interval moves
  nobody. What was asked at about the same time goes in the order of the jobs' places in the
  exposition, so that a round touches few of its cells at a time;
* *free*: the newest list brought it, so it costs nothing; looked at from time to time;
* *resting*: it failed a moment ago.

Queues are heaps. An entry whose stamp is not its turn's is left over from an earlier place, and
dropped when met. All times are Unix seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
from enum import Enum
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar

from trainwave_exporter.model import Job, Metric
from trainwave_exporter.polling.allocation import Allocation, rank_of
from trainwave_exporter.polling.pace import brought_by_list
from trainwave_exporter.polling.question import Question, pause_seconds, resting

_GENERATION: Final = 60.0
"""Jobs that came within so many seconds are equally new."""
_PASSES: Final = 16
"""So many times in an interval the order of places begins anew."""
_SLACK: Final = 1000
"""So many entries may be left over in the queues, and as many as there are turns."""
_TICK: Final = 1.0
_ORDER = {metric: place for place, metric in enumerate(Metric)}


class ReadingLane(Enum):
    """Which readings are chosen from one after the other."""

    GPUS = "GPU utilization"
    OTHERS = "all others"


class _PendingReading:
    """One reading of one job."""

    __slots__ = ("asked_at", "failures", "free", "metric", "rank", "stamp", "tracked")

    def __init__(self, tracked: _TrackedJob, metric: Metric) -> None:
        self.tracked = tracked
        self.metric = metric
        self.rank = 0
        self.free = False
        self.asked_at: float | None = None
        """When the question was sent that was answered last."""
        self.failures = 0
        self.stamp = 0
        """Of its one valid place in the queues; 0: in none, since it is being asked for."""

    @property
    def lane(self) -> ReadingLane:
        return ReadingLane.GPUS if self.metric is Metric.GPU_UTILIZATION else ReadingLane.OTHERS

    @property
    def question(self) -> Question:
        return Question(self.tracked.job.id, self.metric)


class _TrackedJob:
    """A running job and its turns."""

    __slots__ = ("job", "since", "turns")

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.since = now
        self.turns = {metric: _PendingReading(self, metric) for metric in Metric}


_Place: TypeAlias = tuple[str, int]
"""Where a job's readings stand in the exposition, and a metric's place within."""
_Key = TypeVar("_Key")
_Queue: TypeAlias = list[tuple[_Key, int, _PendingReading]]
"""A heap of sort key, stamp, turn. Stamps are unique, so turns are never compared."""


class ReadingQueue:
    """The turns of one account's readings."""

    def __init__(self, *, ideal: float, pause: float) -> None:
        """``ideal``: seconds from one question for a reading to the next, if there is enough.

        ``pause``: seconds of rest after a first failure.
        """
        self._pause = pause
        self._tracked_jobs: dict[str, _TrackedJob] = {}
        self._new: dict[ReadingLane, _Queue[tuple[float, _Place]]] = {
            lane: [] for lane in ReadingLane
        }
        self._hinted: _Queue[float] = []
        self._due: dict[ReadingLane, defaultdict[int, _Queue[tuple[float, _Place]]]] = {
            lane: defaultdict(list) for lane in ReadingLane
        }
        self._free: _Queue[float] = []
        self._resting: _Queue[float] = []
        self._stamps = count(1)
        self._seen_at = 0.0
        self.allocation = Allocation(ideal=ideal)
        self.counts: dict[Metric, Counter[int]] = {metric: Counter() for metric in Metric}
        """Readings that have to be asked for, by metric and rank."""

    # What is known

    @property
    def readings(self) -> int:
        """How many readings have to be asked for."""
        return sum(counts.total() for counts in self.counts.values())

    # What happens to jobs

    def track(self, job: Job, now: float) -> None:
        """Take in what is known of a job now: its readings are wanted while it runs."""
        tracked = self._tracked_jobs.get(job.id)
        if not job.running:
            if tracked is not None:
                self.dismiss(job.id)
        elif tracked is None:
            tracked = self._tracked_jobs[job.id] = _TrackedJob(job, now)
            for turn in tracked.turns.values():
                known = job.readings.get(turn.metric)
                turn.asked_at = None if known is None else min(known.at, now)
                self._count(turn)
                self._enqueue(turn)
        else:
            tracked.job = job

    def dismiss(self, job_id: str) -> None:
        """Forget a job that left or runs no more."""
        tracked = self._tracked_jobs.pop(job_id, None)
        if tracked is None:
            return
        for turn in tracked.turns.values():
            turn.stamp = 0
            if not turn.free:
                self._forget_rank(turn)
        tracked.turns.clear()  # who refers to each other would wait for the garbage collector

    def hint(self, job_id: str, now: float) -> None:
        """Note that a job's GPU utilization is probably not true any more, so it is wanted soon.

        That is so if it waits to be due and was not asked for a moment ago.
        """
        turn = self._turn(Question(job_id, Metric.GPU_UTILIZATION))
        if turn is None or not turn.stamp or turn.free or turn.failures or turn.asked_at is None:
            return
        if now - turn.asked_at >= self.allocation.ideal / 2:
            self._push(self._hinted, now, turn)

    # Whose turn it is

    def look(self, now: float) -> None:
        """Bring the queues up to a moment; to be called before turns are taken at it."""
        if now < self._seen_at:
            self._set_back(now)
        self._seen_at = now
        self._tidy()
        while self._resting and not resting(now, self._resting[0][0]):
            self._wake(heapq.heappop(self._resting))
        for _ in range(len(self._free)):
            if 0 <= now - self._free[0][0] < self.allocation.ideal:
                break
            self._wake(heapq.heappop(self._free))

    def take_new(self, lane: ReadingLane) -> Question | None:
        """Return a reading that was never answered."""
        return self._taken(self._new[lane])

    def take_hinted(self) -> Question | None:
        """Return a GPU utilization that is probably not true any more."""
        return self._taken(self._hinted)

    def due(self, lane: ReadingLane, now: float) -> Iterator[Question]:
        """Yield the readings that are overdue, at each step the one that is so most.

        That is in parts of its interval. Nothing may be put in the queues between two steps.
        """
        queues = self._due[lane]
        most = [entry for rank in queues if (entry := self._overdue(rank, queues[rank], now))]
        heapq.heapify(most)
        while most:
            _, rank = most[0]
            if question := self._taken(queues[rank]):
                yield question
            if after := self._overdue(rank, queues[rank], now):
                heapq.heapreplace(most, after)
            else:
                heapq.heappop(most)

    def _overdue(
        self, rank: int, queue: _Queue[tuple[float, _Place]], now: float
    ) -> tuple[float, int] | None:
        """Return minus how overdue the first of a rank is, and the rank; None where it is not."""
        turn = self._head(queue)
        if turn is None or turn.asked_at is None:
            return None
        interval = self.allocation.interval(turn.metric, rank)
        parts = (now - turn.asked_at + _TICK / 2) / interval
        return (-parts, rank) if parts >= 1.0 else None

    # How it went

    def answered(self, question: Question, asked_at: float) -> float | None:
        """Note that a reading came that was asked for at ``asked_at``.

        Return the seconds since the question that was answered before, if one was.
        """
        turn = self._turn(question)
        if turn is None:
            return None
        age = None if turn.asked_at is None else max(0.0, asked_at - turn.asked_at)
        turn.asked_at = asked_at
        turn.failures = 0
        self._forget_rank(turn)
        self._count(turn)
        self._enqueue(turn)
        return age

    def failed(self, question: Question, now: float) -> None:
        """Note that nothing came, so that it is not asked again at once."""
        turn = self._turn(question)
        if turn is not None:
            turn.failures += 1
            self._push(self._resting, now + pause_seconds(self._pause, turn.failures), turn)

    def put_off(self, question: Question) -> None:
        """Note that it was not asked, for no fault of its own."""
        turn = self._turn(question)
        if turn is not None:
            self._enqueue(turn)

    # Queues

    def _turn(self, question: Question) -> _PendingReading | None:
        tracked = self._tracked_jobs.get(question.job_id)
        return (
            None if tracked is None or question.metric is None else tracked.turns[question.metric]
        )

    def _enqueue(self, turn: _PendingReading) -> None:
        """Put a turn where it belongs by what is known of its reading."""
        job, metric = turn.tracked.job, turn.metric
        place = (job.id, _ORDER[metric])
        free = brought_by_list(job, metric)
        if free != turn.free:
            turn.free = free
            self.counts[metric][turn.rank] += -1 if free else 1
        if free:
            turn.asked_at = job.confirmed_at
            self._push(self._free, job.confirmed_at, turn)
        elif turn.asked_at is None:
            generation = turn.tracked.since // _GENERATION
            self._push(self._new[turn.lane], (-generation, place), turn)
        else:
            length = self._pass_seconds(turn)
            since = turn.asked_at // length * length
            self._push(self._due[turn.lane][turn.rank], (since, place), turn)

    def _pass_seconds(self, turn: _PendingReading) -> float:
        """Return for how long questions go in the order of places before it begins anew."""
        if self.allocation.ample:
            return _TICK  # each has its exact time
        return max(_TICK, self.allocation.interval(turn.metric, turn.rank) / _PASSES)

    def _push(self, queue: _Queue[_Key], key: _Key, turn: _PendingReading) -> None:
        turn.stamp = next(self._stamps)
        heapq.heappush(queue, (key, turn.stamp, turn))

    def _head(self, queue: _Queue[_Key]) -> _PendingReading | None:
        while queue:
            _, stamp, turn = queue[0]
            if turn.stamp == stamp:
                return turn
            heapq.heappop(queue)
        return None

    def _taken(self, queue: _Queue[_Key]) -> Question | None:
        turn = self._head(queue)
        if turn is None:
            return None
        heapq.heappop(queue)
        turn.stamp = 0
        return turn.question

    def _wake(self, entry: tuple[float, int, _PendingReading]) -> None:
        _, stamp, turn = entry
        if turn.stamp == stamp:
            self._enqueue(turn)

    def _tidy(self) -> None:
        """Drop what is left over, where that is most: it would hold jobs that are long gone."""
        queues: list[_Queue[Any]] = [
            *(self._hinted, self._free, self._resting),
            *self._new.values(),
            *(queue for ranks in self._due.values() for queue in ranks.values()),
        ]
        if sum(map(len, queues)) > 2 * len(Metric) * len(self._tracked_jobs) + _SLACK:
            for queue in queues:
                queue[:] = [entry for entry in queue if entry[2].stamp == entry[1]]
                heapq.heapify(queue)

    def _set_back(self, now: float) -> None:
        """Take what lies ahead, now that the clock was set back, for asked now."""
        for turn in self._turns():
            if turn.asked_at is not None and turn.asked_at > now:
                turn.asked_at = now
                if turn.stamp and not turn.failures:
                    self._enqueue(turn)

    def _turns(self) -> Iterator[_PendingReading]:
        for tracked in self._tracked_jobs.values():
            yield from tracked.turns.values()

    # Ranks

    def _count(self, turn: _PendingReading) -> None:
        turn.rank = rank_of(turn.metric, turn.tracked.job.hourly_cost_dollars)
        self.counts[turn.metric][turn.rank] += 1

    def _forget_rank(self, turn: _PendingReading) -> None:
        self.counts[turn.metric][turn.rank] -= 1
