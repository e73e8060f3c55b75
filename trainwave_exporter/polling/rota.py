"""Whose turn it is among the readings of running jobs.

Every reading that no list brings along stands in exactly one queue:

* *new*: never answered; those of the newest jobs go first, and of these GPU utilization;
* *hinted*: a list contradicts what is known of it, or another reading of its job jumped;
* *due*: answered before, one queue for each rank of importance. Within a rank all have the same
  interval, so the one asked longest ago is the next, and a change of the interval moves nobody.
  What was asked at about the same time goes in the order of the jobs' places in the exposition,
  so that a round touches few of its cells at a time;
* *free*: the newest list brought it, so it costs nothing; looked at from time to time;
* *resting*: it failed a moment ago.

Queues are heaps. An entry whose stamp is not its turn's is left over from an earlier place, and
dropped when met. All times are Unix seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final, TypeAlias, TypeVar

from trainwave_exporter.model import Job, Metric, Reading
from trainwave_exporter.polling.allocation import Allocation, rank_of
from trainwave_exporter.polling.movement import Movement, distance
from trainwave_exporter.polling.pace import brought_by_list
from trainwave_exporter.polling.question import (
    Question,
    pause_seconds,
    resting,
)

CHEAPEST: Final = 0.1
"""Price in dollars per hour below which, or without which, jobs weigh the same."""
_VERDICT: Final = 4.0
"""How much more a GPU's utilization weighs while it is about to be, or is, found idle."""
_NEAR: Final = 2.0
"""Below so many times the threshold of idleness that is the case."""
JUMP: Final = 0.5
"""A reading that is so far from the one before tells that its job does something else now. What its
GPUs do then is wanted at once: whether they are idle depends on it."""
_GENERATION: Final = 60.0
"""Jobs that came within so many seconds are equally new."""
_PASSES: Final = 16
"""So many times in an interval the order of places begins anew."""
_SLACK: Final = 1000
"""So many entries may be left over in the queues, and as many as there are turns."""
_TICK: Final = 1.0
_ORDER = {metric: place for place, metric in enumerate(Metric)}


class _Turn:
    """One reading of one job."""

    __slots__ = ("asked_at", "failures", "free", "metric", "movement", "rank", "seat", "stamp")

    def __init__(self, seat: _Seat, metric: Metric) -> None:
        self.seat = seat
        self.metric = metric
        self.movement = Movement()
        self.rank = 0
        self.free = False
        self.asked_at: float | None = None
        """When the question was sent that was answered last."""
        self.failures = 0
        self.stamp = 0
        """Of its one valid place in the queues; 0: in none, since it is being asked for."""

    @property
    def question(self) -> Question:
        return Question(self.seat.job.id, self.metric)


class _Seat:
    """A running job and its turns."""

    __slots__ = ("job", "since", "turns")

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.since = now
        self.turns = {metric: _Turn(self, metric) for metric in Metric}


_Place: TypeAlias = tuple[str, int]
"""Where a job's readings stand in the exposition, and a metric's place within."""
_Key = TypeVar("_Key")
_Queue: TypeAlias = list[tuple[_Key, int, _Turn]]
"""A heap of sort key, stamp, turn. Stamps are unique, so turns are never compared."""


