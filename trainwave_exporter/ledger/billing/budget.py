"""Budgets: how much may be spent by whom in which period, and how much is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds
from trainwave_exporter.ledger.billing.period_spend import Payer, PeriodSpend
from trainwave_exporter.ledger.billing.periods import Period
from trainwave_exporter.ledger.billing.running_jobs import RunningJob, lasts_until, spent_by
from trainwave_exporter.ledger.billing.stored_records import ProjectEntry, organization_of
from trainwave_exporter.ledger.billing.units import MICRO, dollars, microdollars, seconds
from trainwave_exporter.model import BudgetStatus, UnknownFigure

EXACT: Final = MICRO // 100
"""Bounds that are no further apart than a cent are one amount."""


class Budget(Struct, frozen=True, kw_only=True):
    """A limit in dollars for a period. An empty scope is everything."""

    name: str
    limit_dollars: float
    period: Period
    zone: ZoneInfo
    organizations: frozenset[str] = frozenset()
    projects: frozenset[str] = frozenset()
    """By id or by name, as likewise organizations by id."""
    owners: frozenset[str] = frozenset()
    gpu_types: frozenset[str] = frozenset()

    def covers(self, payer: Payer, projects: Mapping[str, ProjectEntry]) -> bool | None:
        """Whether the spend of a payer counts; None: it depends on what is not known of it."""
        labels = payer.labels
        project = projects.get(labels.project_id)
        names = {labels.project_id} | (project.names if project is not None else frozenset())
        paying = organization_of(payer.organization_id, labels.project_id, projects)
        if self.projects and self.projects.isdisjoint(names):
            return False
        if self.owners and labels.owner not in self.owners:
            return False
        if self.organizations and paying not in {None, *self.organizations}:
            return False
        if self.gpu_types and labels.gpu_type not in self.gpu_types and payer.described:
            return False
        unknown = (self.organizations and paying is None) or (
            self.gpu_types and labels.gpu_type not in self.gpu_types
        )
        return None if unknown else True


class Doubts(Struct, frozen=True):
    """Why figures cannot be exact now, besides what is not known of single jobs."""

    spend: Collection[str] = ()
    """Reasons for which the spend is more than is known by an unknown amount."""
    forecast: Collection[str] = ()
    """Likewise what the running jobs will cost."""
    history: bool = False
    """Whether jobs that are over may turn out to be covered, within the bounds that are known."""


def status(
    budget: Budget,
    spend: PeriodSpend,
    runners: Iterable[RunningJob],
    projects: Mapping[str, ProjectEntry],
    now: int,
    doubts: Doubts,
    exhausted_at: Callable[[int], int],
) -> tuple[BudgetStatus, list[UnknownFigure]]:
    """Return the spend of a budget ``now`` (milliseconds), and which of its figures are unknown.

    ``spend``: that of the period. ``runners``: the running jobs, as far as they are known.
    ``exhausted_at`` returns when so many micro-dollars had been spent, for a budget that is used
    up.
    """

    def covers(payer: Payer) -> bool | None:
        return budget.covers(payer, projects)

    limit, end = microdollars(budget.limit_dollars), spend.span.end
    accrued = NOTHING if doubts.spend else spend.accrued(covers, now)
    billed = spend.spent(covers)
    spent = Bounds(billed.lower + accrued.lower, billed.upper + accrued.upper)
    covered = [
        runner
        for runner in runners
        if covers(Payer(runner.organization_id, runner.labels)) is not False
    ]
    due = 0 if doubts.spend or doubts.forecast else spent_by(covered, now, end)
    reasons = [*doubts.spend]
    if not reasons and (doubts.history or spent.width > EXACT):
        reasons = ["history_incomplete"]
    unpriced = any(runner.overdue(now) for runner in covered)
    further = [*doubts.forecast, *["price_unknown"] * unpriced]
    exact, foreseen = not reasons, not reasons and not further
    if spent.lower >= limit:
        reached: int | None = exhausted_at(limit)
    else:
        reached = lasts_until(limit - spent.lower, covered, now) if foreseen else None
    whole = None if doubts.spend else dollars(spent.upper)
    bound = None if doubts.spend or further else dollars(spent.upper + due)
    found = BudgetStatus(
        name=budget.name,
        limit_dollars=budget.limit_dollars,
        spent_dollars=dollars(spent.lower) if exact else None,
        spent_lower_dollars=None if exact else dollars(spent.lower),
        spent_upper_dollars=None if exact else whole,
        accrued_dollars=None if doubts.spend or accrued.width > EXACT else dollars(accrued.lower),
        forecast_dollars=dollars(spent.lower + due) if foreseen else None,
        forecast_lower_dollars=None if foreseen else dollars(spent.lower + due),
        forecast_upper_dollars=None if foreseen else bound,
        exhausted_at=None if reached is None or reached >= end else seconds(reached),
        begins_at=seconds(spend.span.begin),
        ends_at=seconds(end),
    )
    return found, [
        *unknown("budget", budget.name, reasons),
        *unknown("budget_forecast", budget.name, [*reasons, *further]),
    ]


def unknown(figure: str, name: str, reasons: Iterable[str]) -> list[UnknownFigure]:
    """Return a record for each reason for which a figure is unknown."""
    return [UnknownFigure(figure=figure, name=name, reason=why) for why in dict.fromkeys(reasons)]
