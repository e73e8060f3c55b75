"""Where the money goes: budgets in their periods, and what becomes of credit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from zoneinfo import ZoneInfo

from trainwave_exporter.ledger import budget as budgets
from trainwave_exporter.ledger import funds
from trainwave_exporter.ledger.budget import Budget
from trainwave_exporter.ledger.entry import JobEntry
from trainwave_exporter.ledger.errors import StoreError
from trainwave_exporter.ledger.history import PeriodSpend, booked, spent_before
from trainwave_exporter.ledger.live import Live, Runner, lasts_until
from trainwave_exporter.ledger.organization import organization_of
from trainwave_exporter.ledger.periods import Period, Span, span_of
from trainwave_exporter.ledger.store import Balance, ProjectEntry, Store, Story
from trainwave_exporter.ledger.units import dollars, milliseconds, seconds
from trainwave_exporter.model import BudgetStatus, Funds

_PRECISION = milliseconds(60)
"""How exactly it is told when a budget was used up."""


class Outlook:
    """Keeps what budgets and funds are reckoned from."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._spends: dict[tuple[Period, ZoneInfo], PeriodSpend] = {}
        self._exhausted: dict[str, tuple[Span, int]] = {}
        """By budget that is used up: the period, and when the limit was reached in it."""
        self._balances: dict[str, list[Balance]] = {}
        self._differences: dict[str, tuple[Sequence[Balance], int | None]] = {}

    def retune(self, budgets: Sequence[Budget]) -> None:
        """Reckon these budgets from now on."""
        self._budgets = budgets
        self._exhausted.clear()

    def begin(self, balances: Iterable[Balance]) -> None:
        """Reckon all anew from a store, with the balances that it holds before those told since."""
        self._spends.clear()
        self._exhausted.clear()
        since, self._balances = self._balances, {}
        for balance in chain(balances, *since.values()):
            self.balance(balance)

    def balance(self, told: Balance) -> None:
        """Take in what credit an organization has."""
        known = self._balances.setdefault(told.organization_id, [])
        oldest = told.at - funds.WINDOW
        known[:] = [b for b in known if oldest <= b.at < told.at] + [told]

    def seen(self, entries: Iterable[JobEntry], store: Store) -> None:
        """Take over what has become of jobs. Raises `StoreError` when they cannot be read."""
        try:
            for entry in entries:
                for spend in self._spends.values():
                    spend.update(entry, partial(store.story, entry.id))
        except StoreError:
            self._spends.clear()  # to be read anew as a whole
            raise

    def budgets(
        self,
        store: Store,
        runners: Sequence[Runner] | None,
        projects: Mapping[str, ProjectEntry],
        now: int,
    ) -> Iterator[BudgetStatus]:
        """Yield how each budget stands now (milliseconds); ``runners``: see `budgets.status`."""
        for budget in self._budgets:
            spend = self._spend(budget, store, now)
            status = budgets.status(
                budget,
                spend,
                runners,
                projects,
                now,
                partial(self._exhausted_at, budget, spend.span, store, projects, now),
            )
            if status.spent_dollars < status.limit_dollars:
                self._exhausted.pop(budget.name, None)  # a correction may have made room again
            yield status

    def _spend(self, budget: Budget, store: Store, now: int) -> PeriodSpend:
        """Return what was spent in the present period; periods that are the same are shared."""
        place = budget.period, budget.zone
        spend = self._spends.get(place)
        span = span_of(budget.period, budget.zone, now)
        if spend is None or spend.span != span:
            spend = self._spends[place] = PeriodSpend(span, store.stories(span.begin, span.end))
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
        stories = [
            story
            for story in store.stories(span.begin, now)
            if budget.covers(story.entry.organization_id, story.entry.labels, projects)
        ]
        reached = _reached(stories, span.begin, now, limit)
        self._exhausted[budget.name] = span, reached
        return reached

    def funds(
        self,
        store: Store | None,
        live: Live,
        projects: Mapping[str, ProjectEntry],
        watched: Mapping[str, bool],
        booked_at: int | None,
        now: int,
    ) -> Iterator[Funds]:
        """Yield what becomes of the credit of each organization that is ``watched``.

        Its value: whether all its jobs are seen, so that credit and books can be compared.
        ``booked_at``: until when all that was seen is booked; None: not even what was seen first.
        """
        runners = live.runners()
        for organization_id, whole in watched.items():
            balances = self._balances.get(organization_id)
            if not balances:
                continue
            own = [
                runner
                for runner in runners
                if organization_of(runner.organization_id, runner.labels.project_id, projects)
                == organization_id
            ]
            lasts = lasts_until(balances[-1].micro, own, now)
            compared = None
            if whole and store is not None and booked_at is not None:
                compared = self._difference(organization_id, store, projects, booked_at)
            yield Funds(
                organization_id=organization_id,
                exhausted_at=None if lasts is None else seconds(lasts),
                difference_dollars=None if compared is None else dollars(compared),
            )

    def _difference(
        self,
        organization_id: str,
        store: Store,
        projects: Mapping[str, ProjectEntry],
        booked_at: int,
    ) -> int | None:
        """Return `funds.difference`, reckoned anew only when there is another balance."""
        balances = funds.settled(self._balances[organization_id], booked_at)
        known = self._differences.get(organization_id)
        if known is not None and known[0] == balances:
            return known[1]

        def spent(begin: int, end: int) -> int:
            # What was seen at the very moment of a balance (a correction, say) is in it already.
            begin, end = begin + 1, end + 1
            return sum(
                cost
                for entry, cost in booked(store.stories(begin, end), begin, end)
                if organization_of(entry.organization_id, entry.labels.project_id, projects)
                == organization_id
            )

        found = funds.difference(balances, spent)
        self._differences[organization_id] = balances, found
        return found


def _reached(stories: Sequence[Story], begin: int, now: int, limit: int) -> int:
    """Return when so many micro-dollars had been spent since ``begin``, by bisection."""
    at_begin = sum(spent_before(story, begin) for story in stories)
    low, high = begin, now
    while high - low > _PRECISION:
        middle = (low + high) // 2
        if sum(spent_before(story, middle) for story in stories) - at_begin >= limit:
            high = middle
        else:
            low = middle
    return high
