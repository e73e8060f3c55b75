"""Metrics of a budget: its limit, what was spent of it, and how that will end."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import BudgetStatus


class ViewedBudget(Struct, frozen=True):
    """A budget, and what the exporter sees of what is spent."""

    status: BudgetStatus
    view: str
    """The views of all accounts, separated by commas; empty if none is known."""


budget = Families(
    ViewedBudget, labels=("budget", "view"), identity=lambda b: (b.status.name, b.view or None)
)


@budget.gauge("trainwave_budget_limit_dollars", "What may be spent in one period.")
def limit(b: ViewedBudget) -> float | None:
    return b.status.limit_dollars


@budget.gauge("trainwave_budget_spent_dollars", "What was spent in the present period.")
def spent(b: ViewedBudget) -> float | None:
    return b.status.spent_dollars


@budget.gauge(
    "trainwave_budget_forecast_dollars",
    "What will be spent by the end of the period, if what runs now runs on until it expires.",
)
def forecast(b: ViewedBudget) -> float | None:
    return b.status.forecast_dollars


@budget.gauge(
    "trainwave_budget_exhaustion_timestamp_seconds",
    "When the limit was or will be reached; absent while the budget is going to last.",
)
def exhaustion(b: ViewedBudget) -> float | None:
    return b.status.exhausted_at


@budget.gauge("trainwave_budget_period_start_timestamp_seconds", "When the present period began.")
def period_start(b: ViewedBudget) -> float | None:
    return b.status.begins_at


@budget.gauge("trainwave_budget_period_end_timestamp_seconds", "When the present period ends.")
def period_end(b: ViewedBudget) -> float | None:
    return b.status.ends_at
