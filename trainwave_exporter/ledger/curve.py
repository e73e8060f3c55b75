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

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.entry import Curve, Life, Sighting
from trainwave_exporter.ledger.units import HOUR

TOLERANCE: Final = 10_000
"""By how much a rise may miss the rate: a cent (costs are told in whole ones), 10 GPU seconds."""
FINISH_GRACE: Final = 120_000
"""Milliseconds after which the bill of a job that was seen finished has to be complete, where
neither its price nor its begin says what the bill may come to."""
PRICE_PATIENCE: Final = HOUR // 4
"""Milliseconds that growth which contradicts the price waits for the price to be read anew."""

_LATENCY: Final = 1000
"""Milliseconds by which an answer may be older than it seems."""
_QUARTER: Final = HOUR // 4
_STEP: Final = HOUR // 12
"""Bills that come in steps at least so long apart are each kept."""
STALE: Final = HOUR // 12
"""Milliseconds by which an answer may be older than the one before it, where servers take turns."""


class Step(Struct, frozen=True):
    """What one more sighting does."""

    curve: Curve
    kept: tuple[Sighting, ...] = ()
    """Sightings to be kept besides those that are; the last is the anchor."""
    dropped: int | None = None
    """From when on sightings kept before are not to be kept any more; None: all stay."""
    corrections: tuple[int, ...] = ()
    """By how much the meter changed otherwise than by its rate; negative when downwards."""


class Origin(Struct, frozen=True):
    """When a run may have been billed, as far as that is known; milliseconds."""

    first_seen: int | None = None
    created: int | None = None
    started: int | None = None
    finished: int | None = None
    state_changed: bool = False
    """It is in another state than before: where it was over, it may be another run."""


NOWHERE: Final = Origin()


def begin(new: Sighting, origin: Origin = NOWHERE) -> Step:
    """Return what the first sighting of a run does."""
    backdated = _in_arrears(new, new.rate, origin)
    if backdated is None:
        return Step(Curve(new, new), kept=(new,))
    return Step(_behind(backdated, new), kept=(backdated,))


def extend(curve: Curve, new: Sighting, origin: Origin = NOWHERE) -> Step:
    """Return what one more sighting does to a meter; it follows the one before it in any case."""
    anchor, last = curve.anchor, curve.last
    if anchor.rate is None and last.told == anchor.told and new.rate is not None:
        return _priced_late(curve, new, origin)
    if new.at < last.at - _LATENCY and not (last.over and new.over and new.told == last.told):
        return _set_back(curve, new)
    if new.at <= last.at:
        new = replace(new, at=last.at + 1)
    if last.over and new.over:
        return _after_end(curve, new, origin)
    based = _based_anew(curve, new, origin)
    if based is None:
        return _grown(curve, new, origin)
    step = _grown(based, new, origin)
    return replace(step, kept=(based.anchor, *step.kept), dropped=min(anchor.at, based.anchor.at))


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


def value_at(kept: Sequence[Sighting], last: Sighting, life: Life, at: int) -> int:
    """Return what a meter showed just before an instant, as far as can be told by now.

    ``kept`` are the sightings kept, in order of time, and ``last`` the last of all, kept or not.
    It is zero before anything was billed, and what was told last after that. A correction at
    ``at`` itself is not in it, so what was spent in [a, b) is the value at b less that at a.
    """
    if at > last.at:
        return last.told
    place = bisect_left(kept, at, key=attrgetter("at"))
    after = kept[place] if place < len(kept) else last
    if place == 0:
        if not after.rate:  # the price may have been told later, or the clock set back since
            after = replace(after, rate=last.rate)
        return _before_first(after, life, at)
    before = kept[place - 1]
    billed = _billed(kept[place - 2] if place > 1 else before, before)
    return _between(before, after, life, at, billed=billed)


def _set_back(curve: Curve, new: Sighting) -> Step:
    """Return what a sighting does that was made, by the clock, before the last.

    The clock was set back. What was reported before counts as reported just now: the hour that is
    lived twice counts once, and what is reported from now on is compared with now.
    """
    anchor, last = curve.anchor, curve.last
    moved = replace(last, at=new.at - 1)
    if moved.at <= anchor.at:
        # The anchor goes, and with it what it explains. A price would claim what was never billed.
        moved = replace(moved, rate=0)
    rise = new.told - last.told
    correction = rise if last.over and new.over else min(rise, 0)
    return Step(
        Curve(moved, new, behind=max(0, curve.behind - max(0, rise))),
        kept=(moved,),
        dropped=moved.at,
        corrections=_nonzero(curve.pending, correction),
    )


