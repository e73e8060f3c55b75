"""Bills that come later than what they are for: in steps, or at the end. Pure functions."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Meter, MeterSample
from trainwave_exporter.ledger.billing.price_line import (
    TOLERANCE,
    exceeds,
    falls_short,
    rates_of,
    stood_still,
)
from trainwave_exporter.ledger.billing.units import HOUR

STEP: Final = HOUR // 12
"""Bills that come in steps at least so long apart are each kept."""

BILL_DELAY: Final = HOUR // 4
"""Milliseconds by which bills in steps may all be late."""


class Origin(Struct, frozen=True):
    """When a run may have been billed, as far as that is known; milliseconds."""

    first_seen: int | None = None
    created: int | None = None
    started: int | None = None
    finished: int | None = None
    state_changed: bool = False
    """It is in another state than before: where it was over, it may be another run."""
    seen_to_start: bool = False
    """It runs, and a few minutes before it was seen to wait; no start is reported."""
    seen_to_wait: bool = False
    """Before, it was seen to wait only; no start is reported."""


NOWHERE: Final = Origin()


def based_anew(meter: Meter, new: MeterSample, origin: Origin) -> Meter | None:
    """Return the meter from an earlier or a higher begin, where bills come late; else None.

    That is only so of a job that ran when it was first seen, or when the clock was set back, and
    has not been billed since then.
    """
    anchor, last = meter.anchor, meter.last
    if meter.pending > 0 and new.value == last.value:
        return _billed_at_once(meter, new, origin)
    cheaper = _cheaper_before(meter, new, origin)
    if cheaper is not None or _starts(anchor, origin):
        # It was taken to be in arrears. If it is billed by the minute, billing began late instead.
        # What it costs in the end says nothing of that.
        prompt = last.value < new.value and not (
            new.finished
            or exceeds(new.value - last.value, max(rates_of(last, new) or (0,)), new.at - last.at)
        )
        return Meter(last, last) if prompt and last.at == origin.first_seen else cheaper
    if last.value != anchor.value or anchor.finished or anchor.at == origin.started:
        return None
    if anchor.value and anchor.at != origin.first_seen:
        return None
    rise, time = new.value - anchor.value, new.at - anchor.at
    rates = rates_of(last, new)
    if rates is None:
        return None
    lump = exceeds(new.value - last.value, rates[1], new.at - last.at)
    if origin.started is not None:
        return _from_reported_start(meter, new, rates[1], origin) if lump or rise == 0 else None
    if origin.created is None or not exceeds(rise, rates[1], time):
        return None
    if anchor.value > 0 and not stood_still(anchor, last):
        return None
    owed = anchor.value + rise - rates[1] * time // HOUR
    if exceeds(owed, rates[1], anchor.at - origin.created):
        return None
    first = replace(anchor, value=owed, rate=rates[1])
    not_billed = rates[1] * (last.at - anchor.at) // HOUR
    return Meter(first, replace(last, value=owed, rate=rates[1]), behind=not_billed)


def _from_reported_start(meter: Meter, new: MeterSample, rate: int, origin: Origin) -> Meter | None:
    """Return the meter of a run whose start is reported, where its first bill comes; else None."""
    last, started = meter.last, origin.started
    if new.value > last.value and started is not None:
        dearer = _dearer_before(meter, new, rate, started)
        if dearer is not None:
            return dearer
    backdated = begin_in_arrears(last, rate, origin)
    return None if backdated is None else from_begin(backdated, replace(last, rate=rate))


def _billed_at_once(meter: Meter, new: MeterSample, origin: Origin) -> Meter | None:
    """Return the meter of a job whose first bill came right after the first look; None: it did not.

    It was for more than the time between the two, and the meter stands still since.
    """
    first, rates = meter.anchor, rates_of(meter.anchor, new)
    if first.at != origin.first_seen or not first.value or new.finished or rates is None:
        return None
    if origin.created is None or origin.started is not None:
        return None
    owed = first.value + meter.pending
    if exceeds(owed, rates[1], first.at - origin.created):
        return None
    return Meter(replace(first, value=owed), meter.last)


def _cheaper_before(meter: Meter, new: MeterSample, origin: Origin) -> Meter | None:
    """Return the meter from the first look on, if it cost less before; else None.

    It was taken to be in arrears at the present price when it was first seen. The first bill since
    makes up for that within `BILL_DELAY`, or the price was another before.
    """
    anchor, last, seen, started = meter.anchor, meter.last, origin.first_seen, origin.started
    rates = rates_of(last, new)
    if seen is None or started is None or not started <= anchor.at < seen or new.finished:
        return None
    if rates is None or rates[0] != rates[1] or anchor.finished:
        return None
    if not anchor.value == last.value < new.value:
        return None
    rate = rates[1]
    value = new.value - rate * (new.at - seen) // HOUR
    # A bill may have come between the first look and its details.
    if value + rate * BILL_DELAY // HOUR < last.value or not falls_short(
        new.value, rate, new.at - started - BILL_DELAY
    ):
        return None
    first, behind = MeterSample(seen, value, rate, finished=False), rate * (last.at - seen) // HOUR
    return Meter(first, replace(last, at=max(seen, last.at), value=value), behind=behind)


def _dearer_before(meter: Meter, new: MeterSample, rate: int, started: int) -> Meter | None:
    """Return the meter from a higher begin, if the first bill since the first look explains more.

    Up to that look, it cost no less than its price says, so that its price was higher then: at most
    twice.
    """
    anchor, last = meter.anchor, meter.last
    owed = new.value - rate * (new.at - anchor.at) // HOUR
    time, begun = anchor.at - started, anchor.value
    if not begun or time <= 0 or falls_short(begun, rate, time) or not stood_still(anchor, last):
        return None
    if owed <= begun or exceeds(owed, 2 * max(rate, begun * HOUR // time), time):
        return None
    behind = rate * (last.at - anchor.at) // HOUR
    return Meter(replace(anchor, value=owed), replace(last, value=owed), behind=behind)


def begin_in_arrears(first: MeterSample, rate: int | None, origin: Origin) -> MeterSample | None:
    """Return what a meter showed at its start, if its first sample was behind its price; or None.

    Only bills that come late explain that.
    """
    started = origin.started
    if rate is None or first.finished or started is None or started >= first.at:
        return None
    if not falls_short(first.value, rate, first.at - started):
        return None
    return MeterSample(started, 0, rate, finished=False)


def from_begin(begin: MeterSample, last: MeterSample) -> Meter:
    """Return the meter of a run whose bills are behind its price since it began."""
    rate = begin.rate or 0
    return Meter(begin, last, behind=rate * (last.at - begin.at) // HOUR - last.value)


def _starts(anchor: MeterSample, origin: Origin) -> bool:
    """Return whether an anchor is the start of a run whose bills were behind when first seen."""
    return anchor.value == 0 and anchor.at == origin.started != origin.first_seen


def at_due_time(meter: Meter, new: MeterSample, origin: Origin) -> Meter:
    """Return the meter with its last sample where the price says, if bills come in steps.

    After a bill the meter stands still. The bill came late if it covers the time from the start on,
    or most of the time since the bill before: it was due earlier. If it covers less, the job was
    not billed for a while, and then from as long before the bill as that covers.
    """
    anchor, last = meter.anchor, meter.last
    if not anchor.rate or not anchor.rate == last.rate == new.rate:
        return meter
    if anchor.value == last.value < new.value and meter.behind and not new.finished:
        resumed = new.at - (new.value - last.value) * HOUR // anchor.rate
        return replace(meter, last=replace(last, at=resumed)) if resumed > anchor.at else meter
    if not anchor.value < last.value == new.value:
        return meter
    due = anchor.at + (last.value - anchor.value) * HOUR // anchor.rate
    late = _starts(anchor, origin) or _follows(anchor, last, anchor.rate)
    if meter.behind and due < last.at and late:
        return replace(meter, last=replace(last, at=due))
    return meter


def raised_anchor(meter: Meter, new: MeterSample) -> MeterSample | None:
    """Return the bill before one that is for more than the time between: it was behind by that."""
    anchor, last = meter.anchor, meter.last
    if anchor.finished or not anchor.value == last.value < new.value or anchor.value == 0:
        return None
    rates = rates_of(anchor, new)
    if not meter.behind or rates is None:
        return None
    excess = new.value - anchor.value - rates[1] * (new.at - anchor.at) // HOUR
    if excess <= TOLERANCE or not exceeds(new.value - last.value, rates[1], new.at - last.at):
        return None
    return replace(anchor, value=anchor.value + min(excess, meter.behind))


def _follows(bill: MeterSample, following: MeterSample, rate: int) -> bool:
    """Return whether a bill covers most of the time since the one before, so that it came late."""
    rise, time = following.value - bill.value, following.at - bill.at
    return bill.value > 0 and 2 * rise * HOUR >= rate * (time - STEP)


def covers_since_anchor(anchor: MeterSample, last: MeterSample, new: MeterSample) -> bool:
    """Return whether a bill in a lump covers the time since the anchor, all or most of it."""
    rates = rates_of(anchor, new)
    rise, time, gap = new.value - anchor.value, new.at - anchor.at, new.at - last.at
    return (
        rates is not None
        and exceeds(new.value - last.value, rates[1], gap)
        and not exceeds(rise, rates[1], time + gap)
        and (anchor.value == 0 or _follows(anchor, new, rates[0]))
    )


def is_on_in_steps(meter: Meter, new: MeterSample) -> bool:
    """Return whether bills in steps went on while nobody looked.

    The meter stood still when last seen, and rose by no more than its rate in a longer time than it
    had stood still. So it may be behind as before.
    """
    anchor, last = meter.anchor, meter.last
    rates = rates_of(last, new)
    stands = meter.behind > 0 and 0 < anchor.value == last.value < new.value
    if rates is None or new.finished or not stands:
        return False
    stood, gap = last.at - anchor.at, new.at - last.at
    return gap > max(stood, STEP) and not exceeds(new.value - last.value, rates[1], gap)


def is_last_bill(meter: Meter, new: MeterSample) -> bool:
    """Return whether the bill of a job that is over makes up for what was behind since the anchor.

    When it ended may be reported later, or not at all.
    """
    anchor = meter.anchor
    rates = rates_of(anchor, new)
    return (
        new.finished
        and meter.behind > 0
        and rates is not None
        and not exceeds(new.value - anchor.value, rates[1], new.at - anchor.at)
    )


def caught_up(meter: Meter, new: MeterSample, behind: int) -> bool:
    """Return whether a lump makes up for all the time in which the meter stood still."""
    rates = rates_of(meter.last, new)
    rise, time = new.value - meter.last.value, new.at - meter.last.at
    lump = rates is not None and exceeds(rise, rates[1], time)
    return lump and behind <= TOLERANCE < meter.behind
