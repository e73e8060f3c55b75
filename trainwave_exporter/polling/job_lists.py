"""Walks the lists of jobs of one account: running jobs often, all jobs rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from trainwave_exporter.api import (
    BadRequest,
    Client,
    Priority,
    RateBudget,
)
from trainwave_exporter.fleet import (
    Fleet,
    JobsSeen,
    Observation,
    SweepEnded,
    SweepFailed,
    ViewSeen,
)
from trainwave_exporter.model import Job
from trainwave_exporter.polling.allocation import requests_per_minute
from trainwave_exporter.polling.filter_trust import FilterTrust
from trainwave_exporter.polling.planner import Planner
from trainwave_exporter.polling.scope import Intervals, WatchScope, view_of
from trainwave_exporter.polling.sweep import Sweep, Sweeper
from trainwave_exporter.runtime.clock import Clock

log = structlog.get_logger()

RUNNING_SHARE: Final = 0.5
"""The part of the allowance that walks of the running list may use at most."""
SWEEP_SHARE: Final = 0.2
"""The same of walks of the whole list."""


class JobLists:
    """Walks the lists of jobs of one account, and reserves the requests that they need."""

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        budget: RateBudget,
        fleet: Fleet,
        report: Callable[[Observation], None],
        planner: Planner,
        scope: WatchScope,
        intervals: Intervals,
        clock: Clock,
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners.

        ``planner`` is notified of what lists contain, and knows which running jobs they miss.
        """
        self._account = account
        self._client = client
        self._budget = budget
        self._fleet = fleet
        self._report = report
        self._planner = planner
        self._scope = scope
        self._intervals = intervals
        self._clock = clock
        self._sweeper = Sweeper(client, scope, report=self._jobs_seen, clock=clock)
        self.trust = FilterTrust()
        self.running: Sweep | None = None
        """The newest walk of the running list."""
        self.full: Sweep | None = None
        """The newest walk of the whole list."""
        self._whole = True

    async def walk_running(self, step: Callable[[], None]) -> None:
        """Confirm the running jobs."""
        if not self._running_walk_is_due():
            return
        self._check_block()
        filtered = self.trust.usable(self._clock.time())
        status = "running" if filtered else None
        try:
            listed = await self._walk(status=status, priority=Priority.RUNNING, step=step)
        except BadRequest:
            if filtered:
                self._distrust(refused=True)
            raise
        if filtered:
            self._distrust(refused=False)
        self.running = listed
        # Each of these looks at every live job, so others have a turn in between.
        self._planner.listed(listed.began_at, listed.seen, self._clock.time())
        await asyncio.sleep(0)
        await self._look_for_missing(listed, step)
        await asyncio.sleep(0)
        self._reserve_running(listed)

    def _check_block(self) -> None:
        """Raise at once where a block outlasts the interval: a silent wait would look like health.

        The last run before its end waits, and its requests go first.
        """
        seconds = self._budget.blocked_for
        if seconds > self._intervals.running:
            self._report(SweepFailed(self._account))
            # The directory waits, too: the view is published without it.
            self._report(ViewSeen(self._account, view_of(self._scope)))
            raise self._budget.blocked()

    async def _look_for_missing(self, listed: Sweep, step: Callable[[], None]) -> None:
        """Walk the whole list where that is cheaper than the details of each missing job."""
        missing = [
            job.id
            for job in self._planner.unnamed(listed.seen)
            if job.confirmed_at < listed.began_at
        ]
        if self.full is None or len(missing) <= self.full.requests:
            return
        await self._walk(status=None, priority=Priority.RUNNING, step=step)
        for job_id in missing:
            job = self._fleet.job(job_id)
            self.trust.unlisted_answered(running=job is not None and job.running)

    def _distrust(self, *, refused: bool) -> None:
        """Update the trust in the filter after a filtered walk."""
        now = self._clock.time()
        if refused:
            self.trust.refused(now)
        else:
            self.trust.walked(now)
        if not self.trust.usable(now):
            log.warning("status_filter_not_usable", account=self._account)

    async def walk_all(self, step: Callable[[], None]) -> None:
        """Walk all jobs: those that start, wait, ended or vanished are not in the running list."""
        if self.full is not None and self._fleet.counted(self._account):
            age = self._clock.time() - self.full.began_at
            interval = self._affordable(self.full, SWEEP_SHARE, self._intervals.sweep)
            if 0 <= age < interval - self._intervals.running:
                return  # a running list that is not filtered is a complete one, too
        await self._walk(status=None, priority=Priority.SWEEP, step=step)
        if self.running is not None:
            self._reserve_running(self.running)

    async def _walk(
        self, *, status: str | None, priority: Priority, step: Callable[[], None]
    ) -> Sweep:
        try:
            walked = await self._sweeper.sweep(status=status, priority=priority, step=step)
        except Exception:
            self._report(SweepFailed(self._account))
            raise
        full = status is None
        self._report(
            SweepEnded(
                self._account,
                walked.began_at,
                walked.seen,
                full=full,
                complete=full and walked.whole,
            )
        )
        if full:
            self.full = walked
            if walked.whole != self._whole:
                self._whole = walked.whole
                event = "list_complete_again" if walked.whole else "list_incomplete"
                log.warning(event, account=self._account, jobs=len(walked.seen))
        return walked

    def _jobs_seen(self, jobs: tuple[Job, ...], requested_at: float) -> None:
        watched = tuple(job for job in jobs if self._scope.admits(job, self._fleet))
        for job in watched:
            if (known := self._fleet.job(job.id)) is not None:
                self._planner.compare(known, job, self._clock.time())
        self._report(JobsSeen(self._account, watched, requested_at))

    def _running_walk_is_due(self) -> bool:
        if self.running is None:
            return True
        age = self._clock.time() - self.running.began_at
        return not 0 <= age < self._running_interval(self.running) - self._intervals.running / 2

    def _running_interval(self, listed: Sweep) -> float:
        return self._affordable(listed, RUNNING_SHARE, self._intervals.running)

    def _affordable(self, walked: Sweep, share: float, interval: float) -> float:
        """Seconds between two walks of a list that stay within its share of the allowance."""
        allowance = self._budget.snapshot(self._clock.time()).allowance
        return max(interval, 60.0 * walked.requests / (share * allowance))

    def _reserve_running(self, listed: Sweep) -> None:
        """Reserve what the next walk takes; with the whole list, where that will be walked, too."""
        requests, interval = listed.requests, self._running_interval(listed)
        if self.full is not None and len(self._planner.unnamed(listed.seen)) > self.full.requests:
            requests += self.full.requests
        self._budget.reserve("running", requests_per_minute(requests, interval))
