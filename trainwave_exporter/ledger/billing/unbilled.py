"""What a job's time was worth and no bill covers yet, and so what a bill is for when it comes.

Bills may come at once, in steps, or at the end only. A rise of the cost first covers running time
that is not billed yet. What it exceeds that by covers the time before the job ran, and what is left
after that was billed for nothing if the job has been over for long enough. Pure functions.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.billing.job_entry import IdleEstimate, JobEntry, MeterSample
from trainwave_exporter.ledger.billing.meter import FINISH_GRACE
from trainwave_exporter.ledger.billing.price_line import TOLERANCE
from trainwave_exporter.ledger.billing.units import HOUR, microdollars, milliseconds
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import Job, JobState

_HIGHEST_PRICE: Final = 10**12
"""A million dollars an hour."""
_LATENCY: Final = 1000
"""Milliseconds by which an answer may be older than it seems."""
_LUMP: Final = 4
"""So many times its price in one step is a bill in advance, or for earlier time."""
_WAITING: Final = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})


class Bill(Struct, frozen=True):
    """What a sample shows of a job's bill, in micro-dollars."""

    unbilled: int | None = None
    """As in `IdleEstimate`, likewise the next two."""
    unbilled_launching: int = 0
    overbilled: int = 0
    stuck: int = 0
    """What was billed for launching beyond the bound."""
    after_finish: int = 0
    """What was billed when the job was over, beyond what its time was worth."""


def price_of(entry: JobEntry, job: Job) -> int | None:
    """Return a job's price in micro-dollars an hour, as last reported; None: it never was.

    Nor is one that no job can have.
    """
    price = None if entry.cost is None else entry.cost.last.rate
    if job.hourly_cost_dollars is not None:
        price = microdollars(job.hourly_cost_dollars)
    return None if price is not None and price > _HIGHEST_PRICE else price


