"""Every setting, declared once.

A field's place gives its key in the file (``section.key_name``), its flag
(``--section.key-name``) and its environment variable (``TRAINWAVE_SECTION_KEY_NAME``); its
annotation gives type, bounds and documentation, and its default stands beside it. How the values
come together is told in `trainwave_exporter.config.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from trainwave_exporter.config.values import (
    ApiUrl,
    BudgetPeriod,
    Duration,
    FilePath,
    Identifier,
    Interval,
    LabelText,
    ListenAddress,
    LogFormat,
    LogLevel,
    MetricPattern,
    Name,
    Retention,
    StoragePath,
    TelemetryPath,
    TimeZone,
    Variable,
)
from trainwave_exporter.model import CostUnit, Metric, Unit

# An enumeration's members that make sense for a setting; the others are refused like any nonsense.
_BYTES = (Unit.BYTES, Unit.MEGABYTES, Unit.GIGABYTES, Unit.GIBIBYTES)
_UTILIZATION = Meta(extra={"choices": (Unit.PERCENT, Unit.RATIO)})
_MEMORY = Meta(extra={"choices": (Unit.PERCENT, Unit.RATIO, *_BYTES)})
_TRANSFER = Meta(
    extra={"choices": (Unit.BYTES_PER_SECOND, Unit.MEGABITS_PER_SECOND, Unit.BYTES_TOTAL)}
)
_WEIGHT = Meta(gt=0, le=10_000)
_FILE_ONLY = Meta(extra={"file_only": True})
_ONE_OR_MORE = Meta(extra={"one_or_more": True})
_AS_THE_TOOLKIT_HAS_IT = Meta(extra={"flag": "--web.config.file"})
_NEXT_TO_A_KEY = Meta(extra={"unspoken": True})


class Trainwave(Struct, frozen=True, kw_only=True):
    """The API, and the key to read it with."""

    api_url: Annotated[ApiUrl, Meta(description="Base URL of the Trainwave API.")] = ApiUrl(
        "https://backend.trainwave.ai/api/v1"
    )
    api_key_file: Annotated[
        FilePath | None,
        _NEXT_TO_A_KEY,
        Meta(description="File that holds the API key; read again whenever it changes."),
    ] = None
    api_key_env: Annotated[
        Variable,
        _FILE_ONLY,
        _NEXT_TO_A_KEY,
        Meta(description="Environment variable that holds the API key, where no file is given."),
    ] = Variable("TRAINWAVE_API_KEY")
    organization: Annotated[
        Identifier | None,
        Meta(description="Only jobs and projects of the organization with this id."),
    ] = None
    project: Annotated[
        Identifier | None, Meta(description="Only jobs of the project with this id.")
    ] = None
    cost_unit: Annotated[
        CostUnit,
        Meta(description="How total_cost is read: by the API's dialect (auto), or as said here."),
    ] = CostUnit.AUTO
    rate_limit_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Part of the key's rate limit that the exporter may use."),
    ] = 0.8
    initial_rate_limit: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Requests a minute assumed until the API tells."),
    ] = 100
    page_size: Annotated[
        int, Meta(ge=1, le=1000, description="Objects asked for in one page of a list.")
    ] = 100
    timeout: Annotated[
        Interval, Meta(description="How long one request to the API may take in all.")
    ] = Interval(10)


class Account(Trainwave, frozen=True, kw_only=True):
    """One API key and all that is read with it."""

    name: Annotated[Name, Meta(description="Name of the account in metrics and logs.")]


class Polling(Struct, frozen=True, kw_only=True):
    """How often the API is asked."""

    running_interval: Annotated[
        Interval, Meta(description="Time from one list of the running jobs to the next.")
    ] = Interval(30)
    sweep_interval: Annotated[
        Interval, Meta(description="Time from one complete list of all jobs to the next.")
    ] = Interval(600)
    directory_interval: Annotated[
        Interval,
        Meta(description="Time from one list of the projects and organizations to the next."),
    ] = Interval(300)
    readings_interval: Annotated[
        Interval,
        Meta(description="Age at which a reading is asked for again, as the budget allows."),
    ] = Interval(60)


class Fleet(Struct, frozen=True, kw_only=True):
    """How long what is known stays known."""

    finished_retention: Annotated[
        Duration, Meta(description="How long a finished job is shown.")
    ] = Duration(86_400)
    staleness: Annotated[
        Duration, Meta(description="How long the last good values are shown when the API fails.")
    ] = Duration(300)
    vanish_after_sweeps: Annotated[
        int,
        Meta(ge=1, le=100, description="Complete lists a job must be missing from to be dropped."),
    ] = 3


class Readings(Struct, frozen=True, kw_only=True):
    """Which unit the API's number for each reading is in."""

    cpu: Annotated[Unit, _UTILIZATION, Meta(description="CPU use.")] = Unit.PERCENT
    memory: Annotated[Unit, _MEMORY, Meta(description="Memory use.")] = Unit.GIGABYTES
    network: Annotated[Unit, _TRANSFER, Meta(description="Network I/O.")] = Unit.BYTES_PER_SECOND
    gpu_utilization: Annotated[Unit, _UTILIZATION, Meta(description="GPU use.")] = Unit.PERCENT
    gpu_memory: Annotated[Unit, _MEMORY, Meta(description="GPU memory use.")] = Unit.GIGABYTES
    disk: Annotated[Unit, _TRANSFER, Meta(description="Disk I/O.")] = Unit.BYTES_PER_SECOND
    listed_gpu_utilization: Annotated[
        Unit, _UTILIZATION, Meta(description="GPU use as the list of jobs tells it.")
    ] = Unit.PERCENT
    listed_memory: Annotated[
        Unit, _MEMORY, Meta(description="Memory use as the list of jobs tells it.")
    ] = Unit.GIGABYTES

    @property
    def units(self) -> Mapping[Metric, Unit]:
        """The unit of each of the six metrics."""
        fields = asdict(self)
        return {metric: fields[metric] for metric in Metric}

    @property
    def listed_units(self) -> Mapping[Metric, Unit]:
        """The unit of each reading that the list of jobs brings along."""
        return {
            Metric.GPU_UTILIZATION: self.listed_gpu_utilization,
            Metric.MEMORY: self.listed_memory,
        }


