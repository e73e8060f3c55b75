"""Spend that is not billed yet, because bills come in steps, or at the end. Pure functions.

A running job whose cost stands still accrues its price for as long as that is so. When the bill
comes, the accrued amount gives way to it, so that spend grows evenly however bills come.
"""

from __future__ import annotations

from typing import Final

from trainwave_exporter.ledger.entry import JobEntry
from trainwave_exporter.ledger.units import HOUR

BILL_BOUND: Final = 2 * HOUR
"""How long after a job was seen finished a bill may still come."""
AWAY: Final = HOUR // 12
"""How long a job that is not seen goes on accruing."""


def accrued(entry: JobEntry, begin: int, now: int) -> int:
    """Return what a job has accrued since ``begin`` beyond its bill, in micro-dollars.

    Nothing where its price is unknown, and never more than the price explains since it started.
    """
    meter, began = entry.cost, entry.running_since
    if meter is None or not meter.last.rate or began is None:
        return 0
    last, rate = meter.last, meter.last.rate
    behind = meter.behind
    if entry.over_seen is None:
        until = max(last.at, min(now, last.at + AWAY))
        behind += rate * (until - last.at) // HOUR
    else:
        if now - entry.over_seen > BILL_BOUND:
            return 0
        until = min(last.at, entry.life.finished or last.at)
        behind -= rate * (last.at - until) // HOUR
    explained = max(0, rate * (until - began) // HOUR - (last.told - entry.cost_base))
    if meter.behind and meter.anchor.at == entry.first_seen and last.told == meter.anchor.told:
        unbilled = max(behind, explained)  # no bill has come since it was first seen
    else:
        unbilled = min(behind, explained)
    return max(0, min(unbilled, rate * (until - begin) // HOUR))
