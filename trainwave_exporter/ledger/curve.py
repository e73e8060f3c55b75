"""One meter of one job: which sightings are worth keeping, and what it showed between them.

The price draws a line: a meter that is billed rises by its rate. Sightings on one line say nothing
that its two ends do not; kept are the corners, where billing began or ended, the price changed, or
the meter was corrected. `value_at` draws the lines again. Both read two sightings in a row by the
same rules:

- What lies on the line within `TOLERANCE` and a second's worth of the rate is explained by it.
- Where the two sightings have two rates, one change between them explains every rise in between,
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

Of the sightings within one quarter of an hour (UTC) no more than five are kept, whatever the API
reports: the first, the first that was not zero, bills that come five minutes apart or more, and the
last (and one for each time that the clock was set back). All midnights and changes of the clock of
all time zones lie between two quarters, so this moves nothing from one day to another.

Pure functions; whole numbers throughout, so that the parts of a meter add up to all of it.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.entry import Curve, Sighting
from trainwave_exporter.ledger.late_bills import (
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
from trainwave_exporter.ledger.price_line import (
    LATENCY,
    TOLERANCE,
    WATCHED,
    exceeds,
    falls_short,
    is_one_change,
    rates_of,
    was_billed,
)
from trainwave_exporter.ledger.units import HOUR

FINISH_GRACE: Final = 120_000
"""Milliseconds after which the bill of a job that was seen finished has to be complete, where
neither its price nor its begin says what the bill may come to."""
PRICE_PATIENCE: Final = HOUR // 4
"""Milliseconds that growth which contradicts the price waits for the price to be read anew."""
STALE: Final = HOUR // 12
"""Milliseconds by which an answer may be older than the one before it, where servers take turns."""

_QUARTER: Final = HOUR // 4


class Step(Struct, frozen=True):
    """What one more sighting does."""

    curve: Curve
    kept: tuple[Sighting, ...] = ()
    """Sightings to be kept besides those that are; the last is the anchor."""
    dropped: int | None = None
    """From when on sightings kept before are not to be kept any more; None: all stay."""
    corrections: tuple[int, ...] = ()
    """By how much the meter changed otherwise than by its rate; negative when downwards."""


def begin(new: Sighting, origin: Origin = NOWHERE) -> Step:
    """Return what the first sighting of a run does."""
    backdated = begin_in_arrears(new, new.rate, origin)
    if backdated is None:
        return Step(Curve(new, new), kept=(new,))
    return Step(from_begin(backdated, new), kept=(backdated,))


def extend(curve: Curve, new: Sighting, origin: Origin = NOWHERE, clock_set: int = 0) -> Step:
    """Return what one more sighting does to a meter; it follows the one before it in any case.

    ``clock_set``: by how much the clock was set between the two, milliseconds.
    """
    if clock_set and _is_explained_without(curve, new, clock_set):
        return followed(_moved(curve, curve.last.at + clock_set), new, origin)
    anchor, last = curve.anchor, curve.last
    if anchor.rate is None and last.told == anchor.told and new.rate is not None:
        return _priced_late(curve, new, origin)
    if new.at < last.at - LATENCY and not (last.over and new.over and new.told == last.told):
        return _set_back(curve, new)
    if new.at <= last.at:
        new = replace(new, at=last.at + 1)
    if last.over and new.over:
        return _after_end(curve, new, origin)
    if not last.told and last.rate is not None and last.rate == new.rate:
        # What it waited is no time that it ran.
        if origin.seen_to_start and not (new.told or new.over):
            return Step(Curve(new, new), kept=(new,))
        if origin.seen_to_wait and not exceeds(new.told, last.rate, new.at - last.at):
            behind = max(0, last.rate * (new.at - last.at) // HOUR - new.told)
            return Step(Curve(last, new, behind), kept=(last,))
    based = based_anew(curve, new, origin)
    if based is None:
        return _grown(curve, new, origin)
    step = _grown(based, new, origin)
    return replace(step, kept=(based.anchor, *step.kept), dropped=_dropped(curve, based, origin))


def _dropped(curve: Curve, based: Curve, origin: Origin) -> int:
    """Return from when on sightings are dropped as the curve begins anew."""
    dropped = min(curve.anchor.at, based.anchor.at)
    if based.anchor.at == origin.first_seen and origin.started is not None:
        return min(dropped, origin.started)  # nor was it in arrears from its start on
    return dropped


def followed(step: Step, new: Sighting, origin: Origin) -> Step:
    """Return what two sightings do in a row, of which ``step`` is what the first one does."""
    then = extend(step.curve, new, origin)
    kept, dropped = step.kept, step.dropped
    if then.dropped is not None:
        kept = tuple(sighting for sighting in kept if sighting.at < then.dropped)
        dropped = then.dropped if dropped is None else min(dropped, then.dropped)
    return Step(then.curve, kept + then.kept, dropped, step.corrections + then.corrections)


def _priced_late(curve: Curve, new: Sighting, origin: Origin) -> Step:
    """Return what a sighting does that is the first with a rate: it was the rate before, too."""
    anchor, last = curve.anchor, curve.last
    priced = replace(anchor, rate=new.rate)
    if last.rate is None:  # it stood still all that time
        last = replace(last, rate=new.rate)
        curve = replace(curve, behind=(new.rate or 0) * (last.at - anchor.at) // HOUR)
    step = extend(replace(curve, anchor=priced, last=last), new, origin)
    if step.dropped is not None:
        return step
    return replace(step, kept=(priced, *step.kept), dropped=anchor.at)


def _set_back(curve: Curve, new: Sighting) -> Step:
    """Return what a sighting does that was made, by the clock, before the last.

    The clock was set back, nobody knows by how much. What was reported before counts as reported
    just now, and what is reported from now on is compared with now.
    """
    last = curve.last
    step = _moved(curve, new.at - 1)
    rise = new.told - last.told
    correction = rise if last.over and new.over else min(rise, 0)
    behind = max(0, curve.behind - max(0, rise))
    return replace(
        step,
        curve=Curve(step.curve.anchor, new, behind=behind),
        corrections=_nonzero(curve.pending, correction),
    )


def _is_explained_without(curve: Curve, new: Sighting, clock_set: int) -> bool:
    """Return whether a price explains a rise in the time that passed, and not by the clock alone.

    Where the clock seems to have been set ahead as the machine was suspended, it does by the clock.
    """
    last = curve.last
    rates = rates_of(last, new)
    if rates is None or last.over or new.told <= last.told:
        return False
    rise, time = new.told - last.told, new.at - last.at

    def explains(passed: int) -> bool:
        return not exceeds(rise, rates[1], passed) and not falls_short(rise, rates[0], passed)

    return explains(time - clock_set) and not explains(time)


def _moved(curve: Curve, at: int) -> Step:
    """Return the step that has the last sighting at another time, as the clock was set.

    An hour that is lived twice counts once, and in one that is left out nothing is billed.
    """
    anchor, last = curve.anchor, curve.last
    moved = replace(last, at=at)
    if moved.at > last.at:
        return Step(replace(curve, anchor=moved, last=moved), kept=(last, moved))
    if moved.at <= anchor.at and last.told:
        # The anchor goes, and with it what it explains. A price would claim what was never billed.
        moved = replace(moved, rate=0)
    return Step(replace(curve, anchor=moved, last=moved), kept=(moved,), dropped=moved.at)


def _grown(curve: Curve, new: Sighting, origin: Origin) -> Step:
    """Return what a sighting does to a job that was not over before, or is not now."""
    anchor, last = curve.anchor, curve.last
    if curve.pending:
        repriced = _repriced(curve, new)
        if repriced is None and (step := _after_fall(curve, new)) is not None:
            return step
        curve = repriced or _settled_fall(curve)
    unexplained, behind = _unexplained(curve, new, origin)
    if curve.pending and new.told == last.told and not new.over and _patient(curve, new, behind):
        return Step(replace(curve, last=new, behind=behind - min(curve.pending, 0)))
    if unexplained and is_one_change(anchor, new):
        return Step(Curve(anchor, new))
    if unexplained and _may_wait(curve, new, unexplained, origin):
        # Bills in steps, and prices that are read late, are explained from the anchor on.
        fell = new.told < last.told
        from_anchor = (curve.behind or curve.pending) and not fell
        step = Step(Curve(anchor, new)) if from_anchor else _corner(curve, new)
        pending = curve.pending + unexplained
        if fell and (curve.behind or _may_be_older(curve, new)):  # it is behind by as much, then
            due = min(rates_of(last, new) or (0,)) * (new.at - last.at) // HOUR
            behind = curve.behind + due + last.told - new.told
        return replace(step, curve=replace(step.curve, behind=behind, pending=pending))
    if curve.pending > 0 > unexplained and -unexplained >= curve.pending - TOLERANCE:
        # It leapt from an older answer to a newer one, and is back: neither was a correction.
        unexplained, curve = curve.pending + unexplained, replace(curve, pending=0)
    corrections = _nonzero(curve.pending, unexplained)
    raised = None if corrections else raised_anchor(curve, new)
    if raised is not None:
        return Step(Curve(raised, new, behind), kept=(raised,), dropped=anchor.at)
    late = not corrections and (
        covers_since_anchor(anchor, last, new)
        or is_on_in_steps(curve, new)
        or is_last_bill(curve, new)
        or caught_up(curve, new, behind)
    )
    # Without a price, a bill is for the time since the one before, and not since the last look.
    unpriced = rates_of(anchor, new) is None and anchor.told == last.told
    unpriced = unpriced and (anchor.told > 0 or origin.started is not None)
    if late or unpriced or last.told == anchor.told == new.told or _one_line(anchor, new):
        return Step(Curve(anchor, new, behind), corrections=corrections)
    step = _corner(at_due_time(curve, new, origin), new)
    return replace(step, curve=replace(step.curve, behind=behind), corrections=corrections)


def _settled_fall(curve: Curve) -> Curve:
    """Return the curve where a fall was no older answer: the meter is not behind by it any more."""
    return replace(curve, behind=max(0, curve.behind + min(curve.pending, 0)))


def _may_be_older(curve: Curve, new: Sighting) -> bool:
    """Return whether a fall may be an answer of a server that is behind another.

    It is small then, or takes back the last bill, once or several times within minutes.
    """
    anchor, last = curve.anchor, curve.last
    if not new.over and anchor.told == last.told and anchor.at < last.at <= anchor.at + STALE:
        return True
    most = max(rates_of(last, new) or (0,)) * STALE // HOUR + TOLERANCE
    return not new.over and min(last.told - new.told, abs(new.told - anchor.told)) <= most


def _after_fall(curve: Curve, new: Sighting) -> Step | None:
    """Return what a sighting does after a fall, if that may have been an older answer; else None.

    A meter that leaps back to where it was shows that. A small fall waits for it; any other, which
    may be another run, for one more sighting.
    """
    anchor, last = curve.anchor, curve.last
    rates = rates_of(last, new)
    if rates is None or curve.pending > 0:
        return None
    rise, time, stale = new.told - last.told, new.at - last.at, rates[1] * STALE // HOUR
    leap = rise - rates[1] * time // HOUR
    if leap > TOLERANCE and abs(leap + curve.pending) <= stale:
        return Step(Curve(anchor, new, behind=max(0, curve.behind - leap)))
    if curve.pending < -stale - TOLERANCE or new.at - anchor.at > 2 * PRICE_PATIENCE or new.over:
        return None
    unexplained, behind = _unexplained(curve, new)
    if unexplained:
        return None
    # Where the line went on after the fall, the anchor stays: it says how long ago that was.
    step = Step(Curve(anchor, new)) if _one_line(anchor, new) else _corner(curve, new)
    behind = max(behind, min(curve.behind, -curve.pending))
    return replace(step, curve=replace(step.curve, behind=behind, pending=curve.pending))


def _repriced(curve: Curve, new: Sighting) -> Curve | None:
    """Return the curve with a new price for what contradicted the old one, if that explains it."""
    if new.rate is None or new.rate == curve.last.rate:
        return None
    last = replace(curve.last, rate=new.rate)
    return Curve(curve.anchor, last, curve.behind) if is_one_change(curve.anchor, last) else None


def _patient(curve: Curve, new: Sighting, behind: int) -> bool:
    """Return whether a meter that stands still may go on waiting for another price."""
    rates = rates_of(curve.last, new)
    return rates is not None and behind * HOUR < rates[0] * PRICE_PATIENCE


def _may_wait(curve: Curve, new: Sighting, unexplained: int, origin: Origin) -> bool:
    """Return whether a change that contradicts the price may be waiting for an explanation.

    That is another price, or, of a fall, the start of another run, or an older answer.
    """
    if rates_of(curve.last, new) is None:
        return False
    if new.told < curve.last.told:
        older = _may_be_older(curve, new)
        return older if curve.pending else older or origin.started is not None
    if new.told == curve.last.told:
        return False
    if not curve.pending:
        return True
    same = (curve.pending > 0) == (unexplained > 0)
    return same and new.at - curve.anchor.at <= HOUR + PRICE_PATIENCE


def _after_end(curve: Curve, new: Sighting, origin: Origin) -> Step:
    """Return what a sighting does to a job that was over before."""
    pending = curve.pending
    if pending:
        repriced = _repriced(curve, new)
        if repriced is None and (
            new.told == curve.last.told and new.at - curve.last.at <= FINISH_GRACE
        ):
            return Step(curve)  # its details are being read, and may explain it
        curve = repriced or replace(curve, pending=0)
        pending = 0 if repriced else pending
    last = curve.last
    rise = new.told - last.told
    if rise == 0:
        same = new.rate in {None, last.rate}
        stays = curve if same else replace(curve, last=replace(last, rate=new.rate))
        return Step(stays, corrections=_nonzero(pending))
    if rise > 0 and not pending:
        settled = _settled(curve, new, origin)
        if settled is not None:
            return settled
    known = origin.started is not None or origin.finished is not None
    if (rise > 0 or origin.state_changed) and not pending and known:
        waits = _corner(curve, new)  # it may be another run, whose start is not known yet
        return replace(waits, curve=replace(waits.curve, pending=rise))
    return replace(_corner(curve, new), corrections=_nonzero(pending, rise))


def _settled(curve: Curve, new: Sighting, origin: Origin) -> Step | None:
    """Return what the late bill of a job that was over before does; None: it is no such bill."""
    anchor, last = curve.anchor, curve.last
    rates = rates_of(anchor, new)
    if rates is None:
        return _settled_unpriced(curve, new, origin)
    first_over = anchor.at if anchor.over else last.at
    in_grace = new.at - first_over <= FINISH_GRACE
    begun = origin.started or origin.created
    if not anchor.over:
        end = new.at if in_grace else min(last.at, origin.finished or last.at)
        # The bill before this one may have come late as well, so that the whole run counts.
        whole = begun is not None and not exceeds(new.told, rates[1], end - begun)
        # What it was behind is at the prices of its time, of which some may have been higher.
        late = new.told - last.told - curve.behind
        due = curve.behind > 0 and not exceeds(late, rates[1], STALE)
        more = exceeds(new.told - anchor.told, rates[1], end - anchor.at)
        if more and not (whole or due):
            return None
        settled = replace(new, at=last.at)
        if more and not due and anchor.at == origin.first_seen and origin.started is None:
            first = replace(anchor, told=new.told - rates[1] * (end - anchor.at) // HOUR)
            return Step(Curve(first, settled), kept=(first,), dropped=anchor.at)
        return Step(Curve(anchor, settled))
    end = min(anchor.at, origin.finished or anchor.at)
    # Nobody saw it run: its price may have been up to twice as high.
    highest = rates[1] if anchor.told or anchor.at != origin.first_seen else 2 * rates[1]
    if begun is not None and not exceeds(new.told, highest, end - begun):
        first = replace(new, at=anchor.at)
        return Step(Curve(first, first), kept=(first,), dropped=anchor.at)
    if not in_grace or exceeds(new.told - anchor.told, rates[1], new.at - anchor.at):
        return None
    return Step(Curve(anchor, new))


def _settled_unpriced(curve: Curve, new: Sighting, origin: Origin) -> Step | None:
    """Return what the late bill does of a job whose price was never reported; None: it is none.

    It goes on as the bills before it, or at most at twice their pace.
    """
    anchor, last = curve.anchor, curve.last
    begun = origin.started or origin.created or origin.first_seen
    if begun is None or anchor.over or begun >= anchor.at:
        return None
    pace = anchor.told * HOUR // (anchor.at - begun)
    if exceeds(new.told - anchor.told, 2 * pace, last.at - anchor.at):
        return None
    return Step(Curve(anchor, replace(new, at=last.at)))


def _corner(curve: Curve, new: Sighting) -> Step:
    """Return the step that keeps the last sighting, unless its quarter has enough of them."""
    anchor, last = curve.anchor, curve.last
    began = anchor.told == 0 < last.told
    step = anchor.told < last.told == new.told and last.at - anchor.at >= STEP
    same_quarter = anchor.at // _QUARTER == new.at // _QUARTER
    if last.at == anchor.at or (same_quarter and not began and not step):
        return Step(Curve(anchor, new))
    return Step(Curve(last, new), kept=(last,))


def _nonzero(*amounts: int) -> tuple[int, ...]:
    return tuple(amount for amount in amounts if amount)


def _one_line(anchor: Sighting, new: Sighting) -> bool:
    """Return whether the price alone explains all that was told since the anchor.

    Billing that began after the anchor has its own first sighting to begin a line.
    """
    rise, time = new.told - anchor.told, new.at - anchor.at
    return (
        new.rate is not None
        and anchor.told > 0
        and not exceeds(rise, new.rate, time)
        and not falls_short(rise, new.rate, time)
    )


def _unexplained(curve: Curve, new: Sighting, origin: Origin = NOWHERE) -> tuple[int, int]:
    """Return the change that nothing explains, and how far the meter is behind its rate then.

    What explains a change is the rate, a begin or an end of billing, or a lump that makes up for
    time in which the meter stood still.
    """
    last = curve.last
    rates = rates_of(last, new)
    rise, time = new.told - last.told, new.at - last.at
    if rates is None:
        return min(rise, 0), 0
    low, high = rates
    if rise == 0:  # but two answers of one instant do not show that it stands still
        # It may have ended at once; where a start is reported, so is the end.
        unseen = new.over and time > WATCHED and origin.started is None
        counted = LATENCY if unseen else time if time > LATENCY else 0
        return 0, curve.behind + low * counted // HOUR
    if exceeds(rise, high, time):
        excess = rise - high * time // HOUR - curve.behind
        # A bill comes at any time between two sightings, and may be at the price before this one.
        if curve.behind and not exceeds(excess, max(high, curve.anchor.rate or 0), time):
            return 0, max(0, -excess)
        return excess, 0
    if is_on_in_steps(curve, new):
        return 0, max(0, curve.behind + low * time // HOUR - rise)
    if not falls_short(rise, low, time):
        return 0, 0
    if rise < 0 and curve.behind and not new.over:  # a refund does not pay what is not billed yet
        return rise, curve.behind + low * time // HOUR
    if new.over or not was_billed(curve.anchor, last):
        return min(rise, 0), 0
    return rise - low * time // HOUR, 0
