"""Every setting, declared once.

A field's place gives its key in the file (``section.key_name``), its flag
(``--section.key-name``) and its environment variable (``TRAINWAVE_SECTION_KEY_NAME``); its
annotation gives type, bounds and documentation, and its default stands beside it. How the values
come together is described in `trainwave_exporter.config.loading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from trainwave_exporter.config.values import (
    AccountName,
    ApiUrl,
    BudgetPeriod,
    Duration,
    FilePath,
    HostName,
    Identifier,
    Interval,
    LabelText,
    ListenAddress,
    LogFormat,
    LogLevel,
    MetricPattern,
    RetentionDuration,
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
_FILE_ONLY = Meta(extra={"file_only": True})
_ONE_OR_MORE = Meta(extra={"one_or_more": True})
_AS_THE_TOOLKIT_HAS_IT = Meta(extra={"flag": "--web.config.file"})
_NEXT_TO_A_KEY = Meta(extra={"unspoken": True})


class TrainwaveSettings(Struct, frozen=True, kw_only=True):
    """The API, and the key to read it with."""

    api_url: Annotated[ApiUrl, Meta(description="Base URL of the Trainwave API.")] = ApiUrl(
        "https://backend.trainwave.ai/api/v1"
    )
    api_key_file: Annotated[
        FilePath | None,
        _NEXT_TO_A_KEY,
        Meta(description="File that holds the API key; it is read again whenever it changes."),
    ] = None
    api_key_env: Annotated[
        Variable,
        _FILE_ONLY,
        _NEXT_TO_A_KEY,
        Meta(description="Environment variable that holds the API key if no file is given."),
    ] = Variable("TRAINWAVE_API_KEY")
    organization: Annotated[
        Identifier | None,
        Meta(description="Watch only the jobs and projects of the organization with this id."),
    ] = None
    project: Annotated[
        Identifier | None, Meta(description="Watch only the jobs of the project with this id.")
    ] = None
    cost_unit: Annotated[
        CostUnit,
        Meta(description="Unit of total_cost; auto: as the API's dialect has it."),
    ] = CostUnit.AUTO
    rate_limit_share: Annotated[
        float,
        Meta(gt=0, le=1, description="Share of the key's rate limit that the exporter may use."),
    ] = 0.8
    initial_rate_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Rate limit in requests a minute until the API reports one.",
        ),
    ] = 100
    page_size: Annotated[int, Meta(ge=1, le=1000, description="Objects in one page of a list.")] = (
        100
    )
    timeout: Annotated[
        Interval, Meta(description="Timeout of one request to the API, in total.")
    ] = Interval(10)


class AccountSettings(TrainwaveSettings, frozen=True, kw_only=True):
    """One API key and all that is read with it."""

    name: Annotated[AccountName, Meta(description="Name of the account in metrics and logs.")]


class PollingSettings(Struct, frozen=True, kw_only=True):
    """How often the API is polled."""

    running_interval: Annotated[
        Interval, Meta(description="Interval between lists of the running jobs.")
    ] = Interval(30)
    sweep_interval: Annotated[
        Interval, Meta(description="Interval between complete lists of all jobs.")
    ] = Interval(600)
    directory_interval: Annotated[
        Interval,
        Meta(description="Interval between lists of the projects and organizations."),
    ] = Interval(300)
    readings_interval: Annotated[
        Interval,
        Meta(
            description="Age at which a reading is requested again, as the request budget allows."
        ),
    ] = Interval(60)


class FleetSettings(Struct, frozen=True, kw_only=True):
    """Retention and staleness."""

    finished_retention: Annotated[
        Duration, Meta(description="How long finished jobs are shown.")
    ] = Duration(86_400)
    staleness: Annotated[
        Duration,
        Meta(
            description="How long the last good values are shown while the API fails, and running"
            " jobs that it no longer reports."
        ),
    ] = Duration(300)
    vanish_after_sweeps: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Complete lists in a row that a job must be missing from to be dropped.",
        ),
    ] = 3


class ReadingsSettings(Struct, frozen=True, kw_only=True):
    """Units of the readings, as the API reports them."""

    cpu: Annotated[Unit, _UTILIZATION, Meta(description="Unit of CPU utilization.")] = Unit.PERCENT
    memory: Annotated[Unit, _MEMORY, Meta(description="Unit of memory use.")] = Unit.GIGABYTES
    network: Annotated[Unit, _TRANSFER, Meta(description="Unit of network I/O.")] = (
        Unit.BYTES_PER_SECOND
    )
    gpu_utilization: Annotated[Unit, _UTILIZATION, Meta(description="Unit of GPU utilization.")] = (
        Unit.PERCENT
    )
    gpu_memory: Annotated[Unit, _MEMORY, Meta(description="Unit of GPU memory use.")] = (
        Unit.GIGABYTES
    )
    disk: Annotated[Unit, _TRANSFER, Meta(description="Unit of disk I/O.")] = Unit.BYTES_PER_SECOND
    listed_gpu_utilization: Annotated[
        Unit, _UTILIZATION, Meta(description="Unit of GPU utilization in the list of jobs.")
    ] = Unit.PERCENT
    listed_memory: Annotated[
        Unit, _MEMORY, Meta(description="Unit of memory use in the list of jobs.")
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


class StorageSettings(Struct, frozen=True, kw_only=True):
    """The ledger: spend and GPU hours, kept beyond jobs and restarts."""

    path: Annotated[
        StoragePath,
        Meta(description="Folder of the ledger; :memory: keeps it in memory only."),
    ] = StoragePath("data")
    retention: Annotated[
        RetentionDuration,
        Meta(
            description=(
                "How long the details of spend are kept for reports; 0: for ever. Totals are kept"
                " for ever."
            )
        ),
    ] = RetentionDuration(0)
    write_interval: Annotated[
        Interval, Meta(description="Interval between writes of the ledger.")
    ] = Interval(5)


class WasteSettings(Struct, frozen=True, kw_only=True):
    """What counts as idle and as waste."""

    idle_threshold: Annotated[
        float, Meta(gt=0, le=1, description="Utilization below which a GPU is idle, 0 to 1.")
    ] = 0.05
    warm_up: Annotated[
        Duration, Meta(description="How long after its start a job always counts as busy.")
    ] = Duration(600)
    launch_bound: Annotated[
        Duration,
        Meta(description="How long a job may be billed before it runs without counting as waste."),
    ] = Duration(900)
    reading_gap: Annotated[
        Duration,
        Meta(
            description=(
                "Longest gap between readings that still counts as observed; longer gaps count as"
                " unknown."
            )
        ),
    ] = Duration(300)


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """A limit of the spend in a period. A job counts if it matches each of the given lists."""

    name: Annotated[AccountName, Meta(description="Name of the budget in metrics.")]
    limit_dollars: Annotated[
        float,
        Meta(gt=0, le=1_000_000_000, description="Limit of the spend in one period, in dollars."),
    ]
    period: Annotated[BudgetPeriod, Meta(description="Period of the limit; weeks begin on Monday.")]
    time_zone: Annotated[
        TimeZone, Meta(description="Time zone in which the period begins at midnight.")
    ]
    organizations: Annotated[
        tuple[LabelText, ...], Meta(description="Ids of organizations; default: all.")
    ] = ()
    projects: Annotated[
        tuple[LabelText, ...], Meta(description="Ids or names of projects; default: all.")
    ] = ()
    owners: Annotated[
        tuple[LabelText, ...], Meta(description="User names of owners; default: all.")
    ] = ()
    gpu_types: Annotated[tuple[LabelText, ...], Meta(description="GPU types; default: all.")] = ()


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """Which metrics are served, and for how many jobs."""

    allow: Annotated[
        tuple[MetricPattern, ...],
        Meta(description="Metrics to serve, with * for any text; default: all."),
    ] = ()
    deny: Annotated[
        tuple[MetricPattern, ...],
        Meta(description="Metrics to leave out, with * for any text; wins over allow."),
    ] = ()
    max_jobs: Annotated[
        int,
        Meta(ge=0, le=10_000_000, description="Most jobs with series of their own; 0: no limit."),
    ] = 10_000
    max_groups: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000_000,
            description="Series limit for projects, for organizations, and for combinations of"
            " project, owner and GPU type; others are summed up; 0: no limit.",
        ),
    ] = 2_000


class WebSettings(Struct, frozen=True, kw_only=True):
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
        bool, Meta(description="Listen on the sockets passed by systemd instead of an address.")
    ] = False
    config_file: Annotated[
        FilePath | None,
        _AS_THE_TOOLKIT_HAS_IT,
        Meta(
            description=(
                "Web configuration file of Prometheus exporters, for TLS and authentication; it is"
                " read again whenever it changes."
            )
        ),
    ] = None
    enable_lifecycle: Annotated[
        bool, Meta(description="Reload the configuration on POST /-/reload.")
    ] = False
    open_health: Annotated[
        bool, Meta(description="Serve health checks without authentication.")
    ] = False
    host_names: Annotated[
        tuple[HostName, ...],
        Meta(
            description=(
                "Hosts (Host header) accepted for the page and the reload endpoint; default: all."
                " Metrics and health checks accept any host."
            )
        ),
    ] = ()
    telemetry_path: Annotated[
        TelemetryPath, Meta(description="Path under which metrics are served.")
    ] = TelemetryPath("/metrics")


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is logged to standard error, and how."""

    level: Annotated[LogLevel, Meta(description="Minimum log level.")] = LogLevel.INFO
    format: Annotated[LogFormat, Meta(description="Log format.")] = LogFormat.LOGFMT


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. ``accounts`` is never empty and holds what ``trainwave`` gives them."""

    trainwave: TrainwaveSettings = TrainwaveSettings()
    accounts: tuple[AccountSettings, ...] = (AccountSettings(name=AccountName("default")),)
    polling: PollingSettings = PollingSettings()
    fleet: FleetSettings = FleetSettings()
    readings: ReadingsSettings = ReadingsSettings()
    storage: StorageSettings = StorageSettings()
    waste: WasteSettings = WasteSettings()
    budgets: tuple[BudgetSettings, ...] = ()
    metrics: MetricsSettings = MetricsSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
