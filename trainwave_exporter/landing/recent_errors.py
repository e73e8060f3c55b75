"""The last errors, as kinds: when, what, how often. Bounded, however many there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from trainwave_exporter.landing.advice import ADVICE, STORE, STORE_LOST, Advice, of_unreadable
from trainwave_exporter.landing.overview import TroubleOverview
from trainwave_exporter.model import Exchange, Fact, LedgerRun, Unreadable

KINDS_KEPT = 12
"""How many kinds are kept of each account: of errors, and of values that could not be read."""


@dataclass(slots=True)
class _Kind:
    first_at: float
    last_at: float
    count: int = 0


_Kinds: TypeAlias = dict[str, OrderedDict[tuple[str, str], _Kind]]
"""By account, and by place and outcome."""


class RecentErrors:
    """What went wrong, by account, place and outcome."""

    def __init__(self) -> None:
        self._errors: _Kinds = {}
        self._unreadable: _Kinds = {}

    def observe(self, fact: Fact, now: float) -> None:
        """Take note of a fact, if it is one of trouble."""
        match fact:
            case Exchange(account=account, endpoint=place, outcome=outcome) if outcome in ADVICE:
                _note(self._errors, account, place, outcome, now)
            case LedgerRun(succeeded=False, lost=lost):
                _note(self._errors, "", "ledger", STORE_LOST if lost else STORE, now)
            case Unreadable(account=account, subject=subject, reason=reason):
                _note(self._unreadable, account, subject, reason, now)
            case _:
                pass

    def forget(self, account: str) -> None:
        """Forget an account that is not watched any more."""
        self._errors.pop(account, None)
        self._unreadable.pop(account, None)

    def newest(self) -> tuple[TroubleOverview, ...]:
        """Return all kinds, that which was met last first."""
        errors = _overviews(self._errors, ADVICE.__getitem__, notable=True)
        unreadable = _overviews(self._unreadable, of_unreadable, notable=False)
        return tuple(sorted((*errors, *unreadable), key=lambda trouble: -trouble.last_at))


def _note(all_kinds: _Kinds, account: str, place: str, outcome: str, now: float) -> None:
    kinds = all_kinds.setdefault(account, OrderedDict())
    kind = kinds.setdefault((place, outcome), _Kind(now, now))
    kind.last_at = now
    kind.count += 1
    kinds.move_to_end((place, outcome))
    if len(kinds) > KINDS_KEPT:
        kinds.popitem(last=False)


def _overviews(
    all_kinds: _Kinds, advice: Callable[[str], Advice], *, notable: bool
) -> Iterator[TroubleOverview]:
    for account, kinds in all_kinds.items():
        for (place, outcome), kind in kinds.items():
            yield TroubleOverview(
                account=account,
                place=place,
                outcome=outcome,
                meaning=advice(outcome).meaning,
                remedy=advice(outcome).remedy,
                notable=notable,
                count=kind.count,
                first_at=kind.first_at,
                last_at=kind.last_at,
            )
