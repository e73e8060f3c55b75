"""What one more sighting of a job says of its waste: idle GPU time, and money spent without use.

Pure functions.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger import waste
from trainwave_exporter.ledger.curve import FINISH_GRACE
from trainwave_exporter.ledger.entry import Curve, JobEntry, Judgement, Totals
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.units import HOUR, milliseconds
from trainwave_exporter.model import Job, JobState

_WAITING: Final = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})


class Assessment(Struct, frozen=True):
    """A job's totals and the state of its idleness after a sighting."""

    totals: Totals
    judgement: Judgement


def assess(known: JobEntry | None, entry: JobEntry, job: Job, rules: Rules) -> Assessment:
    """Return what a sighting adds to a job's idle time and waste.

    ``known`` is the entry before it; ``entry`` holds the meters and the totals of cost and GPU time
    after it.
    """
    before = Totals() if known is None else known.totals
    rise = entry.totals.cost - before.cost
    totals, judgement = _judged(entry, job, entry.totals, rules)
    totals = waste.wasted(
        totals,
        idle=_idle_money(totals.idle - before.idle, entry.cost, entry.gpu),
        launching=_launching_money(known, entry, job, rise, rules),
        after_finish=_late_money(known, rise, milliseconds(job.confirmed_at)),
    )
    return Assessment(totals, judgement)


def abandoned(entry: JobEntry) -> JobEntry:
    """Return the entry of a job that is watched no longer: nothing more will judge its GPU time."""
    totals, _ = waste.settled(entry.totals, entry.judgement)
    return replace(entry, totals=waste.given_up(totals), judgement=Judgement())


def _judged(entry: JobEntry, job: Job, totals: Totals, rules: Rules) -> tuple[Totals, Judgement]:
    """Return the totals and verdicts after what the job's GPUs are said to do."""
    known = entry.judgement
    if job.finished:
        totals, _ = waste.settled(totals, known)
        return waste.given_up(totals), Judgement()
    if not job.running:
        return totals, replace(known, idle_since=None)
    at = milliseconds(job.confirmed_at)
    reading = job.readings.gpu_utilization
    idle = waste.idle_part(reading, rules)
    if reading is not None and idle is not None:
        read_at = milliseconds(reading.at)
        at = max(at, read_at)
        if known.read_at is None or read_at - known.read_at > rules.reading_gap:
            totals, known = waste.settled(totals, known)
            totals = waste.given_up(totals)
        warm_at = (entry.running_since or read_at) + rules.warm_up
        known = waste.judged(known, read_at, idle, job.gpus, warm_at, rules)
    totals, known = waste.settled(totals, known)
    fresh = known.read_at is not None and at - known.read_at <= rules.reading_gap
    kept = round(rules.reading_gap * (job.gpus or 0)) if fresh else 0
    if not fresh:
        known = Judgement()
    return waste.given_up(totals, kept), known


def _idle_money(idle: int, cost: Curve | None, gpu: Curve | None) -> int:
    """Return what so many idle GPU milliseconds cost at the present price."""
    if not idle or cost is None or gpu is None or not cost.last.rate or not gpu.last.rate:
        return 0
    return idle * cost.last.rate // gpu.last.rate


def _launching_money(
    known: JobEntry | None, entry: JobEntry, job: Job, rise: int, rules: Rules
) -> int:
    """Return which part of a rise a job cost that should be running by now."""
    if rise <= 0 or job.state not in _WAITING or job.finished or entry.cost is None:
        return 0
    last = entry.cost.last
    if last.rate:
        billed_since = last.at - last.told * HOUR // last.rate
    else:
        billed_since = entry.life.created or entry.first_seen
    before = known.cost.last.at if known is not None and known.cost is not None else billed_since
    late = last.at - max(before, billed_since + rules.launch_bound)
    return rise * late // (last.at - before) if 0 < late <= last.at - before else 0


def _late_money(known: JobEntry | None, rise: int, at: int) -> int:
    """Return which part of a rise came when the job was over, and its bill had to be complete."""
    if rise <= 0 or known is None or known.over_seen is None:
        return 0
    return rise if at - known.over_seen > FINISH_GRACE else 0
