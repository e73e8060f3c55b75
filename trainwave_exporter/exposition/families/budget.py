"""Metrics of a budget: its limit, what was spent of it, and how that will end."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import BudgetStatus

budget = Families(BudgetStatus, labels=("budget",), identity=lambda b: (b.name,))


@budget.gauge("trainwave_budget_limit_dollars", "What may be spent in one period.")
def limit(b: BudgetStatus) -> float | None:
    return b.limit_dollars


@budget.gauge("trainwave_budget_spent_dollars", "What was spent in the present period.")
def spent(b: BudgetStatus) -> float | None:
    return b.spent_dollars


@budget.gauge(
    "trainwave_budget_forecast_dollars",
    "What will be spent by the end of the period, if what runs now runs on until it expires.",
)
def forecast(b: BudgetStatus) -> float | None:
    return b.forecast_dollars


@budget.gauge(
    "trainwave_budget_exhaustion_timestamp_seconds",
    "When the limit was or will be reached; absent while the budget is going to last.",
)
def exhaustion(b: BudgetStatus) -> float | None:
    return b.exhausted_at


@budget.gauge("trainwave_budget_period_start_timestamp_seconds", "When the present period began.")
def period_start(b: BudgetStatus) -> float | None:
    return b.begins_at


@budget.gauge("trainwave_budget_period_end_timestamp_seconds", "When the present period ends.")
def period_end(b: BudgetStatus) -> float | None:
    return b.ends_at