def _based_anew(curve: Curve, new: Sighting, origin: Origin) -> Curve | None:
    """Return the curve from an earlier or a higher begin, where bills come late; else None.

    That is only so of a job that ran when it was first seen, and has not been billed since then.
    """
    anchor, last = curve.anchor, curve.last
    if _starts(anchor, origin):
        # It was taken to be in arrears. If it is billed by the minute, billing began late instead.
        # What it costs in the end says nothing of that.
        prompt = last.told < new.told and not (
            new.over
            or _exceeds(new.told - last.told, max(_rates(last, new) or (0,)), new.at - last.at)
        )
        return Curve(last, last) if prompt and last.at == origin.first_seen else None
    if anchor.at != origin.first_seen or last.told != anchor.told or anchor.over:
        return None
    rise, time = new.told - anchor.told, new.at - anchor.at
    rates = _rates(last, new)
    if rates is None:
        return None
    lump = _exceeds(new.told - last.told, rates[1], new.at - last.at)
    if origin.started is not None:
        backdated = _in_arrears(last, rates[1], origin) if lump or rise == 0 else None
        return None if backdated is None else _behind(backdated, replace(last, rate=rates[1]))
    if origin.created is None or not _exceeds(rise, rates[1], time):
        return None
    if anchor.told > 0 and not _stood_still(anchor, last):
        return None
    owed = anchor.told + rise - rates[1] * time // HOUR
    if _exceeds(owed, rates[1], anchor.at - origin.created):
        return None
    first = replace(anchor, told=owed, rate=rates[1])
    stood_still = rates[1] * (last.at - anchor.at) // HOUR
    return Curve(first, replace(last, told=owed, rate=rates[1]), behind=stood_still)


def _in_arrears(first: Sighting, rate: int | None, origin: Origin) -> Sighting | None:
    """Return what a meter showed at its start, if its first sighting was behind its price; or None.

    Only bills that come late explain that.
    """
    started = origin.started
    if rate is None or first.over or started is None or started >= first.at:
        return None
    if not _falls_short(first.told, rate, first.at - started):
        return None
    return Sighting(started, 0, rate, over=False)


