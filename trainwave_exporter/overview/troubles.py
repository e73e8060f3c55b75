"""The last errors, as kinds: when, what, how often. Bounded, however many there are."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from trainwave_exporter.model import Exchange, Fact, LedgerRun
from trainwave_exporter.overview.advice import ADVICE, STORE, STORE_LOST
from trainwave_exporter.web import TroubleOverview

KINDS_KEPT = 12
"""How many kinds are kept of each account."""


@dataclass(slots=True)
class _Kind:
    first_at: float
    last_at: float
    count: int = 0


class Troubles:
    """What went wrong, by account, place and outcome."""

    def __init__(self) -> None:
        self._kinds: dict[str, OrderedDict[tuple[str, str], _Kind]] = {}

    def observe(self, fact: Fact, now: float) -> None:
        """Take note of a fact, if it is one of trouble."""
        match fact:
            case Exchange(account=account, endpoint=place, outcome=outcome) if outcome in ADVICE:
                self._note(account, place, outcome, now)
            case LedgerRun(succeeded=False, lost=lost):
                self._note("", "ledger", STORE_LOST if lost else STORE, now)
            case _:
                pass

    def _note(self, account: str, place: str, outcome: str, now: float) -> None:
        kinds = self._kinds.setdefault(account, OrderedDict())
        kind = kinds.setdefault((place, outcome), _Kind(now, now))
        kind.last_at = now
        kind.count += 1
        kinds.move_to_end((place, outcome))
        if len(kinds) > KINDS_KEPT:
            kinds.popitem(last=False)

    def forget(self, account: str) -> None:
        """Forget an account that is not watched any more."""
        self._kinds.pop(account, None)

    def newest(self) -> tuple[TroubleOverview, ...]:
        """Return all kinds, that which was met last first."""
        told = [
            TroubleOverview(
                account=account,
                place=place,
                outcome=outcome,
                meaning=ADVICE[outcome].meaning,
                remedy=ADVICE[outcome].remedy,
                count=kind.count,
                first_at=kind.first_at,
                last_at=kind.last_at,
            )
            for account, kinds in self._kinds.items()
            for (place, outcome), kind in kinds.items()
        ]
        return tuple(sorted(told, key=lambda trouble: -trouble.last_at))
