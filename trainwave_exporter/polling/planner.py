"""Which requests about single jobs are sent. No I/O and no clock: jobs, answers and time come in.

Lists report state and cost, and some readings; the rest is requested in this order:

1. jobs that went missing and details of live jobs (`trainwave_exporter.polling.detail_requests`);
2. GPU utilization, by which idle jobs are found: what a list contradicts, what was never read, what
   is due by the allocation of the budget (`trainwave_exporter.polling.allocation`,
   `trainwave_exporter.polling.reading_queue`);
3. all other readings: what was never read, then what is due;
4. details of finished jobs: those that budgets need, those that are shown, and all others.

So that nothing starves, the later ones have a fixed part of the turns
(`trainwave_exporter.polling.request_order`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Final

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
from trainwave_exporter.polling.allocation import allocate, longest_age, round_seconds
from trainwave_exporter.polling.detail_requests import DetailRequests
from trainwave_exporter.polling.history_details import HistoryDetails
from trainwave_exporter.polling.job_request import JobRequest
from trainwave_exporter.polling.reading_queue import ReadingQueue
from trainwave_exporter.polling.request_order import RequestOrder
from trainwave_exporter.polling.scope import Intervals

_CONTRADICTION: Final = 0.1
"""How far a list's one number may be from the mean of the devices before they are read again."""
_MINUTE: Final = 60.0


class Planner:
    """Chooses the requests about single jobs of one account."""

    def __init__(self, *, account: str, intervals: Intervals, history: HistoryDetails) -> None:
        """``history`` names finished jobs whose details are wanted, most of them not shown."""
        self._account = account
        self._intervals = intervals
        self._history = history
        pause = intervals.readings
        self._reading_queue = ReadingQueue(ideal=intervals.readings, pause=pause)
        self._detail_requests = DetailRequests(pause=pause, state_interval=intervals.running)
        self._order = RequestOrder(self._detail_requests, self._reading_queue, history)
        self._sent_at: deque[float] = deque()
        self._settled: tuple[dict[Metric, Counter[int]], float] | None = None
        self._doubled = self._reading_queue.allocation
        """What would be, were the budget twice as large."""

    # What happens to jobs

    def apply(self, changes: Iterable[Change], now: float) -> None:
        """Take in what happened to jobs of this account."""
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
        """Return the running jobs, as far as is known, that are not among those."""
        return self._detail_requests.unnamed(named)

    def compare(self, known: Job, reported: Job, now: float) -> None:
        """Have GPU utilization requested again where a list contradicts its readings of devices."""
        before, after = known.readings.gpu_utilization, reported.readings.gpu_utilization
        if before is None or after is None or len(before.points) <= 1:
            return
        devices, whole = before.mean, after.mean
        if devices is not None and whole is not None and abs(devices - whole) > _CONTRADICTION:
            self._reading_queue.contradict(known.id, now)

    # What to request

    def choose(self, slots: int, now: float, requests_per_minute: float) -> list[JobRequest]:
        """Return at most ``slots`` requests, best first; they count as sent from now on.

        ``requests_per_minute``: what lists leave for all that is planned here.
        """
        self._reading_queue.look(now)
        self._settle(requests_per_minute)
        chosen = list(islice(self._order.take(now, requests_per_minute), max(0, slots)))
        self._sent_at.extend([now] * len(chosen))
        return chosen

    # How it went

    def details_answered(self, request: JobRequest, state: str) -> None:
        """Note that a job's details came, while it was in ``state``."""
        self._detail_requests.answered(request, state)

    def reading_answered(self, request: JobRequest, requested_at: float) -> float | None:
        """Note that a reading came.

        Return how old, in seconds, the reading before it had become when this one was requested.
        """
        return self._reading_queue.answered(request, requested_at)

    def failed(self, request: JobRequest, now: float) -> None:
        """Note that a request failed, so that it is not repeated at once."""
        self._of(request).failed(request, now)
        if request.metric is None:
            self._history.failed(request.job_id)

    def put_off(self, request: JobRequest) -> None:
        """Note that a request was not sent because of a block."""
        self._of(request).put_off(request)
        if request.metric is None:
            self._history.put_off(request.job_id)

    # Expected ages

    @property
    def readings(self) -> int:
        """How many readings of running jobs have to be requested."""
        return self._reading_queue.readings

    def outlook(self, now: float, requests_per_minute: float) -> Plan:
        """Return how old readings get at this budget, and at twice the limit."""
        self._settle(requests_per_minute)
        ideal, readings = self._intervals.readings, self.readings
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
            ideal, per_second = self._intervals.readings, _per_second(requests_per_minute)
            self._reading_queue.allocation = allocate(counts, per_second, ideal)
            self._doubled = allocate(counts, 2 * per_second, ideal)

    def _used(self, now: float) -> int:
        while self._sent_at and not 0 <= now - self._sent_at[0] < _MINUTE:
            self._sent_at.popleft()
        return len(self._sent_at)

    def _of(self, request: JobRequest) -> DetailRequests | ReadingQueue:
        return self._detail_requests if request.metric is None else self._reading_queue

    def _forget(self, job_id: str) -> None:
        self._detail_requests.gone(job_id)
        self._reading_queue.dismiss(job_id)


def _per_second(requests_per_minute: float) -> float:
    return max(1.0, requests_per_minute) / _MINUTE
