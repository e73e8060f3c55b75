"""What each command does. A command takes the options and the environment, and returns a status."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from trainwave_exporter.cli.chargeback import FORMATS, Sheet
from trainwave_exporter.cli.metric_table import as_markdown, as_text
from trainwave_exporter.cli.options import flags_of
from trainwave_exporter.cli.output import write
from trainwave_exporter.cli.parser import Options
from trainwave_exporter.config import (
    CONFIG_FILE,
    IN_MEMORY,
    AccountSettings,
    ConfigError,
    KeySource,
    Settings,
    key_source,
    load,
    redactor,
    removed_settings,
    stray_variables,
)
from trainwave_exporter.config.wording import spell
from trainwave_exporter.daemon import Daemon, StartError
from trainwave_exporter.daemon import check as trial
from trainwave_exporter.ledger import Period, milliseconds, stored_report
from trainwave_exporter.ledger.billing.periods import Span, parse_span, span_of
from trainwave_exporter.ledger.billing.report import columns
from trainwave_exporter.metrics import Selection, catalog
from trainwave_exporter.runtime import event_loop, logs
from trainwave_exporter.simulator import SimulatedWorld, Simulator

log = structlog.get_logger()


class CommandLineConfiguration:
    """Settings and keys as flags, environment and file have them whenever they are loaded."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._log = Settings().log
        self._sources: dict[tuple[str | None, ...], KeySource] = {}
        """All that were ever used: their keys are hidden in logs, even when they are no more."""

    def load(self) -> tuple[Settings, Mapping[str, KeySource]]:
        """Return the settings of now, and the source of each account's key, each tried once.

        Raises `ConfigError`.
        """
        settings = _settings(self._options, self._environ)
        self._configure_logs()
        _warn_of_removed(self._options, self._environ)
        _warn_of_strays(self._environ, settings)  # one of which may be meant to be the key
        keys: dict[str, KeySource] = {
            account.name: self._source(account) for account in settings.accounts
        }
        self._configure_logs()
        _try(keys)
        return settings, keys

    def adopt(self, settings: Settings) -> None:
        """Log from now on as these settings want it."""
        self._log = settings.log
        self._configure_logs()

    def _source(self, account: AccountSettings) -> KeySource:
        place = account.name, account.api_key_file, account.api_key_env
        if place not in self._sources:
            self._sources[place] = key_source(account, self._environ)
        return self._sources[place]

    def _configure_logs(self) -> None:
        redact = redactor(tuple(self._sources.values()))
        logs.configure(level=self._log.level, form=self._log.format, redact=redact)


def serve(options: Options, environ: Mapping[str, str]) -> int:
    """Run the exporter until it is stopped."""
    configuration = CommandLineConfiguration(options, environ)
    settings, keys = configuration.load()
    configuration.adopt(settings)

    async def run() -> None:
        await Daemon(settings, keys, configuration=configuration, environ=environ).run()

    return _serve(run())


def check(options: Options, environ: Mapping[str, str]) -> int:
    """Try every account's key, and print what it can see."""
    settings = _settings(options, environ)
    logs.configure(level=settings.log.level, form=settings.log.format, redact=redactor(()))
    _warn_of_removed(options, environ)
    _warn_of_strays(environ, settings)
    report = event_loop.run(trial.check(settings, _keys(settings, environ), environ))
    write(trial.render(report))
    return 0 if report.succeeded else 1


def metrics(options: Options, _environ: Mapping[str, str]) -> int:
    """Print the table of all metrics."""
    table = as_markdown if options.format == "markdown" else as_text
    write(table(catalog()))
    return 0


def report(options: Options, environ: Mapping[str, str]) -> int:
    """Print what was spent in a period, from the ledger as it is now."""
    zone = options.time_zone
    span = _span(options.period, zone)
    folder = _settings(options, environ).storage.path
    if folder == IN_MEMORY:
        problem = f"expected the folder of a ledger; {IN_MEMORY} keeps nothing to report"
        raise ConfigError(None, "storage.path", problem)
    if not Path(folder).is_dir():
        problem = "there is no such folder; set --storage.path to that of the exporter's ledger"
        raise ConfigError(folder, None, problem)
    found = stored_report.read(Path(folder), span, zone, options.by)
    sheet = Sheet(
        span=span,
        zone=zone,
        columns=columns(options.by),
        rows=found.rows,
        sum=found.total,
        unread=found.unread,
        unbilled=found.unbilled,
        implausible=found.implausible,
    )
    notes = "".join(f"{line}\n" for line in sheet.notes)
    text = FORMATS[options.format](sheet)
    if options.format == "table":
        write(text + notes)
    else:  # for programs, which would take notes for rows
        write(text)
        logs.write(notes)
    return 0


def _span(period: str | None, zone: ZoneInfo) -> Span:
    """Return the period that is asked for; None: this month."""
    if period is None:
        return span_of(Period.MONTH, zone, milliseconds(time.time()))
    try:
        return parse_span(period, zone)
    except ValueError as error:
        raise ConfigError("--period", None, f"{error}, got {spell(period)}") from None


def simulate(options: Options, _environ: Mapping[str, str]) -> int:
    """Run a simulated Trainwave until it is stopped."""

    async def run() -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # it has nothing to reload
        async with _simulation(options) as url:
            _tell(f"Simulated Trainwave: {url}", f"API key:             {options.key}")
            await stopping.wait()

    return _serve(run())


