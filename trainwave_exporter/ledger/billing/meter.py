"""One meter of one job: which samples are worth keeping, and what it showed between them.

The price draws a line: a meter that is billed rises by its rate. Samples on one line say nothing
that its two ends do not; kept are the corners, where billing began or ended, the price changed, or
the meter was corrected. `value_at` draws the lines again. Both read two samples in a row by the
same rules:

- What lies on the line within `TOLERANCE` and a second's worth of the rate is explained by it.
- Where the two samples have two rates, one change between them explains every rise in between,
  and says when the price changed.
- A rise by more makes up for time in which the meter stood still (a bill that comes in steps, or at
  the end), also for time before the job was first seen running (`Origin`). Whatever is beyond that
  contradicts the price. It waits for `PRICE_PATIENCE`: if the price turns out to have changed, that
  explains it; else it was a correction, made when it was seen.
- A rise by less contradicts the price likewise; but where the meter had not been billed before (it
  was zero, stood still, or the job was over) billing began in between, at the job's start where
  that is known, and where the job is over then, billing ended in between. A fall is a correction.
- A fall may be an older answer, where several servers answer in turn: it waits for the meter to
  leap back to where it was. Where starts and finishes are reported, any change after the end that
  is no late bill waits likewise: it may be another run's, whose start is reported a little later.
- A bill that covers most of the time since the one before it came late, and counts for the time
  that it covers; one that covers less was for the time just before it came, after a pause.
- When the job was over before, a rise that its price and its run explain is a late bill, and counts
  as if it had been reported when the end was first seen; every other change is a correction.
- Where no rate was ever reported, every rise of a job that is not over is spent evenly since the
  one before it, and after the end, a rise at up to twice that pace is a late bill.

Of the samples within one quarter of an hour (UTC) no more than five are kept, whatever the API
reports: the first, the first that was not zero, bills that come five minutes apart or more, and the
last (and one for each time that the clock was set back). All midnights and changes of the clock of
all time zones lie between two quarters, so this moves nothing from one day to another.

Pure functions; whole numbers throughout, so that the parts of a meter add up to all of it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Meter, MeterSample
from trainwave_exporter.ledger.billing.late_bills import (
    NOWHERE,
    STEP,
    Origin,
    at_due_time,
    based_anew,
    begin_in_arrears,
    caught_up,
    covers_since_anchor,
    from_begin,
    is_last_bill,
    is_on_in_steps,
    raised_anchor,
)
from trainwave_exporter.ledger.billing.price_line import (
    LATENCY,
    TOLERANCE,
    WATCHED,
    exceeds,
    falls_short,
    is_one_change,
    rates_of,
    was_billed,
)
from trainwave_exporter.ledger.billing.units import HOUR

FINISH_GRACE: Final = 120_000
"""Milliseconds after which the bill of a job that was seen finished has to be complete, where
neither its price nor its begin says what the bill may come to."""
PRICE_PATIENCE: Final = HOUR // 4
"""Milliseconds that growth which contradicts the price waits for the price to be read anew."""
STALE: Final = HOUR // 12
"""Milliseconds by which an answer may be older than the one before it, where servers take turns."""

_QUARTER: Final = HOUR // 4


class Step(Struct, frozen=True):
    """What one more sample does."""

    meter: Meter
    kept: tuple[MeterSample, ...] = ()
    """Samples to be kept besides those that are; the last is the anchor."""
    dropped: int | None = None
    """From when on samples kept before are not to be kept any more; None: all stay."""
    corrections: tuple[int, ...] = ()
    """By how much the meter changed otherwise than by its rate; negative when downwards."""


def begin(new: MeterSample, origin: Origin = NOWHERE) -> Step:
    """Return what the first sample of a run does."""
    backdated = begin_in_arrears(new, new.rate, origin)
    if backdated is None:
        return Step(Meter(new, new), kept=(new,))
    return Step(from_begin(backdated, new), kept=(backdated,))


def extend(meter: Meter, new: MeterSample, origin: Origin = NOWHERE, clock_set: int = 0) -> Step:
    """Return what one more sample does to a meter; it follows the one before it in any case.

    ``clock_set``: by how much the clock was set between the two, milliseconds.
    """
    if clock_set and _is_explained_without(meter, new, clock_set):
        return followed(_moved(meter, meter.last.at + clock_set), new, origin)
    anchor, last = meter.anchor, meter.last
    if anchor.rate is None and last.value == anchor.value and new.rate is not None:
        return _priced_late(meter, new, origin)
    if new.at < last.at - LATENCY and not (
        last.finished and new.finished and new.value == last.value
    ):
        return _set_back(meter, new)
    if new.at <= last.at:
        new = replace(new, at=last.at + 1)
    if last.finished and new.finished:
        return _after_end(meter, new, origin)
    if not last.value and last.rate is not None and last.rate == new.rate:
        # What it waited is no time that it ran.
        if origin.seen_to_start and not (new.value or new.finished):
            return Step(Meter(new, new), kept=(new,))
        if origin.seen_to_wait and not exceeds(new.value, last.rate, new.at - last.at):
            behind = max(0, last.rate * (new.at - last.at) // HOUR - new.value)
            return Step(Meter(last, new, behind), kept=(last,))
    based = based_anew(meter, new, origin)
    if based is None:
        return _grown(meter, new, origin)
    step = _grown(based, new, origin)
    return replace(step, kept=(based.anchor, *step.kept), dropped=_dropped(meter, based, origin))


def _dropped(meter: Meter, based: Meter, origin: Origin) -> int:
    """Return from when on samples are dropped as the meter begins anew."""
    dropped = min(meter.anchor.at, based.anchor.at)
    if based.anchor.at == origin.first_seen and origin.started is not None:
        return min(dropped, origin.started)  # nor was it in arrears from its start on
    return dropped


def followed(step: Step, new: MeterSample, origin: Origin) -> Step:
    """Return what two samples do in a row, of which ``step`` is what the first one does."""
    then = extend(step.meter, new, origin)
    kept, dropped = step.kept, step.dropped
    if then.dropped is not None:
        kept = tuple(sample for sample in kept if sample.at < then.dropped)
        dropped = then.dropped if dropped is None else min(dropped, then.dropped)
    return Step(then.meter, kept + then.kept, dropped, step.corrections + then.corrections)


def _priced_late(meter: Meter, new: MeterSample, origin: Origin) -> Step:
    """Return what a sample does that is the first with a rate: it was the rate before, too."""
    anchor, last = meter.anchor, meter.last
    priced = replace(anchor, rate=new.rate)
    if last.rate is None:  # it stood still all that time
        last = replace(last, rate=new.rate)
        meter = replace(meter, behind=(new.rate or 0) * (last.at - anchor.at) // HOUR)
    step = extend(replace(meter, anchor=priced, last=last), new, origin)
    if step.dropped is not None:
        return step
    return replace(step, kept=(priced, *step.kept), dropped=anchor.at)


def _set_back(meter: Meter, new: MeterSample) -> Step:
    """Return what a sample does that was made, by the clock, before the last.

    The clock was set back, nobody knows by how much. What was reported before counts as reported
    just now, and what is reported from now on is compared with now.
    """
    last = meter.last
    step = _moved(meter, new.at - 1)
    rise = new.value - last.value
    correction = rise if last.finished and new.finished else min(rise, 0)
    behind = max(0, meter.behind - max(0, rise))
    return replace(
        step,
        meter=Meter(step.meter.anchor, new, behind=behind),
        corrections=_nonzero(meter.pending, correction),
    )


def _is_explained_without(meter: Meter, new: MeterSample, clock_set: int) -> bool:
    """Return whether a price explains a rise in the time that passed, and not by the clock alone.

    Where the clock seems to have been set ahead as the machine was suspended, it does by the clock.
    """
    last = meter.last
    rates = rates_of(last, new)
    if rates is None or last.finished or new.value <= last.value:
        return False
    rise, time = new.value - last.value, new.at - last.at

    def explains(passed: int) -> bool:
        return not exceeds(rise, rates[1], passed) and not falls_short(rise, rates[0], passed)

    return explains(time - clock_set) and not explains(time)


def _moved(meter: Meter, at: int) -> Step:
    """Return the step that has the last sample at another time, as the clock was set.

    An hour that is lived twice counts once, and in one that is left out nothing is billed.
    """
    anchor, last = meter.anchor, meter.last
    moved = replace(last, at=at)
    if moved.at > last.at:
        return Step(replace(meter, anchor=moved, last=moved), kept=(last, moved))
    if moved.at <= anchor.at and last.value:
        # The anchor goes, and with it what it explains. A price would claim what was never billed.
        moved = replace(moved, rate=0)
    return Step(replace(meter, anchor=moved, last=moved), kept=(moved,), dropped=moved.at)


def _grown(meter: Meter, new: MeterSample, origin: Origin) -> Step:
    """Return what a sample does to a job that was not over before, or is not now."""
    anchor, last = meter.anchor, meter.last
    if meter.pending:
        repriced = _repriced(meter, new)
        if repriced is None and (step := _after_fall(meter, new)) is not None:
            return step
        meter = repriced or _settled_fall(meter)
    unexplained, behind = _unexplained(meter, new, origin)
    if (
        meter.pending
        and new.value == last.value
        and not new.finished
        and _patient(meter, new, behind)
    ):
        return Step(replace(meter, last=new, behind=behind - min(meter.pending, 0)))
    if unexplained and is_one_change(anchor, new):
        return Step(Meter(anchor, new))
    if unexplained and _may_wait(meter, new, unexplained, origin):
        # Bills in steps, and prices that are read late, are explained from the anchor on.
        fell = new.value < last.value
        from_anchor = (meter.behind or meter.pending) and not fell
        step = Step(Meter(anchor, new)) if from_anchor else _corner(meter, new)
        pending = meter.pending + unexplained
        if fell and (meter.behind or _may_be_older(meter, new)):  # it is behind by as much, then
            due = min(rates_of(last, new) or (0,)) * (new.at - last.at) // HOUR
            behind = meter.behind + due + last.value - new.value
        return replace(step, meter=replace(step.meter, behind=behind, pending=pending))
    if meter.pending > 0 > unexplained and -unexplained >= meter.pending - TOLERANCE:
        # It leapt from an older answer to a newer one, and is back: neither was a correction.
        unexplained, meter = meter.pending + unexplained, replace(meter, pending=0)
    corrections = _nonzero(meter.pending, unexplained)
    raised = None if corrections else raised_anchor(meter, new)
    if raised is not None:
        return Step(Meter(raised, new, behind), kept=(raised,), dropped=anchor.at)
    late = not corrections and (
        covers_since_anchor(anchor, last, new)
        or is_on_in_steps(meter, new)
        or is_last_bill(meter, new)
        or caught_up(meter, new, behind)
    )
    # Without a price, a bill is for the time since the one before, and not since the last look.
    unpriced = rates_of(anchor, new) is None and anchor.value == last.value
    unpriced = unpriced and (anchor.value > 0 or origin.started is not None)
    if late or unpriced or last.value == anchor.value == new.value or _one_line(anchor, new):
        return Step(Meter(anchor, new, behind), corrections=corrections)
    step = _corner(at_due_time(meter, new, origin), new)
    return replace(step, meter=replace(step.meter, behind=behind), corrections=corrections)


def _settled_fall(meter: Meter) -> Meter:
    """Return the meter where a fall was no older answer: the meter is not behind by it any more."""
    return replace(meter, behind=max(0, meter.behind + min(meter.pending, 0)))


def _may_be_older(meter: Meter, new: MeterSample) -> bool:
    """Return whether a fall may be an answer of a server that is behind another.

    It is small then, or takes back the last bill, once or several times within minutes.
    """
    anchor, last = meter.anchor, meter.last
    if not new.finished and anchor.value == last.value and anchor.at < last.at <= anchor.at + STALE:
        return True
    most = max(rates_of(last, new) or (0,)) * STALE // HOUR + TOLERANCE
    return not new.finished and min(last.value - new.value, abs(new.value - anchor.value)) <= most


def _after_fall(meter: Meter, new: MeterSample) -> Step | None:
    """Return what a sample does after a fall, if that may have been an older answer; else None.

    A meter that leaps back to where it was shows that. A small fall waits for it; any other, which
    may be another run, for one more sample.
    """
    anchor, last = meter.anchor, meter.last
    rates = rates_of(last, new)
    if rates is None or meter.pending > 0:
        return None
    rise, time, stale = new.value - last.value, new.at - last.at, rates[1] * STALE // HOUR
    leap = rise - rates[1] * time // HOUR
    if leap > TOLERANCE and abs(leap + meter.pending) <= stale:
        return Step(Meter(anchor, new, behind=max(0, meter.behind - leap)))
    if (
        meter.pending < -stale - TOLERANCE
        or new.at - anchor.at > 2 * PRICE_PATIENCE
        or new.finished
    ):
        return None
    unexplained, behind = _unexplained(meter, new)
    if unexplained:
        return None
    # Where the line went on after the fall, the anchor stays: it says how long ago that was.
    step = Step(Meter(anchor, new)) if _one_line(anchor, new) else _corner(meter, new)
    behind = max(behind, min(meter.behind, -meter.pending))
    return replace(step, meter=replace(step.meter, behind=behind, pending=meter.pending))


def _repriced(meter: Meter, new: MeterSample) -> Meter | None:
    """Return the meter with a new price for what contradicted the old one, if that explains it."""
    if new.rate is None or new.rate == meter.last.rate:
        return None
    last = replace(meter.last, rate=new.rate)
    return Meter(meter.anchor, last, meter.behind) if is_one_change(meter.anchor, last) else None


def _patient(meter: Meter, new: MeterSample, behind: int) -> bool:
    """Return whether a meter that stands still may go on waiting for another price."""
    rates = rates_of(meter.last, new)
    return rates is not None and behind * HOUR < rates[0] * PRICE_PATIENCE


def _may_wait(meter: Meter, new: MeterSample, unexplained: int, origin: Origin) -> bool:
    """Return whether a change that contradicts the price may be waiting for an explanation.

    That is another price, or, of a fall, the start of another run, or an older answer.
    """
    if rates_of(meter.last, new) is None:
        return False
    if new.value < meter.last.value:
        older = _may_be_older(meter, new)
        return older if meter.pending else older or origin.started is not None
    if new.value == meter.last.value:
        return False
    if not meter.pending:
        return True
    same = (meter.pending > 0) == (unexplained > 0)
    return same and new.at - meter.anchor.at <= HOUR + PRICE_PATIENCE


def _after_end(meter: Meter, new: MeterSample, origin: Origin) -> Step:
    """Return what a sample does to a job that was over before."""
    pending = meter.pending
    if pending:
        repriced = _repriced(meter, new)
        if repriced is None and (
            new.value == meter.last.value and new.at - meter.last.at <= FINISH_GRACE
        ):
            return Step(meter)  # its details are being read, and may explain it
        meter = repriced or replace(meter, pending=0)
        pending = 0 if repriced else pending
    last = meter.last
    rise = new.value - last.value
    if rise == 0:
        same = new.rate in {None, last.rate}
        stays = meter if same else replace(meter, last=replace(last, rate=new.rate))
        return Step(stays, corrections=_nonzero(pending))
    if rise > 0 and not pending:
        settled = _settled(meter, new, origin)
        if settled is not None:
            return settled
    known = origin.started is not None or origin.finished is not None
    if (rise > 0 or origin.state_changed) and not pending and known:
        waits = _corner(meter, new)  # it may be another run, whose start is not known yet
        return replace(waits, meter=replace(waits.meter, pending=rise))
    return replace(_corner(meter, new), corrections=_nonzero(pending, rise))


def _settled(meter: Meter, new: MeterSample, origin: Origin) -> Step | None:
    """Return what the late bill of a job that was over before does; None: it is no such bill."""
    anchor, last = meter.anchor, meter.last
    rates = rates_of(anchor, new)
    if rates is None:
        return _settled_unpriced(meter, new, origin)
    first_over = anchor.at if anchor.finished else last.at
    in_grace = new.at - first_over <= FINISH_GRACE
    begun = origin.started or origin.created
    if not anchor.finished:
        end = new.at if in_grace else min(last.at, origin.finished or last.at)
        # The bill before this one may have come late as well, so that the whole run counts.
        whole = begun is not None and not exceeds(new.value, rates[1], end - begun)
        # What it was behind is at the prices of its time, of which some may have been higher.
        late = new.value - last.value - meter.behind
        due = meter.behind > 0 and not exceeds(late, rates[1], STALE)
        more = exceeds(new.value - anchor.value, rates[1], end - anchor.at)
        if more and not (whole or due):
            return None
        settled = replace(new, at=last.at)
        if more and not due and anchor.at == origin.first_seen and origin.started is None:
            first = replace(anchor, value=new.value - rates[1] * (end - anchor.at) // HOUR)
            return Step(Meter(first, settled), kept=(first,), dropped=anchor.at)
        return Step(Meter(anchor, settled))
    end = min(anchor.at, origin.finished or anchor.at)
    # Nobody saw it run: its price may have been up to twice as high.
    highest = rates[1] if anchor.value or anchor.at != origin.first_seen else 2 * rates[1]
    if begun is not None and not exceeds(new.value, highest, end - begun):
        first = replace(new, at=anchor.at)
        return Step(Meter(first, first), kept=(first,), dropped=anchor.at)
    if not in_grace or exceeds(new.value - anchor.value, rates[1], new.at - anchor.at):
        return None
    return Step(Meter(anchor, new))


def _settled_unpriced(meter: Meter, new: MeterSample, origin: Origin) -> Step | None:
    """Return what the late bill does of a job whose price was never reported; None: it is none.

    It goes on as the bills before it, or at most at twice their pace.
    """
    anchor, last = meter.anchor, meter.last
    begun = origin.started or origin.created or origin.first_seen
    if begun is None or anchor.finished or begun >= anchor.at:
        return None
    pace = anchor.value * HOUR // (anchor.at - begun)
    if exceeds(new.value - anchor.value, 2 * pace, last.at - anchor.at):
        return None
    return Step(Meter(anchor, replace(new, at=last.at)))


def _corner(meter: Meter, new: MeterSample) -> Step:
    """Return the step that keeps the last sample, unless its quarter has enough of them."""
    anchor, last = meter.anchor, meter.last
    began = anchor.value == 0 < last.value
    step = anchor.value < last.value == new.value and last.at - anchor.at >= STEP
    same_quarter = anchor.at // _QUARTER == new.at // _QUARTER
    if last.at == anchor.at or (same_quarter and not began and not step):
        return Step(Meter(anchor, new))
    return Step(Meter(last, new), kept=(last,))


def _nonzero(*amounts: int) -> tuple[int, ...]:
    return tuple(amount for amount in amounts if amount)


def _one_line(anchor: MeterSample, new: MeterSample) -> bool:
    """Return whether the price alone explains all that was reported since the anchor.

    Billing that began after the anchor has its own first sample to begin a line.
    """
    rise, time = new.value - anchor.value, new.at - anchor.at
    return (
        new.rate is not None
        and anchor.value > 0
        and not exceeds(rise, new.rate, time)
        and not falls_short(rise, new.rate, time)
    )


def _unexplained(meter: Meter, new: MeterSample, origin: Origin = NOWHERE) -> tuple[int, int]:
    """Return the change that nothing explains, and how far the meter is behind its rate then.

    What explains a change is the rate, a begin or an end of billing, or a lump that makes up for
    time in which the meter stood still.
    """
    last = meter.last
    rates = rates_of(last, new)
    rise, time = new.value - last.value, new.at - last.at
    if rates is None:
        return min(rise, 0), 0
    low, high = rates
    if rise == 0:  # but two answers of one instant do not show that it stands still
        # It may have ended at once; where a start is reported, so is the end.
        unseen = new.finished and time > WATCHED and origin.started is None
        counted = LATENCY if unseen else time if time > LATENCY else 0
        return 0, meter.behind + low * counted // HOUR
    if exceeds(rise, high, time):
        excess = rise - high * time // HOUR - meter.behind
        # A bill comes at any time between two samples, and may be at the price before this one.
        if meter.behind and not exceeds(excess, max(high, meter.anchor.rate or 0), time):
            return 0, max(0, -excess)
        return excess, 0
    if is_on_in_steps(meter, new):
        return 0, max(0, meter.behind + low * time // HOUR - rise)
    if not falls_short(rise, low, time):
        return 0, 0
    if (
        rise < 0 and meter.behind and not new.finished
    ):  # a refund does not pay what is not billed yet
        return rise, meter.behind + low * time // HOUR
    if new.finished or not was_billed(meter.anchor, last):
        return min(rise, 0), 0
    return rise - low * time // HOUR, 0
