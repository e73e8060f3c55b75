"""A job as it is known, and the closed sets its fields are of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class JobState(StrEnum):
    """The states that the vendor's material names; others pass through as the API spells them."""

    SUBMIT_CODE = "SUBMIT_CODE"
    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    UPLOADING = "UPLOADING"
    SUCCESS = "SUCCESS"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    FAILED = "FAILED"
    USER_PROCESS_FAILED = "USER_PROCESS_FAILED"
    SYSTEM_TERMINATED = "SYSTEM_TERMINATED"
    USER_CANCELLED = "USER_CANCELLED"


KNOWN_STATES: tuple[str, ...] = tuple(state.value for state in JobState)

TERMINAL_STATES = frozenset(
    {
        JobState.SUCCESS,
        JobState.COMPLETED,
        JobState.ERROR,
        JobState.FAILED,
        JobState.USER_PROCESS_FAILED,
        JobState.SYSTEM_TERMINATED,
        JobState.USER_CANCELLED,
    }
)


class Metric(StrEnum):
    """The six job metrics of the reference, spelled as in its path ``/metrics/{metric_name}/``."""

    CPU = "cpu"
    MEMORY = "memory"
    NETWORK = "network"
    GPU_UTILIZATION = "gpu_utilization"
    GPU_MEMORY = "gpu_memory"
    DISK = "disk"

    __hash__ = str.__hash__
    """Enum's own is ten times slower, and readings are looked up by metric all the time."""


class Unit(StrEnum):
    """How the API's number for a metric is to be read; set by the operator for each metric."""

    PERCENT = "percent"
    RATIO = "ratio"
    BYTES = "bytes"
    MEGABYTES = "megabytes"
    GIGABYTES = "gigabytes"
    GIBIBYTES = "gibibytes"
    BYTES_PER_SECOND = "bytes_per_second"
    MEGABITS_PER_SECOND = "megabits_per_second"
    BYTES_TOTAL = "bytes_total"


class CostUnit(StrEnum):
    """How ``total_cost`` is to be read: by the dialect it arrives in, or as the operator says."""

    AUTO = "auto"
    DOLLARS = "dollars"
    CENTS = "cents"


class Quantity(StrEnum):
    """What a reading's values are, after its unit was applied."""

    RATIO = "ratio"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes_per_second"
    BYTES_TOTAL = "bytes_total"


class Point(Struct, frozen=True, gc=False):
    """One value of a reading; ``device`` and ``direction`` only where the API tells them apart."""

    value: float
    device: str | None = None
    direction: str | None = None


class Reading(Struct, frozen=True, gc=False):
    """The newest answer for one metric of one job.

    ``at`` is the API's own timestamp where there is one, else the time of receipt. ``rates`` holds
    what a running total (`Quantity.BYTES_TOTAL`) amounts to per second since the reading before it;
    it is empty for every other quantity and until there are two totals.
    """

    metric: Metric
    quantity: Quantity
    points: tuple[Point, ...]
    at: float
    rates: tuple[Point, ...] = ()


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """One job, as far as it is known: one answer's part from the API client, all from the fleet."""

    account: str
    id: str
    state: str
    confirmed_at: float
    """When the API last told of this job: what state and cost are as old as."""
    rid: str | None = None
    name: str | None = None
    project_id: str = ""
    project_name: str | None = None
    organization_id: str | None = None
    owner: str | None = None
    gpu_type: str | None = None
    gpus: float | None = None
    cpu_cores: float | None = None
    memory_limit_bytes: float | None = None
    disk_limit_bytes: float | None = None
    gpu_memory_limit_bytes: float | None = None
    """Of one device."""
    cost_dollars: float | None = None
    hourly_cost_dollars: float | None = None
    gpu_hours: float | None = None
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    readings: Mapping[Metric, Reading] = {}

    @property
    def key(self) -> str:
        """Unique among jobs."""
        return self.id

    @property
    def running(self) -> bool:
        """Whether it occupies its GPUs now."""
        return self.state == JobState.RUNNING and self.finished_at is None

    @property
    def finished(self) -> bool:
        """Whether it is over: a terminal state, or any state with a time of finish."""
        return self.state in TERMINAL_STATES or self.finished_at is not None