def demo(options: Options, _environ: Mapping[str, str]) -> int:
    """Run the exporter on an embedded simulator until it is stopped.

    Neither the environment nor a file counts: a real key or organization would spoil the demo.
    """
    if hasattr(options, CONFIG_FILE.path):  # in front of the command, where every flag is taken
        raise ConfigError(CONFIG_FILE.flag, None, "a demo takes no file; give it flags instead")
    flags = {**flags_of(options), "storage.path": IN_MEMORY}

    async def run() -> None:
        async with _simulation(options) as url:
            settings = _checked(load({**flags, "trainwave.api_url": url}, {}, None))
            keys = _keys(settings, {"TRAINWAVE_API_KEY": options.key})
            daemon = Daemon(settings, keys, environ={})
            announcing = asyncio.create_task(_announce(daemon, settings, url))
            try:
                await daemon.run()
            finally:
                announcing.cancel()

    return _serve(run())


def _serve(server: Coroutine[None, None, None]) -> int:
    """Run what serves until a signal ends it. A second signal does not make a failure of that.

    The event loop leaves signals to their defaults when it closes, and the end of the process takes
    a moment more.
    """
    ending = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    async def run() -> None:
        await server
        signal.pthread_sigmask(signal.SIG_BLOCK, ending)

    event_loop.run(run())
    for number in ending:
        signal.signal(number, signal.SIG_IGN)
    return 0


async def _announce(daemon: Daemon, settings: Settings, api_url: str) -> None:
    """Print the URLs of a demo as soon as there is something to see."""
    await daemon.listening.wait()
    page = f"{daemon.web.scheme}://{_host(settings, daemon)}"
    _tell(
        f"Simulated Trainwave: {api_url}",
        f"Metrics:             {page}{settings.web.telemetry_path}",
        f"Overview:            {page}/",
        "Ctrl-C stops both.",
    )


def _host(settings: Settings, daemon: Daemon) -> str:
    """Return a host and port to look at; where there are socket files only, the first of these."""
    asked = [a for a in settings.web.listen_address if not a.startswith("unix:")]
    if not asked or not daemon.web.addresses:
        return daemon.web.listening[0]
    host = asked[0].rpartition(":")[0] or "localhost"
    return f"{host}:{daemon.web.addresses[0][1]}"


def _settings(options: Options, environ: Mapping[str, str]) -> Settings:
    """Return the settings from flags, environment and file."""
    return _checked(load(flags_of(options), environ, _file(options, environ)))


def _file(options: Options, environ: Mapping[str, str]) -> Path | None:
    file = getattr(options, CONFIG_FILE.path, None)
    if file is None:
        file = environ.get(CONFIG_FILE.variable) or None
    elif not file:
        problem = f"expected {CONFIG_FILE.expected}, got {spell(file)}"
        raise ConfigError(CONFIG_FILE.flag, None, problem)
    return Path(file) if file else None


def _checked(settings: Settings) -> Settings:
    """Return the settings if every metric they name exists."""
    try:
        Selection(allow=settings.metrics.allow, deny=settings.metrics.deny)
    except ValueError as error:
        raise ConfigError(None, "metrics.allow and metrics.deny", str(error)) from None
    return settings


def _keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, KeySource]:
    """Begin to log, and return the source of each account's key, each tried once."""
    keys: dict[str, KeySource] = {
        account.name: key_source(account, environ) for account in settings.accounts
    }
    logs.configure(
        level=settings.log.level, form=settings.log.format, redact=redactor(tuple(keys.values()))
    )
    _try(keys)
    return keys


def _warn_of_removed(options: Options, environ: Mapping[str, str]) -> None:
    """Log the settings that are given and have no effect any more."""
    if names := removed_settings(flags_of(options), environ, _file(options, environ)):
        log.warning("settings_without_effect", names=names, reason="removed in this version")


def _warn_of_strays(environ: Mapping[str, str], settings: Settings) -> None:
    """Log the variables that are no settings, and which may be meant."""
    if strays := stray_variables(environ, settings):
        nearest = [name for name in strays.values() if name is not None]
        log.warning("unknown_environment_variables", names=list(strays), nearest=nearest)


def _try(keys: Mapping[str, KeySource]) -> None:
    """Read the key of each source. Raises `ConfigError` if one has none, or another's."""
    holders: dict[str, str] = {}
    for name, key in keys.items():
        other = holders.setdefault(key(), name)
        if other != name:
            problem = f"has the key of {other}; one key is one account, for its rate limit"
            raise ConfigError(None, f"accounts[{name}]", problem)


@asynccontextmanager
async def _simulation(options: Options) -> AsyncIterator[str]:
    """Serve a simulated Trainwave; give its URL. Raises `StartError` when it cannot listen."""
    simulator = Simulator(
        SimulatedWorld(
            seed=options.seed, jobs=options.jobs, history=options.history, speed=options.speed
        ),
        dialect=options.dialect,
        keys=[options.key],
        rate_limit=options.rate_limit or None,
        window=options.window,
        faults=options.faults,
        page_cap=options.page_cap,
        filter_ignored=options.filter_ignored,
        metric_shape=options.metric_shape,
    )
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(simulator.serve(options.host, options.port))
        except OSError as error:
            raise StartError(f"the simulator cannot listen: {error.strerror}") from error
        yield url


def _tell(*lines: str) -> None:
    write("".join(f"{line}\n" for line in lines))