def _behind(begin: Sighting, last: Sighting) -> Curve:
    rate = begin.rate or 0
    return Curve(begin, last, behind=rate * (last.at - begin.at) // HOUR - last.told)


def _starts(anchor: Sighting, origin: Origin) -> bool:
    """Return whether an anchor is the start of a run whose bills were behind when first seen."""
    return anchor.told == 0 and anchor.at == origin.started != origin.first_seen


def _grown(curve: Curve, new: Sighting, origin: Origin) -> Step:
    """Return what a sighting does to a job that was not over before, or is not now."""
    anchor, last = curve.anchor, curve.last
    if curve.pending < 0 and (step := _after_fall(curve, new)) is not None:
        return step
    curve = _reconsidered(curve, new)
    unexplained, behind = _unexplained(curve, new)
    if curve.pending and new.told == last.told and not new.over and _patient(curve, new, behind):
        return Step(replace(curve, last=new, behind=behind))
    if unexplained and _one_change(anchor, new):
        return Step(Curve(anchor, new))
    if unexplained and _may_wait(curve, new, unexplained, origin):
        # Bills in steps, and prices that are read late, are explained from the anchor on.
        fell = new.told < last.told
        from_anchor = (curve.behind or curve.pending) and not fell
        step = Step(Curve(anchor, new)) if from_anchor else _corner(curve, new)
        pending = curve.pending + unexplained
        if fell:  # an older answer is behind by as much
            behind = curve.behind - unexplained
        return replace(step, curve=replace(step.curve, behind=behind, pending=pending))
    corrections = _nonzero(curve.pending, unexplained)
    raised = None if corrections else _raised(curve, new)
    if raised is not None:
        return Step(Curve(raised, new, behind), kept=(raised,), dropped=anchor.at)
    late = not corrections and (
        _one_lump(anchor, last, new) or _last_bill(curve, new) or _caught_up(curve, new, behind)
    )
    # Without a price, a bill is for the time since the one before, and not since the last look.
    unpriced = _rates(anchor, new) is None and anchor.told == last.told
    unpriced = unpriced and (anchor.told > 0 or origin.started is not None)
    if late or unpriced or last.told == anchor.told == new.told or _one_line(anchor, new):
        return Step(Curve(anchor, new, behind), corrections=corrections)
    step = _corner(_on_time(curve, new, origin), new)
    return replace(step, curve=replace(step.curve, behind=behind), corrections=corrections)


def _reconsidered(curve: Curve, new: Sighting) -> Curve:
    """Return the curve where a fall was no older answer, or a new price explains a rise."""
    if curve.pending < 0:
        curve = replace(curve, behind=max(0, curve.behind + curve.pending))
    if not curve.pending:
        return curve
    return _repriced(curve, new) or curve


def _on_time(curve: Curve, new: Sighting, origin: Origin) -> Curve:
    """Return the curve with its last bill, after which the meter stands still, at its due time.

    It came late if it covers the time from the start on, or most of the time since the bill before.
    If it covers less, the job was not billed for a while, and then until the bill came.
    """
    anchor, last = curve.anchor, curve.last
    if not (anchor.rate and anchor.rate == last.rate and anchor.told < last.told == new.told):
        return curve
    due = anchor.at + (last.told - anchor.told) * HOUR // anchor.rate
    late = _starts(anchor, origin) or _follows(anchor, last, anchor.rate)
    if curve.behind and due < last.at and late:
        return replace(curve, last=replace(last, at=due))
    return curve


def _raised(curve: Curve, new: Sighting) -> Sighting | None:
    """Return the bill before one that is for more than the time between: it was behind by that."""
    anchor, last = curve.anchor, curve.last
    if anchor.over or not anchor.told == last.told < new.told or anchor.told == 0:
        return None
    rates = _rates(anchor, new)
    if not curve.behind or rates is None:
        return None
    excess = new.told - anchor.told - rates[1] * (new.at - anchor.at) // HOUR
    if excess <= TOLERANCE or not _exceeds(new.told - last.told, rates[1], new.at - last.at):
        return None
    return replace(anchor, told=anchor.told + min(excess, curve.behind))


def _follows(bill: Sighting, following: Sighting, rate: int) -> bool:
    """Return whether a bill covers most of the time since the one before, so that it came late."""
    rise, time = following.told - bill.told, following.at - bill.at
    return bill.told > 0 and 2 * rise * HOUR >= rate * (time - _STEP)


def _after_fall(curve: Curve, new: Sighting) -> Step | None:
    """Return what a sighting does after a fall, if that may have been an older answer; else None.

    Where several servers answer in turn, some of them are behind the others. A meter that leaps
    back to where it was shows that. A small fall waits for that; any other for one more sighting.
    """
    anchor, last = curve.anchor, curve.last
    rates = _rates(last, new)
    if rates is None:
        return None
    rise, time, stale = new.told - last.told, new.at - last.at, rates[1] * STALE // HOUR
    leap = rise - rates[1] * time // HOUR
    if leap > TOLERANCE and leap + curve.pending >= -stale:
        return Step(Curve(anchor, new, behind=max(0, curve.behind - leap)))
    if curve.pending < -stale - TOLERANCE or new.at - anchor.at > 2 * PRICE_PATIENCE or new.over:
        return None
    unexplained, behind = _unexplained(curve, new)
    return None if unexplained else Step(replace(curve, last=new, behind=max(behind, curve.behind)))


def _repriced(curve: Curve, new: Sighting) -> Curve | None:
    """Return the curve with a new price for what contradicted the old one, if that explains it."""
    if new.rate is None or new.rate == curve.last.rate:
        return None
    last = replace(curve.last, rate=new.rate)
    return Curve(curve.anchor, last, curve.behind) if _one_change(curve.anchor, last) else None


def _caught_up(curve: Curve, new: Sighting, behind: int) -> bool:
    """Return whether a lump makes up for all the time in which the meter stood still."""
    rates = _rates(curve.last, new)
    rise, time = new.told - curve.last.told, new.at - curve.last.at
    lump = rates is not None and _exceeds(rise, rates[1], time)
    return lump and behind <= TOLERANCE < curve.behind


def _patient(curve: Curve, new: Sighting, behind: int) -> bool:
    """Return whether a meter that stands still may go on waiting for another price."""
    rates = _rates(curve.last, new)
    return rates is not None and behind * HOUR < rates[0] * PRICE_PATIENCE


def _may_wait(curve: Curve, new: Sighting, unexplained: int, origin: Origin) -> bool:
    """Return whether a change that contradicts the price may be waiting for an explanation.

    That is another price, or, of a fall, the start of another run, or an older answer.
    """
    if _rates(curve.last, new) is None:
        return False
    if new.told < curve.last.told:
        return not curve.pending and (not new.over or origin.started is not None)
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
    rates = _rates(anchor, new)
    if rates is None:
        return _settled_unpriced(curve, new, origin)
    first_over = anchor.at if anchor.over else last.at
    in_grace = new.at - first_over <= FINISH_GRACE
    begun = origin.started or origin.created
    if not anchor.over:
        end = new.at if in_grace else min(last.at, origin.finished or last.at)
        # The bill before this one may have come late as well, so that the whole run counts.
        whole = begun is not None and not _exceeds(new.told, rates[1], end - begun)
        if not whole and _exceeds(new.told - anchor.told, rates[1], end - anchor.at):
            return None
        return Step(Curve(anchor, replace(new, at=last.at)))
    end = min(anchor.at, origin.finished or anchor.at)
    if begun is not None and not _exceeds(new.told, rates[1], end - begun):
        first = replace(new, at=anchor.at)
        return Step(Curve(first, first), kept=(first,), dropped=anchor.at)
    if not in_grace or _exceeds(new.told - anchor.told, rates[1], new.at - anchor.at):
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
    if _exceeds(new.told - anchor.told, 2 * pace, last.at - anchor.at):
        return None
    return Step(Curve(anchor, replace(new, at=last.at)))


def _corner(curve: Curve, new: Sighting) -> Step:
    """Return the step that keeps the last sighting, unless its quarter has enough of them."""
    anchor, last = curve.anchor, curve.last
    began = anchor.told == 0 < last.told
    step = anchor.told < last.told == new.told and last.at - anchor.at >= _STEP
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
        and not _exceeds(rise, new.rate, time)
        and not _falls_short(rise, new.rate, time)
    )


