"""What the landing page tells: gathered from all rooms at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainwave_exporter.config import Settings
from trainwave_exporter.fleet import Fleet
from trainwave_exporter.polling import Loop
from trainwave_exporter.watch import Watch
from trainwave_exporter.web import AccountOverview, LoopOverview, Overview


def overview(
    *,
    version: str,
    started_at: float,
    now: float,
    settings: Settings,
    watches: Sequence[Watch],
    fleet: Fleet,
    loops: Iterable[Loop],
) -> Overview:
    """Return how all stands. Times are Unix seconds."""
    return Overview(
        version=version,
        started_at=started_at,
        now=now,
        telemetry_path=settings.web.telemetry_path,
        accounts=tuple(_account(watch, fleet, now) for watch in watches),
        loops=tuple(_loop(loop) for loop in loops),
    )


def _account(watch: Watch, fleet: Fleet, now: float) -> AccountOverview:
    jobs = list(fleet.jobs(watch.account.name))
    status = fleet.status(watch.account.name)
    budget = watch.budget.snapshot(now)
    dialect = watch.client.dialect
    errors = [loop.last_error for loop in watch.poller.loops if loop.last_error is not None]
    return AccountOverview(
        name=watch.account.name,
        up=status.up,
        jobs_running=sum(job.running for job in jobs),
        jobs_known=len(jobs),
        confirmed_at=status.confirmed_at,
        requests_used=budget.used,
        allowance=budget.allowance,
        limit=budget.limit,
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
    )
