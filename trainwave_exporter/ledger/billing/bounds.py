"""What is known for certain of a meter before an instant that nobody watched. Pure functions.

Of a job that was finished when it was first seen, a list reports creation, cost and GPU hours, and
not when it ran. So its cost before an instant lies between two bounds, which meet where the times
are reported, or where it cannot have run on the other side of the instant:

- It did not begin to run before it was created, nor later than the longest plausible queue after.
- It did not end after it was seen finished.
- It ran for as long as its price explains its cost; without a price, no longer than its GPU hours
  take on one GPU (on its own number of GPUs, where that is known).

Where the reported times contradict that, the price was another before the job was first seen. It
was not above twice the dearest that is known of it, then: the present one, or the mean of its run.
The same goes for a rise between two samples that no price explains, if they are so far apart that
nobody looked meanwhile: at the same price before and after, it may have changed twice, or the cost
may have been corrected at any time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.billing import job_meters as meters
from trainwave_exporter.ledger.billing.job_entry import Life, Meter, MeterSample
from trainwave_exporter.ledger.billing.price_line import (
    TOLERANCE,
    WATCHED,
    exceeds,
    falls_short,
    rates_of,
    was_billed,
)
from trainwave_exporter.ledger.billing.stored_records import JobHistory
from trainwave_exporter.ledger.billing.units import DAY, HOUR

SHORTEST_QUEUE_BOUND: Final = DAY
"""The least that is taken for the longest plausible queue."""
_SLACK: Final = HOUR // 4
"""Milliseconds by which billing may begin before or after a reported start."""
_EVER: Final = 10**15
"""Milliseconds, longer than anything runs."""


class Bounds(Struct, frozen=True, gc=False):
    """Lower and upper bound of an amount; equal where it is known."""

    lower: int
    upper: int

    @property
    def width(self) -> int:
        """By how much the amount may differ from the lower bound."""
        return self.upper - self.lower

    def nearest(self, value: int) -> int:
        """Return the value within the bounds that is nearest to one."""
        return min(max(value, self.lower), self.upper)

    def plus(self, other: Bounds) -> Bounds:
        """Return those of the sum with another amount."""
        return Bounds(self.lower + other.lower, self.upper + other.upper)

    def since(self, before: Bounds) -> Bounds:
        """Return those of what an amount has grown by since it was ``before``.

        It only grows while it is not known.
        """
        lower, upper = self.lower - before.upper, self.upper - before.lower
        return Bounds(max(0, lower) if self.width and before.width else lower, upper)


NOTHING: Final = Bounds(0, 0)


def queue_bound(longest_queue: int | None) -> int:
    """Return the longest plausible queue: a day, or twice the longest that was reported."""
    return max(SHORTEST_QUEUE_BOUND, 2 * (longest_queue or 0))


def cost_before(history: JobHistory, at: int, queue: int) -> Bounds:
    """Return the bounds of what a job cost before ``at``, in micro-dollars.

    ``queue``: the longest plausible queue, milliseconds.
    """
    bounds = _before_first(history, history.cost, history.entry.cost, at, queue)
    bounds = bounds or _cheaper_before(history, at) or _ended_unseen(history, at, queue)
    bounds = bounds or _between_looks(history, at)
    return bounds or _exactly(meters.cost_before(history, at))


def gpu_before(history: JobHistory, at: int, queue: int) -> Bounds:
    """Return likewise its GPU milliseconds."""
    unseen = _before_first(history, history.gpu, history.entry.gpu, at, queue)
    return unseen or _exactly(meters.gpu_before(history, at))


def _exactly(value: int) -> Bounds:
    return Bounds(value, value)


def _before_first(
    history: JobHistory, kept: Sequence[MeterSample], meter: Meter | None, at: int, queue: int
) -> Bounds | None:
    """Return the bounds before a meter was first seen; None where what it showed is known."""
    if meter is None or history.entry.run:
        return None
    first = kept[0] if kept else meter.last
    if at > first.at:
        return None
    rate = first.rate or meter.last.rate or 0
    return _unseen(first, history.entry.life, rate, at, queue, _longest_run(history))


def _cheaper_before(history: JobHistory, at: int) -> Bounds | None:
    """Return the bounds of a run that costs less than its price says; None: it does not.

    Its price was cheaper before the first look, nobody knows when. While no bill came since that
    look, it may be behind instead.
    """
    entry, kept, meter = history.entry, history.cost, history.entry.cost
    started, finished, seen = entry.life.started, entry.life.finished, entry.first_seen
    if meter is None or not kept or entry.run or started is None:
        return None
    rate, value = kept[0].rate, meter.last.value
    if kept[0].value or kept[0].at != started or not started <= kept[-1].at < seen:
        return None
    if not value or not rate or rate != meter.last.rate or not started < at <= meter.last.at:
        return None
    if value == kept[-1].value:
        return _maybe_behind(value, rate, started, seen, at)
    if finished is None or not meter.last.finished or not started < seen < finished:
        return None
    if not falls_short(value, rate, finished - started - _SLACK):
        return None
    # Or something was taken back since; so it was spent as the price says until then.
    before, line = value - rate * (finished - seen) // HOUR, rate * (at - started) // HOUR
    if before < 0:
        return _at_any_price(value, rate, started, finished, at)
    cheaper = _exactly(value - rate * max(0, finished - at) // HOUR)
    if at <= seen:
        cheaper = _at_any_price(before, rate, started, seen, at)
    return Bounds(cheaper.lower, max(cheaper.upper, min(value, line)))


def _maybe_behind(value: int, rate: int, started: int, seen: int, at: int) -> Bounds | None:
    """Return the bounds of a run that was behind when first seen, and was not billed since.

    What it may owe beyond its bill is accrued, and not counted here.
    """
    if at > seen or not falls_short(value, rate, seen - started - _SLACK):
        return None
    cheaper = _at_any_price(value, rate, started, seen, at)
    return Bounds(cheaper.lower, max(cheaper.upper, min(value, rate * (at - started) // HOUR)))


def _ended_unseen(history: JobHistory, at: int, queue: int) -> Bounds | None:
    """Return the bounds of a bill for a run whose begin or end was not seen; None: it is none.

    It ran when it was first seen, or waited when it was last seen, and was over when it was seen
    again: nobody knows when in between.
    """
    entry, kept = history.entry, history.cost
    life, meter, since = entry.life, entry.cost, entry.running_since
    if meter is None or entry.run or life.started is not None or life.finished is not None:
        return None
    last_waited = since is None
    if not kept or kept[0].value or (since is not None and since > entry.first_seen):
        return None
    place = -1 if last_waited and kept[-1].at < meter.last.at else 0
    first = kept[place]
    after = meter.last if last_waited or len(kept) == 1 else kept[1]
    rates = rates_of(first, after)
    if first.value or not after.finished or rates is None or not rates[0] or at > after.at:
        return None
    ran = after.value * HOUR // rates[0]
    if first.at + ran + WATCHED >= after.at:
        return None
    if last_waited:
        begin = first.at
        last_begin = min(after.at - ran, max(begin, (life.created or begin) + queue))
    else:
        begin = max(first.at - ran, min(first.at, life.created or 0))
        last_begin = first.at
    return Bounds(
        _share(after.value, last_begin, last_begin + ran, at),
        _share(after.value, begin, begin + ran, at),
    )


def _between_looks(history: JobHistory, at: int) -> Bounds | None:
    """Return the bounds within a change that nobody saw and no price explains; None: it is none."""
    kept, meter = history.cost, history.entry.cost
    place = bisect_left(kept, at, key=attrgetter("at"))
    if meter is None or history.entry.run or place == 0 or at > meter.last.at:
        return None
    before, after = kept[place - 1], kept[place] if place < len(kept) else meter.last
    rates, finished = rates_of(before, after), history.entry.life.finished
    end = after.at
    if after.finished and finished is not None:
        end = max(before.at, min(end, finished))
    rise, time = after.value - before.value, end - before.at
    if rates is None or not before.value or time <= WATCHED:
        return None
    line = rates[0] * max(0, min(at, end) - before.at) // HOUR
    if exceeds(rise, rates[1], time):
        spent = _at_any_price(rise, rates[1], before.at, end, at)
        # What the price does not explain may be a correction, too, also one after the end.
        return Bounds(before.value + min(spent.lower, line), before.value + spent.upper)
    ended = after.finished and end < after.at
    if ended and falls_short(rise, rates[0], time) and _was_billed(kept, place - 1):
        # What is missing was taken back before the end, or after it.
        short = rates[0] * time // HOUR - rise
        return Bounds(max(0, before.value + line - short), before.value + line)
    return None


def _was_billed(kept: Sequence[MeterSample], place: int) -> bool:
    return was_billed(kept[max(0, place - 1)], kept[place])


def _longest_run(history: JobHistory) -> int:
    """Return how long a job ran at the most, by its GPU hours."""
    meter = history.entry.gpu
    if meter is None:
        return _EVER
    gpus = (history.gpu[0] if history.gpu else meter.last).rate or meter.last.rate or HOUR
    return meter.last.value * HOUR // max(1, gpus)


def _unseen(
    first: MeterSample, life: Life, rate: int, at: int, queue: int, longest: int
) -> Bounds | None:
    """Return the bounds before a first sample; None where the times are known well enough."""
    created, started, finished = life.created, life.started, life.finished
    ended = first.at if finished is None else min(first.at, finished)
    begun = created if started is None else started
    if rate and begun is not None and _is_contradicted(first, life, rate, begun, ended):
        return _at_any_price(first.value, rate, min(begun, ended), ended, at, _SLACK)
    end_known = not first.finished or finished is not None
    if not first.value or (end_known + (started is not None) + bool(rate) >= 2):
        return None
    shortest = longest = first.value * HOUR // rate if rate else longest
    if not rate:
        shortest = 0
    begin = started if started is not None else created if created is not None else -_EVER
    last_begin = begin if started is not None else ended
    if started is None and created is not None:
        last_begin = min(created + queue, ended)
    first_end = ended if end_known else -_EVER
    early = _share(
        first.value,
        max(begin, first_end - longest),
        max(first_end, begin + shortest),
        at,
    )
    late = _share(
        first.value,
        min(last_begin, ended - shortest),
        min(ended, last_begin + longest),
        at,
    )
    return Bounds(min(early, late), max(early, late))  # in whichever order times are reported


def _is_contradicted(first: MeterSample, life: Life, rate: int, begun: int, ended: int) -> bool:
    """Return whether a rate and the times that are reported do not fit what a meter showed."""
    explained = rate * max(0, ended - begun) // HOUR
    slack = rate * _SLACK // HOUR + TOLERANCE
    end_known = not first.finished or life.finished is not None
    too_little = life.started is not None and end_known and first.value < explained - slack
    return first.value > 0 and (too_little or first.value > explained + slack)


def _at_any_price(value: int, rate: int, begin: int, ended: int, at: int, slack: int = 0) -> Bounds:
    """Return the bounds of an amount spent from ``begin`` to ``ended`` at prices that varied.

    ``slack``: by how much it may have begun before, milliseconds.
    """
    most = 2 * max(rate, value * HOUR // max(1, ended - begin))
    before, after = max(0, min(at, ended) - begin + slack), max(0, ended - at)
    return Bounds(max(0, value - most * after // HOUR), min(value, most * before // HOUR))


def _share(value: int, begin: int, end: int, at: int) -> int:
    """Return which part of an amount spread evenly from ``begin`` to ``end`` lies before ``at``."""
    if at <= begin:
        return 0
    return value if at >= end else value * (at - begin) // (end - begin)
