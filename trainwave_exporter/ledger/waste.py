"""How a job's GPUs are used, and which part of its money is wasted. Pure functions.

Two readings of GPU utilization that are close enough together judge the time between them: idle is
what was idle at both its ends. What is judged is taken from the job's GPU time as far as its meter
has come, so that idle, busy and unknown never are more than the GPU time, and when the job is over
they are all of it.
"""

from __future__ import annotations

from msgspec.structs import replace

from trainwave_exporter.ledger.entry import Judgement, Totals
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.model import Quantity, Reading

WHOLE = 1_000_000
"""All of a job's GPUs, in millionths."""


def idle_part(reading: Reading | None, rules: Rules) -> int | None:
    """Return the part of a job's GPUs that did nothing, in millionths; None: it does not tell."""
    if reading is None or reading.quantity is not Quantity.RATIO or not reading.points:
        return None
    idle = sum(point.value < rules.idle_threshold for point in reading.points)
    return WHOLE * idle // len(reading.points)


def judged(
    known: Judgement, read_at: int, idle: int, gpus: float | None, warm_at: int, rules: Rules
) -> Judgement:
    """Return what is known after a reading that was taken at ``read_at``.

    ``idle`` is `idle_part`; ``warm_at`` when the job's warm-up is over: until then it is busy.
    """
    if known.read_at is not None and read_at <= known.read_at:
        return known
    close = known.read_at is not None and read_at - known.read_at <= rules.reading_gap
    owed_idle, owed_busy = known.owed_idle, known.owed_busy
    if close and known.read_at is not None and gpus is not None:
        whole = round((read_at - known.read_at) * gpus)
        counting = round(max(0, read_at - max(known.read_at, warm_at)) * gpus)
        wasted = counting * min(idle, known.idle_millionths) // WHOLE
        owed_idle += wasted
        owed_busy += whole - wasted
        # What the meter of GPU time does not reach within the gap it never will.
        excess = owed_idle + owed_busy - round(rules.reading_gap * gpus)
        if excess > 0:
            given_up = min(excess, owed_busy)
            owed_busy -= given_up
            owed_idle -= excess - given_up
    idle_since = None
    if idle == WHOLE:
        idle_since = known.idle_since if close and known.idle_since is not None else read_at
    return Judgement(
        read_at=read_at,
        idle_millionths=idle,
        idle_since=idle_since,
        owed_idle=owed_idle,
        owed_busy=owed_busy,
    )


def settled(totals: Totals, known: Judgement) -> tuple[Totals, Judgement]:
    """Return the totals with what is owed, as far as the meter of GPU time has come."""
    owed = known.owed_idle + known.owed_busy
    taken = min(owed, unjudged(totals))
    if taken <= 0:
        return totals, known
    idle = taken * known.owed_idle // owed
    busy = taken - idle
    return (
        replace(totals, idle=totals.idle + idle, busy=totals.busy + busy),
        replace(known, owed_idle=known.owed_idle - idle, owed_busy=known.owed_busy - busy),
    )


def given_up(totals: Totals, kept: int = 0) -> Totals:
    """Return the totals with what cannot be judged any more, but for ``kept`` GPU milliseconds."""
    lost = max(0, unjudged(totals) - kept)
    return replace(totals, unknown=totals.unknown + lost) if lost else totals


def unjudged(totals: Totals) -> int:
    """Return the GPU milliseconds that are neither idle nor busy nor unknown yet."""
    return totals.gpu - totals.idle - totals.busy - totals.unknown


def wasted(totals: Totals, *, idle: int = 0, launching: int = 0, after_finish: int = 0) -> Totals:
    """Return the totals with so many micro-dollars more wasted, but never more than was spent."""
    room = totals.cost - totals.waste_idle - totals.waste_launching - totals.waste_after_finish
    after_finish = min(after_finish, room)
    launching = min(launching, room - after_finish)
    idle = min(idle, room - after_finish - launching)
    return replace(
        totals,
        waste_idle=totals.waste_idle + idle,
        waste_launching=totals.waste_launching + launching,
        waste_after_finish=totals.waste_after_finish + after_finish,
    )
