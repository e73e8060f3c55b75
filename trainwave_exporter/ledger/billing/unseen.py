"""Times in which nobody looked at a job, or in which its samples do not show what it cost.

Where a job was not seen for longer than `WATCHED`, its price may have changed and changed back, and
the rise may be bills, refunds or other prices. A rise at one price needs no other explanation.
After any other, the first sample begins another line, as if the job were first seen then, and is
marked: the cost in between has bounds (`trainwave_exporter.ledger.billing.bounds`), unless one
change between two known prices explains it. Only a fall is a correction for certain. Pure
functions.
"""

from __future__ import annotations

from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Meter, MeterSample
from trainwave_exporter.ledger.billing.late_bills import STEP, Origin, from_begin
from trainwave_exporter.ledger.billing.meter_step import Step, nonzero
from trainwave_exporter.ledger.billing.price_line import (
    WATCHED,
    exceeds,
    falls_short,
    rates_of,
)
from trainwave_exporter.ledger.billing.units import HOUR


def started_since(meter: Meter, new: MeterSample, origin: Origin) -> Step | None:
    """Return the step of a sample of a job that waited when it was last seen; None: it did not."""
    last, rate = meter.last, new.rate
    if last.value or rate is None or rate != last.rate:
        return None
    time, started = new.at - last.at, origin.started
    if origin.seen_to_start and not (new.value or new.finished):
        return Step(Meter(new, new), kept=(new,))  # it did not run while it waited
    if origin.seen_to_wait and not exceeds(new.value, rate, time):
        if time > STEP and new.value:
            return _begun_anew(meter, new, waited=True)
        behind = max(0, rate * time // HOUR - new.value)
        return Step(Meter(last, replace(new, unseen=int(time > STEP)), behind), kept=(last,))
    if new.finished or not new.value or started is None or not last.at < started < new.at:
        return None
    if time <= WATCHED or not falls_short(new.value, rate, new.at - started):
        return None  # its price explains it
    begun = MeterSample(started, 0, rate, finished=False)
    return Step(from_begin(begun, new), kept=(begun,))


def since_seen(anchor: MeterSample, origin: Origin) -> Origin:
    """Return the origin of a job as if it were first seen at the anchor, after a time unseen."""
    created = origin.created if origin.started is None else origin.started
    return replace(origin, first_seen=anchor.at, created=created, started=None)


def seen_again(meter: Meter, new: MeterSample, origin: Origin) -> Step | None:
    """Return the step of the first sample after a time unseen; None: there was none."""
    anchor, last = meter.anchor, meter.last
    if _is_unseen(meter, new, origin):
        if new.value < last.value and origin.started is not None:
            # It may be another run, whose start is reported a little later.
            fallen = Meter(last, replace(new, unseen=1), pending=new.value - last.value)
            return Step(fallen, (last,))
        return _begun_anew(meter, new, waited=origin.seen_to_wait)
    if last.at == anchor.at or not last.unseen:
        return None
    if new.value != last.value and last.unseen > 1:  # a bill for time at several prices
        return _begun_anew(meter, new)
    if new.value == last.value == anchor.value and last.unseen == 1 and new.rate != last.rate:
        return _begun_anew(meter, new)  # its price may have changed while nobody looked
    return None


def _is_unseen(meter: Meter, new: MeterSample, origin: Origin) -> bool:
    last = meter.last
    rates = rates_of(last, new)
    rise, time = new.value - last.value, new.at - last.at
    # A job may be billed while it is launched.
    waited = (origin.seen_to_wait and last.rate != new.rate) or (
        last.value > 0 and new.finished and origin.created is not None
    )
    if rates is None or not (origin.ran or waited) or last.finished or time <= WATCHED:
        return False
    if rise == 0:
        return rates[0] != rates[1]
    if new.finished or meter.behind:
        return True
    return exceeds(rise, rates[1], time) or falls_short(rise, rates[0], time)


def _begun_anew(meter: Meter, new: MeterSample, *, waited: bool = False) -> Step:
    anchor, last = meter.anchor, meter.last
    changed = last.unseen or (anchor.rate != last.rate != new.rate and meter.behind)
    seen = replace(new, unseen=2 if changed else 1)
    still = meter.behind and anchor.value == last.value and not waited
    before = anchor if still or last.unseen else last
    corrections = nonzero(min(meter.pending, 0), min(new.value - last.value, 0))
    if seen.value != before.value:
        # Its details come next, and may report that it is another run.
        return Step(Meter(before, seen), kept=(before,), corrections=corrections)
    return Step(Meter(seen, seen), kept=(before, seen), corrections=corrections)


def is_settled(meter: Meter) -> bool:
    """Return whether the last sample begins no other line, or is its anchor already."""
    anchor, last = meter.anchor, meter.last
    waits = meter.pending < 0 or last.at == anchor.at or last.value == anchor.value
    return waits or not last.unseen


def marked(meter: Meter, new: MeterSample, origin: Origin) -> MeterSample:
    """Return a sample, marked with what the next bill of a meter that stands still cannot show."""
    anchor, last = meter.anchor, meter.last
    if not new.value == last.value == anchor.value:
        return new
    if _is_changed_again(meter, new, origin):
        return replace(new, unseen=2)
    if last.at > anchor.at:
        return replace(new, unseen=last.unseen)
    return replace(new, unseen=int(new.at - last.at > WATCHED and not anchor.unseen))


def _is_changed_again(meter: Meter, new: MeterSample, origin: Origin) -> bool:
    """Return whether the price changes once more before there is a bill for the one before.

    Or for the first time, where nobody knows since when the job ran.
    """
    anchor, last = meter.anchor, meter.last
    changed = None not in {anchor.rate, last.rate, new.rate} and last.rate != new.rate
    unknown = origin.ran and anchor.at == origin.first_seen and origin.started is None
    if origin.created is not None and anchor.at - origin.created <= STEP:
        unknown = False
    return changed and meter.behind > 0 and (anchor.rate != last.rate or unknown)


def corrected(anchor: MeterSample, new: MeterSample, *amounts: int) -> tuple[int, ...]:
    """Return which changes that no price explains are corrections for certain.

    A rise since a time unseen may be for that time, and one since another price for that price.
    """
    rates = rates_of(anchor, new)
    doubtful = anchor.unseen or (rates is not None and rates[0] != rates[1])
    return nonzero(*(min(amount, 0) if doubtful else amount for amount in amounts))


def paid_unseen(new: MeterSample) -> Step:
    """Return the step of a late bill for a run whose length and prices are unknown."""
    seen = replace(new, unseen=2)
    return Step(Meter(seen, seen), kept=(seen,))


def ran_before(meter: Meter, origin: Origin) -> bool:
    """Return whether a job ran before it was first seen, and was not billed since then."""
    seen, started = origin.first_seen, origin.started
    return started is not None and seen is not None and started <= meter.anchor.at < seen
