"""The vocabulary of every room: what is known of a fleet, and what is told about it.

Records are frozen, in base units (dollars, bytes, bytes per second, ratios from 0 to 1, GPU hours)
and carry times as Unix seconds. ``None`` means "the API did not tell"; it is never replaced by a
zero. Nothing here does I/O, keeps a clock or knows a wire format.

Three kinds of record:

* things: `Job`, `Project`, `Organization`, `AccountStatus`, `ProjectTally`. Each has a ``key``,
  unique within its kind;
* changes of things: `Appeared`, `Changed`, `Departed`, handed by the fleet to its listeners;
* facts about the exporter's own work: `Exchange`, `RateLimit`, `LoopRun`, `Plan`, `Unreadable`,
  `ClockSkew`, handed to telemetry.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace


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


class Reading(Struct, frozen=True):
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


class Job(Struct, frozen=True, kw_only=True):
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


class Project(Struct, frozen=True, kw_only=True):
    """A project of an organization; the key of an account usually sees several."""

    account: str
    id: str
    rid: str | None = None
    name: str | None = None
    organization_id: str | None = None

    @property
    def key(self) -> str:
        """Unique among projects."""
        return self.id


class Organization(Struct, frozen=True, kw_only=True):
    """An organization and what credit it has left."""

    account: str
    id: str
    rid: str | None = None
    name: str | None = None
    credit_balance_dollars: float | None = None

    @property
    def key(self) -> str:
        """Unique among organizations."""
        return self.id


class AccountStatus(Struct, frozen=True, kw_only=True):
    """Whether one account (one API key) can be read. Never departs."""

    name: str
    up: bool = False
    """The last sweep succeeded."""
    expired: bool = False
    """The API failed for longer than the bound, and the account's jobs are no longer shown."""
    confirmed_at: float | None = None
    """When a sweep last succeeded."""

    @property
    def key(self) -> str:
        """Unique among accounts."""
        return self.name


class Distribution(Struct, frozen=True):
    """A histogram: ``counts[i]`` observations lie at or below ``bounds[i]``, above the one before.

    ``counts`` has one more place than ``bounds``, for what lies above them all.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Distribution:
        """Return a histogram without observations."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)

    def observe(self, value: float) -> Distribution:
        """Return this histogram with one more observation."""
        place = bisect_left(self.bounds, value)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return replace(self, counts=counts, total=self.total + value)


class ProjectTally(Struct, frozen=True, kw_only=True):
    """What is counted of a project's jobs. Outlives them; its counters never fall."""

    project_id: str
    jobs: Mapping[str, int] | None = None
    """Jobs now known, by state; None while no account can tell (an error is not an empty fleet)."""
    transitions: Mapping[tuple[str, str], int] = {}
    """Seen state transitions, by (from, to)."""
    queue_duration: Distribution | None = None
    """Seconds from creation to start, of jobs whose start was witnessed."""
    run_duration: Mapping[str, Distribution] = {}
    """Seconds from start to finish, by final state, of jobs whose finish was witnessed."""

    @property
    def key(self) -> str:
        """Unique among tallies."""
        return self.project_id


Record: TypeAlias = Job | Project | Organization | AccountStatus | ProjectTally


class Departure(StrEnum):
    """Why something is no longer shown."""

    VANISHED = "vanished"
    """Missing from several complete sweeps."""
    RETENTION = "retention"
    """Finished for longer than finished jobs are kept."""
    EXPIRED = "expired"
    """Its account could not be read for longer than the bound; it may come back."""


class Appeared(Struct, frozen=True):
    """Something is shown that was not before (or not any more)."""

    record: Record


class Changed(Struct, frozen=True):
    """Something shown is now different."""

    before: Record
    after: Record


class Departed(Struct, frozen=True):
    """Something is shown no longer."""

    record: Record
    reason: Departure


Change: TypeAlias = Appeared | Changed | Departed

ChangeListener: TypeAlias = Callable[[Iterable[Change]], None]
"""Called with every batch of changes, in order, within the event loop; must not block."""


class Exchange(Struct, frozen=True, kw_only=True):
    """One request to the API and how it ended."""

    account: str
    endpoint: str
    """A closed set, such as ``jobs``, ``job``, ``projects``, ``organizations``, ``metric``."""
    outcome: str
    """``ok`` or the ``outcome`` of the error class of `trainwave_exporter.api.errors`."""
    seconds: float


class RateLimit(Struct, frozen=True, kw_only=True):
    """What an account's request budget looks like now."""

    account: str
    limit: int
    """Requests a minute the API grants this key (assumed until it has told)."""
    allowance: int
    """The part of them that the exporter may use."""
    remaining: int | None
    """What the API said is left in its present window, for all users of the key."""
    used: int
    """Requests the exporter sent in the last minute."""
    blocked_until: float
    """Unix seconds until which nothing is sent, after a 429; 0 when free."""


class LoopRun(Struct, frozen=True, kw_only=True):
    """One run of a polling loop."""

    account: str
    loop: str
    succeeded: bool
    seconds: float
    finished_at: float


class Plan(Struct, frozen=True, kw_only=True):
    """What one tick of the planner came to, in requests."""

    account: str
    planned: int
    deferred: int
    """Due, but beyond what the budget allows now."""
    round_seconds: float
    """How long one round of all readings takes at the present budget."""


class Unreadable(Struct, frozen=True, kw_only=True):
    """Something in an answer that could not be read, and was left out instead of guessed."""

    account: str
    subject: str
    """What it was about: ``job``, ``project``, ``organization``, ``cost``, or a metric's name."""
    reason: str
    """Of a closed set per subject, for a label."""


class UnknownState(Struct, frozen=True):
    """A job state that no source names."""

    account: str
    state: str


class IllegalTransition(Struct, frozen=True):
    """A state change that the lifecycle does not know, taken over from the API all the same."""

    account: str
    from_state: str
    to_state: str


class ClampedDuration(Struct, frozen=True):
    """A duration that came out negative and was counted as zero."""

    account: str
    duration: str
    """``queue`` or ``run``."""


class ClockSkew(Struct, frozen=True):
    """How far the API's clock (its ``Date`` header) is ahead of ours."""

    account: str
    seconds: float


Fact: TypeAlias = (
    Exchange
    | RateLimit
    | LoopRun
    | Plan
    | Unreadable
    | UnknownState
    | IllegalTransition
    | ClampedDuration
    | ClockSkew
)

FactListener: TypeAlias = Callable[[Fact], None]
