"""Budgets: how much may be spent by whom in which period, and how that stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct

from trainwave_exporter.ledger.entry import Labels
from trainwave_exporter.ledger.history import PeriodSpend
from trainwave_exporter.ledger.live import Runner, lasts_until, spent_by
from trainwave_exporter.ledger.organization import organization_of
from trainwave_exporter.ledger.periods import Period
from trainwave_exporter.ledger.store import ProjectEntry
from trainwave_exporter.ledger.units import dollars, microdollars, seconds
from trainwave_exporter.model import BudgetStatus


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

    def covers(
        self,
        organization_id: str | None,
        labels: Labels,
        projects: Mapping[str, ProjectEntry],
    ) -> bool:
        """Whether money spent under these labels counts."""
        project = projects.get(labels.project_id)
        names = {labels.project_id, project.name if project is not None else None}
        payer = organization_of(organization_id, labels.project_id, projects)
        return (
            (not self.organizations or payer in self.organizations)
            and (not self.projects or not self.projects.isdisjoint(names))
            and (not self.owners or labels.owner in self.owners)
            and (not self.gpu_types or labels.gpu_type in self.gpu_types)
        )


def status(
    budget: Budget,
    spend: PeriodSpend,
    runners: Iterable[Runner] | None,
    projects: Mapping[str, ProjectEntry],
    now: int,
    exhausted_at: Callable[[int], int],
) -> BudgetStatus:
    """Return how a budget stands ``now`` (milliseconds).

    ``spend``: that of the period. ``runners``: what runs now; None: not all of it is known, and so
    neither is what will be. ``exhausted_at`` tells when so many micro-dollars had been spent, for a
    budget that is used up.
    """
    limit = microdollars(budget.limit_dollars)
    spent = spend.spent(lambda payer: budget.covers(payer.organization_id, payer.labels, projects))
    end, forecast, reached = spend.span.end, None, None
    if runners is not None:
        covered = [r for r in runners if budget.covers(r.organization_id, r.labels, projects)]
        forecast = dollars(spent + spent_by(covered, now, end))
        reached = lasts_until(limit - spent, covered, now)
    if spent >= limit:
        reached = exhausted_at(limit)
    return BudgetStatus(
        name=budget.name,
        limit_dollars=budget.limit_dollars,
        spent_dollars=dollars(spent),
        forecast_dollars=forecast,
        exhausted_at=None if reached is None or reached >= end else seconds(reached),
        begins_at=seconds(spend.span.begin),
        ends_at=seconds(end),
    )
