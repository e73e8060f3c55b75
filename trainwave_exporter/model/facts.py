"""What the exporter reports of its own work, for telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from trainwave_exporter.model.jobs import Metric


class Exchange(Struct, frozen=True, kw_only=True):
    """One request to the API and how it ended."""

    account: str
    endpoint: str
    """A closed set, such as ``jobs``, ``job``, ``projects``, ``organizations``, ``metric``."""
    outcome: str
    """``ok`` or the ``outcome`` of the error class of `trainwave_exporter.api.errors`."""
    seconds: float

    @property
    def operation(self) -> str:
        """What it was about, as the label names it: scrapes add a label ``endpoint`` of theirs."""
        return self.endpoint


class RateLimit(Struct, frozen=True, kw_only=True):
    """What an account's request budget looks like now."""

    account: str
    limit: int
    """Requests a minute the API grants this key (assumed until it has reported)."""
    allowance: int
    """The part of them that the exporter may use."""
    remaining: int | None
    """What the API said is left in its present window, for all users of the key."""
    used: int
    """Requests the exporter sent in the last minute."""
    blocked_until: float
    """Unix seconds until which nothing is sent, as the API wants it so; 0 when free."""
    blocked_reason: str | None = None
    """``rate_limited``, ``unavailable`` or ``used_up``; None when free."""


class LoopBegan(Struct, frozen=True):
    """A polling loop began a run."""

    account: str
    loop: str
    at: float


class LoopRun(Struct, frozen=True, kw_only=True):
    """One run of a polling loop."""

    account: str
    loop: str
    succeeded: bool
    seconds: float
    finished_at: float

    @property
    def outcome(self) -> str:
        """``ok`` or ``error``."""
        return _outcome(succeeded=self.succeeded)


class PlannedAge(Struct, frozen=True):
    """The mean age in seconds that readings have under a plan."""

    present: float
    doubled: float
    """The same if the API granted twice the requests."""


class Plan(Struct, frozen=True, kw_only=True):
    """What the planner of one account comes to now. Requests are those about single jobs."""

    account: str
    planned: float
    """Requests a minute that readings are given."""
    used: int
    """Requests sent in the last minute, those for details and states included."""
    deferred: float
    """Requests a minute that the ideal interval would take beyond what is planned."""
    requests_per_minute: float
    """What the budget has for all that is planned."""
    round_seconds: float
    """How long one round of all readings takes at the present budget."""
    longest_age_seconds: float
    """Within which every reading is refreshed, at the worst."""
    ages: Mapping[Metric, PlannedAge]
    """The expected age of what is asked for of running jobs."""
    expected_age_seconds: float
    """The same of all metrics together; 0 without readings."""
    expected_age_doubled_seconds: float


class ReadingReplaced(Struct, frozen=True, kw_only=True):
    """A newer reading took the place of one."""

    account: str
    metric: Metric
    age: float
    """Seconds between the two questions: how old the old one had become."""


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


class LedgerRun(Struct, frozen=True, kw_only=True):
    """One attempt of the ledger to write down what was seen."""

    succeeded: bool
    seconds: float
    finished_at: float
    waiting: int
    """Jobs seen and not written down yet."""
    size_bytes: int
    """Of all that is stored."""
    lost: bool = False
    """Another program removed, replaced or overwrote the file of the ledger in use."""

    @property
    def outcome(self) -> str:
        """``ok`` or ``error``."""
        return _outcome(succeeded=self.succeeded)


def _outcome(*, succeeded: bool) -> str:
    return "ok" if succeeded else "error"


Fact: TypeAlias = (
    Exchange
    | RateLimit
    | LoopBegan
    | LoopRun
    | Plan
    | ReadingReplaced
    | Unreadable
    | UnknownState
    | IllegalTransition
    | ClampedDuration
    | ClockSkew
    | LedgerRun
)

FactListener: TypeAlias = Callable[[Fact], None]