def _one_lump(anchor: Sighting, last: Sighting, new: Sighting) -> bool:
    """Return whether a bill in a lump covers the time since the anchor, all or most of it."""
    rates = _rates(anchor, new)
    rise, time, gap = new.told - anchor.told, new.at - anchor.at, new.at - last.at
    return (
        rates is not None
        and _exceeds(new.told - last.told, rates[1], gap)
        and not _exceeds(rise, rates[1], time + gap)
        and (anchor.told == 0 or _follows(anchor, new, rates[0]))
    )


def _last_bill(curve: Curve, new: Sighting) -> bool:
    """Return whether the bill of a job that is over makes up for what was behind since the anchor.

    When it ended may be reported later, or not at all.
    """
    anchor = curve.anchor
    rates = _rates(anchor, new)
    return (
        new.over
        and curve.behind > 0
        and rates is not None
        and not _exceeds(new.told - anchor.told, rates[1], new.at - anchor.at)
    )


def _unexplained(curve: Curve, new: Sighting) -> tuple[int, int]:
    """Return the change that nothing explains, and how far the meter is behind its rate then.

    What explains a change is the rate, a begin or an end of billing, or a lump that makes up for
    time in which the meter stood still.
    """
    last = curve.last
    rates = _rates(last, new)
    rise, time = new.told - last.told, new.at - last.at
    if rates is None:
        return min(rise, 0), 0
    low, high = rates
    if rise == 0:  # but two answers of one instant do not show that it stands still
        return 0, curve.behind + (low * time // HOUR if time > _LATENCY else 0)
    if _exceeds(rise, high, time):
        excess = rise - high * time // HOUR - curve.behind
        # A bill comes at any time between two sightings, and may be at the price before this one.
        if curve.behind and not _exceeds(excess, max(high, curve.anchor.rate or 0), time):
            return 0, max(0, -excess)
        return excess, 0
    if not _falls_short(rise, low, time):
        return 0, 0
    if new.over or not _billed(curve.anchor, last):
        return min(rise, 0), 0
    return rise - low * time // HOUR, 0


def _one_change(before: Sighting, after: Sighting) -> bool:
    """Return whether one change between two known prices explains what lies between."""
    rates = _rates(before, after)
    if rates is None or rates[0] == rates[1]:
        return False
    rise, time = after.told - before.told, after.at - before.at
    return not _exceeds(rise, rates[1], time) and not _falls_short(rise, rates[0], time)


def _before_first(first: Sighting, life: Life, at: int) -> int:
    """Return what a meter showed before it was first seen."""
    told, end, rate = first.told, first.at, first.rate or 0
    begin = life.started or life.created
    if first.over:
        if life.finished is not None:
            end = min(end, life.finished)
        elif rate and begin is not None:
            end = min(end, begin + told * HOUR // rate)
    if at > end:
        return told
    if rate:
        if life.created is None or life.created <= end - told * HOUR // rate:
            return max(0, told + rate * (at - end) // HOUR)
        begin = life.created  # it cost more than its price explains
    if begin is None or begin >= end:
        return 0
    return max(0, told * (at - begin) // (end - begin))


def _between(before: Sighting, after: Sighting, life: Life, at: int, *, billed: bool) -> int:
    """Return what a meter showed between two sightings; ``billed``: it was when first seen."""
    rise = after.told - before.told
    rates = _rates(before, after)
    if rise == 0 or (before.over and (after.over or rates is None)):
        return before.told
    end, finished = after.at, life.finished
    if after.over and finished is not None and before.at < finished < end:
        end = finished
    time, passed = end - before.at, min(at, end) - before.at
    if rates is None:
        return before.told + _evenly(max(rise, 0), before, end, life, passed)
    low, high = rates
    if _exceeds(rise, high, time):
        launch = rise - high * time // HOUR if _launched_before(before, after, life, end) else 0
        return before.told + launch + high * passed // HOUR
    line = before.told + low * passed // HOUR
    if rise * HOUR < low * time:
        if not billed:
            return before.told + _begun_between(max(rise, 0), low, before.at, end, life, passed)
        if after.over and end == after.at:
            return min(line, max(before.told, after.told))
    if _falls_short(rise, low, time):
        return line
    if before.rate is None or after.rate is None or low == high or rise < 0:
        return before.told + rise * passed // time
    # The price changed once, at the moment at which both prices together come to the rise.
    changed = (rise * HOUR - after.rate * time) // (before.rate - after.rate)
    then = max(0, passed - min(max(changed, 0), time))
    return before.told + min(rise, (before.rate * (passed - then) + after.rate * then) // HOUR)


def _evenly(rise: int, before: Sighting, end: int, life: Life, passed: int) -> int:
    """Return how much of a rise was billed after so much time, if no price was ever reported.

    The first bill is for the time since the start, where that is reported.
    """
    begin, started = before.at, life.started
    if before.told == 0 and started is not None and begin < started < end:
        begin = started
    return rise * max(0, passed - (begin - before.at)) // (end - begin)


def _launched_before(start: Sighting, after: Sighting, life: Life, end: int) -> bool:
    """Return whether what the run does not explain was billed while the job was launched."""
    return (
        after.over
        and start.told == 0
        and start.at == life.started
        and life.created is not None
        and not _exceeds(after.told, start.rate or 0, end - life.created)
    )


def _begun_between(rise: int, rate: int, begin: int, end: int, life: Life, passed: int) -> int:
    """Return how much of a rise was billed after so much time, where billing began in between.

    A job is billed from its start, however late its bills are. Where the start is not known, or
    does not explain the rise, billing ends with the end and began as long before as it explains.
    """
    started = life.started
    known = started is not None and begin <= started < end
    if started is not None and known and rate * (end - started) // HOUR >= rise:
        return min(rise, rate * max(0, begin + passed - started) // HOUR)
    return max(0, rise - rate * (end - begin - passed) // HOUR)


def _rates(before: Sighting, after: Sighting) -> tuple[int, int] | None:
    """Return the lower and the higher of the rates told; None: none was."""
    a, b = before.rate, after.rate
    if a is None or b is None:
        only = b if a is None else a
        return None if only is None else (only, only)
    return (a, b) if a <= b else (b, a)


def _billed(before: Sighting, then: Sighting) -> bool:
    """Return whether a meter was being billed when it was seen, as far as can be told."""
    return then.told > 0 and not then.over and not _stood_still(before, then)


def _stood_still(before: Sighting, then: Sighting) -> bool:
    """Return whether a meter showed the same twice although its rate was known."""
    rates = _rates(before, then)
    return (
        rates is not None
        and before.told == then.told
        and _falls_short(0, rates[0], then.at - before.at)
    )


def _exceeds(rise: int, rate: int, time: int) -> bool:
    return rise * HOUR > rate * (time + _LATENCY) + TOLERANCE * HOUR


def _falls_short(rise: int, rate: int, time: int) -> bool:
    return rise * HOUR < rate * (time - _LATENCY) - TOLERANCE * HOUR
