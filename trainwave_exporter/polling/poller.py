"""Watches one account: turns the API's answers into observations, within the account's budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence

import structlog
from msgspec import Struct

from trainwave_exporter.api import (
    BadRequest,
    Client,
    NotFound,
    Priority,
    RateBudget,
    RateLimited,
    TrainwaveError,
    UnexpectedShape,
    collect,
)
from trainwave_exporter.fleet import (
    Fleet,
    JobMissing,
    JobsSeen,
    Observation,
    OrganizationsSeen,
    ProjectsSeen,
    ReadingSeen,
    SweepEnded,
    SweepFailed,
)
from trainwave_exporter.model import (
    Change,
    Departed,
    FactListener,
    Job,
    Plan,
)
from trainwave_exporter.polling.agenda import Agenda, Question
from trainwave_exporter.polling.archive import Archive
from trainwave_exporter.polling.filter_trust import FilterTrust
from trainwave_exporter.polling.loop import SUMMARY_SECONDS, Loop, Work
from trainwave_exporter.polling.pace import requests_per_minute, round_seconds
from trainwave_exporter.polling.planner import Situation, plan
from trainwave_exporter.polling.scope import Scope
from trainwave_exporter.polling.sweep import Sweep, Sweeper

log = structlog.get_logger()

SPEND_INTERVAL = 1.0
"""Seconds between two looks of the planner at what the budget allows."""
LISTS_SHARE = 0.5
"""The part of the allowance that walks of the running list may take where they are dear."""
READINGS_PATIENCE = 3.0
"""A reading is dropped when it is older than this many rounds (and than the fleet's bound)."""


class Intervals(Struct, frozen=True, kw_only=True):
    """How often, in seconds, each thing is asked for."""

    running: float
    sweep: float
    directory: float
    readings: float


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
        scope: Scope,
        intervals: Intervals,
        undescribed: Callable[[], Sequence[str]],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        max_in_flight: int = 16,
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners.

        ``undescribed`` names jobs that are history and whose details nobody told yet.
        """
        self.account = account
        self._client = client
        self._budget = budget
        self._fleet = fleet
        self._report = report
        self._observe = observe
        self._scope = scope
        self._intervals = intervals
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._sweeper = Sweeper(client, scope, report=self._jobs_seen, clock=clock)
        self._agenda = Agenda(pause=intervals.readings)
        self._archive = Archive(undescribed)
        self._trust = FilterTrust()
        self._details_answered = False
        self._listed: Sweep | None = None
        self._full_began_at: float | None = None
        self._full_requests: int | None = None
        self._whole = True
        self._reserved: dict[str, float] = {}
        self._readings_in_a_round = 0
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

        self._sweep_loop = loop("sweep", intervals.sweep, self._walk_all)
        self.loops = (
            loop("running", intervals.running, self._walk_running),
            self._sweep_loop,
            loop("directory", intervals.directory, self._read_directory),
            loop("readings", SPEND_INTERVAL, self._spend),
        )

    # What others want to know

    @property
    def swept(self) -> bool:
        """Whether a full sweep ever succeeded."""
        return self._full_began_at is not None

    @property
    def round_seconds(self) -> float:
        """How long a round of all readings takes: the ideal interval, or what the budget needs."""
        return round_seconds(self._readings_in_a_round, self._rate, self._intervals.readings)

    @property
    def _allowance(self) -> int:
        return self._budget.snapshot(self._clock()).allowance

    @property
    def _rate(self) -> float:
        """Requests a minute that the lists leave for the rest."""
        return self._allowance - sum(self._reserved.values())

    @property
    def readings_max_age(self) -> float:
        """How old in seconds a reading may grow before it says nothing any more."""
        return READINGS_PATIENCE * self.round_seconds

    def forget(self, changes: Iterable[Change]) -> None:
        """Drop what is remembered of jobs that left. A `ChangeListener`."""
        for change in changes:
            if isinstance(change, Departed) and isinstance(change.record, Job):
                self._agenda.forget(change.record.id)

    async def stop(self) -> None:
        """Give up what is under way and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    # Lists

    async def _walk_running(self, step: Callable[[], None]) -> None:
        """Confirm the running jobs."""
        if not self._running_walk_is_due():
            return
        self._check_block()
        filtered = self._trust.usable(self._clock())
        status = "running" if filtered else None
        try:
            listed = await self._walk(status=status, priority=Priority.RUNNING, step=step)
        except BadRequest:
            if filtered:
                self._distrust(refused=True)
            raise
        if filtered:
            self._distrust(refused=False)
        self._listed = listed
        await self._look_for_missing(step)
        self._reserve_running(listed)
        if not self._fleet.counted(self.account):
            self._spawn(self._sweep_loop.run())

    def _check_block(self) -> None:
        """Fail at once where a block outlasts the interval: who waits in silence looks well.

        The last run before its end waits, and is the first to go.
        """
        seconds = self._budget.blocked_for
        if seconds > self._intervals.running:
            self._report(SweepFailed(self.account))
            message = f"the API refused a request; the next one goes out in {seconds:.0f} s"
            raise RateLimited(None, None, message, seconds)

    async def _look_for_missing(self, step: Callable[[], None]) -> None:
        """Ask for everything where that is cheaper than asking for each job that went missing."""
        listed_at = self._listed.began_at if self._listed is not None else 0.0
        missing = [
            job.id
            for job in self._fleet.jobs(self.account)
            if job.running and job.confirmed_at < listed_at
        ]
        if self._full_requests is None or len(missing) <= self._full_requests:
            return
        await self._walk(status=None, priority=Priority.RUNNING, step=step)
        for job_id in missing:
            job = self._fleet.job(job_id)
            self._trust.unlisted_answered(running=job is not None and job.running)

    def _distrust(self, *, refused: bool) -> None:
        """Judge the filter after a filtered walk."""
        now = self._clock()
        if refused:
            self._trust.refused(now)
        else:
            self._trust.walked(now)
        if not self._trust.usable(now):
            log.warning("status_filter_not_usable", account=self.account)

    async def _walk_all(self, step: Callable[[], None]) -> None:
        """Find what the running list does not name: new, waiting, ended and vanished jobs."""
        if self._full_began_at is not None and self._fleet.counted(self.account):
            age = self._clock() - self._full_began_at
            if 0 <= age < self._intervals.sweep - self._intervals.running:
                return  # the running list is not filtered, so it was a full one just now
        await self._walk(status=None, priority=Priority.SWEEP, step=step)
        if self._listed is not None:
            self._reserve_running(self._listed)

    async def _walk(
        self, *, status: str | None, priority: Priority, step: Callable[[], None]
    ) -> Sweep:
        try:
            walked = await self._sweeper.sweep(status=status, priority=priority, step=step)
        except Exception:
            self._report(SweepFailed(self.account))
            raise
        full = status is None
        self._report(
            SweepEnded(
                self.account,
                walked.began_at,
                walked.seen,
                full=full,
                complete=full and walked.whole,
            )
        )
        if full:
            self._full_began_at = walked.began_at
            self._full_requests = walked.requests
            if walked.whole != self._whole:
                self._whole = walked.whole
                told = "list_complete_again" if walked.whole else "list_incomplete"
                log.warning(told, account=self.account, jobs=len(walked.seen))
        return walked

    def _jobs_seen(self, jobs: tuple[Job, ...], asked_at: float) -> None:
        watched = tuple(job for job in jobs if self._scope.admits(job, self._fleet))
        self._report(JobsSeen(self.account, watched, asked_at))

    def _running_walk_is_due(self) -> bool:
        if self._listed is None:
            return True
        age = self._clock() - self._listed.began_at
        return not 0 <= age < self._running_interval(self._listed) - self._intervals.running / 2

    def _running_interval(self, listed: Sweep) -> float:
        """How often the running jobs can be walked within the share of the lists."""
        affordable = 60.0 * listed.requests / (LISTS_SHARE * self._allowance)
        return max(self._intervals.running, affordable)

    def _reserve_running(self, listed: Sweep) -> None:
        """Keep what the next walk takes: with the whole list, where it will be asked for again."""
        requests, interval = listed.requests, self._running_interval(listed)
        unnamed = sum(
            job.running and job.id not in listed.seen for job in self._fleet.jobs(self.account)
        )
        if self._full_requests is not None and unnamed > self._full_requests:
            requests += self._full_requests
        self._reserve("running", requests, interval)

    def _reserve(self, name: str, requests: int, interval: float) -> None:
        """Keep what a list will need in a minute out of the reach of readings."""
        per_minute = requests_per_minute(requests, interval)
        self._reserved[name] = per_minute
        self._budget.reserve(name, per_minute)

    async def _read_directory(self, step: Callable[[], None]) -> None:
        """Read organizations and projects; trouble with the one does not hide the other."""
        outcomes = await asyncio.gather(
            self._read_organizations(step), self._read_projects(step), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        requests = sum(outcome for outcome in outcomes if isinstance(outcome, int))
        self._reserve("directory", requests, self._intervals.directory)

    async def _read_organizations(self, step: Callable[[], None]) -> int:
        found = await collect(
            lambda offset: self._client.list_organizations(
                limit=self._scope.page_size, offset=offset
            )
        )
        step()
        self._report(OrganizationsSeen(self.account, found.items, complete=found.whole))
        return found.requests

    async def _read_projects(self, step: Callable[[], None]) -> int:
        found = await collect(
            lambda offset: self._client.list_projects(
                org=self._scope.organization, limit=self._scope.page_size, offset=offset
            )
        )
        step()
        self._report(ProjectsSeen(self.account, found.items, complete=found.whole))
        return found.requests

    # Details and readings

    async def _spend(self, step: Callable[[], None]) -> None:
        """Send the requests that the planner finds best, as many as the budget has left now."""
        step()
        self._summarize_troubles()
        if self._broken:
            raise self._broken.pop()
        if self._listed is None or not self._fleet.status(self.account).up:
            return
        now = self._clock()
        free = self._max_in_flight - len(self._tasks)
        slots = max(0, min(free, self._budget.available(Priority.READINGS, now)))
        history = self._archive.take(min(slots, 1), now) if self._archive.due(now) else []
        choice = plan(
            self._fleet.jobs(self.account),
            self._agenda,
            Situation(
                now=now,
                listed_since=self._listed.began_at,
                state_interval=self._intervals.running,
                readings_interval=self._intervals.readings,
                requests_per_minute=self._rate,
            ),
            slots=slots - len(history),
        )
        history += self._archive.take(slots - len(history) - len(choice.questions), now)
        for question in choice.questions:
            self._agenda.begin(question)
            self._spawn(self._ask(question))
        for job_id in history:
            self._spawn(self._ask_history(job_id))
        self._readings_in_a_round = choice.readings
        self._observe(
            Plan(
                account=self.account,
                planned=len(choice.questions) + len(history),
                deferred=choice.due - len(choice.questions),
                round_seconds=self.round_seconds,
            )
        )

    async def _ask_history(self, job_id: str) -> None:
        """Ask for the details of a job that is not shown."""
        asked_at = self._clock()
        try:
            job = await self._details(job_id)
        except TrainwaveError as failure:
            self._troubles[failure.outcome] += 1
        else:
            self._report(JobsSeen(self.account, (job,), asked_at, details=True))

    async def _ask(self, question: Question) -> None:
        try:
            answered_in = await self._put(question)
        except RateLimited:
            self._agenda.put_off(question)
        except TrainwaveError as failure:
            self._agenda.failed(question, self._clock())
            self._troubles[failure.outcome] += 1
        except BaseException:
            self._agenda.failed(question, self._clock())
            raise
        else:
            if answered_in is None:
                self._agenda.failed(question, self._clock())
            else:
                self._agenda.answered(question, answered_in, self._clock())
        finally:
            if self._fleet.job(question.job_id) is None:
                self._agenda.forget(question.job_id)  # it left meanwhile

    async def _put(self, question: Question) -> str | None:
        """Ask, and report what it brought; return the job's state, None for nothing."""
        if question.metric is None:
            await self._ask_details(question.job_id)
            known = self._fleet.job(question.job_id)
            return known.state if known is not None else ""
        reading = await self._client.get_metric(question.job_id, question.metric)
        if reading is None:
            return None
        self._report(ReadingSeen(self.account, question.job_id, reading))
        return ""

    async def _ask_details(self, job_id: str) -> None:
        known, asked_at = self._fleet.job(job_id), self._clock()
        unlisted = (
            known is not None
            and not known.finished
            and self._listed is not None
            and known.confirmed_at < self._listed.began_at
        )
        try:
            job = await self._details(job_id)
        except NotFound:
            # Where details have been told before, this one is missing, not the whole endpoint.
            if unlisted and self._details_answered:
                self._report(JobMissing(self.account, job_id))
            raise
        self._details_answered = True
        if unlisted and known is not None and known.running:
            self._trust.unlisted_answered(running=job.running)
        self._report(JobsSeen(self.account, (job,), asked_at, details=True))

    async def _details(self, job_id: str) -> Job:
        job = await self._client.get_job(job_id)
        if job.id != job_id:
            raise UnexpectedShape(f"asked for job {job_id}, told of {job.id}")
        return job

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
