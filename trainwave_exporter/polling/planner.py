"""Which requests are worth most now. No I/O and no clock: jobs, answers and the time come in.

The lists of jobs bring state and cost by themselves, and some readings; what is planned here is the
rest, in this order:

1. jobs that went missing and details of live jobs (`trainwave_exporter.polling.enquiries`);
2. readings that were never answered, then those that are probably not true any more;
3. readings that are due by the allocation of the budget
   (`trainwave_exporter.polling.allocation`, `trainwave_exporter.polling.rota`);
4. details of finished jobs: those that budgets need, those that are shown, and all others.

So that nothing starves, what is due gets every fourth turn while new readings keep coming, and
finished jobs every fifth while there is anything else; those without whose details no budget is
known get three of four.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
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
    Reading,
)
from trainwave_exporter.polling.allocation import allocate, longest_age
from trainwave_exporter.polling.archive import Archive
from trainwave_exporter.polling.enquiries import Enquiries
from trainwave_exporter.polling.movement import differs
from trainwave_exporter.polling.pace import round_seconds
from trainwave_exporter.polling.question import Question
from trainwave_exporter.polling.rota import Rota

_DUE_SHARE: Final = 1 / 4
"""The part of turns that readings asked for again get while there are new ones."""
_FINISHED_SHARE: Final = 1 / 5
"""The part of turns that finished jobs get while there is anything else."""
_URGENT_SHARE: Final = 3 / 4
"""The part of turns that finished jobs get without whose details no budget is known."""
_ROUNDING: Final = 1e-9
_MINUTE: Final = 60.0


class Ideals(Struct, frozen=True, kw_only=True):
    """What is aimed at, if the budget allows."""

    readings_interval: float
    """Seconds from one question for a reading to the next."""
    state_interval: float
    """Seconds after which the state of a live job is to be confirmed."""
    weights: Mapping[Metric, float]
    """How much each metric matters beside the price of its job."""
    idle_threshold: float
    """Utilization below which a GPU is idle, 0 to 1."""


class _Share:
    """Gives someone a fixed part of the turns while others would take them all."""

    def __init__(self, part: float) -> None:
        self._gain = part / (1 - part)
        self._credit = 0.0

    @property
    def due(self) -> bool:
        return self._credit >= 1 - _ROUNDING

    def others_had_one(self) -> None:
        self._credit = min(max(1.0, self._gain), self._credit + self._gain)

    def had_one(self) -> None:
        self._credit = max(0.0, self._credit - 1)


class Planner:
    """What is asked about the jobs of one account, one by one."""

    def __init__(self, *, account: str, ideals: Ideals, history: Archive) -> None:
        """``history`` names finished jobs whose details are wanted, most of them not shown."""
        self._account = account
        self._ideals = ideals
        self._history = history
        pause = ideals.readings_interval
        self._rota = Rota(
            ideal=ideals.readings_interval,
            pause=pause,
            weights=ideals.weights,
            idle_threshold=ideals.idle_threshold,
        )
        self._enquiries = Enquiries(pause=pause, state_interval=ideals.state_interval)
        self._due_share = _Share(_DUE_SHARE)
        self._finished_share = _Share(_FINISHED_SHARE)
        self._urgent_share = _Share(_URGENT_SHARE)
        self._asked_at: deque[float] = deque()
        self._settled: tuple[Counter[int], float] | None = None

    # What happens to jobs

    def apply(self, changes: Iterable[Change], now: float) -> None:
        """Take in what happened to jobs; of other accounts and other things nothing is taken."""
        for change in changes:
            match change:
                case Appeared(Job() as job) | Changed(_, Job() as job):
                    if job.account == self._account:
                        self._enquiries.seen(job)
                        self._rota.seat(job, now)
                    elif isinstance(change, Changed):
                        self._forget(job.id)  # another account tells of it from now on
                case Departed(Job() as job):
                    self._forget(job.id)
                case _:
                    pass

    def listed(self, since: float, named: AbstractSet[str], now: float) -> None:
        """Note that the running list was walked from ``since`` on, and which jobs it named."""
        self._enquiries.listed(since, named, now)

    def unnamed(self, named: AbstractSet[str]) -> list[Job]:
        """Return the jobs that run, by all that is known, and are not among those."""
        return self._enquiries.unnamed(named)

    def compare(self, known: Job, told: Job, now: float) -> None:
        """Look whether a list contradicts the readings of devices that it cannot replace."""
        for metric, reading in told.readings.items():
            before = known.readings.get(metric)
            if before is not None and len(before.points) > 1 and differs(before, reading):
                self._rota.hint(Question(known.id, metric), now)

    # What to ask

    def choose(self, slots: int, now: float, requests_per_minute: float) -> list[Question]:
        """Return at most ``slots`` questions, best first; they count as asked from now on.

        ``requests_per_minute``: what the budget has for all that is planned here.
        """
        self._rota.look(now)
        self._settle(requests_per_minute)
        live = iter(self._enquiries.live(now, requests_per_minute))
        due = self._rota.due(now)
        chosen: list[Question] = []
        for _ in range(slots):
            question = next(live, None) or self._next(due, now)
            if question is None:
                break
            if question.metric is None:
                self._enquiries.begin(question)
            chosen.append(question)
        self._asked_at.extend([now] * len(chosen))
        return chosen

    def _next(self, due: Iterator[Question], now: float) -> Question | None:
        if self._urgent_share.due and (question := self._take_urgent(now)):
            return question
        if self._finished_share.due and (question := self._take_finished(now)):
            return question
        if self._due_share.due and (question := self._take_due(due)):
            return question
        if question := self._rota.take_new() or self._rota.take_hinted():
            self._due_share.others_had_one()
            self._others_had_one()
            return question
        return self._take_due(due) or self._take_finished(now)

    def _others_had_one(self) -> None:
        self._finished_share.others_had_one()
        self._urgent_share.others_had_one()

    def _take_due(self, due: Iterator[Question]) -> Question | None:
        question = next(due, None)
        if question is not None:
            self._due_share.had_one()
            self._others_had_one()
        return question

    def _take_urgent(self, now: float) -> Question | None:
        if (job_id := self._history.urgent(now)) is None:
            return None
        self._urgent_share.had_one()
        self._finished_share.had_one()
        return Question(job_id)

    def _take_finished(self, now: float) -> Question | None:
        if question := self._take_urgent(now):
            return question
        question = self._enquiries.finished(now)
        if question is not None:
            self._history.asked(question.job_id, now)
        elif (job_id := self._history.other(now)) is not None:
            question = Question(job_id)
        if question is not None:
            self._finished_share.had_one()
        return question

    # How it went

    def details_answered(self, question: Question, state: str) -> None:
        """Note that a job's details came, while it was in ``state``."""
        self._enquiries.answered(question, state)

    def reading_answered(
        self, question: Question, before: Reading | None, after: Reading, asked_at: float
    ) -> float | None:
        """Note that a reading came, and which was known before.

        Return how old, in seconds, the answer before it had become when this one was asked for.
        """
        return self._rota.answered(question, before, after, asked_at)

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
        return self._rota.readings

    def outlook(self, now: float, requests_per_minute: float) -> Plan:
        """Return what the plan comes to at this budget, and what twice the limit would bring."""
        self._settle(requests_per_minute)
        ideal, readings = self._ideals.readings_interval, self.readings
        ranks, present = self._rota.ranks, self._rota.allocation
        doubled = allocate(ranks, 2 * _per_second(requests_per_minute), ideal)
        planned = _MINUTE * present.per_second(ranks)
        return Plan(
            account=self._account,
            planned=planned,
            used=self._used(now),
            deferred=max(0.0, _MINUTE * readings / ideal - planned),
            requests_per_minute=requests_per_minute,
            round_seconds=round_seconds(readings, requests_per_minute, ideal),
            longest_age_seconds=longest_age(readings, requests_per_minute, ideal),
            ages={
                metric: PlannedAge(present.expected_age(counts), doubled.expected_age(counts))
                for metric, counts in self._rota.counts.items()
                if counts.total()
            },
            expected_age_seconds=present.expected_age(ranks),
            expected_age_doubled_seconds=doubled.expected_age(ranks),
        )

    def _settle(self, requests_per_minute: float) -> None:
        """Allocate the budget anew, if readings or budget are not what they were."""
        ranks = self._rota.ranks
        if self._settled != (ranks, requests_per_minute):
            self._settled = (ranks, requests_per_minute)
            self._rota.allocation = allocate(
                ranks, _per_second(requests_per_minute), self._ideals.readings_interval
            )

    def _used(self, now: float) -> int:
        while self._asked_at and not 0 <= now - self._asked_at[0] < _MINUTE:
            self._asked_at.popleft()
        return len(self._asked_at)

    def _of(self, question: Question) -> Enquiries | Rota:
        return self._enquiries if question.metric is None else self._rota

    def _forget(self, job_id: str) -> None:
        self._enquiries.gone(job_id)
        self._rota.dismiss(job_id)


def _per_second(requests_per_minute: float) -> float:
    return max(1.0, requests_per_minute) / _MINUTE


def in_place_order(questions: Iterable[Question]) -> list[Question]:
    """Return details first, then what lies together in the exposition.

    Within a batch it is all the same when a question is sent.
    """
    return sorted(questions, key=lambda question: (question.metric is not None, question.job_id))
