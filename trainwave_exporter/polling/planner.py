"""Which requests are worth most now. No I/O and no clock: jobs, answers and the time come in.

The lists of jobs bring state and cost by themselves, and some readings; what is planned here is the
rest, in this order:

1. jobs that went missing and details of live jobs (`trainwave_exporter.polling.detail_requests`);
2. GPU utilization, by which idle jobs are found: what a list contradicts, what was never read, what
   is due by the allocation of the budget (`trainwave_exporter.polling.allocation`,
   `trainwave_exporter.polling.reading_queue`);
3. all other readings: what was never read, then what is due;
4. details of finished jobs: those that budgets need, those that are shown, and all others.

So that nothing starves, the later ones have a fixed part of the turns (`_READING_TURNS` and
those after it). Details that budgets need have one before all others (`_URGENT_TURNS`): they are
wanted after a first start on a long history, and then not any more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from trainwave_exporter.model import (
    Appeared,
    Change,
    Changed,
    Departed,
    Job,
    Metric,
    Plan,
    PlannedAge,
)
from trainwave_exporter.polling.allocation import GPU_SHARE, allocate, longest_age
from trainwave_exporter.polling.detail_requests import DetailRequests
from trainwave_exporter.polling.history_details import HistoryDetails
from trainwave_exporter.polling.pace import round_seconds
from trainwave_exporter.polling.question import Question
from trainwave_exporter.polling.reading_queue import ReadingLane, ReadingQueue

_URGENT_TURNS: Final = 3 / 4
"""The part of all turns that finished jobs get without whose details no budget is known."""
_READING_TURNS: Final = 1 / 2
"""The part of all turns that is left for GPU utilization while details of live jobs are wanted."""
_REST_TURNS: Final = 1 - GPU_SHARE
"""The part of those turns that all the rest gets while GPU utilization is due."""
_DUE_TURNS: Final = 1 / 4
"""The part of the turns of other readings that known ones get while there are new ones."""
_FINISHED_TURNS: Final = 2 / 5
"""The part of the turns of the rest that finished jobs get while there are other readings to ask
for."""
_REMEMBERED: Final = 16
"""So many turns that the rest had while no GPU utilization was due count against its part."""
_CONTRADICTION: Final = 0.1
"""How far a list's one number may be from the mean of the devices before they are read again."""
_MINUTE: Final = 60.0
_SLIVER: Final = 1e-9
"""What adding up thirds may leave short of a whole."""


class Ideals(Struct, frozen=True, kw_only=True):
    """What is aimed at, if the budget allows."""

    readings_interval: float
    """Seconds from one question for a reading to the next."""
    state_interval: float
    """Seconds after which the state of a live job is to be confirmed."""


class _Share:
    """Gives someone a fixed part of the turns while others would take them all."""

    def __init__(self, part: float, *, remembered: int = 0) -> None:
        """``remembered``: turns beyond that part which count against later ones."""
        self._gain = part / (1 - part)
        self._least = -float(remembered)
        self._credit = 0.0

    @property
    def due(self) -> bool:
        return self._credit >= 1 - _SLIVER

    def others_had_one(self) -> None:
        self._credit = min(1.0, self._credit) + self._gain

    def had_one(self) -> None:
        self._credit = max(self._least, self._credit - 1)


