"""Budgets in their current periods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from trainwave_exporter.ledger.billing import budget as budgets
from trainwave_exporter.ledger.billing.bounds import Bounds, cost_before, queue_bound
from trainwave_exporter.ledger.billing.budget import Budget, Doubts
from trainwave_exporter.ledger.billing.job_entry import JobEntry
from trainwave_exporter.ledger.billing.period_spend import Payer, PeriodSpend
from trainwave_exporter.ledger.billing.periods import Period, Span, span_of
from trainwave_exporter.ledger.billing.running_jobs import RunningJob
from trainwave_exporter.ledger.billing.stored_records import DetailsWanted, JobHistory, ProjectEntry
from trainwave_exporter.ledger.billing.units import milliseconds
from trainwave_exporter.ledger.storage.errors import StoreError
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import BudgetStatus, UnknownFigure

_PRECISION = milliseconds(60)
"""How exactly the time is found at which a budget was used up, milliseconds."""


class BudgetPeriods:
    """Keeps the spend of current periods, and computes budgets from it."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._queue = queue_bound(None)
        self._spends: dict[tuple[Period, ZoneInfo], PeriodSpend] = {}
        self._exhausted: dict[str, tuple[Span, int]] = {}
        """By budget that is used up: the period, and when the limit was reached in it."""

    def reconfigure(self, budgets: Sequence[Budget]) -> None:
        """Compute these budgets from now on."""
        self._budgets = budgets
        self._exhausted.clear()

    def begin(self, longest_queue: int | None) -> None:
        """Start from a store; ``longest_queue`` is the longest it knows, milliseconds."""
        self._queue = queue_bound(longest_queue)
        self._spends.clear()
        self._exhausted.clear()

    def seen(self, entries: Iterable[JobEntry], store: Store) -> None:
        """Take over the present entries of jobs. Raises `StoreError` when one cannot be read."""
        entries = tuple(entries)
        queue = max(
            (
                entry.life.started - entry.life.created
                for entry in entries
                if entry.life.started is not None and entry.life.created is not None
            ),
            default=0,
        )
        if queue_bound(queue) > self._queue:
            self._queue = queue_bound(queue)
            self._spends.clear()  # more jobs may have run in a period now
        try:
            for entry in entries:
                for spend in self._spends.values():
                    spend.update(entry, partial(store.history, entry.id))
        except StoreError:
            self._spends.clear()  # to be read anew as a whole
            raise

    def begin_of(self, budget: Budget, now: int) -> int:
        """Return when the current period of a budget began, milliseconds."""
        return span_of(budget.period, budget.zone, now).begin

    def wanted(self, now: int) -> DetailsWanted:
        """Return for which times details of finished jobs are wanted: all periods, this month."""
        spans = {b.name: span_of(b.period, b.zone, now) for b in self._budgets}
        month = span_of(Period.MONTH, ZoneInfo("UTC"), now)
        return DetailsWanted(
            begins=sorted({month.begin, *(span.begin for span in spans.values())}),
            within=sorted({spans[b.name].begin for b in self._budgets if b.gpu_types})[:1],
            queue=self._queue,
        )

    def status(
        self,
        budget: Budget,
        store: Store,
        runners: Sequence[RunningJob],
        projects: Mapping[str, ProjectEntry],
        doubts: Doubts,
        now: int,
    ) -> tuple[BudgetStatus, list[UnknownFigure]]:
        """Return a budget ``now`` (milliseconds), and which of its figures are unknown.

        ``runners``, ``doubts``: see `budgets.status`. Raises `StoreError` when its period cannot
        be read.
        """
        spend = self._spend(budget, store, now)
        found, unknown = budgets.status(
            budget,
            spend,
            runners,
            projects,
            now,
            doubts,
            partial(self._exhausted_at, budget, spend.span, store, projects, now),
        )
        least = found.spent_lower_dollars or found.spent_dollars or 0.0
        if least < found.limit_dollars:
            self._exhausted.pop(budget.name, None)  # a correction may have made room again
        return found, unknown

    def _spend(self, budget: Budget, store: Store, now: int) -> PeriodSpend:
        """Return the spend of the present period, which budgets of the same period share."""
        key = budget.period, budget.zone
        spend = self._spends.get(key)
        span = span_of(budget.period, budget.zone, now)
        if spend is None or spend.span != span:
            histories = store.histories(span.begin, span.end)
            spend = self._spends[key] = PeriodSpend(span, histories, self._queue)
        return spend

    def _exhausted_at(
        self,
        budget: Budget,
        span: Span,
        store: Store,
        projects: Mapping[str, ProjectEntry],
        now: int,
        limit: int,
    ) -> int:
        """Return when a budget that is used up had been spent; found once in a period."""
        known = self._exhausted.get(budget.name)
        if known is not None and known[0] == span:
            return known[1]
        histories = [
            history
            for history in store.histories(span.begin, now)
            if budget.covers(Payer(history.entry.organization_id, history.entry.labels), projects)
        ]
        reached = self._reached(histories, span.begin, now, limit)
        self._exhausted[budget.name] = span, reached
        return reached

    def _reached(self, histories: Sequence[JobHistory], begin: int, now: int, limit: int) -> int:
        """Return when so many micro-dollars had been spent for certain, by bisection."""
        at_begin = [cost_before(history, begin, self._queue) for history in histories]

        def spent(history: JobHistory, before: Bounds, at: int) -> int:
            since = cost_before(history, at, self._queue).lower - before.upper
            return max(0, since) if before.width else since  # but corrections count

        low, high = begin, now
        while high - low > _PRECISION:
            middle = (low + high) // 2
            pairs = zip(histories, at_begin, strict=True)
            if sum(spent(history, before, middle) for history, before in pairs) >= limit:
                high = middle
            else:
                low = middle
        return high
