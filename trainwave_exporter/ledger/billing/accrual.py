"""Spend that is not billed yet, because bills come in steps, or at the end. Pure functions.

A running job whose cost stands still accrues its price for as long as that is so. When the bill
comes, the accrued amount gives way to it, so that spend grows evenly however bills come.
"""

from __future__ import annotations

from typing import Final

from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds
from trainwave_exporter.ledger.billing.job_entry import JobEntry, Meter
from trainwave_exporter.ledger.billing.late_bills import BILL_DELAY, STEP
from trainwave_exporter.ledger.billing.price_line import WATCHED
from trainwave_exporter.ledger.billing.units import HOUR

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
    return entry.finished_seen is None or _behind(entry, entry.cost) > 0


def accrued(entry: JobEntry, begin: int, now: int) -> Bounds:
    """Return what a job has accrued since ``begin`` beyond its bill, in micro-dollars.

    Nothing where its price is unknown, and never more than the price explains since it started.
    Bounds where it ran already when it was first seen, its start is not reported, and no bill has
    come since: it accrued since the first look at the least, and at the most all that its bill does
    not cover of the time since its creation. Likewise where it ran already, and its bill does not
    fit its price: that may have been another before. And where it ended while nobody looked.
    """
    meter = entry.cost
    if meter is None or not meter.last.rate or entry.running_since is None:
        return NOTHING
    rate, owed = meter.last.rate, _owed(entry, meter, now)
    if owed is None:
        return NOTHING
    last, (behind, unseen, until) = meter.last, owed
    started = entry.life.started
    most = behind
    # After a change of price, the present one says nothing of what the whole run is worth.
    one_price = entry.idle_estimate.earlier_price is None
    if one_price and started is not None and started > entry.run_since:
        behind = min(behind, rate * (until - started) // HOUR - last.value)
        # Where it ran before it was seen, it may have been dearer then, and is billed for that.
        most = most if started < (entry.run_seen or entry.first_seen) else behind
    since_begin = rate * (until - begin) // HOUR
    least = max(0, min(behind, since_begin - unseen))
    most = max(least, min(most + unseen, since_begin))
    if unseen:  # it may have ended at the last look that saw it run, or just before the next
        return Bounds(least, most)
    if _started_unseen(entry, meter):
        # It has run since it was seen to, and no longer than since it was last seen to wait.
        ran = rate * (until - max(begin, entry.running_since)) // HOUR - last.value
        return Bounds(max(0, min(least, ran)), least)
    if _maybe_cheaper(entry, meter):
        # Its price may have been another before it was seen, until a bill shows that it was not.
        billed_since = meter.last.value > meter.anchor.value
        ran = 0 if billed_since else rate * (until - entry.first_seen) // HOUR
        return Bounds(max(0, min(least, ran)), least)
    if not _since_creation(entry, meter, until):
        return Bounds(least, most)
    # It cannot have run before its creation, and has since then, for all that is known.
    whole = rate * (until - max(begin, entry.life.created or begin)) // HOUR
    billed = min(last.value, max(0, rate * (meter.anchor.at - begin) // HOUR))
    return Bounds(least, max(least, whole - billed))


def _owed(entry: JobEntry, meter: Meter, now: int) -> tuple[int, int, int] | None:
    """Return what a job owes, what more if it ended last thing unseen, and until when it ran."""
    last, rate, behind = meter.last, meter.last.rate or 0, _behind(entry, meter)
    if entry.finished_seen is None:
        until = max(last.at, min(now, last.at + AWAY))
        return behind + rate * (until - last.at) // HOUR, 0, until
    finished = entry.life.finished
    if now - (finished or entry.finished_seen) > BILL_BOUND:
        return None
    unseen = _unseen(entry, meter)
    until = min(last.at, finished or last.at)
    if finished is not None:
        behind, unseen = behind + unseen, 0
    behind -= rate * (last.at - until) // HOUR if meter.behind else 0
    if behind + unseen <= rate * SEEN_LATE // HOUR:
        return None  # it ended that long before it was seen finished
    return behind, unseen, until


def _behind(entry: JobEntry, meter: Meter) -> int:
    """Return by how much a bill was behind when a job was last seen.

    Of one that was over when it was first seen, its times say what it was worth.
    """
    started, finished, last = entry.life.started, entry.life.finished, meter.last
    unseen = entry.finished_seen == entry.first_seen and not last.value
    if meter.behind or not unseen or started is None or finished is None or not last.rate:
        return meter.behind
    return last.rate * max(0, finished - started) // HOUR


def _unseen(entry: JobEntry, meter: Meter) -> int:
    """Return what a job may owe for time within which it ended while nobody looked."""
    anchor, last, since = meter.anchor, meter.last, entry.running_since
    if (
        since is None
        or anchor.value != last.value
        or anchor.finished
        or entry.finished_seen is None
    ):
        return 0
    rate = min(anchor.rate or 0, last.rate or 0)
    worth = rate * (last.at - max(anchor.at, since)) // HOUR
    return (
        worth - meter.behind if worth - meter.behind > rate * (WATCHED - SEEN_LATE) // HOUR else 0
    )


def _started_unseen(entry: JobEntry, meter: Meter) -> bool:
    """Whether a job began to run while nobody looked, and no bill has said when."""
    since, anchor = entry.running_since, meter.anchor
    waited = since is not None and since > (entry.run_seen or entry.first_seen)
    return waited and entry.life.started is None and not anchor.value and anchor.at < (since or 0)


def _maybe_cheaper(entry: JobEntry, meter: Meter) -> bool:
    """Whether a job was behind its price when it was first seen, though something was billed.

    Nothing that was billed since makes up for that.
    """
    anchor, last, started = meter.anchor, meter.last, entry.life.started
    if entry.run or started is None or not started <= anchor.at < entry.first_seen:
        return False
    end, slack = entry.first_seen, BILL_DELAY
    if last.value > anchor.value:  # by its last bill, if it is over
        end = entry.life.finished or last.at
        slack = BILL_DELAY if entry.finished_seen is None else SEEN_LATE
    explained = (last.rate or 0) * (end - started - slack) // HOUR
    return 0 < last.value < explained


def _since_creation(entry: JobEntry, meter: Meter, until: int) -> bool:
    """Whether a job may have accrued since its creation, for all that is known.

    A job whose cost rises within minutes, as most do, is billed as it runs. Of one that was seen
    within minutes of its creation, no more than these can be missing.
    """
    seen, life = entry.run_seen or entry.first_seen, entry.life
    ran_before = entry.running_since is not None and entry.running_since <= seen
    if life.started is not None or entry.finished_seen is not None or not ran_before:
        return False
    if life.created is not None and seen - life.created <= STEP:
        return False
    stands = meter.anchor.at == seen and meter.anchor.value == meter.last.value
    return stands and (not meter.last.value or until - seen > STEP)
