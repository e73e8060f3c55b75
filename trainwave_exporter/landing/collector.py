"""How all stands: follows facts and changes, and gathers on demand what the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from platform import python_version
from typing import Protocol

from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.config import AccountSettings, KeySource, Settings
from trainwave_exporter.fleet import Fleet
from trainwave_exporter.landing.job_ranking import JobRanking, wasted_dollars
from trainwave_exporter.landing.overview import AccountOverview, JobOverview, LoopOverview, Overview
from trainwave_exporter.landing.recent_errors import RecentErrors
from trainwave_exporter.landing.settings_in_use import configured
from trainwave_exporter.landing.unknown_figures import UnknownFigures
from trainwave_exporter.model import Change, Fact, Idleness, Job, Quantity
from trainwave_exporter.polling import AccountPoller, Loop

JOBS_SHOWN = 20
"""How many running jobs the page names, the most wasteful ones."""


class WatchedAccount(Protocol):
    """What the page shows of an account is asked of these."""

    @property
    def account(self) -> AccountSettings:
        """Its settings."""
        ...

    @property
    def key(self) -> KeySource:
        """Where its key comes from."""
        ...

    @property
    def budget(self) -> RateBudget:
        """Its requests."""
        ...

    @property
    def client(self) -> Client:
        """The API as it answers."""
        ...

    @property
    def poller(self) -> AccountPoller:
        """Its loops and its plan."""
        ...


class OverviewCollector:
    """What is needed for the page and nobody else keeps, and the page's content itself."""

    def __init__(self) -> None:
        self._ranking = JobRanking()
        self._troubles = RecentErrors()
        self._unknown = UnknownFigures()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what happened to jobs, and which figures are unknown. A `ChangeListener`."""
        changes = tuple(changes)
        self._ranking.apply(changes)
        self._unknown.apply(changes)

    def observe(self, fact: Fact, now: float) -> None:
        """Take note of trouble."""
        self._troubles.observe(fact, now)

    def forget(self, account: str) -> None:
        """Forget the trouble of an account that is not watched any more."""
        self._troubles.forget(account)

    def overview(
        self,
        *,
        version: str,
        started_at: float,
        now: float,
        settings: Settings,
        accounts: Sequence[WatchedAccount],
        fleet: Fleet,
        loops: Iterable[Loop],
        refused_reload: str | None,
    ) -> Overview:
        """Return how all stands. Times are Unix seconds. Costs the same for any number of jobs."""
        return Overview(
            version=version,
            python=python_version(),
            started_at=started_at,
            now=now,
            telemetry_path=settings.web.telemetry_path,
            accounts=tuple(self._account(runtime, fleet, now) for runtime in accounts),
            loops=tuple(_loop(loop) for loop in loops),
            jobs=tuple(_job(*worst) for worst in self._ranking.worst(JOBS_SHOWN)),
            jobs_idle=self._ranking.idle,
            unknown=self._unknown.all(),
            troubles=self._troubles.newest(),
            settings=configured(
                settings, {runtime.account.name: runtime.key for runtime in accounts}
            ),
            refused_reload=refused_reload,
        )

    def _account(self, runtime: WatchedAccount, fleet: Fleet, now: float) -> AccountOverview:
        name = runtime.account.name
        status = fleet.status(name)
        budget = runtime.budget.snapshot(now)
        plan = runtime.poller.outlook
        dialect = runtime.client.dialect
        errors = [loop.last_error for loop in runtime.poller.loops if loop.last_error is not None]
        return AccountOverview(
            name=name,
            up=status.up,
            jobs_running=self._ranking.running[name],
            jobs_known=self._ranking.known[name],
            confirmed_at=status.confirmed_at,
            requests_used=budget.used,
            allowance=budget.allowance,
            limit=budget.limit,
            remaining=budget.remaining,
            blocked_until=budget.blocked_until,
            blocked_reason=budget.blocked_reason or "",
            deferred=plan.deferred,
            readings_age=plan.expected_age_seconds,
            readings_age_doubled=plan.expected_age_doubled_seconds,
            longest_age=plan.longest_age_seconds if plan.ages else 0.0,
            dialect=None if dialect is None else dialect.value,
            error=errors[0] if errors else None,
        )


def _loop(loop: Loop) -> LoopOverview:
    run = loop.last_run
    return LoopOverview(
        account=loop.account,
        name=loop.name,
        interval=loop.interval,
        last_finished_at=None if run is None else run.finished_at,
        last_succeeded=None if run is None else run.succeeded,
        stopped=loop.stopped,
        error=loop.last_error,
    )


def _job(job: Job, idleness: Idleness | None) -> JobOverview:
    return JobOverview(
        id=job.id,
        name=job.name or job.rid or job.id,
        account=job.account,
        owner=job.owner,
        gpu_type=job.gpu_type,
        gpus=job.gpus,
        dollars_per_hour=job.hourly_cost_dollars,
        cost_dollars=job.cost_dollars,
        wasted_dollars=wasted_dollars(idleness),
        idle_since=None if idleness is None else idleness.idle_since,
        gpu_utilization=_utilization(job),
    )


def _utilization(job: Job) -> float | None:
    """Return the mean of a job's GPUs, 0 to 1."""
    reading = job.readings.gpu_utilization
    if reading is None or reading.quantity is not Quantity.RATIO:
        return None
    return reading.mean
