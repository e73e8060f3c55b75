"""Credit: how long it lasts, and whether it falls by what was booked. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from trainwave_exporter.ledger.store import Balance
from trainwave_exporter.ledger.units import HOUR, milliseconds

WINDOW: Final = 24 * HOUR
"""How far back credit and books are compared."""
SETTLING: Final = milliseconds(120)
"""How old a balance must be before all that was spent until then is likely to be booked."""


def settled(balances: Sequence[Balance], booked_at: int) -> list[Balance]:
    """Return the balances of one organization, in order of time, that can be compared.

    ``booked_at``: until when all that was seen is booked.
    """
    return [b for b in balances if booked_at - WINDOW <= b.at <= booked_at - SETTLING]


def falls(balances: Sequence[Balance]) -> Iterator[tuple[Balance, Balance]]:
    """Yield the first and the last balance of each stretch in which the credit never rose.

    Money was paid in where it rose; how much was spent meanwhile cannot be told from it.
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


def difference(balances: Sequence[Balance], booked: Callable[[int, int], int]) -> int | None:
    """Return by how many micro-dollars the credit fell beyond what was booked in the same time.

    ``balances`` are `settled`; ``booked`` tells what was for a begin and an end. None while there
    is nothing to compare.
    """
    stretches = list(falls(balances))
    if not stretches:
        return None
    return sum(first.micro - last.micro - booked(first.at, last.at) for first, last in stretches)
