"""Which figures are unknown now, and what that means in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from trainwave_exporter.landing.overview import UnknownOverview
from trainwave_exporter.model import Appeared, Change, Changed, Departed, UnknownFigure

FIGURES: Final[Mapping[str, str]] = {
    "budget": "Spend of the budget",
    "budget_forecast": "Forecast of the budget",
    "credit_runway": "Credit runway",
    "credit_reconciliation": "Credit reconciliation",
    "cost": "Cost of a job of the account",
    "burn": "Spend rate of jobs of the account",
    "waste": "Idle waste of jobs of the account",
    "spend": "Counters of cost and GPU hours of the account",
    "scope": "Name in a setting",
}
REASONS: Final[Mapping[str, str]] = {
    "account_down": "An account cannot be read.",
    "balance_unconfirmed": "The balance fell by more than was billed; the next balance decides.",
    "balances_not_settled": "No two balances can be compared with the bills yet.",
    "history_incomplete": (
        "It is not known yet when some jobs ran. The amount is between the bounds, unless a job's"
        " price changed while it ran."
    ),
    "implausible_amount": (
        "A reported cost is far too high for any known price; it counts once it is reported again."
    ),
    "ledger_catching_up": (
        "The first complete lists since the start have not been read yet, or the GPU types of new"
        " jobs are not known yet (up to 15 minutes)."
    ),
    "ledger_failing": "The ledger cannot be written.",
    "ledger_unavailable": "The ledger can only be read since the start, not written.",
    "partial_view": "Only a part of the organization's jobs is watched.",
    "price_unknown": "The price of a running job is not reported.",
    "scope_matches_nothing": (
        "No project, organization, owner or GPU type has this name. Correct the setting."
    ),
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
