"""Options of the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from trainwave_exporter.ledger.billing.budget import Budget
from trainwave_exporter.ledger.billing.scopes import Scope
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import Organization


class WatchedScope(Struct, frozen=True, kw_only=True):
    """Which part of what a key sees is watched."""

    organization: str | None = None
    """Only this organization, by id or rid; None: all."""
    project: str | None = None
    """Only this project; None: all."""

    def whole(self, organization: Organization) -> bool:
        """Whether all jobs of an organization are watched."""
        names = (None, organization.id, organization.rid)
        return self.project is None and self.organization in names

    @property
    def scope(self) -> Scope:
        """The names that have to match something."""
        return Scope(self.organization, self.project)


class LedgerOptions(Struct, frozen=True, kw_only=True):
    """Options of the ledger, as the operator configures them."""

    rules: WasteRules = WasteRules()
    budgets: tuple[Budget, ...] = ()
    retention: int = 0
    """How long detail is kept, milliseconds; 0: for ever."""
    accounts: Mapping[str, WatchedScope]
    """Which part of each account is watched, by the names of the accounts."""
