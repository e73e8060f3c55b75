"""A job as it is known, and the closed sets its fields are of."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple


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
    """One value of a reading; ``device`` and ``direction`` only where the API reports them."""

    value: float
    device: str | None = None
    direction: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it is of the whole job."""
        return self.device is None and self.direction is None


class Reading(Struct, frozen=True, gc=False):
    """The newest answer for one metric of one job.

    There are as many of them as there are jobs and metrics, so the most common answer, one number
    for the whole job, is kept as that number.
    """

    quantity: Quantity
    value: float | tuple[Point, ...]
    """One number, or a point for each device and direction that the API distinguishes."""
    at: float
    """The API's own timestamp where there is one, else the time of receipt."""
    rates: tuple[Point, ...] = ()
    """What a running total (`Quantity.BYTES_TOTAL`) amounts to per second since the reading before
    it; empty for every other quantity and until there are two totals."""

    @classmethod
    def of(
        cls, quantity: Quantity, points: Iterable[Point], at: float, rates: tuple[Point, ...] = ()
    ) -> Reading:
        """Return a reading of these points."""
        several = tuple(points)
        one = several[0].value if len(several) == 1 and several[0].whole else several
        return cls(quantity, one, at, rates)

    @property
    def points(self) -> tuple[Point, ...]:
        """What was reported, all of it as points."""
        return self.value if isinstance(self.value, tuple) else (Point(self.value),)

    @property
    def mean(self) -> float | None:
        """The mean of all points; None without any."""
        points = self.points
        return sum(point.value for point in points) / len(points) if points else None


class Readings(Struct, frozen=True, gc=False):
    """The readings of a job: each under the name of its `Metric`, in a sixth of a dictionary."""

    cpu: Reading | None = None
    memory: Reading | None = None
    network: Reading | None = None
    gpu_utilization: Reading | None = None
    gpu_memory: Reading | None = None
    disk: Reading | None = None

    def get(self, metric: Metric) -> Reading | None:
        """Return the reading of a metric."""
        reading: Reading | None = _GET[metric](self)
        return reading

    def items(self) -> list[tuple[Metric, Reading]]:
        """Return those that there are."""
        pairs = zip(_METRICS, astuple(self), strict=True)
        return [pair for pair in pairs if pair[1] is not None]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return self != NO_READINGS


_METRICS: Final = tuple(map(Metric, Readings.__struct_fields__))
_GET: Final = {metric: attrgetter(metric.value) for metric in _METRICS}
NO_READINGS: Final = Readings()


class KnownRun(Struct, frozen=True):
    """What is known of a job's present run since before the exporter's start."""

    since: float
    """When it began, Unix seconds."""
    price: float | None
    """What an hour cost at first, US dollars."""


class Job(Struct, frozen=True, kw_only=True, gc=False):
    """One job, as far as it is known: one answer's part from the API client, all from the fleet."""

    account: str
    id: str
    state: str
    confirmed_at: float
    """When the API last reported this job: what state and cost are as old as."""
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
    cost_reported_at: float | None = None
    """When the cost was last reported, where that was before `confirmed_at`."""
    hourly_cost_dollars: float | None = None
    gpu_hours: float | None = None
    gpu_hours_reported_at: float | None = None
    """Likewise of the GPU hours."""
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    expires_at: float | None = None
    readings: Readings = NO_READINGS

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