class Rota:
    """The turns of one account's readings."""

    def __init__(
        self, *, ideal: float, pause: float, weights: Mapping[Metric, float], idle_threshold: float
    ) -> None:
        """``ideal``: seconds from one question for a reading to the next, if there is enough.

        ``pause``: seconds of rest after a first failure. ``weights``: how much each metric matters
        beside the price of its job. ``idle_threshold``: the utilization below which a GPU is idle.
        """
        self._pause = pause
        self._weights = weights
        self._idle_threshold = idle_threshold
        self._seats: dict[str, _Seat] = {}
        self._new: _Queue[tuple[float, bool, _Place]] = []
        self._hinted: _Queue[float] = []
        self._due: defaultdict[int, _Queue[tuple[float, _Place]]] = defaultdict(list)
        self._free: _Queue[float] = []
        self._resting: _Queue[float] = []
        self._stamps = count(1)
        self._movements: defaultdict[Metric, Movement] = defaultdict(Movement)
        self._seen_at = 0.0
        self.allocation = Allocation(ideal, 0.0, ideal)
        self.counts: dict[Metric, Counter[int]] = {metric: Counter() for metric in Metric}
        """Readings that have to be asked for, by metric and rank."""

    # What is known

    @property
    def readings(self) -> int:
        """How many readings have to be asked for."""
        return sum(counts.total() for counts in self.counts.values())

    @property
    def ranks(self) -> Counter[int]:
        """How many of them are of which rank."""
        return sum(self.counts.values(), Counter[int]())

    # What happens to jobs

    def seat(self, job: Job, now: float) -> None:
        """Take in what is known of a job now: its readings are wanted while it runs."""
        seat = self._seats.get(job.id)
        if not job.running:
            if seat is not None:
                self.dismiss(job.id)
        elif seat is None:
            seat = self._seats[job.id] = _Seat(job, now)
            for turn in seat.turns.values():
                known = job.readings.get(turn.metric)
                turn.asked_at = None if known is None else min(known.at, now)
                self._count(turn, known)
                self._enqueue(turn)
        else:
            seat.job = job

    def dismiss(self, job_id: str) -> None:
        """Forget a job that left or runs no more."""
        seat = self._seats.pop(job_id, None)
        if seat is None:
            return
        for turn in seat.turns.values():
            turn.stamp = 0
            if not turn.free:
                self._forget_rank(turn)
        seat.turns.clear()  # who refers to each other would wait for the garbage collector

    def hint(self, question: Question, now: float) -> None:
        """Note that what is known is probably not true any more, so that it is wanted soon."""
        turn = self._turn(question)
        if turn is not None:
            self._hint(turn, now)

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

    def take_new(self) -> Question | None:
        """Return a reading that was never answered."""
        return self._taken(self._new)

    def take_hinted(self) -> Question | None:
        """Return a reading that is probably not true any more."""
        return self._taken(self._hinted)

    def due(self, now: float) -> Iterator[Question]:
        """Yield the readings that are overdue, at each step the one that is so most.

        That is in parts of its interval. Nothing may be put in the queues between two steps.
        """
        most = [entry for rank in self._due if (entry := self._overdue(rank, now))]
        heapq.heapify(most)
        while most:
            _, rank = most[0]
            if question := self._taken(self._due[rank]):
                yield question
            if after := self._overdue(rank, now):
                heapq.heapreplace(most, after)
            else:
                heapq.heappop(most)

    def _overdue(self, rank: int, now: float) -> tuple[float, int] | None:
        """Return minus how overdue the first of a rank is, and the rank; None where it is not."""
        turn = self._head(self._due[rank])
        if turn is None or turn.asked_at is None:
            return None
        parts = (now - turn.asked_at + _TICK / 2) / self.allocation.interval(rank)
        return (-parts, rank) if parts >= 1.0 else None

    # How it went

    def answered(
        self, question: Question, before: Reading | None, after: Reading, asked_at: float
    ) -> float | None:
        """Note what came, and learn from it how much such a reading moves.

        Return the seconds since the question that was answered before, if one was.
        """
        turn = self._turn(question)
        if turn is None:
            return None
        age = None if turn.asked_at is None else max(0.0, asked_at - turn.asked_at)
        if before is not None and age is not None:
            step = distance(before, after)
            if step >= JUMP:
                self._hint(turn.seat.turns[Metric.GPU_UTILIZATION], asked_at)
            turn.movement.add(step, age)
            self._movements[turn.metric].add(step, age)
        turn.asked_at = asked_at
        turn.failures = 0
        self._forget_rank(turn)
        self._count(turn, after)
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

    def _turn(self, question: Question) -> _Turn | None:
        seat = self._seats.get(question.job_id)
        return None if seat is None or question.metric is None else seat.turns[question.metric]

    def _hint(self, turn: _Turn, now: float) -> None:
        """Have a turn taken soon, if it waits to be due and was not taken a moment ago."""
        if not turn.stamp or turn.free or turn.failures or turn.asked_at is None:
            return
        if now - turn.asked_at >= self.allocation.ideal / 2:
            self._push(self._hinted, now, turn)

    def _enqueue(self, turn: _Turn) -> None:
        """Put a turn where it belongs by what is known of its reading."""
        job, metric = turn.seat.job, turn.metric
        place = (job.id, _ORDER[metric])
        free = brought_by_list(job, metric)
        if free != turn.free:
            turn.free = free
            self.counts[metric][turn.rank] += -1 if free else 1
        if free:
            turn.asked_at = job.confirmed_at
            self._push(self._free, job.confirmed_at, turn)
        elif turn.asked_at is None:
            generation = turn.seat.since // _GENERATION
            first = metric is not Metric.GPU_UTILIZATION
            self._push(self._new, (-generation, first, place), turn)
        else:
            length = self._pass_seconds(turn)
            since = turn.asked_at // length * length
            self._push(self._due[turn.rank], (since, place), turn)

    def _pass_seconds(self, turn: _Turn) -> float:
        """Return for how long questions go in the order of places before it begins anew."""
        if self.allocation.ample:
            return _TICK  # each has its exact time
        return max(_TICK, self.allocation.interval(turn.rank) / _PASSES)

    def _push(self, queue: _Queue[_Key], key: _Key, turn: _Turn) -> None:
        turn.stamp = next(self._stamps)
        heapq.heappush(queue, (key, turn.stamp, turn))

    def _head(self, queue: _Queue[_Key]) -> _Turn | None:
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

    def _wake(self, entry: tuple[float, int, _Turn]) -> None:
        _, stamp, turn = entry
        if turn.stamp == stamp:
            self._enqueue(turn)

    def _tidy(self) -> None:
        """Drop what is left over, where that is most: it would hold jobs that are long gone."""
        queues: list[_Queue[Any]] = [
            *(self._new, self._hinted, self._free, self._resting),
            *self._due.values(),
        ]
        if sum(map(len, queues)) > 2 * len(Metric) * len(self._seats) + _SLACK:
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

    def _turns(self) -> Iterator[_Turn]:
        for seat in self._seats.values():
            yield from seat.turns.values()

    # Ranks

    def _count(self, turn: _Turn, reading: Reading | None = None) -> None:
        turn.rank = rank_of(self._importance(turn, reading))
        self.counts[turn.metric][turn.rank] += 1

    def _forget_rank(self, turn: _Turn) -> None:
        self.counts[turn.metric][turn.rank] -= 1

    def _importance(self, turn: _Turn, reading: Reading | None) -> float:
        """Return weight times rate of change: what a second of age costs."""
        weight = self._weights[turn.metric] * max(
            turn.seat.job.hourly_cost_dollars or 0.0, CHEAPEST
        )
        if turn.metric is Metric.GPU_UTILIZATION and reading is not None:
            nearly_idle = _NEAR * self._idle_threshold
            if any(point.value < nearly_idle for point in reading.points):
                weight *= _VERDICT
        return weight * turn.movement.rate(self._movements[turn.metric].rate())
