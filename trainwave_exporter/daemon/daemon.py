"""The composition root: builds everything from `Settings`, starts it, stops it.

::

    schedule ─▶ pollers ─▶ clients ─▶ Trainwave
                   │ observations
                   ▼
                 fleet ─changes─▶ exposition ─bytes─▶ web server
                   │                 ▲
                   └─changes─▶ ledger┘

Only here does it show who listens to whom. `wiring` translates settings for the packages,
and `account_runtime` makes what watches an account.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial

import structlog

from trainwave_exporter import __version__
from trainwave_exporter.config import KeySource, Settings
from trainwave_exporter.daemon.account_runtime import (
    AccountRuntime,
    AccountRuntimeFactory,
    identity,
    network_settings,
)
from trainwave_exporter.daemon.readiness import blocked_accounts, unready_reasons
from trainwave_exporter.daemon.reload import Configuration, Reloader
from trainwave_exporter.daemon.wiring import (
    ledger_folder,
    ledger_options,
    load_access,
    policy,
    refuse_what_needs_a_restart,
    selection,
)
from trainwave_exporter.fleet import ClockSet, Fleet, Observation, SweepEnded, TimePassed
from trainwave_exporter.landing import (
    CONTENT_SECURITY_POLICY,
    Overview,
    OverviewCollector,
    render,
)
from trainwave_exporter.ledger import (
    Ledger,
    Store,
    UnfitStoreError,
)
from trainwave_exporter.metrics import ExporterMetrics, Exposition
from trainwave_exporter.model import Appeared, Change, Fact
from trainwave_exporter.polling import Loop, Schedule, Work
from trainwave_exporter.runtime import logs
from trainwave_exporter.runtime.clock import Clock, ClockWatch
from trainwave_exporter.runtime.daemon_threads import DaemonThreadExecutor
from trainwave_exporter.runtime.freed_memory import return_small_blocks
from trainwave_exporter.runtime.gc_schedule import GcSchedule
from trainwave_exporter.runtime.sd_notify import Notifier
from trainwave_exporter.web import (
    HtmlPage,
    ListenError,
    WebServer,
    activated,
)

log = structlog.get_logger()

HOUSEKEEPING_SECONDS = 5.0
"""How often what became too old is looked for, and the budgets are published."""

PUBLICATION_SECONDS = 2.0
"""How often what changed is made ready to be scraped: often beside any interval of scrapes."""


class StartError(Exception):
    """The daemon cannot start; the text says why in one line."""


class Daemon:
    """A running exporter."""

    def __init__(
        self,
        settings: Settings,
        keys: Mapping[str, KeySource],
        *,
        clock: Clock | None = None,
        configuration: Configuration | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """``keys``: the source of each account's key, by the account's name.

        ``configuration`` is where `reload` finds them as they are by then. ``environ`` names
        proxies and certificates.

        Raises `ValueError` for a pattern of metric names that matches none, and `ConfigError` for
        a web configuration file, or an environment, of no use.
        """
        self._settings = settings
        self._clock = clock = clock or Clock()
        self._started_at = clock.time()
        self._clock_watch = ClockWatch(clock)
        self._clock_watch.listen(self._clock_set)
        self._stopping = asyncio.Event()
        self._manager = Notifier()
        self.listening = asyncio.Event()
        """Set as soon as it can be scraped."""
        self._reloader = Reloader(
            configuration,
            listening=self.listening,
            change=self._change,
            loaded=self._config_loaded,
            manager=self._manager,
        )
        self.telemetry = ExporterMetrics(version=__version__)
        self._overview = OverviewCollector()
        self.exposition = Exposition(
            selection=selection(settings),
            max_jobs=settings.metrics.max_jobs,
            max_groups=settings.metrics.max_groups,
            telemetry=self.telemetry,
        )
        names = [account.name for account in settings.accounts]
        folder = ledger_folder(settings)
        self._ledger = Ledger(
            open_store=partial(Store.open, folder),
            read_store=None if folder is None else partial(Store.open_for_reading, folder),
            options=ledger_options(settings),
            publish=self._show,
            observe=self._observe,
            clock=clock,
        )
        self._fleet = Fleet(
            accounts=names,
            policy=policy(settings),
            observe=self._observe,
            now=self._started_at,
            known_run=self._ledger.known_run,
        )
        self._runtime_factory = AccountRuntimeFactory(
            network=network_settings(environ),
            fleet=self._fleet,
            report=self._report,
            undescribed=self._ledger.undescribed,
            observe=self._observe,
            clock=clock,
        )
        self.runtimes: tuple[AccountRuntime, ...] = ()
        """What watches each account."""
        self.runtimes = self._runtimes_for(settings, keys)
        self._housekeeping = self._loop("housekeeping", HOUSEKEEPING_SECONDS, self._keep_house)
        self._publication = self._loop("publication", PUBLICATION_SECONDS, self._publish)
        self._ledger_loop = self._new_ledger_loop(settings)
        self._schedule = Schedule(self.loops, clock_watch=self._clock_watch)
        self._gc_schedule = GcSchedule(clock.monotonic)
        self.web = WebServer(
            answer=lambda: self.exposition.answer,
            telemetry_path=settings.web.telemetry_path,
            unready_reasons=self.unready_reasons,
            remarks=self.blocked_accounts,
            page=self._page,
            scraped=self.telemetry.scraped,
            dropped=self.telemetry.connection_dropped,
            access=load_access(
                settings, reloaded=self._web_config_loaded, refused=self.telemetry.refused
            ),
            host_names=settings.web.host_names,
            reload=self._reloader.reloaded if settings.web.enable_lifecycle else None,
        )

    async def run(self) -> None:
        """Serve and poll until `stop` is called or SIGTERM or SIGINT comes.

        Raises `StartError` when the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonThreadExecutor())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # held back until now
        self._config_loaded(True)
        try:
            await self._ledger.open()
        except UnfitStoreError as error:
            raise StartError(str(error)) from error
        self._show(self._fleet.introduce())
        self.exposition.publish()
        try:
            listening = await self._unless_stopped(self._listen())
        except ListenError as error:
            raise StartError(str(error)) from error
        if not listening:
            await self.web.stop()
            await self._ledger.close()
            return
        self.listening.set()
        log.info(
            "started",
            version=__version__,
            python=sys.version.split()[0],
            listening=",".join(self.web.listening),
            scheme=self.web.scheme,
            event_loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
            accounts=",".join(runtime.account.name for runtime in self.runtimes),
        )
        self._schedule.start()
        self._manager.ready()
        self._manager.keep_alive(self.unready_reasons, self._lives)
        try:
            with self._gc_schedule.in_charge():
                await self._stopping.wait()
        finally:
            self._manager.stopping()
            self._schedule.stop()
            await asyncio.gather(*(runtime.poller.stop() for runtime in self.runtimes))
            try:
                await self._ledger.close()
            finally:
                await self.web.stop()
            log.info("stopped")

    def _config_loaded(self, succeeded: bool) -> None:
        self.telemetry.config_loaded(succeeded=succeeded, at=self._clock.time())

    def _web_config_loaded(self, succeeded: bool) -> None:
        self.telemetry.web_config_loaded(succeeded=succeeded, at=self._clock.time())

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

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> bool:
        """Do some work, or give it up as soon as `stop` is called. Return whether it was done."""
        doing = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            doing.cancel()  # has no effect on what is done
        try:
            await doing
        except asyncio.CancelledError:
            return False
        return True

    def stop(self) -> None:
        """Have `run` come to its end. May be called more than once."""
        self._stopping.set()

    def _begin_reload(self) -> None:
        if not self._stopping.is_set():
            self._reloader.begin()

    async def reload(self) -> None:
        """Go by the settings as they are by now; what is known is kept.

        Scrapes are answered all the while. Waits until the exporter has started. Raises as
        `Reloader.reload` does.
        """
        await self._reloader.reload()

    async def _change(self, settings: Settings, keys: Mapping[str, KeySource]) -> None:
        """Put new settings in the place of the old ones.

        Raises `ConfigError` for those that need a restart, before anything is changed.
        """
        refuse_what_needs_a_restart(self._settings, settings)
        before, loops_before = self.runtimes, self.loops
        ledger_loop = self._ledger_loop
        if ledger_loop.interval != settings.storage.write_interval:
            ledger_loop = self._new_ledger_loop(settings)
        runtimes = self._runtimes_for(settings, keys)
        loops = self._all_loops(runtimes, ledger_loop)
        await self._schedule.remove(set(loops_before) - set(loops))
        gone = [runtime for runtime in before if runtime not in runtimes]
        await asyncio.gather(*(runtime.poller.stop() for runtime in gone))
        # From here on nothing is awaited: who comes next finds all of the old or all of the new.
        self._settings, self.runtimes, self._ledger_loop = settings, runtimes, ledger_loop
        self._reconfigure(before)
        self._schedule.add(set(loops) - set(loops_before))

    def _runtimes_for(
        self, settings: Settings, keys: Mapping[str, KeySource]
    ) -> tuple[AccountRuntime, ...]:
        """Return what watches each account; what need not change is the same as before."""
        known = {runtime.account.name: runtime for runtime in self.runtimes}
        return tuple(
            self._runtime_factory.runtime_of(
                account, keys[account.name], settings, known.get(account.name)
            )
            for account in settings.accounts
        )

    def _reconfigure(self, before: Sequence[AccountRuntime]) -> None:
        """Have everything go by the present settings; ``before``: what watched accounts so far."""
        accounts = {account.name: account for account in self._settings.accounts}
        known = {runtime.account.name: runtime.account for runtime in before}
        stays = [
            name
            for name, account in accounts.items()
            if name in known and identity(known[name]) == identity(account)
        ]
        for names in (stays, list(accounts)):  # an account whose identity changed is another one
            self._pass_on(
                self._fleet.reconfigure(
                    accounts=names, policy=policy(self._settings), now=self._clock.time()
                )
            )
        for runtime in self.runtimes:
            runtime.budget.reconfigure(runtime.account.rate_limit_share)
            if runtime not in before:
                jobs = self._fleet.jobs(runtime.account.name)
                runtime.poller.apply(Appeared(job) for job in jobs)
        self._ledger.reconfigure(ledger_options(self._settings))
        self.exposition.reconfigure(
            selection=selection(self._settings),
            max_jobs=self._settings.metrics.max_jobs,
            max_groups=self._settings.metrics.max_groups,
        )
        for name in known.keys() - accounts.keys():
            self.telemetry.forget(name)
            self._overview.forget(name)

    def _loop(self, name: str, interval: float, work: Work) -> Loop:
        return Loop(
            account="",
            name=name,
            interval=interval,
            work=work,
            observe=self._observe,
            clock=self._clock,
        )

    def _new_ledger_loop(self, settings: Settings) -> Loop:
        return self._loop("ledger", settings.storage.write_interval, self._write_ledger)

    @property
    def loops(self) -> list[Loop]:
        """All loops, of every account and its own."""
        return self._all_loops(self.runtimes, self._ledger_loop)

    def _all_loops(self, runtimes: Iterable[AccountRuntime], ledger_loop: Loop) -> list[Loop]:
        loops = [loop for runtime in runtimes for loop in runtime.poller.loops]
        return [*loops, self._housekeeping, self._publication, ledger_loop]

    def unready_reasons(self) -> list[str]:
        """Return why the exporter is not ready, in words; empty when it is."""
        return unready_reasons(self.runtimes, self.loops)

    def blocked_accounts(self) -> list[str]:
        """Return for which accounts nothing is sent at present, and why, in words."""
        return blocked_accounts(self.runtimes)

    def _lives(self) -> bool:
        return not any(loop.stopped for loop in self.loops)

    def overview(self) -> Overview:
        """Return what the page shows."""
        return self._overview.overview(
            version=__version__,
            started_at=self._started_at,
            now=self._clock.time(),
            settings=self._settings,
            accounts=self.runtimes,
            fleet=self._fleet,
            loops=self.loops,
            refused_reload=self._reloader.refused,
        )

    def _page(self) -> HtmlPage:
        return HtmlPage(render(self.overview()), CONTENT_SECURITY_POLICY)

    def _observe(self, fact: Fact) -> None:
        self.telemetry.observe(fact)
        self._overview.observe(fact, self._clock.time())

    def _show(self, changes: Iterable[Change]) -> None:
        changes = tuple(changes)
        self.exposition.apply(changes)
        self._overview.apply(changes)

    def _report(self, observation: Observation) -> None:
        self._clock_watch.look()  # before anything is dated by another clock
        self._pass_on(self._fleet.apply(observation, self._clock.time()))
        if isinstance(observation, SweepEnded) and not all(
            runtime.shown for runtime in self.runtimes
        ):
            self._schedule.hurry(self._publication)  # whoever starts it waits for the first jobs

    def _clock_set(self, seconds: float) -> None:
        self._ledger.clock_set(seconds)
        self._pass_on(self._fleet.apply(ClockSet(seconds), self._clock.time()))

    def _pass_on(self, changes: Sequence[Change]) -> None:
        self._show(changes)
        self._ledger.apply(changes)
        for runtime in self.runtimes:
            runtime.poller.apply(changes)

    async def _keep_house(self, _step: Callable[[], None]) -> None:
        staleness = self._settings.fleet.staleness
        self._report(
            TimePassed(
                {
                    runtime.account.name: max(staleness, runtime.poller.readings_max_age)
                    for runtime in self.runtimes
                }
            )
        )
        for runtime in self.runtimes:
            self.telemetry.observe(runtime.rate_limit(self._clock.time()))
        self._gc_schedule.look()
        return_small_blocks()

    async def _publish(self, _step: Callable[[], None]) -> None:
        self.telemetry.log_lines_dropped(logs.dropped())
        swept = [runtime for runtime in self.runtimes if runtime.poller.swept]
        await self.exposition.publish_in_slices()
        for runtime in swept:
            runtime.shown = True

    async def _write_ledger(self, _step: Callable[[], None]) -> None:
        await self._ledger.run()
