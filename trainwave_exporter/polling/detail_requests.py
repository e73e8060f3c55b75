"""Which jobs' details are requested.

* A job that ran and is missing from the running list has probably ended: its last state and cost
  are wanted at once.
* Details that the list does not report of a live job (name, hardware, price, start) are requested
  once per state; those of a finished one, without which its cost has no owner, once.
* Where a running job's cost grows at another rate than its price, or falls, its details are read
  again (`trainwave_exporter.polling.price_check`).
* Where a finished job changes its state or its cost, it may have run again meanwhile, and its
  details are read again.
* Jobs that wait to run or are shutting down are never in the running list. Nothing else confirms
  their state, so they are requested as often as a share of the budget allows.

All times are Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from trainwave_exporter.model import Job
from trainwave_exporter.polling.job_request import JobRequest, pause_seconds, resting
from trainwave_exporter.polling.price_check import PriceCheck

_UNLISTED_SHARE: Final = 0.25
"""The part of the budget that confirming the state of unlisted jobs may take."""
_PRICE_SHARE: Final = 0.1
"""The part that reading prices again may take, where an API's costs are noisy."""

_CENT: Final = 0.011
"""Dollars by which two answers of one cost may differ: some round to cents."""


@dataclass(slots=True)
class _DetailState:
    """How requests for one job's details went so far."""

    answered_in_state: str | None = None
    failures: int = 0
    not_before: float = 0.0
    under_way: bool = False


_NEVER = _DetailState()


