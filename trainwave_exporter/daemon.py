"""The composition root: builds everything from `Settings`, starts it, stops it.

::

    schedule ─▶ pollers ─▶ clients ─▶ Trainwave
                   │ observations
                   ▼
                 fleet ─changes─▶ exposition ─bytes─▶ web server
                   │                 ▲
                   └─changes─▶ ledger┘

Only this room turns settings into constructor arguments, and only here does it show who listens to
whom.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import structlog
from msgspec.structs import asdict

from trainwave_exporter import __version__
from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.config import (
    IN_MEMORY,
    Account,
    ConfigError,
    KeySource,
    Settings,
    parse_document,
)
from trainwave_exporter.detached import DetachedExecutor
from trainwave_exporter.exposition import Exposition, Selection, Telemetry
from trainwave_exporter.fleet import Fleet, Observation, Policy, TimePassed
from trainwave_exporter.ledger import (
    Budget,
    Ledger,
    Period,
    Rules,
    Store,
    Terms,
    UnfitStoreError,
    Watched,
    milliseconds,
)
from trainwave_exporter.model import ChangeListener, FactListener, RateLimit
from trainwave_exporter.polling import AccountPoller, Intervals, Loop, Schedule, Scope
from trainwave_exporter.web import (
    HEALTH_PATHS,
    Access,
    AccessError,
    AccountOverview,
    ListenError,
    LoopOverview,
    Overview,
    WebServer,
    activated,
)

log = structlog.get_logger()

HOUSEKEEPING_SECONDS = 5.0
"""How often what became too old is looked for, and the budgets are published."""

PUBLICATION_SECONDS = 1.0
"""How often what changed is made ready to be scraped."""


class StartError(Exception):
    """The daemon cannot start; the text says why in one line."""


class Daemon:
    """A running exporter."""

    def __init__(
        self,
        settings: Settings,
        keys: Mapping[str, KeySource],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        """``keys``: the source of each account's key, by the account's name.

        Raises `ValueError` for a pattern of metric names that matches none, and `ConfigError` for
        a web configuration file of no use.
        """
        self._settings = settings
        self._clock = clock
        self._started_at = clock()
        self._stopping = asyncio.Event()
        self.listening = asyncio.Event()
        """Set as soon as it can be scraped."""
        self.telemetry = Telemetry(version=__version__)
        self.exposition = Exposition(
            selection=Selection(allow=settings.metrics.allow, deny=settings.metrics.deny),
            max_jobs=settings.metrics.max_jobs,
            telemetry=self.telemetry,
        )
        names = [account.name for account in settings.accounts]
        self._fleet = Fleet(
            accounts=names,
            policy=_policy(settings),
            observe=self.telemetry.observe,
            now=self._started_at,
        )
        folder = _ledger_folder(settings)
        self._ledger = Ledger(
            open_store=partial(Store.open, folder),
            read_store=None if folder is None else partial(Store.open_for_reading, folder),
            terms=_terms(settings),
            publish=self.exposition.apply,
            observe=self.telemetry.observe,
            clock=clock,
            monotonic=monotonic,
        )
        dice = random or Random()  # noqa: S311 - spreads retries, guards nothing
        self._watches = [
            _Watch(
                account,
                keys[account.name],
                settings,
                fleet=self._fleet,
                report=self._report,
                undescribed=partial(self._ledger.undescribed, account.name),
                observe=self.telemetry.observe,
                clock=clock,
                monotonic=monotonic,
                random=dice,
            )
            for account in settings.accounts
        ]
        housekeeping = Loop(
            account="",
            name="housekeeping",
            interval=HOUSEKEEPING_SECONDS,
            work=self._keep_house,
            observe=self.telemetry.observe,
            clock=clock,
            monotonic=monotonic,
        )
        bookkeeping = Loop(
            account="",
            name="ledger",
            interval=settings.storage.write_interval,
            work=self._keep_books,
            observe=self.telemetry.observe,
            clock=clock,
            monotonic=monotonic,
        )
        publication = Loop(
            account="",
            name="publication",
            interval=PUBLICATION_SECONDS,
            work=self._publish,
            observe=self.telemetry.observe,
            clock=clock,
            monotonic=monotonic,
        )
        pollers = [watch.poller for watch in self._watches]
        loops = [loop for poller in pollers for loop in poller.loops]
        self._loops = [*loops, housekeeping, bookkeeping, publication]
        self._schedule = Schedule(self._loops, clock=clock, monotonic=monotonic)
        self._listeners: list[ChangeListener] = [
            self.exposition.apply,
            self._ledger.apply,
            *(poller.apply for poller in pollers),
        ]
        self.web = WebServer(
            answer=lambda: self.exposition.answer,
            telemetry_path=settings.web.telemetry_path,
            unready_reasons=self.unready_reasons,
            overview=self.overview,
            scraped=self.telemetry.scraped,
            access=load_access(
                settings, reloaded=self._web_config_loaded, refused=self.telemetry.refused
            ),
        )

    async def run(self) -> None:
        """Serve and poll until `stop` is called or SIGTERM or SIGINT comes.

        Raises `StartError` when the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DetachedExecutor())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self.telemetry.config_loaded(succeeded=True, at=self._started_at)
        try:
            await self._ledger.open()
        except UnfitStoreError as error:
            raise StartError(str(error)) from error
        self.exposition.apply(self._fleet.introduce())
        self.exposition.publish()
        try:
            await self._listen()
        except ListenError as error:
            raise StartError(str(error)) from error
        self.listening.set()
        log.info(
            "started",
            version=__version__,
            python=sys.version.split()[0],
            listening=",".join(self.web.listening),
            scheme=self.web.scheme,
            accounts=",".join(watch.account.name for watch in self._watches),
        )
        self._schedule.start()
        try:
            await self._stopping.wait()
        finally:
            self._schedule.stop()
            await asyncio.gather(*(watch.poller.stop() for watch in self._watches))
            try:
                await self._ledger.close()
            finally:
                await self.web.stop()
            log.info("stopped")

    def _web_config_loaded(self, succeeded: bool) -> None:
        self.telemetry.web_config_loaded(succeeded=succeeded, at=self._clock())

    async def _listen(self) -> None:
        if not self._settings.web.systemd_socket:
            return await self.web.start(*self._settings.web.listen_address)
        try:
            sockets = activated(os.environ, os.getpid())
        except OSError as error:
            raise StartError(f"a socket of systemd cannot be used: {error.strerror}") from error
        if not sockets:
            raise StartError("systemd passed no socket; is it started by a .socket unit?")
        return await self.web.start(sockets=sockets)

    def stop(self) -> None:
        """Have `run` come to its end. May be called more than once."""
        self._stopping.set()

    def unready_reasons(self) -> list[str]:
        """Return why the exporter is not ready, in words; empty when it is."""
        waiting = [
            f"account {watch.account.name}: no complete sweep yet"
            for watch in self._watches
            if not watch.shown
        ]
        stopped = [
            f"loop {loop.name} of account {loop.account}: stopped"
            if loop.account
            else f"loop {loop.name}: stopped"
            for loop in self._loops
            if loop.stopped
        ]
        return waiting + stopped

    def overview(self) -> Overview:
        """Return what the landing page tells."""
        now = self._clock()
        return Overview(
            version=__version__,
            started_at=self._started_at,
            now=now,
            telemetry_path=self._settings.web.telemetry_path,
            accounts=tuple(watch.overview(self._fleet, now) for watch in self._watches),
            loops=tuple(_loop_overview(loop) for loop in self._loops),
        )

    def _report(self, observation: Observation) -> None:
        changes = self._fleet.apply(observation, self._clock())
        for listener in self._listeners:
            listener(changes)

    async def _keep_house(self, _step: Callable[[], None]) -> None:
        staleness = self._settings.fleet.staleness
        self._report(
            TimePassed(
                {
                    watch.account.name: max(staleness, watch.poller.readings_max_age)
                    for watch in self._watches
                }
            )
        )
        for watch in self._watches:
            self.telemetry.observe(watch.rate_limit(self._clock()))

    async def _publish(self, _step: Callable[[], None]) -> None:
        swept = [watch for watch in self._watches if watch.poller.swept]
        await self.exposition.publish_in_slices()
        for watch in swept:
            watch.shown = True

    async def _keep_books(self, _step: Callable[[], None]) -> None:
        await self._ledger.run()