class Weights(Struct, frozen=True, kw_only=True):
    """How much each reading matters beside the price of its job, where requests are scarce."""

    cpu: Annotated[float, _WEIGHT, Meta(description="Weight of CPU use.")] = 64.0
    memory: Annotated[float, _WEIGHT, Meta(description="Weight of memory use.")] = 1.0
    network: Annotated[float, _WEIGHT, Meta(description="Weight of network I/O.")] = 1.0
    gpu_utilization: Annotated[float, _WEIGHT, Meta(description="Weight of GPU use.")] = 512.0
    gpu_memory: Annotated[float, _WEIGHT, Meta(description="Weight of GPU memory use.")] = 1.0
    disk: Annotated[float, _WEIGHT, Meta(description="Weight of disk I/O.")] = 1.0

    @property
    def by_metric(self) -> Mapping[Metric, float]:
        """The weight of each of the six metrics."""
        fields = asdict(self)
        return {metric: fields[metric] for metric in Metric}


class Storage(Struct, frozen=True, kw_only=True):
    """Where the ledger is: what was spent, kept beyond jobs and restarts."""

    path: Annotated[
        StoragePath,
        Meta(description="Folder of the ledger; :memory: for one that ends with the exporter."),
    ] = StoragePath("data")
    retention: Annotated[
        Retention,
        Meta(
            description="How long the detail of spend is kept, for reports; 0 for ever."
            " Totals stay for ever."
        ),
    ] = Retention(0)
    write_interval: Annotated[
        Interval, Meta(description="Time from one write of the ledger to the next.")
    ] = Interval(5)


