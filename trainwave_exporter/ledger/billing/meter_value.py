"""What a meter showed at any time, read off the samples that are kept of it. Pure functions.

The rules are those by which they were kept, see `trainwave_exporter.ledger.billing.meter`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Life, MeterSample
from trainwave_exporter.ledger.billing.price_line import (
    exceeds,
    falls_short,
    is_one_change,
    rates_of,
    was_billed,
)
from trainwave_exporter.ledger.billing.units import HOUR


def value_at(kept: Sequence[MeterSample], last: MeterSample, life: Life, at: int) -> int:
    """Return what a meter showed just before an instant, as far as is known by now.

    ``kept`` are the samples kept, in order of time, and ``last`` the last of all, kept or not.
    It is zero before anything was billed, and what was reported last after that. A correction at
    ``at`` itself is not in it, so what was spent in [a, b) is the value at b less that at a.
    """
    if at > last.at:
        return last.value
    place = bisect_left(kept, at, key=attrgetter("at"))
    after = kept[place] if place < len(kept) else last
    if place == 0:
        if not after.rate:  # the price may have been reported later, or the clock set back since
            after = replace(after, rate=last.rate)
        return _before_first(after, life, at)
    before = kept[place - 1]
    billed = was_billed(kept[place - 2] if place > 1 else before, before)
    return _between(before, after, life, at, billed=billed)


def _before_first(first: MeterSample, life: Life, at: int) -> int:
    """Return what a meter showed before it was first seen."""
    value, end, rate = first.value, first.at, first.rate or 0
    begin = life.started or life.created
    if first.finished:
        if life.finished is not None:
            end = min(end, life.finished)
        elif rate and begin is not None:
            end = min(end, begin + value * HOUR // rate)
    if at > end:
        return value
    if rate:
        if life.created is None or life.created <= end - value * HOUR // rate:
            return max(0, value + rate * (at - end) // HOUR)
        begin = life.created  # it cost more than its price explains
    if begin is None or begin >= end:
        return 0
    return max(0, value * (at - begin) // (end - begin))


def _between(before: MeterSample, after: MeterSample, life: Life, at: int, *, billed: bool) -> int:
    """Return what a meter showed between two samples; ``billed``: it was when first seen."""
    rise = after.value - before.value
    rates = rates_of(before, after)
    if rise == 0 or (before.finished and (after.finished or rates is None)):
        return before.value
    end, finished = after.at, life.finished
    if after.finished and finished is not None and before.at < finished < end:
        end = finished
    time, passed = end - before.at, min(at, end) - before.at
    if rates is None:
        return before.value + _evenly(max(rise, 0), before, end, life, passed)
    low, high = rates
    if exceeds(rise, high, time):
        launch = rise - high * time // HOUR if _launched_before(before, after, life, end) else 0
        return before.value + launch + high * passed // HOUR
    line = before.value + low * passed // HOUR
    if rise * HOUR < low * time:
        if not billed:
            return _begun_between(before, after, life, end, at)
        if after.finished and end == after.at:
            return min(line, max(before.value, after.value))
    if falls_short(rise, low, time):
        return line
    if before.rate is None or after.rate is None or low == high or rise < 0:
        return before.value + rise * passed // time
    # The price changed once, at the moment at which both prices together come to the rise.
    changed = (rise * HOUR - after.rate * time) // (before.rate - after.rate)
    then = max(0, passed - min(max(changed, 0), time))
    return before.value + min(rise, (before.rate * (passed - then) + after.rate * then) // HOUR)


def _evenly(rise: int, before: MeterSample, end: int, life: Life, passed: int) -> int:
    """Return how much of a rise was billed after so much time, if no price was ever reported.

    The first bill is for the time since the start, where that is reported.
    """
    begin, started = before.at, life.started
    if before.value == 0 and started is not None and begin < started < end:
        begin = started
    return rise * max(0, passed - (begin - before.at)) // (end - begin)


def _launched_before(start: MeterSample, after: MeterSample, life: Life, end: int) -> bool:
    """Return whether what the run does not explain was billed while the job was launched."""
    return (
        after.finished
        and start.value == 0
        and start.at == life.started
        and life.created is not None
        and not exceeds(after.value, start.rate or 0, end - life.created)
    )


def _begun_between(before: MeterSample, after: MeterSample, life: Life, end: int, at: int) -> int:
    """Return what a meter showed where billing began between two samples.

    A job is billed from its start, however late its bills are. Where the start is not known, or
    does not explain the rise, billing ends with the end and began as long before as it explains.
    One change of the price since the start may explain it as well.
    """
    started, at = life.started, min(at, end)
    rise, low = max(0, after.value - before.value), min(rates_of(before, after) or (0,))
    if started is not None and before.at <= started < end:
        begun = replace(before, at=started)
        if low * (end - started) // HOUR >= rise:
            return before.value + min(rise, low * max(0, at - started) // HOUR)
        if is_one_change(begun, replace(after, at=end)):
            return _between(begun, after, life, max(at, started), billed=True)
    return before.value + max(0, rise - low * (end - at) // HOUR)
