"""Idle GPU time and waste of a job, brought up to date by one more sample.

Idle GPU time is valued at the price of its hour when it is seen, and becomes waste as the bill that
covers it comes. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing import waste
from trainwave_exporter.ledger.billing.gpu_use import gpu_use
from trainwave_exporter.ledger.billing.job_entry import (
    UTILIZATION_BUCKET,
    IdleEstimate,
    IdleInterval,
    JobEntry,
    Peaks,
    Totals,
    UtilizationBucket,
)
from trainwave_exporter.ledger.billing.meter import FINISH_GRACE
from trainwave_exporter.ledger.billing.peaks import peaks
from trainwave_exporter.ledger.billing.price_line import TOLERANCE
from trainwave_exporter.ledger.billing.unbilled import Bill, billed, price_change, price_of
from trainwave_exporter.ledger.billing.units import DAY, HOUR, gpu_milliseconds, milliseconds
from trainwave_exporter.ledger.billing.waste import Stretch
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import Job, Quantity

LATEST_BILL: Final = DAY
"""Milliseconds after its end after which no bill of a job is expected any more."""
NOTHING: Final = IdleEstimate()


class Assessment(Struct, frozen=True):
    """A job's totals, idle estimate and peaks after a sample, and what it adds to the detail."""

    totals: Totals
    idle_estimate: IdleEstimate
    peaks: Peaks
    idled: tuple[IdleInterval, ...] = ()
    used: tuple[UtilizationBucket, ...] = ()


def assess(known: JobEntry | None, entry: JobEntry, job: Job, rules: WasteRules) -> Assessment:
    """Return a job's idle time and waste after a sample.

    ``known`` is the entry before it; ``entry`` holds the meters and the totals of cost and GPU time
    after it.
    """
    another_run = known is not None and known.run != entry.run
    idle_estimate = NOTHING if another_run else entry.idle_estimate
    bill = billed(known, entry, job, idle_estimate, rules)
    totals, idle_estimate, stretch = _judged(entry, job, idle_estimate, rules)
    totals = waste.wasted(totals, launching=bill.stuck, after_finish=bill.after_finish)
    idle_estimate, interval = _valued(known, entry, job, idle_estimate, stretch)
    idle_estimate = _valued_at_the_end(known, entry, totals, idle_estimate)
    idle_estimate = replace(
        idle_estimate,
        unbilled=bill.unbilled,
        unbilled_launching=bill.unbilled_launching,
        overbilled=bill.overbilled,
    )
    totals, idle_estimate = _booked(entry, job, totals, idle_estimate, bill)
    return Assessment(
        totals,
        idle_estimate,
        peaks(entry.peaks, job),
        idled=() if interval is None else (interval,),
        used=() if stretch is None else tuple(_buckets(stretch)),
    )


def abandoned(entry: JobEntry) -> JobEntry:
    """Return the entry of a job that is watched no longer: the rest of its GPU time is unknown."""
    totals, _ = waste.settled(entry.totals, entry.idle_estimate)
    return replace(entry, totals=waste.given_up(totals), idle_estimate=NOTHING)


def _judged(
    entry: JobEntry, job: Job, known: IdleEstimate, rules: WasteRules
) -> tuple[Totals, IdleEstimate, Stretch | None]:
    """Return the totals, the idle estimate and the stretch after the latest reading of the GPUs."""
    totals = entry.totals
    if job.finished:
        totals, known = waste.settled(totals, waste.unread(known))
        return waste.given_up(totals), known, None
    if not job.running:
        totals, known = waste.settled(totals, known)
        return waste.given_up(totals), replace(known, idle_since=None), None
    at = milliseconds(job.confirmed_at)
    reading, stretch = job.readings.gpu_utilization, None
    if reading is not None and reading.quantity is Quantity.RATIO:
        read_at = milliseconds(reading.at)
        at = max(at, read_at)
        if known.read_at is None or read_at - known.read_at > rules.reading_gap:
            totals, known = waste.settled(totals, known)
            totals = waste.given_up(totals)
        since = read_at if entry.running_since is None else entry.running_since
        known, stretch = waste.judged(
            known,
            read_at,
            gpu_use(reading),
            job.gpus,
            since + rules.warm_up,
            rules,
            # What the meter shows already and is not judged yet waits as well.
            behind=round((read_at - since) * (job.gpus or 0)) - totals.gpu + waste.unjudged(totals),
        )
    totals, known = waste.settled(totals, known)
    fresh = known.read_at is not None and at - known.read_at <= rules.reading_gap
    kept = round(rules.reading_gap * (job.gpus or 0)) if fresh else 0
    return waste.given_up(totals, kept), known if fresh else waste.unread(known), stretch


def _valued(
    known: JobEntry | None,
    entry: JobEntry,
    job: Job,
    idle_estimate: IdleEstimate,
    stretch: Stretch | None,
) -> tuple[IdleEstimate, IdleInterval | None]:
    """Return the idle estimate with idle time valued, and the idle interval that changed.

    Idle time that had no price is valued at the first that is reported.
    """
    price = price_of(entry, job)
    since = price_change(known, entry, idle_estimate, price)
    if since is not None and known is not None and known.cost is not None:
        before = known.cost.last.rate
        idle_estimate = replace(idle_estimate, earlier_price=before, price_since=since)
        idle_estimate = _revalued(idle_estimate, since, price, entry, job)
    idle = 0 if stretch is None else stretch.idle
    worth = 0 if stretch is None else _worth_of(stretch, idle_estimate, price, entry, job)
    earlier = _worth(idle_estimate.unpriced_idle, price, entry, job)
    if not idle and not earlier:
        return idle_estimate, None
    idle_estimate = replace(
        idle_estimate,
        idle_value=idle_estimate.idle_value + (worth or 0) + (earlier or 0),
        unpriced_idle=(idle_estimate.unpriced_idle if earlier is None else 0)
        + (idle if worth is None else 0),
    )
    interval = idle_estimate.interval
    if interval is not None and earlier:
        most = _worth(interval.gpu, price, entry, job) or 0
        value = min(interval.value + earlier, max(interval.value, most))
        interval = replace(interval, value=value)
    if stretch is not None and idle:
        if interval is None or interval.end != stretch.idle_from:
            interval = IdleInterval(stretch.idle_from, stretch.idle_from, 0, 0)
        interval = IdleInterval(
            interval.begin, stretch.end, interval.gpu + idle, interval.value + (worth or 0)
        )
    return replace(idle_estimate, interval=interval), interval


