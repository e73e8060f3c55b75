"""What the ledger tells of money and GPU time: sums that outlive jobs, and what follows from them.

Its own books are kept in whole micro-dollars and milliseconds; here they are dollars, GPU hours and
Unix seconds, like everything that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Waste(StrEnum):
    """For what money was spent to no use."""

    GPU_IDLE = "gpu_idle"
    """GPUs of a running job that did nothing."""
    STUCK_LAUNCHING = "stuck_launching"
    """A job that was billed and did not come to run."""
    BILLED_AFTER_FINISH = "billed_after_finish"
    """A job whose cost went on rising when it was over."""


class Activity(StrEnum):
    """What the GPUs of running jobs did. Together these are all of their running time."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"
    """No two readings were close enough together to judge."""


class Spend(Struct, frozen=True, kw_only=True):
    """What was ever spent by one owner in one project on one type of GPU. Nothing here falls."""

    project_id: str
    owner: str
    """Empty where the API does not tell; likewise the type of GPU."""
    gpu_type: str
    cost_dollars: float
    gpu_hours: float
    waste_dollars: Mapping[Waste, float]
    activity_gpu_hours: Mapping[Activity, float]

    @property
    def key(self) -> str:
        """Unique among spends."""
        return _joined(self.project_id, self.owner, self.gpu_type)


class Burn(Struct, frozen=True, kw_only=True):
    """What one owner's running jobs in one project on one type of GPU cost in an hour."""

    project_id: str
    owner: str
    gpu_type: str
    dollars_per_hour: float

    @property
    def key(self) -> str:
        """Unique among burns."""
        return _joined(self.project_id, self.owner, self.gpu_type)


class Corrections(Struct, frozen=True, kw_only=True):
    """By how much costs were changed otherwise than by time going by, in dollars. Never falls."""

    up: float
    down: float

    @property
    def key(self) -> str:
        """There is only one."""
        return ""


class BudgetStatus(Struct, frozen=True, kw_only=True):
    """How a budget stands in its present period."""

    name: str
    limit_dollars: float
    spent_dollars: float
    forecast_dollars: float | None
    """At the end of the period, if what runs now runs on until it expires; None while not all that
    runs is known."""
    exhausted_at: float | None
    """When the limit was or will be reached; None when the budget will last."""
    begins_at: float
    ends_at: float

    @property
    def key(self) -> str:
        """Unique among budgets."""
        return self.name


class Funds(Struct, frozen=True, kw_only=True):
    """What becomes of an organization's credit."""

    organization_id: str
    exhausted_at: float | None
    """When nothing will be left, if what runs now runs on until it expires; None: never."""
    difference_dollars: float | None
    """By how much the credit fell beyond what was booked in the same time; None: not known yet."""

    @property
    def key(self) -> str:
        """Unique among funds."""
        return self.organization_id


class Idleness(Struct, frozen=True, kw_only=True):
    """How idle a job shown is, and what it wasted."""

    job_id: str
    idle_since: float | None
    """Since when all its GPUs do nothing; None while they do, or where that is not known."""
    gpu_hours: float | None
    """What it spent idle so far; None where nothing is known of its GPUs."""
    waste_dollars: Mapping[Waste, float] = {}
    """By reason, what is not billed yet included; without those for which it wasted nothing, and
    without idle GPUs while what they cost is not known."""

    @property
    def key(self) -> str:
        """That of the job."""
        return self.job_id


class UnknownFigure(Struct, frozen=True, kw_only=True):
    """A figure of money that is not known, and so is not shown."""

    figure: str
    """A closed set, such as ``spend`` or ``budget``."""
    name: str
    """Whose figure it is: the name of an account or a budget, the id of an organization."""
    reason: str
    """A closed set, such as ``ledger_catching_up``."""

    @property
    def key(self) -> str:
        """Unique among unknown figures."""
        return _joined(self.figure, self.name, self.reason)


def _joined(*parts: str) -> str:
    return "\0".join(parts)
