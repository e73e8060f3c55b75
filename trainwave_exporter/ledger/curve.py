"""The story of one meter of one job: which sightings are worth keeping, and what it showed between.

The price draws a line: a meter that is billed rises by its rate. Sightings on one line say nothing
that its two ends do not; kept are the corners, where billing began or ended, or the meter was
corrected. `value_at` draws the lines again. Both read two sightings in a row by the same rules:

- What lies on the line within `TOLERANCE` and a second's worth of the rate is explained by it.
- A rise by more was billed at the full rate, and corrected when it was next seen; but where the
  meter had fallen behind, it was told in a lump.
- A rise by less, or a fall, was billed at the full rate and corrected likewise; but where the
  meter had not been billed before (it was zero, stood still, or the job was over) billing began in
  between, and where the job is over then, billing ended in between.
- When the job was over before, every change is a correction, but for a bill that is settled within
  `FINISH_GRACE`: it counts as if it had been told in full when the end was first seen.
- Where no rate was ever told, every rise of a job that is not over is spent evenly.

Of the sightings within one quarter of an hour (UTC) no more than three are kept, whatever the API
tells: the first, the first that was not zero, and the last (and one for each time that the clock
was set back). All midnights and changes of the clock
of all time zones lie between two quarters, so this moves nothing from one day to another.

Pure functions; whole numbers throughout, so that the parts of a story add up to all of it.
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
"""Milliseconds after which the bill of a job that was seen finished has to be complete."""

_LATENCY: Final = 1000
"""Milliseconds by which an answer may be older than it seems."""
_QUARTER: Final = HOUR // 4


class Step(Struct, frozen=True):
    """What one more sighting does."""

    curve: Curve
    kept: Sighting | None = None
    """One more sighting to be kept, the new anchor; None: there is none."""
    dropped: int | None = None
    """From when on kept sightings are not to be kept any more; None: all stay."""
    correction: int = 0
    """By how much the meter changed otherwise than by its rate; negative when downwards."""


def begin(new: Sighting) -> Step:
    """Return what the first sighting does."""
    return Step(Curve(new, new), kept=new)


def extend(curve: Curve, new: Sighting) -> Step:
    """Return what one more sighting does to a story; it follows the one before it in any case."""
    anchor, last = curve.anchor, curve.last
    if new.at < last.at - _LATENCY and not (last.over and new.over and new.told == last.told):
        return _set_back(curve, new)
    if new.at <= last.at:
        new = replace(new, at=last.at + 1)
    if last.over and new.over:
        return _after_end(curve, new)
    correction, behind = _unexplained(curve, new)
    late = correction == 0 and _one_lump(anchor, last, new)
    if late or new.told == last.told == anchor.told or _one_line(anchor, new):
        return Step(Curve(anchor, new, behind), correction=correction)
    step = _corner(curve, new, correction)
    return replace(step, curve=replace(step.curve, behind=behind))


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

    The clock was set back. What was told before counts as told just now: the hour that is lived
    twice is told once, and what is told from now on is compared with now.
    """
    anchor, last = curve.anchor, curve.last
    moved = replace(last, at=new.at - 1)
    if moved.at <= anchor.at:
        # The anchor goes, and with it what it explains. A price would claim what was never told.
        moved = replace(moved, rate=0)
    rise = new.told - last.told
    correction = rise if last.over and new.over else min(rise, 0)
    return Step(Curve(moved, new), kept=moved, dropped=moved.at, correction=correction)


def _after_end(curve: Curve, new: Sighting) -> Step:
    """Return what a sighting does to a job that was over before."""
    anchor, last = curve.anchor, curve.last
    rise = new.told - last.told
    if rise == 0:
        return Step(curve if new.rate is None else Curve(anchor, replace(last, rate=new.rate)))
    rates = _rates(anchor, new)
    first_over = anchor if anchor.over else last
    if (
        rise > 0
        and rates is not None
        and new.at - first_over.at <= FINISH_GRACE
        and not _exceeds(new.told - anchor.told, rates[1], new.at - anchor.at)
    ):
        return Step(Curve(anchor, new if anchor.over else replace(new, at=last.at)))
    return _corner(curve, new, rise)


def _corner(curve: Curve, new: Sighting, correction: int) -> Step:
    """Return the step that keeps the last sighting, unless its quarter has been told enough of."""
    anchor, last = curve.anchor, curve.last
    began = anchor.told == 0 < last.told
    if last.at == anchor.at or (anchor.at // _QUARTER == new.at // _QUARTER and not began):
        return Step(Curve(anchor, new), correction=correction)
    return Step(Curve(last, new), kept=last, correction=correction)


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
    """Return whether a meter leapt onto the line that its price draws from the anchor.

    A lump comes at any time between two sightings.
    """
    rates = _rates(anchor, new)
    rise, time, gap = new.told - anchor.told, new.at - anchor.at, new.at - last.at
    return (
        rates is not None
        and _exceeds(new.told - last.told, rates[1], gap)
        and not _exceeds(rise, rates[1], time + gap)
        and (anchor.told == 0 or not _falls_short(rise, rates[0], time - gap))
    )


def _unexplained(curve: Curve, new: Sighting) -> tuple[int, int]:
    """Return the correction that a sighting tells of, and how far it is behind its rate then.

    That is what neither the rate nor a begin or an end of billing explains, nor a lump that makes
    up for time in which the meter stood still.
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
        excess = rise - high * time // HOUR
        if curve.behind and not _exceeds(excess - curve.behind, high, time):
            return 0, max(0, curve.behind - excess)
        return excess, 0
    if not _falls_short(rise, low, time):
        return 0, 0
    if new.over or not _billed(curve.anchor, last):
        return min(rise, 0), 0
    return rise - low * time // HOUR, 0


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
        return before.told + max(rise, 0) * passed // time
    low, high = rates
    if _exceeds(rise, high, time):
        return before.told + high * passed // HOUR
    line = before.told + low * passed // HOUR
    if rise * HOUR < low * time:
        if not billed:
            return max(before.told, after.told + low * (passed - time) // HOUR)
        if after.over and end == after.at:
            return min(line, max(before.told, after.told))
    if _falls_short(rise, low, time):
        return line
    return before.told + rise * passed // time


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