def price_change(
    known: JobEntry | None, entry: JobEntry, idle_estimate: IdleEstimate, price: int | None
) -> int | None:
    """Return since when a job has another price than at the sample before; None: it has not.

    What was billed since the last sample, and steadily beyond the earlier price before that, says
    when it changed. Where that does not lie between both prices, the bill is late, and the change
    counts from when it was reported.
    """
    if known is None or known.cost is None or entry.cost is None:
        return None
    before, last = known.cost.last, entry.cost.last
    if price is None or before.rate is None or price == before.rate:
        return None
    time, more = last.at - before.at, price - before.rate
    excess = (last.value - before.value) * HOUR - before.rate * time
    if not 0 <= excess // more <= time + _LATENCY:
        return last.at
    if more > 0:
        excess += idle_estimate.overbilled * HOUR
        time = last.at - max(entry.running_since or 0, idle_estimate.price_since or 0)
    return last.at - min(excess // more, time)


def billed(
    known: JobEntry | None,
    entry: JobEntry,
    job: Job,
    idle_estimate: IdleEstimate,
    rules: WasteRules,
) -> Bill:
    """Return what a sample shows of a job's bill.

    ``known`` is the entry before it, ``entry`` the one after; ``idle_estimate`` is that of its run.
    """
    if entry.cost is None:
        return Bill(idle_estimate.unbilled, idle_estimate.unbilled_launching)
    price, value = price_of(entry, job), entry.cost.last.value
    waiting = job.state in _WAITING and not job.finished
    risen = entry.totals.cost - (0 if known is None else known.totals.cost)
    if known is None:
        unbilled, launching = _at_first_sight(entry, price, value, waiting=waiting)
        return Bill(unbilled, launching, stuck=_stuck_now(known, entry, risen, rules, waiting))
    before = None if known.cost is None else known.cost.last
    unbilled, launching = _due(known, before, entry, job, idle_estimate, price)
    rise = max(0, value - (0 if before is None else before.value))
    if waiting:
        stuck = _stuck_now(known, entry, risen, rules, waiting)
        return Bill(unbilled, max(0, launching - rise), stuck=stuck)
    if unbilled is None:  # without a price, the first bill after the end is a late one
        return Bill(0 if known.finished and rise else None)
    left, excess = unbilled - rise, max(0, rise - max(0, unbilled))
    stuck = 0
    if rise and excess > TOLERANCE and price is not None:
        covered = min(excess, launching)
        stuck = _stuck_later(entry, price, launching, covered, rules)
        excess, left = excess - covered, left + covered
    if job.finished and rise and left <= TOLERANCE:
        left = 0
    late = known.finished_seen is not None
    late = late and milliseconds(job.confirmed_at) - (known.finished_seen or 0) > FINISH_GRACE
    return Bill(
        unbilled=max(left, -(price or 0)),
        unbilled_launching=0 if rise else launching,
        overbilled=_overbilled(before, entry, idle_estimate, price),
        stuck=min(stuck, max(0, risen)),
        after_finish=max(0, min(excess, risen)) if late else 0,
    )


def _at_first_sight(
    entry: JobEntry, price: int | None, value: int, *, waiting: bool
) -> tuple[int | None, int]:
    """Return what is not billed yet of a job that is seen for the first time.

    Where something is billed, it is no more than an hour's worth: its price may have been another.
    """
    if price is None:
        return None, 0
    end = entry.life.finished if entry.finished else entry.first_seen
    if end is None:
        return 0, 0
    run, launch = _worth(entry, price, end)
    if waiting:
        return 0, max(0, launch - value)
    if value == 0:
        return run, launch
    return min(price, max(0, run - value)), 0


def _due(
    known: JobEntry,
    before: MeterSample | None,
    entry: JobEntry,
    job: Job,
    idle_estimate: IdleEstimate,
    price: int | None,
) -> tuple[int | None, int]:
    """Return what was not billed just before a sample, the time since the last one included."""
    if known.run != entry.run:
        return 0, 0
    if known.finished and not job.finished:  # what it did meanwhile is not known
        return idle_estimate.unbilled, idle_estimate.unbilled_launching
    at = milliseconds(job.confirmed_at)
    end = min(at, entry.life.finished or at) if entry.finished else at
    if before is None or idle_estimate.unbilled is None:
        if price is None or known.finished:
            return idle_estimate.unbilled, 0
        if before is None or before.value == 0:
            return _worth(entry, price, end)
        return 0, 0
    rate = price if before.rate is None else min(before.rate, _HIGHEST_PRICE)
    if known.finished or rate is None:
        return idle_estimate.unbilled, idle_estimate.unbilled_launching
    since = end if entry.running_since is None else entry.running_since
    if job.state not in _WAITING and entry.life.started is None and entry.life.finished is None:
        since = min(since, before.at)  # it was launching no longer than it was seen to be
    running = max(0, end - max(before.at, since))
    changed = price_change(known, entry, idle_estimate, price)
    more = 0 if changed is None or price is None else (price - rate) * max(0, end - changed)
    launching = max(0, min(end, since) - before.at)
    return (
        idle_estimate.unbilled + (rate * running + more) // HOUR,
        idle_estimate.unbilled_launching + rate * launching // HOUR,
    )


def _overbilled(
    before: MeterSample | None, entry: JobEntry, idle_estimate: IdleEstimate, price: int | None
) -> int:
    """Return what a job is billed steadily beyond its price; what comes in a lump is not."""
    last = entry.cost.last if entry.cost is not None else None
    if (
        before is None
        or last is None
        or before.rate is None
        or price != before.rate
        or entry.finished
    ):
        return 0
    due = price * (last.at - before.at) // HOUR
    rise = last.value - before.value
    if rise > _LUMP * due + TOLERANCE:
        return idle_estimate.overbilled
    return min(max(0, idle_estimate.overbilled + rise - due), price)


def _worth(entry: JobEntry, price: int, end: int) -> tuple[int, int]:
    """Return what a job's running time until ``end`` is worth, and the time before it ran.

    Nothing is known of the latter where it ran when it was first seen, and no start is reported.
    """
    begin, since = _begin(entry), end
    if entry.running_since is not None:
        since = min(end, max(entry.running_since, entry.run_seen or 0))
    waited = entry.life.started is not None or since > entry.first_seen
    launching = max(0, since - begin) if waited else 0
    return price * (end - since) // HOUR, price * launching // HOUR


def _begin(entry: JobEntry) -> int:
    """Return since when the present run may have been billed."""
    return entry.run_seen or entry.life.created or entry.first_seen


def _stuck_now(
    known: JobEntry | None, entry: JobEntry, rise: int, rules: WasteRules, waiting: bool
) -> int:
    """Return which part of a rise a job cost that should be running by now."""
    if rise <= 0 or not waiting or entry.cost is None:
        return 0
    last = entry.cost.last
    billed_since = last.at - last.value * HOUR // last.rate if last.rate else _begin(entry)
    before = known.cost.last.at if known is not None and known.cost is not None else billed_since
    late = last.at - max(before, billed_since + rules.launch_bound)
    return rise * late // (last.at - before) if 0 < late <= last.at - before else 0


def _stuck_later(
    entry: JobEntry, price: int, launching: int, covered: int, rules: WasteRules
) -> int:
    """Return which part of a late bill for the time before a job ran is for more than the bound.

    ``launching`` is what was not billed of that time, ``covered`` what is billed of it now.
    """
    end = entry.life.finished or entry.finished_seen or entry.last_seen
    _, worth = _worth(entry, price, end)
    allowed = max(0, price * rules.launch_bound // HOUR - max(0, worth - launching))
    return max(0, covered - allowed)
