"""Which figures are unknown now, and what that means in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from trainwave_exporter.model import Appeared, Change, Changed, Departed, UnknownFigure
from trainwave_exporter.web import UnknownOverview

FIGURES: Final[Mapping[str, str]] = {
    "budget": "Spend of the budget",
    "budget_forecast": "Forecast of the budget",
    "credit_runway": "How long credit lasts",
    "credit_reconciliation": "Credit reconciliation",
    "cost": "Cost of a job of the account",
    "spend": "Counters of cost and GPU hours of the account",
    "scope": "What a setting names",
}
REASONS: Final[Mapping[str, str]] = {
    "account_down": "An account cannot be read.",
    "balance_unconfirmed": "The balance fell by more than was billed; the next one decides.",
    "balances_not_settled": "There are no two balances yet that can be compared with the bills.",
    "history_incomplete": "Lists or details of jobs that may have run in the period are missing"
    " (yet). The bounds say what is certain.",
    "implausible_amount": "A cost is reported that no price explains; it counts when it is reported"
    " again.",
    "ledger_catching_up": "The first complete list since the start is not read, or not booked yet:"
    " the GPU types of new jobs are waited for, for up to 15 minutes.",
    "ledger_failing": "The ledger cannot be written.",
    "ledger_unavailable": "The ledger can be read and not written since the start.",
    "partial_view": "Only a part of the organization's jobs is watched.",
    "price_unknown": "The price of a running job is not reported.",
    "scope_matches_nothing": "No project, organization, owner or GPU type has this name. Correct"
    " the setting.",
}


class UnknownFigures:
    """The figures that are unknown now."""

    def __init__(self) -> None:
        self._known: dict[str, UnknownFigure] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what happened. A `ChangeListener`."""
        for change in changes:
            match change:
                case Appeared(UnknownFigure() as figure) | Changed(_, UnknownFigure() as figure):
                    self._known[figure.key] = figure
                case Departed(UnknownFigure() as figure):
                    self._known.pop(figure.key, None)
                case _:
                    pass

    def all(self) -> tuple[UnknownOverview, ...]:
        """Return them in words, in order of their names."""
        return tuple(
            UnknownOverview(
                kind=each.figure,
                figure=FIGURES.get(each.figure, each.figure),
                name=each.name,
                reason=each.reason,
                meaning=REASONS.get(each.reason, ""),
            )
            for _, each in sorted(self._known.items())
        )
