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
SEEN_LATE: Final = HOUR // 60
"""By how much later than its end a job may be seen finished."""
AWAY: Final = HOUR // 12
"""How long a job that is not seen goes on accruing."""


def may_accrue(entry: JobEntry) -> bool:
    """Whether a job may owe more than its bill, now or within a short time."""
    if entry.cost is None or not entry.cost.last.rate or entry.running_since is None:
        return False
    return entry.over_seen is None or entry.cost.behind > 0


def accrued(entry: JobEntry, begin: int, now: int) -> int:
    """Return what a job has accrued since ``begin`` beyond its bill, in micro-dollars.

    Nothing where its price is unknown, and never more than the price explains since it started.
    """
    meter = entry.cost
    if meter is None or not meter.last.rate or entry.running_since is None:
        return 0
    last, rate, behind = meter.last, meter.last.rate, meter.behind
    if entry.over_seen is None:
        until = max(last.at, min(now, last.at + AWAY))
        behind += rate * (until - last.at) // HOUR
    elif now - entry.over_seen <= BILL_BOUND:
        until = min(last.at, entry.life.finished or last.at)
        behind -= rate * (last.at - until) // HOUR
        if behind <= rate * SEEN_LATE // HOUR:
            return 0  # it ended that long before it was seen finished
    else:
        return 0
    started = entry.life.started
    # After a change of price, the present one says nothing of what the whole run is worth.
    one_price = entry.judgement.earlier_price is None
    if one_price and started is not None and started > entry.run_since:
        behind = min(behind, rate * (until - started) // HOUR - last.told)
    return max(0, min(behind, rate * (until - begin) // HOUR))