class Planner:
    """What is asked about the jobs of one account, one by one."""

    def __init__(self, *, account: str, ideals: Ideals, history: HistoryDetails) -> None:
        """``history`` names finished jobs whose details are wanted, most of them not shown."""
        self._account = account
        self._ideals = ideals
        self._history = history
        pause = ideals.readings_interval
        self._reading_queue = ReadingQueue(ideal=ideals.readings_interval, pause=pause)
        self._detail_requests = DetailRequests(pause=pause, state_interval=ideals.state_interval)
        self._urgent_turns = _Share(_URGENT_TURNS)
        self._reading_turns = _Share(_READING_TURNS)
        self._rest_turns = _Share(_REST_TURNS, remembered=_REMEMBERED)
        self._due_turns = _Share(_DUE_TURNS)
        self._finished_turns = _Share(_FINISHED_TURNS)
        self._asked_at: deque[float] = deque()
        self._settled: tuple[dict[Metric, Counter[int]], float] | None = None
        self._doubled = self._reading_queue.allocation
        """What would be, were the budget twice as large."""

    # What happens to jobs

    def apply(self, changes: Iterable[Change], now: float) -> None:
        """Take in what happened to jobs; of other accounts and other things nothing is taken."""
        for change in changes:
            match change:
                case Appeared(Job() as job) | Changed(_, Job() as job):
                    if job.account == self._account:
                        self._detail_requests.seen(job)
                        self._reading_queue.track(job, now)
                    elif isinstance(change, Changed):
                        self._forget(job.id)  # another account reports it from now on
                case Departed(Job() as job):
                    self._forget(job.id)
                case _:
                    pass

    def listed(self, since: float, named: AbstractSet[str], now: float) -> None:
        """Note that the running list was walked from ``since`` on, and which jobs it named."""
        self._detail_requests.listed(since, named, now)

    def unnamed(self, named: AbstractSet[str]) -> list[Job]:
        """Return the jobs that run, by all that is known, and are not among those."""
        return self._detail_requests.unnamed(named)

    def compare(self, known: Job, reported: Job, now: float) -> None:
        """Look whether a list contradicts the readings of GPUs that it cannot replace."""
        before, after = known.readings.gpu_utilization, reported.readings.gpu_utilization
        if before is None or after is None or len(before.points) <= 1:
            return
        devices, whole = before.mean, after.mean
        if devices is not None and whole is not None and abs(devices - whole) > _CONTRADICTION:
            self._reading_queue.hint(known.id, now)

    # What to ask

    def choose(self, slots: int, now: float, requests_per_minute: float) -> list[Question]:
        """Return at most ``slots`` questions, best first; they count as asked from now on.

        ``requests_per_minute``: what the budget has for all that is planned here.
        """
        self._reading_queue.look(now)
        self._settle(requests_per_minute)
        live = iter(self._detail_requests.live(now, requests_per_minute))
        gpus, others = (
            self._reading_queue.due(ReadingLane.GPUS, now),
            self._reading_queue.due(ReadingLane.OTHERS, now),
        )
        chosen: list[Question] = []
        for _ in range(slots):
            question = self._take_urgent(now) if self._urgent_turns.due else None
            if question is None:
                question = self._next(live, gpus, others, now)
                self._urgent_turns.others_had_one()
            if question is None:
                break
            if question.metric is None:
                self._detail_requests.begin(question, now)
            chosen.append(question)
        self._asked_at.extend([now] * len(chosen))
        return chosen

    def _next(
        self,
        live: Iterator[Question],
        gpus: Iterator[Question],
        others: Iterator[Question],
        now: float,
    ) -> Question | None:
        if not self._reading_turns.due and (question := next(live, None)):
            self._reading_turns.others_had_one()
            return question
        question = self._take_rest(others, now) if self._rest_turns.due else None
        if question := question or self._take_gpu(gpus):
            self._reading_turns.had_one()
            return question
        return next(live, None) or self._take_rest(others, now)

    def _take_gpu(self, due: Iterator[Question]) -> Question | None:
        question = (
            self._reading_queue.take_hinted()
            or self._reading_queue.take_new(ReadingLane.GPUS)
            or next(due, None)
        )
        if question is not None:
            self._rest_turns.others_had_one()
        return question

    def _take_rest(self, due: Iterator[Question], now: float) -> Question | None:
        question = self._take_finished(now) if self._finished_turns.due else None
        question = question or self._take_other(due) or self._take_finished(now)
        if question is not None:
            self._rest_turns.had_one()
        return question

    def _take_other(self, due: Iterator[Question]) -> Question | None:
        question = next(due, None) if self._due_turns.due else None
        if question is not None:
            self._due_turns.had_one()
        elif question := self._reading_queue.take_new(ReadingLane.OTHERS):
            self._due_turns.others_had_one()
        else:
            question = next(due, None)
        if question is not None:
            self._finished_turns.others_had_one()
        return question

    def _take_urgent(self, now: float) -> Question | None:
        if (job_id := self._history.urgent(now)) is None:
            return None
        self._urgent_turns.had_one()
        return Question(job_id)

    def _take_finished(self, now: float) -> Question | None:
        question = self._take_urgent(now) or self._detail_requests.finished(now)
        if question is not None:
            self._history.asked(question.job_id, now)
        elif (job_id := self._history.other(now)) is not None:
            question = Question(job_id)
        if question is not None:
            self._finished_turns.had_one()
        return question

    # How it went

    def details_answered(self, question: Question, state: str) -> None:
        """Note that a job's details came, while it was in ``state``."""
        self._detail_requests.answered(question, state)

    def reading_answered(self, question: Question, asked_at: float) -> float | None:
        """Note that a reading came.

        Return how old, in seconds, the answer before it had become when this one was asked for.
        """
        return self._reading_queue.answered(question, asked_at)

    def failed(self, question: Question, now: float) -> None:
        """Note that nothing came, so that it is not asked again at once."""
        self._of(question).failed(question, now)
        if question.metric is None:
            self._history.failed(question.job_id)

    def put_off(self, question: Question) -> None:
        """Note that it was not asked, for no fault of its own."""
        self._of(question).put_off(question)
        if question.metric is None:
            self._history.put_off(question.job_id)

    # What it comes to

    @property
    def readings(self) -> int:
        """How many readings of running jobs have to be asked for."""
        return self._reading_queue.readings

    def outlook(self, now: float, requests_per_minute: float) -> Plan:
        """Return what the plan comes to at this budget, and what twice the limit would bring."""
        self._settle(requests_per_minute)
        ideal, readings = self._ideals.readings_interval, self.readings
        counts, present, doubled = (
            self._reading_queue.counts,
            self._reading_queue.allocation,
            self._doubled,
        )
        planned = _MINUTE * present.per_second(counts)
        return Plan(
            account=self._account,
            planned=planned,
            used=self._used(now),
            deferred=max(0.0, _MINUTE * readings / ideal - planned),
            requests_per_minute=requests_per_minute,
            round_seconds=round_seconds(readings, requests_per_minute, ideal),
            longest_age_seconds=longest_age(readings, requests_per_minute, ideal),
            ages={
                metric: PlannedAge(present.expected_age(of_it), doubled.expected_age(of_it))
                for metric, ranks in counts.items()
                if ranks.total() and (of_it := {metric: ranks})
            },
            expected_age_seconds=present.expected_age(counts),
            expected_age_doubled_seconds=doubled.expected_age(counts),
        )

    def _settle(self, requests_per_minute: float) -> None:
        """Allocate the budget anew, if readings or budget are not what they were."""
        counts = {metric: +ranks for metric, ranks in self._reading_queue.counts.items()}
        if self._settled != (counts, requests_per_minute):
            self._settled = (counts, requests_per_minute)
            ideal, per_second = self._ideals.readings_interval, _per_second(requests_per_minute)
            self._reading_queue.allocation = allocate(counts, per_second, ideal)
            self._doubled = allocate(counts, 2 * per_second, ideal)

    def _used(self, now: float) -> int:
        while self._asked_at and not 0 <= now - self._asked_at[0] < _MINUTE:
            self._asked_at.popleft()
        return len(self._asked_at)

    def _of(self, question: Question) -> DetailRequests | ReadingQueue:
        return self._detail_requests if question.metric is None else self._reading_queue

    def _forget(self, job_id: str) -> None:
        self._detail_requests.gone(job_id)
        self._reading_queue.dismiss(job_id)


def _per_second(requests_per_minute: float) -> float:
    return max(1.0, requests_per_minute) / _MINUTE