class Waste(Struct, frozen=True, kw_only=True):
    """What counts as money spent to no use."""

    idle_threshold: Annotated[
        float, Meta(gt=0, le=1, description="Utilization below which a GPU is idle, 0 to 1.")
    ] = 0.05
    warm_up: Annotated[
        Duration, Meta(description="How long after its start a job counts as busy in any case.")
    ] = Duration(600)
    launch_bound: Annotated[
        Duration, Meta(description="How long a job may be billed before it runs.")
    ] = Duration(900)
    reading_gap: Annotated[
        Duration,
        Meta(description="Time between two readings beyond which nobody knows what was between."),
    ] = Duration(300)


class Budget(Struct, frozen=True, kw_only=True):
    """What may be spent in a period. A job counts if each of the lists given names it."""

    name: Annotated[Name, Meta(description="Name of the budget in metrics.")]
    limit_dollars: Annotated[
        float, Meta(gt=0, le=1_000_000_000, description="What may be spent in one period.")
    ]
    period: Annotated[
        BudgetPeriod, Meta(description="What the limit is for; weeks begin on Monday.")
    ]
    time_zone: Annotated[TimeZone, Meta(description="Where the period begins at midnight.")]
    organizations: Annotated[
        tuple[LabelText, ...], Meta(description="Ids of organizations; none given: all.")
    ] = ()
    projects: Annotated[
        tuple[LabelText, ...], Meta(description="Ids or names of projects; none given: all.")
    ] = ()
    owners: Annotated[
        tuple[LabelText, ...], Meta(description="User names of owners; none given: all.")
    ] = ()
    gpu_types: Annotated[
        tuple[LabelText, ...], Meta(description="Types of GPU; none given: all.")
    ] = ()


class Metrics(Struct, frozen=True, kw_only=True):
    """Which metrics are served, and for how many jobs."""

    allow: Annotated[
        tuple[MetricPattern, ...],
        Meta(description="Names of the metrics to serve, with * for any text; none given: all."),
    ] = ()
    deny: Annotated[
        tuple[MetricPattern, ...],
        Meta(description="Names of metrics to leave out, with * for any text; wins over allow."),
    ] = ()
    max_jobs: Annotated[
        int,
        Meta(ge=0, le=10_000_000, description="Jobs with series of their own; 0 for no limit."),
    ] = 10_000


class Web(Struct, frozen=True, kw_only=True):
    """Where metrics and pages are served."""

    listen_address: Annotated[
        tuple[ListenAddress, ...],
        _ONE_OR_MORE,
        Meta(
            min_length=1,
            description="Addresses to listen on, as host:port or unix:/path; may be repeated.",
        ),
    ] = (ListenAddress(":9877"),)
    systemd_socket: Annotated[
        bool, Meta(description="Listen on the sockets that systemd passes, and on no address.")
    ] = False
    config_file: Annotated[
        FilePath | None,
        _AS_THE_TOOLKIT_HAS_IT,
        Meta(
            description="File on TLS and users, as Prometheus's exporters have it;"
            " read again whenever it changes."
        ),
    ] = None
    enable_lifecycle: Annotated[
        bool, Meta(description="Load the configuration again at a POST to /-/reload.")
    ] = False
    open_health: Annotated[
        bool, Meta(description="Ask nobody for a password at /-/healthy and /-/ready.")
    ] = False
    telemetry_path: Annotated[
        TelemetryPath, Meta(description="Path under which metrics are served.")
    ] = TelemetryPath("/metrics")


class Log(Struct, frozen=True, kw_only=True):
    """What is logged to standard error, and how."""

    level: Annotated[LogLevel, Meta(description="Least severity that is logged.")] = LogLevel.INFO
    format: Annotated[LogFormat, Meta(description="Form of the lines.")] = LogFormat.LOGFMT


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. ``accounts`` is never empty and holds what ``trainwave`` gives them."""

    trainwave: Trainwave = Trainwave()
    accounts: tuple[Account, ...] = (Account(name=Name("default")),)
    polling: Polling = Polling()
    fleet: Fleet = Fleet()
    readings: Readings = Readings()
    weights: Weights = Weights()
    storage: Storage = Storage()
    waste: Waste = Waste()
    budgets: tuple[Budget, ...] = ()
    metrics: Metrics = Metrics()
    web: Web = Web()
    log: Log = Log()
