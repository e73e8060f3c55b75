"""Sends the requests about single jobs that the planner chooses, and takes in the answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from trainwave_exporter.api import (
    Client,
    NotFound,
    Priority,
    RateBudget,
    RateLimited,
    TrainwaveError,
    UnexpectedShape,
)
from trainwave_exporter.fleet import Fleet, JobMissing, JobsSeen, Observation, ReadingSeen
from trainwave_exporter.model import FactListener, Metric, ReadingReplaced
from trainwave_exporter.polling.job_lists import JobLists
from trainwave_exporter.polling.job_request import JobRequest
from trainwave_exporter.polling.planner import Planner
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.failure_log import SUMMARY_SECONDS

log = structlog.get_logger()

_LEAST_UNDER_WAY: Final = 16
"""Requests that may be sent or wait for the rate limit, however low that is."""
_BATCH: Final = 8
"""Requests that are sent at once. More at once, and their answers, would delay scrapes."""
_SPREAD: Final = 0.9
"""The part of the interval over which batches are spread."""
_UNDER_WAY_SECONDS: Final = 2.0
"""The same, in seconds of the allowance. What waits longer was chosen too early."""


class RequestSender:
    """Requests details and readings of the jobs of one account."""

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        budget: RateBudget,
        fleet: Fleet,
        planner: Planner,
        lists: JobLists,
        report: Callable[[Observation], None],
        observe: FactListener,
        interval: float,
        clock: Clock,
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners.

        ``interval``: seconds from one `send` to the next.
        """
        self._account = account
        self._client = client
        self._budget = budget
        self._fleet = fleet
        self._planner = planner
        self._lists = lists
        self._report = report
        self._observe = observe
        self._interval = interval
        self._clock = clock
        self._details_answered = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._bugs: list[BaseException] = []
        self._failures: Counter[str] = Counter()
        self._summarized_at = clock.monotonic()

    @property
    def requests_per_minute(self) -> float:
        """Requests per minute that lists leave for single jobs; at least one."""
        return float(self._budget.unreserved)

    async def send(self, step: Callable[[], None]) -> None:
        """Send the requests that matter most, as many as the rate limit allows now.

        Does not wait for the answers. Raises what a bug raised in taking in an earlier one.
        """
        step()
        self._summarize_failures()
        if self._bugs:
            raise self._bugs.pop()
        if self._lists.running is None or not self._fleet.status(self._account).up:
            return
        rate, began = self.requests_per_minute, self._clock.monotonic()
        chosen = self._planner.choose(self._room, self._clock.time(), rate)
        for number, request in enumerate(chosen):
            if number and number % _BATCH == 0:
                due = began + _SPREAD * self._interval * number / len(chosen)
                await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            task = asyncio.create_task(self._request(request))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        self._observe(self._planner.outlook(self._clock.time(), rate))

    async def settle(self) -> None:
        """Wait for all answers."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    @property
    def _room(self) -> int:
        """How many more may be sent now."""
        allowance = self._budget.snapshot(self._clock.time()).allowance
        most = max(_LEAST_UNDER_WAY, int(allowance / 60 * _UNDER_WAY_SECONDS))
        return min(most - len(self._under_way), self._budget.available(Priority.READINGS))

    async def _request(self, request: JobRequest) -> None:
        try:
            if request.metric is None:
                await self._request_details(request)
            else:
                await self._request_reading(request, request.metric)
        except RateLimited:
            self._planner.put_off(request)
        except TrainwaveError as failure:
            self._planner.failed(request, self._clock.time())
            self._failures[failure.outcome] += 1
        except BaseException:
            self._planner.failed(request, self._clock.time())
            raise

    async def _request_reading(self, request: JobRequest, metric: Metric) -> None:
        requested_at = self._clock.time()
        reading = await self._client.get_metric(request.job_id, metric)
        if reading is None:
            self._planner.failed(request, self._clock.time())
            return
        self._report(ReadingSeen(self._account, request.job_id, metric, reading))
        age = self._planner.reading_answered(request, requested_at)
        if age is not None:
            self._observe(ReadingReplaced(account=self._account, metric=metric, age=age))

    async def _request_details(self, request: JobRequest) -> None:
        job_id, requested_at = request.job_id, self._clock.time()
        known, listed = self._fleet.job(job_id), self._lists.running
        unlisted = (
            known is not None
            and not known.finished
            and listed is not None
            and known.confirmed_at < listed.began_at
        )
        try:
            job = await self._client.get_job(job_id)
        except NotFound:
            # Where details have been reported before, this one is missing, not the whole endpoint.
            if unlisted and self._details_answered:
                self._report(JobMissing(self._account, job_id))
            raise
        if job.id != job_id:
            raise UnexpectedShape(f"asked for job {job_id}, got {job.id}")
        self._details_answered = True
        if unlisted and known is not None and known.running:
            self._lists.trust.unlisted_answered(running=job.running)
        self._report(JobsSeen(self._account, (job,), requested_at, details=True))
        shown = self._fleet.job(job_id)
        self._planner.details_answered(request, "" if shown is None else shown.state)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._bugs.append(error)  # raised, logged and counted by the next run of the loop

    def _summarize_failures(self) -> None:
        now = self._clock.monotonic()
        if now - self._summarized_at < SUMMARY_SECONDS:
            return
        self._summarized_at = now
        if self._failures:
            log.warning("readings_failed", account=self._account, **self._failures)
            self._failures.clear()