def _revalued(
    idle_estimate: IdleEstimate, since: int, price: int | None, entry: JobEntry, job: Job
) -> IdleEstimate:
    """Return the idle estimate with idle time revalued, as its price changed at an earlier time.

    Only the last idle interval is known in so much detail.
    """
    interval = idle_estimate.interval
    if interval is None or interval.end <= since:
        return idle_estimate
    begin = max(since, interval.begin)
    idle = interval.gpu * (interval.end - begin) // (interval.end - interval.begin)
    old = _worth(idle, idle_estimate.earlier_price, entry, job)
    new = _worth(idle, price, entry, job)
    if old is None or new is None:
        return idle_estimate
    return replace(
        idle_estimate,
        idle_value=max(0, idle_estimate.idle_value + new - old),
        interval=replace(interval, value=max(0, interval.value + new - old)),
    )


def _worth_of(
    stretch: Stretch, idle_estimate: IdleEstimate, price: int | None, entry: JobEntry, job: Job
) -> int | None:
    """Return what the idle time of a stretch costs, before and after the last change of price."""
    since = stretch.idle_from if idle_estimate.price_since is None else idle_estimate.price_since
    length = stretch.end - stretch.idle_from
    passed = min(max(0, since - stretch.idle_from), length)
    before = stretch.idle * passed // length if length else 0
    old = _worth(before, idle_estimate.earlier_price, entry, job) if before else 0
    new = _worth(stretch.idle - before, price, entry, job)
    return None if old is None or new is None else old + new


def _worth(gpu_time: int, price: int | None, entry: JobEntry, job: Job) -> int | None:
    """Return the cost of GPU time at a price; None where price or number of GPUs is unknown."""
    if job.gpus is not None:
        rate: int | None = gpu_milliseconds(job.gpus)
    else:
        rate = None if entry.gpu is None else entry.gpu.last.rate
    return None if price is None or not rate else gpu_time * price // rate


def _valued_at_the_end(
    known: JobEntry | None, entry: JobEntry, totals: Totals, idle_estimate: IdleEstimate
) -> IdleEstimate:
    """Return the idle estimate of a job, with its unpriced idle time valued if it is over.

    At its mean price: its cost over its GPU time, either of which may still rise.
    """
    unpriced = idle_estimate.unpriced_idle
    if not entry.finished or not unpriced:
        return idle_estimate
    before = known.totals if known is not None and known.finished else Totals()
    more = _at_mean_price(unpriced, totals) - _at_mean_price(unpriced, before)
    return replace(idle_estimate, idle_value=idle_estimate.idle_value + max(0, more))


def _at_mean_price(idle: int, totals: Totals) -> int:
    return idle * (totals.cost - totals.waste_after_finish) // totals.gpu if totals.gpu else 0


def _booked(
    entry: JobEntry, job: Job, totals: Totals, idle_estimate: IdleEstimate, bill: Bill
) -> tuple[Totals, IdleEstimate]:
    """Return the totals with idle time as waste as far as bills cover it, and the rest of it.

    Idle time counts as the last to be billed. The part that no bill covers is dropped when the
    bill of a job that is over is complete, or `LATEST_BILL` after its end was seen.
    """
    unbilled = max(0, bill.unbilled or 0)
    doubt = TOLERANCE
    if entry.life.finished is None:  # when exactly it ended is not known
        doubt += (price_of(entry, job) or 0) * FINISH_GRACE // HOUR
    if entry.finished and unbilled <= doubt:
        unbilled = 0
    booked = waste.wasted(totals, idle=max(0, idle_estimate.idle_value - unbilled))
    left = idle_estimate.idle_value - (booked.waste_idle - totals.waste_idle)
    since = (
        None
        if entry.finished_seen is None
        else milliseconds(job.confirmed_at) - entry.finished_seen
    )
    settled = since is not None and since > FINISH_GRACE
    complete = settled and bill.unbilled is not None and not unbilled
    if complete or (since is not None and since > LATEST_BILL):
        left = 0
    return booked, replace(idle_estimate, idle_value=left)


def _buckets(stretch: Stretch) -> Iterator[UtilizationBucket]:
    """Yield what a stretch adds to each bucket of utilization that it touches."""
    observed = stretch.idle + stretch.busy
    if not observed:
        return
    length = stretch.end - stretch.begin
    at, seen, used = stretch.begin, 0, 0
    while at < stretch.end:
        begin = at // UTILIZATION_BUCKET * UTILIZATION_BUCKET
        at = min(stretch.end, begin + UTILIZATION_BUCKET)
        seen_by_then = observed * (at - stretch.begin) // length
        used_by_then = stretch.used * (at - stretch.begin) // length
        yield UtilizationBucket(begin, seen_by_then - seen, used_by_then - used)
        seen, used = seen_by_then, used_by_then