class _Watch:
    """One account's budget, client and poller."""

    def __init__(
        self,
        account: Account,
        key: KeySource,
        settings: Settings,
        *,
        fleet: Fleet,
        report: Callable[[Observation], None],
        undescribed: Callable[[], Sequence[str]],
        observe: FactListener,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        random: Random,
    ) -> None:
        self.account = account
        self.shown = False
        """Whether a complete sweep can be scraped."""
        self._budget = RateBudget(
            share=account.rate_limit_share,
            initial_limit=account.initial_rate_limit,
            clock=clock,
            random=random,
        )
        self._client = build_client(
            account, key, settings, self._budget, observe, clock, monotonic, random
        )
        polling = settings.polling
        self.poller = AccountPoller(
            account=account.name,
            client=self._client,
            budget=self._budget,
            fleet=fleet,
            report=report,
            observe=observe,
            scope=Scope(
                organization=account.organization,
                project=account.project,
                page_size=account.page_size,
            ),
            intervals=Intervals(
                running=polling.running_interval,
                sweep=polling.sweep_interval,
                directory=polling.directory_interval,
                readings=polling.readings_interval,
            ),
            weights=settings.weights.by_metric,
            idle_threshold=settings.waste.idle_threshold,
            undescribed=undescribed,
            clock=clock,
            monotonic=monotonic,
        )

    def rate_limit(self, now: float) -> RateLimit:
        """Return the state of the budget as a fact."""
        return RateLimit(account=self.account.name, **asdict(self._budget.snapshot(now)))

    def overview(self, fleet: Fleet, now: float) -> AccountOverview:
        """Return what the landing page tells of this account."""
        jobs = list(fleet.jobs(self.account.name))
        status = fleet.status(self.account.name)
        budget = self._budget.snapshot(now)
        dialect = self._client.dialect
        errors = [loop.last_error for loop in self.poller.loops if loop.last_error is not None]
        return AccountOverview(
            name=self.account.name,
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


def load_access(
    settings: Settings,
    reloaded: Callable[[bool], None] = lambda _: None,
    refused: Callable[[str], None] = lambda _: None,
) -> Access | None:
    """Return who may come in by the web configuration file; None where there is none.

    Raises `ConfigError` for a file of no use. What the others are told of: see `Access`.
    """
    web = settings.web
    if web.config_file is None:
        return None
    try:
        return Access(
            Path(web.config_file),
            _parse_web_config,
            open_paths=HEALTH_PATHS if web.open_health else (),
            reloaded=reloaded,
            refused=refused,
        )
    except AccessError as error:
        raise ConfigError(None, None, str(error)) from error


def _parse_web_config(data: bytes, source: str) -> object:
    try:
        return parse_document(data, source)
    except ConfigError as error:
        raise AccessError(str(error)) from error


def build_client(
    account: Account,
    key: KeySource,
    settings: Settings,
    budget: RateBudget,
    observe: FactListener,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    random: Random | None = None,
) -> Client:
    """Return the API client of an account, as the settings want it."""
    return Client(
        account=account.name,
        base_url=account.api_url,
        key=key,
        budget=budget,
        observe=observe,
        clock=clock,
        monotonic=monotonic,
        random=random or Random(),  # noqa: S311 - spreads retries, guards nothing
        cost_unit=account.cost_unit,
        units=settings.readings.units,
        inline_units=settings.readings.listed_units,
        timeout=account.timeout,
    )


def _policy(settings: Settings) -> Policy:
    fleet = settings.fleet
    return Policy(
        finished_retention=fleet.finished_retention,
        staleness=fleet.staleness,
        directory_staleness=fleet.staleness + 2 * settings.polling.directory_interval,
        listed_at_least_every=2 * settings.polling.sweep_interval,
        vanish_after_sweeps=fleet.vanish_after_sweeps,
    )


def _ledger_folder(settings: Settings) -> Path | None:
    path = settings.storage.path
    return None if path == IN_MEMORY else Path(path)


def _terms(settings: Settings) -> Terms:
    waste = settings.waste
    return Terms(
        rules=Rules(
            idle_threshold=waste.idle_threshold,
            warm_up=milliseconds(waste.warm_up),
            launch_bound=milliseconds(waste.launch_bound),
            reading_gap=milliseconds(waste.reading_gap),
        ),
        budgets=tuple(
            Budget(
                name=budget.name,
                limit_dollars=budget.limit_dollars,
                period=Period(budget.period),
                zone=ZoneInfo(budget.time_zone),
                organizations=frozenset(budget.organizations),
                projects=frozenset(budget.projects),
                owners=frozenset(budget.owners),
                gpu_types=frozenset(budget.gpu_types),
            )
            for budget in settings.budgets
        ),
        retention=milliseconds(settings.storage.retention),
        accounts={
            account.name: Watched(organization=account.organization, project=account.project)
            for account in settings.accounts
        },
    )


def _loop_overview(loop: Loop) -> LoopOverview:
    run = loop.last_run
    return LoopOverview(
        account=loop.account,
        name=loop.name,
        interval=loop.interval,
        last_finished_at=None if run is None else run.finished_at,
        last_succeeded=None if run is None else run.succeeded,
        stopped=loop.stopped,
    )
