"""What the page shows: a summary of the exporter's work at one moment.

Times are Unix seconds, durations seconds; None means "not yet" or "not known".
"""

from __future__ import annotations

from msgspec import Struct


class AccountOverview(Struct, frozen=True, kw_only=True):
    """One account: whether it can be read, and what that costs."""

    name: str
    up: bool
    jobs_running: int
    jobs_known: int
    confirmed_at: float | None = None
    """When a sweep last succeeded."""
    requests_used: int
    """Requests sent in the last minute."""
    allowance: int
    """Requests a minute that the exporter may send."""
    limit: int
    """Requests a minute that the API grants the key."""
    remaining: int | None = None
    """What the API said is left of them, for all who use the key."""
    blocked_until: float = 0.0
    """Until when nothing is sent, as the API wants it so."""
    blocked_reason: str = ""
    """``rate_limited``, ``unavailable`` or ``used_up``; empty when it is not blocked."""
    deferred: float = 0.0
    """Requests a minute that the ideal interval would take beyond what there are."""
    readings_age: float = 0.0
    """Expected age of readings; 0 where there are none. Then with twice the limit; at the worst."""
    readings_age_doubled: float = 0.0
    longest_age: float = 0.0
    dialect: str | None = None
    error: str | None = None


class LoopOverview(Struct, frozen=True, kw_only=True):
    """One polling loop of one account."""

    account: str
    name: str
    interval: float
    last_finished_at: float | None = None
    last_succeeded: bool | None = None
    stopped: bool = False
    """It has not finished for so long that it must be taken for dead."""
    error: str | None = None
    """Why its last run failed."""


class JobOverview(Struct, frozen=True, kw_only=True):
    """One running job, and what it wastes."""

    id: str
    name: str
    account: str
    owner: str | None = None
    gpu_type: str | None = None
    gpus: float | None = None
    dollars_per_hour: float | None = None
    cost_dollars: float | None = None
    wasted_dollars: float | None = None
    """What its idle GPU hours cost so far."""
    idle_since: float | None = None
    gpu_utilization: float | None = None
    """Mean of its GPUs, 0 to 1."""


class TroubleOverview(Struct, frozen=True, kw_only=True):
    """One kind of error, or of values that cannot be used, of an account; empty: the exporter's."""

    account: str
    place: str
    """Which endpoint failed, or which part of the exporter."""
    outcome: str
    meaning: str
    remedy: str
    notable: bool = True
    """Whether the page's first line names it, should it recur."""
    count: int
    first_at: float
    last_at: float


class UnknownOverview(Struct, frozen=True, kw_only=True):
    """A figure whose value is unknown, and why."""

    kind: str
    """What it is, as the metric has it; then in words."""
    figure: str
    name: str
    """Whose figure it is: a budget's, an organization's, a setting's."""
    reason: str
    """As the metric has it."""
    meaning: str


class SettingOverview(Struct, frozen=True, kw_only=True):
    """One setting as it is in use; a key is never among them."""

    name: str
    value: str
    changed: bool
    """It is not the default."""


class Overview(Struct, frozen=True, kw_only=True):
    """The exporter as a whole."""

    version: str
    python: str
    """The version of the interpreter."""
    started_at: float
    now: float
    telemetry_path: str
    accounts: tuple[AccountOverview, ...] = ()
    loops: tuple[LoopOverview, ...] = ()
    jobs: tuple[JobOverview, ...] = ()
    """Some of those that run, the most wasteful first."""
    jobs_idle: int = 0
    """How many run whose GPUs do nothing."""
    unknown: tuple[UnknownOverview, ...] = ()
    troubles: tuple[TroubleOverview, ...] = ()
    """Newest first."""
    settings: tuple[SettingOverview, ...] = ()
    refused_reload: str | None = None
    """Why the last reload changed nothing; None if it did, or none was asked for."""
