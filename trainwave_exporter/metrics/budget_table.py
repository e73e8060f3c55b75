"""The table of budgets: what each is, by name and by what the exporter sees.

Two teams may use the same names for their budgets: the views of all accounts that count towards a
budget belong to its identity.
"""

from __future__ import annotations

from collections.abc import Iterator

from trainwave_exporter.exposition.table import Table
from trainwave_exporter.metrics.catalog import Selection
from trainwave_exporter.metrics.families import ViewedBudget
from trainwave_exporter.metrics.families import budget as budget_families
from trainwave_exporter.model import AccountStatus, BudgetStatus


class Budgets:
    """All budgets, and the views of all accounts.

    Budgets are shown once every account was asked what it sees, so that none begins under one view
    and goes on under another.
    """

    def __init__(self, selection: Selection) -> None:
        shown = selection.among(budget_families)
        self.table = Table(shown, budget_families.labels, budget_families.identity)
        self._budgets: dict[str, BudgetStatus] = {}
        self._views: dict[str, str | None] = {}
        self._changed: set[str] = set()
        self._shown_as: str | None = None

    def put(self, key: str, status: BudgetStatus) -> None:
        """Take a budget in, or take over what it has become."""
        self._budgets[key] = status
        self._changed.add(key)

    def remove(self, key: str) -> None:
        """Forget a budget."""
        self._budgets.pop(key, None)
        self._changed.discard(key)
        self.table.remove(key)

    def put_account(self, status: AccountStatus) -> None:
        """Take over what an account sees."""
        self._views[status.name] = status.view

    def remove_account(self, status: AccountStatus) -> None:
        """Forget an account."""
        self._views.pop(status.name, None)

    def settle(self) -> None:
        """Show what changed since the last time."""
        views = self._views.values()
        if None in views and self._shown_as is None:
            return
        view = ",".join(sorted({view for view in views if view}))
        if view != self._shown_as:
            self._shown_as = view
            self._changed = {*self._budgets}
        for key in self._changed:
            self.table.put(key, ViewedBudget(self._budgets[key], view))
        self._changed.clear()

    def records(self) -> Iterator[BudgetStatus]:
        """Yield all budgets that were put and not removed."""
        yield from self._budgets.values()
