"""What the ledger knows of money and GPU time: sums that outlive jobs, and what follows from them.

The ledger keeps them in whole micro-dollars and milliseconds; here they are dollars, GPU hours and
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
    """Empty where the API does not report; likewise the type of GPU."""
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
    """Spend of a budget in its current period. What is not known for certain is None."""

    name: str
    limit_dollars: float
    spent_dollars: float | None
    """Accrued spend included; None while it is only known within bounds."""
    spent_lower_dollars: float | None = None
    spent_upper_dollars: float | None = None
    """Bounds of the spend while it is not known to the cent; None: no such bound is known."""
    accrued_dollars: float | None = None
    """The part of the spend that is not billed yet."""
    forecast_dollars: float | None
    """At the end of the period, if running jobs run on until they expire; None while unknown."""
    forecast_lower_dollars: float | None = None
    forecast_upper_dollars: float | None = None
    exhausted_at: float | None
    """When the limit was or will be reached; None when the budget lasts, or that is unknown."""
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
    """When nothing will be left, if what runs now runs on until it expires; None: never, or
    unknown."""
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
    """A figure that is absent because its value is unknown, and why."""

    figure: str
    """What is absent, such as ``budget`` or ``credit_runway``."""
    name: str
    """Whose figure: a budget's name, an organization's id, a part of the configuration."""
    reason: str

    @property
    def key(self) -> str:
        """Unique among unknown figures."""
        return _joined(self.figure, self.name, self.reason)


def _joined(*parts: str) -> str:
    return "\0".join(parts)
