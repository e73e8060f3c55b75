"""How a job's GPUs are used, and which part of its money is wasted. Pure functions.

Two readings of GPU utilization that are close enough together judge the time between them: a GPU
was idle if it was idle in both, and unknown if it is missing in either. Judged time is taken from
the job's GPU time as far as its meter has come. So idle, busy and unknown never are more than the
GPU time, and are all of it when the job is over. Where the meter comes late (with the bill, at the
end), judged time waits for it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.gpu_use import (
    GpuUse,
    all_idle,
    decoded,
    encoded,
    idle_part,
    shares,
)
from trainwave_exporter.ledger.billing.job_entry import IdleEstimate, Totals
from trainwave_exporter.ledger.billing.waste_rules import WasteRules


class Stretch(Struct, frozen=True):
    """The time between two readings close together, and what the GPUs did in it.

    Times are milliseconds since 1970, the rest GPU milliseconds.
    """

    begin: int
    end: int
    idle_from: int
    """When the job's warm-up was over: until then nothing counts as idle."""
    idle: int
    busy: int
    used: int
    """The idle and the busy ones, weighted by utilization."""


def judged(
    known: IdleEstimate,
    read_at: int,
    use: GpuUse,
    gpus: float | None,
    warm_at: int,
    rules: WasteRules,
    *,
    behind: int = 0,
) -> tuple[IdleEstimate, Stretch | None]:
    """Return the idle estimate after a reading taken at ``read_at``, and the stretch it judges.

    ``warm_at``: when the job's warm-up is over; until then its GPUs count as busy. ``behind``: by
    how many GPU milliseconds the meter of GPU time is behind the clock.
    """
    if known.read_at is not None and read_at <= known.read_at:
        return known, None
    close = known.read_at is not None and read_at - known.read_at <= rules.reading_gap
    stretch = None
    if close and known.read_at is not None:
        stretch = _stretch(known, read_at, use, gpus, warm_at, rules)
        known = _owing(known, stretch, max(behind, round(rules.reading_gap * (gpus or 0))))
    idle_since = None
    if all_idle(use, gpus, rules.idle_threshold):
        idle_since = known.idle_since if close and known.idle_since is not None else read_at
    return replace(
        known,
        read_at=read_at,
        idle_millionths=idle_part(use, gpus, rules.idle_threshold),
        idle_since=idle_since,
        use=encoded(use),
    ), stretch


def _stretch(
    known: IdleEstimate, end: int, use: GpuUse, gpus: float | None, warm_at: int, rules: WasteRules
) -> Stretch:
    begin = end if known.read_at is None else known.read_at
    share = shares(decoded(known.use), use, gpus, rules.idle_threshold)
    idle_from = min(end, max(begin, warm_at))
    idle = round((end - idle_from) * share.idle)
    return Stretch(
        begin=begin,
        end=end,
        idle_from=idle_from,
        idle=idle,
        busy=round((end - begin) * (share.idle + share.busy)) - idle,
        used=round((end - begin) * share.used),
    )


def _owing(known: IdleEstimate, stretch: Stretch, most: int) -> IdleEstimate:
    """Return the estimate with a stretch that waits for the meter, at most ``most`` in all."""
    owed_idle, owed_busy = known.owed_idle + stretch.idle, known.owed_busy + stretch.busy
    excess = owed_idle + owed_busy - most
    if excess > 0:
        given_up = min(excess, owed_busy)
        owed_busy -= given_up
        owed_idle -= excess - given_up
    return replace(known, owed_idle=owed_idle, owed_busy=owed_busy)


def unread(known: IdleEstimate) -> IdleEstimate:
    """Return the idle estimate without its last reading, which is too old."""
    return replace(known, read_at=None, idle_millionths=0, idle_since=None, use="")


def settled(totals: Totals, known: IdleEstimate) -> tuple[Totals, IdleEstimate]:
    """Return the totals with judged time, as far as the meter has come, and what still waits."""
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
    """Return the totals with unjudged time as unknown, but for ``kept`` GPU milliseconds."""
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
