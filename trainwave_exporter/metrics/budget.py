"""Metrics of a budget: its limit, what was spent of it, and how that will end."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import BudgetStatus


class ViewedBudget(Struct, frozen=True):
    """A budget, and what the exporter sees of what is spent."""

    status: BudgetStatus
    view: str
    """The views of all accounts, separated by commas; empty if none is known."""


budget = Families(
    ViewedBudget, labels=("budget", "view"), identity=lambda b: (b.status.name, b.view or None)
)


@budget.gauge("trainwave_budget_limit_dollars", "Limit of the spend in one period.")
def limit(b: ViewedBudget) -> float | None:
    return b.status.limit_dollars


@budget.gauge(
    "trainwave_budget_spent_dollars",
    "Spend in the current period, accrued spend included; absent while it is not known exactly.",
)
def spent(b: ViewedBudget) -> float | None:
    return b.status.spent_dollars


@budget.gauge(
    "trainwave_budget_spent_bound_dollars",
    "Lower and upper bound of the spend in the current period, while it is not known exactly.",
    labels=("bound",),
)
def spent_bound(b: ViewedBudget) -> Mapping[LabelValues, float]:
    return _bounds(b.status.spent_lower_dollars, b.status.spent_upper_dollars)


@budget.gauge(
    "trainwave_budget_accrued_dollars",
    "Part of the spend that running jobs have accrued and that is not billed yet.",
)
def accrued(b: ViewedBudget) -> float | None:
    return b.status.accrued_dollars


@budget.gauge(
    "trainwave_budget_forecast_dollars",
    "Spend expected by the end of the period if running jobs keep running until they expire;"
    " absent while it is not known exactly.",
)
def forecast(b: ViewedBudget) -> float | None:
    return b.status.forecast_dollars


@budget.gauge(
    "trainwave_budget_forecast_bound_dollars",
    "Lower and upper bound of the expected spend, while it is not known exactly.",
    labels=("bound",),
)
def forecast_bound(b: ViewedBudget) -> Mapping[LabelValues, float]:
    return _bounds(b.status.forecast_lower_dollars, b.status.forecast_upper_dollars)


@budget.gauge(
    "trainwave_budget_exhaustion_timestamp_seconds",
    "When the limit was or will be reached; absent if it will not be reached in this period, or"
    " that is unknown.",
)
def exhaustion(b: ViewedBudget) -> float | None:
    return b.status.exhausted_at


@budget.gauge("trainwave_budget_period_start_timestamp_seconds", "When the current period began.")
def period_start(b: ViewedBudget) -> float | None:
    return b.status.begins_at


@budget.gauge("trainwave_budget_period_end_timestamp_seconds", "When the current period ends.")
def period_end(b: ViewedBudget) -> float | None:
    return b.status.ends_at


def _bounds(lower: float | None, upper: float | None) -> Mapping[LabelValues, float]:
    bounds = {("lower",): lower, ("upper",): upper}
    return {labels: value for labels, value in bounds.items() if value is not None}
