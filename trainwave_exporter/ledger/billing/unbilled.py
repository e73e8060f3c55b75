"""Running time that no bill covers yet, and what a bill is for when it comes.

Bills may come at once, in steps, or at the end only. A rise of the cost first covers running time
that is not billed yet, then the time before the job ran. The rest was billed after the
finish, if the job has been over for long enough. Pure functions.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.billing.job_entry import IdleEstimate, JobEntry, MeterSample
from trainwave_exporter.ledger.billing.late_bills import STEP
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
"""A rise by more than so many times the price is a bill in advance, or for earlier time."""
_WAITING: Final = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})


class Bill(Struct, frozen=True):
    """The state of a job's bill after a sample, in micro-dollars."""

    unbilled: int | None = None
    """As in `IdleEstimate`, likewise the next two."""
    unbilled_launching: int = 0
    overbilled: int = 0
    stuck: int = 0
    """Amount of this sample that was billed for launching beyond the bound."""
    after_finish: int = 0
    """Amount of this sample that was billed after the finish, beyond the price of its time."""


def price_of(entry: JobEntry, job: Job) -> int | None:
    """Return a job's price in micro-dollars an hour, as last reported.

    None where none was reported, or one that no job can have.
    """
    price = None if entry.cost is None else entry.cost.last.rate
    if job.hourly_cost_dollars is not None:
        price = microdollars(job.hourly_cost_dollars)
    return None if price is not None and price > _HIGHEST_PRICE else price


def price_change(
    known: JobEntry | None, entry: JobEntry, idle_estimate: IdleEstimate, price: int | None
) -> int | None:
    """Return since when a job has another price than at the sample before; None: it has not.

    The time of the change follows from the amount billed since that sample, and from what was
    steadily billed beyond the earlier price before it. An amount that does not lie between both
    prices is a late bill: then the change counts from when it was reported.
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
    """Return the state of a job's bill after a sample.

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
    if _is_first_after_unseen(known, entry):
        return Bill(0)  # it is unknown what it is for
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
    if known.cost is not None and known.cost.anchor.unseen:
        left = max(0, left)
    if job.finished and rise and left <= TOLERANCE:
        left = 0
    late = known.finished_seen is not None
    late = late and milliseconds(job.confirmed_at) - (known.finished_seen or 0) > FINISH_GRACE
    if not _is_known(known):
        late, stuck = late and _is_paid(known, price), 0
    return Bill(
        unbilled=max(left, -(price or 0)),
        unbilled_launching=0 if rise else launching,
        overbilled=_overbilled(before, entry, idle_estimate, price),
        stuck=min(stuck, max(0, risen)),
        after_finish=max(0, min(excess, risen)) if late else 0,
    )


def _is_first_after_unseen(known: JobEntry, entry: JobEntry) -> bool:
    """Return whether a bill is the first after a time that nobody saw."""
    before, meter = known.cost, entry.cost
    if before is None or meter is None:
        return False
    if meter.last.unseen and meter.last.value != meter.anchor.value:
        return True
    return meter.anchor.unseen > 0 and before.anchor.at < meter.anchor.at


def _is_paid(entry: JobEntry, price: int | None) -> bool:
    """Return whether a job's bills had come as it ran when it was last seen."""
    meter, unbilled = entry.cost, entry.idle_estimate.unbilled or 0
    if meter is None or meter.anchor.unseen or meter.last.unseen or not meter.last.value:
        return False
    return abs(unbilled) <= (price or 0) * FINISH_GRACE // HOUR


def _is_known(entry: JobEntry) -> bool:
    """Return whether it is fully known how long a run ran, and at which prices."""
    seen, started = entry.run_seen or entry.first_seen, entry.life.started
    meter, since = entry.cost, entry.running_since
    if meter is None or meter.anchor.unseen or meter.last.unseen:
        return False
    if started is not None:
        return started >= seen - STEP
    if since is None:
        return entry.finished_seen != entry.first_seen  # it never ran
    # It was seen to wait before, and what it cost then is no more.
    return since > seen and entry.idle_estimate.earlier_price is None


def _at_first_sight(
    entry: JobEntry, price: int | None, value: int, *, waiting: bool
) -> tuple[int | None, int]:
    """Return what is not billed yet of a job that is seen for the first time: run, and launch.

    At most an hour's worth where something is billed already: its price may have been another.
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
    unseen = at - before.at > STEP and entry.life.started is None
    if job.state not in _WAITING and entry.life.finished is None and not unseen:
        since = min(since, before.at) if entry.life.started is None else since
    running = max(0, end - max(before.at, since))
    changed = price_change(known, entry, idle_estimate, price)
    more = 0 if changed is None or price is None else (price - rate) * max(0, end - changed)
    # Where nobody saw it start, it was launching no longer than it was seen to be.
    launching = 0 if unseen else max(0, min(end, since) - before.at)
    return (
        idle_estimate.unbilled + (rate * running + more) // HOUR,
        idle_estimate.unbilled_launching + rate * launching // HOUR,
    )


def _overbilled(
    before: MeterSample | None, entry: JobEntry, idle_estimate: IdleEstimate, price: int | None
) -> int:
    """Return what a job is steadily billed beyond its price; lumps do not count."""
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
    """Return the part of a rise that is for launching beyond the bound, of a job that waits."""
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
    """Return the part of a late bill that is for launching beyond the bound.

    ``launching`` is what was not billed of that time, ``covered`` what is billed of it now.
    """
    end = entry.life.finished or entry.finished_seen or entry.last_seen
    _, worth = _worth(entry, price, end)
    allowed = max(0, price * rules.launch_bound // HOUR - max(0, worth - launching))
    return max(0, covered - allowed)