class DetailRequests:
    """Chooses the requests for details of one account's jobs."""

    def __init__(self, *, pause: float, state_interval: float) -> None:
        """``pause``: seconds of rest after a first failure.

        ``state_interval``: seconds after which the state of a live job is to be confirmed.
        """
        self._pause = pause
        self._state_interval = state_interval
        self._jobs: dict[str, Job] = {}
        self._alive: set[str] = set()
        self._states: dict[str, _DetailState] = {}
        self._live: dict[str, None] = {}
        self._prices = PriceCheck()
        self._doubted: dict[str, None] = {}
        """Running jobs whose price has to be read again."""
        self._price_requested_at = -math.inf
        self._finished: dict[str, None] = {}
        self._finished_anew: dict[str, None] = {}
        """Finished jobs that may have run again since their details were read."""
        self._unlisted: dict[str, None] = {}
        self._listed_since = 0.0

    def seen(self, job: Job) -> None:
        """Take in what is known of a job now."""
        before = self._jobs.get(job.id)
        if before is not None and _may_have_run_again(before, job):
            self._finished_anew.setdefault(job.id)
        elif not job.finished:
            self._finished_anew.pop(job.id, None)
        self._jobs[job.id] = job
        if job.finished:
            self._alive.discard(job.id)
        else:
            self._alive.add(job.id)
        if self._prices.doubts(job):
            self._doubted.setdefault(job.id)
        else:
            self._doubted.pop(job.id, None)
        self._sort(job)

    def gone(self, job_id: str) -> None:
        """Forget a job that left."""
        self._alive.discard(job_id)
        self._prices.forget(job_id)
        for memory in (
            self._jobs,
            self._states,
            self._live,
            self._doubted,
            self._finished,
            self._finished_anew,
            self._unlisted,
        ):
            memory.pop(job_id, None)

    def listed(self, since: float, named: AbstractSet[str], now: float) -> None:
        """Note that the running list was walked from ``since`` on, and which jobs it named."""
        self._listed_since = since
        unnamed = self._alive - named
        unlisted = [job_id for job_id in unnamed if self._is_unlisted(self._jobs[job_id], now)]
        self._unlisted = dict.fromkeys(sorted(unlisted))

    def unnamed(self, named: AbstractSet[str]) -> list[Job]:
        """Return the jobs that run, by all that is known, and are not among those."""
        return [job for job_id in self._alive - named if (job := self._jobs[job_id]).running]

    def live(self, now: float, requests_per_minute: float) -> list[JobRequest]:
        """Return the live jobs whose details are wanted now, most urgent first."""
        unlisted = [
            job
            for job_id in self._unlisted
            if self._is_unlisted(job := self._jobs[job_id], now) and self._may_be_sent(job_id, now)
        ]
        waiting = sum(not job.running for job in unlisted)
        patience = 60.0 * waiting / (_UNLISTED_SHARE * max(1.0, requests_per_minute))
        patience = max(self._state_interval, patience)
        missing = [job for job in unlisted if job.running]
        undetailed = [self._jobs[job_id] for job_id in self._live if self._may_be_sent(job_id, now)]
        doubted = self._repriced(now, requests_per_minute)
        overdue = [
            job
            for job in unlisted
            if not job.running and not now - patience < job.confirmed_at <= now
        ]
        wanted = [
            sorted(jobs, key=_dearest_first) for jobs in (missing, undetailed, doubted, overdue)
        ]
        return list(dict.fromkeys(JobRequest(job.id) for jobs in wanted for job in jobs))

    def _repriced(self, now: float, requests_per_minute: float) -> list[Job]:
        """Return the dearest job whose price has to be read again, if it is time for one."""
        pause = 60.0 / (_PRICE_SHARE * max(1.0, requests_per_minute))
        if 0 <= now - self._price_requested_at < pause:
            return []
        jobs = [self._jobs[job_id] for job_id in self._doubted if self._may_be_sent(job_id, now)]
        return sorted(jobs, key=_dearest_first)[:1]

    def finished(self, now: float) -> JobRequest | None:
        """Return the finished job whose details have been wanted for longest."""
        for job_id in (*self._finished_anew, *self._finished):
            if self._may_be_sent(job_id, now):
                return JobRequest(job_id)
        return None

    def begin(self, request: JobRequest, now: float) -> None:
        """Note that the request is on its way."""
        self._entry(request).under_way = True
        if request.job_id in self._doubted:
            self._price_requested_at = now

    def answered(self, request: JobRequest, state: str) -> None:
        """Note that it was answered, while the job was in ``state``."""
        job = self._jobs.get(request.job_id)
        if job is not None:
            self._states[job.id] = _DetailState(answered_in_state=state)
            if job.id in self._doubted:
                del self._doubted[job.id]
                self._prices.confirmed(job)
            self._finished_anew.pop(job.id, None)
            self._sort(job)

    def failed(self, request: JobRequest, now: float) -> None:
        """Note that it failed, so that it is not sent again at once."""
        entry = self._entry(request)
        entry.under_way = False
        entry.failures += 1
        entry.not_before = now + pause_seconds(self._pause, entry.failures)

    def put_off(self, request: JobRequest) -> None:
        """Note that it was not sent because of a block; it may be sent again at once."""
        self._entry(request).under_way = False

    def _entry(self, request: JobRequest) -> _DetailState:
        if request.job_id not in self._jobs:
            return _DetailState()  # it left meanwhile
        return self._states.setdefault(request.job_id, _DetailState())

    def _sort(self, job: Job) -> None:
        """Put a job where it belongs by what is known of it."""
        state = self._states.get(job.id, _NEVER).answered_in_state
        wanted = state != job.state and _lacks_details(job, requested=state is not None)
        for queue, there in ((self._live, not job.finished), (self._finished, job.finished)):
            if wanted and there:
                queue.setdefault(job.id)
            else:
                queue.pop(job.id, None)

    def _may_be_sent(self, job_id: str, now: float) -> bool:
        state = self._states.get(job_id, _NEVER)
        return not state.under_way and not resting(now, state.not_before)

    def _is_unlisted(self, job: Job, now: float) -> bool:
        """Whether a live job is missing from the newest walk of the running list."""
        return not job.finished and not self._listed_since <= job.confirmed_at <= now


def _may_have_run_again(before: Job, job: Job) -> bool:
    """Return whether a job that was finished, and is, may have run in between."""
    if not before.finished or not job.finished or before.finished_at is None:
        return False
    costs = before.cost_dollars, job.cost_dollars
    return before.state != job.state or (
        costs[0] is not None and costs[1] is not None and abs(costs[1] - costs[0]) > _CENT
    )


def _dearest_first(job: Job) -> float:
    return -(job.hourly_cost_dollars or 0.0)


def _lacks_details(job: Job, *, requested: bool) -> bool:
    """Whether something is missing that a job's details would report.

    A list that reports name, hardware and price reports all that the details do; missing times are
    worth a request only where the details had to be requested for the rest.
    """
    if job.name is None or job.gpus is None or job.hourly_cost_dollars is None:
        return True
    times_missing = (job.running and job.started_at is None) or (
        job.finished and job.finished_at is None
    )
    return requested and times_missing
