"""Reconciliation: whether credit falls by what was billed. Pure functions.

A balance is compared with what all jobs of its organization were reported to cost at that moment,
and not with what they cost by then: bills that come late are late on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from trainwave_exporter.ledger.billing.bounds import Bounds
from trainwave_exporter.ledger.billing.job_entry import Correction
from trainwave_exporter.ledger.billing.stored_records import Balance
from trainwave_exporter.ledger.billing.units import HOUR, MICRO, milliseconds

WINDOW: Final = 24 * HOUR
"""How far back credit and bills are compared."""
SETTLING: Final = milliseconds(120)
"""How long before or after a balance a bill that it includes may be seen, milliseconds."""


def kept(balances: Sequence[Balance], newest: Balance) -> list[Balance]:
    """Return the balances of one organization that matter, with a new one: those of the window.

    One before it is kept, however old: it is where an absence of the exporter began.
    """
    earlier = [balance for balance in balances if balance.at < newest.at]
    inside = [balance for balance in earlier if balance.at >= newest.at - WINDOW]
    outside = [b for b in earlier if b.at < newest.at - WINDOW and b.billed is not None]
    return [*outside[-1:], *inside, newest]


def difference(balances: Iterable[Balance], corrections: Sequence[Correction] = ()) -> int | None:
    """Return by how many micro-dollars the credit fell at the least beyond what was billed.

    ``balances``: those of one organization, in order of time; ``corrections``: those of its jobs.
    None while there is nothing to compare.
    """
    settled = [balance for balance in balances if balance.billed is not None]
    stretches = [
        compared(*stretch, corrections) for stretch in falls(without_outliers(settled, corrections))
    ]
    if not stretches:
        return None
    return Bounds(sum(s.lower for s in stretches), sum(s.upper for s in stretches)).nearest(0)


def without_outliers(
    balances: Sequence[Balance], corrections: Sequence[Correction] = ()
) -> list[Balance]:
    """Return settled balances without those that were reported once and taken back.

    Such a one lies above or below both its neighbours, and these fit each other better.
    """
    found = list(balances[:1])
    for balance, after in pairwise(balances[1:]):
        if not _is_outlier(found[-1], balance, after, corrections):
            found.append(balance)
    return found + list(balances[1:][-1:])


def _is_outlier(
    before: Balance, balance: Balance, after: Balance, corrections: Sequence[Correction]
) -> bool:
    def distance(first: Balance, last: Balance) -> int:
        return abs(compared(first, last, corrections).nearest(0))

    if before.micro < balance.micro:
        extreme, odd = after.micro <= before.micro, distance(balance, after)
    else:
        extreme = balance.micro < before.micro and balance.micro < after.micro
        odd = distance(before, balance)
    return extreme and distance(before, after) < odd


def falls(balances: Sequence[Balance]) -> Iterator[tuple[Balance, Balance]]:
    """Yield the first and the last balance of each stretch in which the credit never rose.

    Money was paid in where it rose; how much was spent meanwhile does not follow from it.
    """
    first = None
    for before, after in pairwise(balances):
        if after.micro > before.micro:
            if first is not None:
                yield first, before
            first = None
        elif first is None:
            first = before
    if first is not None:
        yield first, balances[-1]


def compared(first: Balance, last: Balance, corrections: Iterable[Correction] = ()) -> Bounds:
    """Return within which bounds the credit fell beyond what was billed between two balances.

    A correction was made at an unknown time since its job was last seen; a balance of that time
    includes it or not. What is seen at the very moment of a balance is in both.
    """
    assert first.billed is not None and last.billed is not None  # noqa: S101, PT018 - settled
    fall = first.micro - last.micro
    lower = fall - (last.billed[1] - first.billed[0])
    upper = fall - (last.billed[0] - first.billed[1])
    for correction in corrections:
        in_first, in_last = (_is_doubtful(correction, each) for each in (first, last))
        if in_first or in_last:
            # Seen after the last, it may be in the last already; seen before, in the first.
            more = -correction.micro if in_last else correction.micro
            lower, upper = lower + min(0, more), upper + max(0, more)
    return Bounds(lower, upper)


def _is_doubtful(correction: Correction, balance: Balance) -> bool:
    return correction.since < balance.at < correction.at


def is_implausible(before: Balance, balance: Balance, burn: int, billed: int) -> bool:
    """Whether a balance fell by more than was billed, twice what running jobs burn, and a dollar.

    ``burn``: micro-dollars an hour. ``billed``: what all jobs are billed by now.
    """
    if before.billed is None:
        return False
    explained = 2 * burn * (balance.at - before.at) // HOUR + MICRO
    return before.micro - balance.micro > explained + max(0, billed - before.billed[0])
