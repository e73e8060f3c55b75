"""Watches one account: turns the API's answers into observations, within the account's budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable

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
from trainwave_exporter.model import (
    Change,
    FactListener,
    Job,
    Metric,
    Plan,
    ReadingReplaced,
)
from trainwave_exporter.polling.history_details import HistoryDetails, WantedDetails
from trainwave_exporter.polling.intervals import Intervals
from trainwave_exporter.polling.lists import Lists
from trainwave_exporter.polling.loop import SUMMARY_SECONDS, Loop, Work
from trainwave_exporter.polling.planner import Ideals, Planner
from trainwave_exporter.polling.question import Question
from trainwave_exporter.polling.watch_scope import WatchScope

log = structlog.get_logger()

SPEND_INTERVAL = 1.0
"""Seconds between two looks at what the budget allows."""
_LEAST_UNDER_WAY = 16
"""Questions that may be under way or wait for their turn, however little there is to spend."""
_UNDER_WAY_SECONDS = 2.0
"""The same, in seconds of the allowance. What waits longer was chosen too early."""


class AccountPoller:
    """The loops of one account, and what they share."""

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        budget: RateBudget,
        fleet: Fleet,
        report: Callable[[Observation], None],
        observe: FactListener,
        scope: WatchScope,
        intervals: Intervals,
        undescribed: Callable[[], WantedDetails],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners.

        ``undescribed`` names finished jobs whose details are wanted.
        """
        self.account = account
        self._client = client
        self._budget = budget
        self._fleet = fleet
        self._report = report
        self._observe = observe
        self._clock = clock
        self._planner = Planner(
            account=account,
            ideals=Ideals(
                readings_interval=intervals.readings,
                state_interval=intervals.running,
            ),
            history=HistoryDetails(undescribed, pause=intervals.readings),
        )
        self._lists = Lists(
            account=account,
            client=client,
            budget=budget,
            fleet=fleet,
            report=report,
            listed=lambda since, named: self._planner.listed(since, named, clock()),
            unnamed=self._planner.unnamed,
            compare=self._compare,
            scope=scope,
            intervals=intervals,
            clock=clock,
        )
        self._details_answered = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: list[BaseException] = []
        self._troubles: Counter[str] = Counter()
        self._monotonic = monotonic
        self._summarized_at = monotonic()

        def loop(name: str, interval: float, work: Work) -> Loop:
            return Loop(
                account=self.account,
                name=name,
                interval=interval,
                work=work,
                observe=observe,
                clock=clock,
                monotonic=monotonic,
                excused=lambda: budget.blocked_seconds,
            )

        self._sweep_loop = loop("sweep", intervals.sweep, self._lists.walk_all)
        self.loops = (
            loop("running", intervals.running, self._walk_running),
            self._sweep_loop,
            loop("directory", intervals.directory, self._lists.read_directory),
            loop("readings", SPEND_INTERVAL, self._spend),
        )

    # What others want to know

    @property
    def swept(self) -> bool:
        """Whether a full sweep ever succeeded."""
        return self._lists.full is not None

    @property
    def outlook(self) -> Plan:
        """What the plan comes to now."""
        return self._planner.outlook(self._clock(), self._requests_per_minute)

    @property
    def readings_max_age(self) -> float:
        """How old in seconds a reading may grow before it says nothing any more."""
        return self.outlook.longest_age_seconds

    @property
    def _requests_per_minute(self) -> float:
        """What the lists leave for the rest."""
        allowance = self._budget.snapshot(self._clock()).allowance
        return max(1.0, allowance - self._lists.reserved_per_minute)

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what happened to jobs. A `ChangeListener`."""
        self._planner.apply(changes, self._clock())

    async def stop(self) -> None:
        """Give up what is under way and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    # Lists

    async def _walk_running(self, step: Callable[[], None]) -> None:
        await self._lists.walk_running(step)
        if not self._fleet.counted(self.account):
            self._spawn(self._sweep_loop.run())

    def _compare(self, reported: Job) -> None:
        known = self._fleet.job(reported.id)
        if known is not None:
            self._planner.compare(known, reported, self._clock())

    # Details and readings

    async def _spend(self, step: Callable[[], None]) -> None:
        """Send the requests that the planner finds best, as many as the budget has left now."""
        step()
        self._summarize_troubles()
        if self._broken:
            raise self._broken.pop()
        if self._lists.running is None or not self._fleet.status(self.account).up:
            return
        for question in self._planner.choose(self._slots, self._clock(), self._requests_per_minute):
            self._spawn(self._ask(question))
        self._observe(self.outlook)

    @property
    def _slots(self) -> int:
        """How many questions may be sent now."""
        return min(self._free, self._budget.available(Priority.READINGS))

    @property
    def _free(self) -> int:
        """How many more questions may be under way."""
        allowance = self._budget.snapshot(self._clock()).allowance
        return max(_LEAST_UNDER_WAY, int(allowance / 60 * _UNDER_WAY_SECONDS)) - len(self._tasks)

    async def _ask(self, question: Question) -> None:
        try:
            if question.metric is None:
                await self._ask_details(question)
            else:
                await self._ask_reading(question, question.metric)
        except RateLimited:
            self._planner.put_off(question)
        except TrainwaveError as failure:
            self._planner.failed(question, self._clock())
            self._troubles[failure.outcome] += 1
        except BaseException:
            self._planner.failed(question, self._clock())
            raise

    async def _ask_reading(self, question: Question, metric: Metric) -> None:
        asked_at = self._clock()
        reading = await self._client.get_metric(question.job_id, metric)
        if reading is None:
            self._planner.failed(question, self._clock())
            return
        self._report(ReadingSeen(self.account, question.job_id, metric, reading))
        age = self._planner.reading_answered(question, asked_at)
        if age is not None:
            self._observe(ReadingReplaced(account=self.account, metric=metric, age=age))

    async def _ask_details(self, question: Question) -> None:
        job_id, asked_at = question.job_id, self._clock()
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
                self._report(JobMissing(self.account, job_id))
            raise
        if job.id != job_id:
            raise UnexpectedShape(f"asked for job {job_id}, got {job.id}")
        self._details_answered = True
        if unlisted and known is not None and known.running:
            self._lists.trust.unlisted_answered(running=job.running)
        self._report(JobsSeen(self.account, (job,), asked_at, details=True))
        shown = self._fleet.job(job_id)
        self._planner.details_answered(question, "" if shown is None else shown.state)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken.append(error)  # raised, logged and counted by the next run of the loop

    def _summarize_troubles(self) -> None:
        now = self._monotonic()
        if now - self._summarized_at < SUMMARY_SECONDS:
            return
        self._summarized_at = now
        if self._troubles:
            log.warning("readings_failed", account=self.account, **self._troubles)
            self._troubles.clear()
