"""One more sighting of a job: what is kept of it from then on. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger import curve, waste
from trainwave_exporter.ledger.curve import FINISH_GRACE
from trainwave_exporter.ledger.entry import (
    Curve,
    JobEntry,
    Judgement,
    Labels,
    Life,
    Meter,
    Sighting,
    Totals,
)
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.store import Point
from trainwave_exporter.ledger.units import DAY, HOUR, gpu_milliseconds, microdollars, milliseconds
from trainwave_exporter.model import Job, JobState

ABSURD: Final = 10**15
"""A thousand million dollars, or 30,000 years."""

_WAITING: Final = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})


class Observed(Struct, frozen=True):
    """What a sighting came to."""

    entry: JobEntry
    points: tuple[Point, ...] = ()
    """Sightings to be kept besides the last."""
    dropped: tuple[tuple[str, Meter, int], ...] = ()
    """From when on kept sightings are not to be kept any more: job, meter, time."""
    correction: int = 0
    """Micro-dollars by which the cost changed otherwise than by time going by."""


def observe(known: JobEntry | None, job: Job, rules: Rules) -> Observed:
    """Return what is kept of a job after the API told of it; ``known`` is what was kept before."""
    at = milliseconds(job.confirmed_at)
    entry = _described(known, job, at)
    cost = _read(entry.cost, job, at, _rounded(job.cost_dollars, microdollars), _price(job))
    gpu = _read(entry.gpu, job, at, _rounded(job.gpu_hours, gpu_milliseconds), _gpu_rate(job))
    entry = replace(entry, cost=cost.curve, gpu=gpu.curve)
    totals = replace(
        entry.totals,
        cost=max(entry.totals.cost, _told(cost.curve)),
        gpu=max(entry.totals.gpu, _told(gpu.curve)),
    )
    rise = totals.cost - entry.totals.cost
    totals, judgement = _judged(entry, job, totals, rules)
    totals = waste.wasted(
        totals,
        idle=_idle_money(totals.idle - entry.totals.idle, cost.curve, gpu.curve),
        launching=_launching_money(known, entry, job, rise, rules),
        after_finish=_late_money(known, rise, at),
    )
    entry = replace(entry, totals=totals, judgement=judgement)
    if known is not None and entry == known:
        entry = replace(entry, last_seen=max(known.last_seen, at // DAY * DAY))
    elif entry.last_seen < at:
        entry = replace(entry, last_seen=at)
    steps = ((Meter.COST, cost), (Meter.GPU, gpu))
    return Observed(
        entry,
        points=tuple(Point(job.id, m, step.kept) for m, step in steps if step.kept is not None),
        dropped=tuple((job.id, m, step.dropped) for m, step in steps if step.dropped is not None),
        correction=cost.correction,
    )


def irrelevant(before: Job, after: Job) -> bool:
    """Tell whether `observe` would find the same: of readings, it looks at one metric only."""
    if before.readings.gpu_utilization != after.readings.gpu_utilization:
        return False
    return replace(after, readings=before.readings) == before


def abandoned(entry: JobEntry) -> JobEntry:
    """Return the entry of a job that is watched no longer: nothing more will judge its GPU time."""
    totals, _ = waste.settled(entry.totals, entry.judgement)
    return replace(entry, totals=waste.given_up(totals), judgement=Judgement())


def _described(known: JobEntry | None, job: Job, at: int) -> JobEntry:
    """Return the entry with what the API tells of the job, all but meters and verdicts."""
    told = Life(
        created=_rounded(job.created_at, milliseconds),
        started=_rounded(job.started_at, milliseconds),
        finished=_rounded(job.finished_at, milliseconds),
    )
    told = replace(told, finished=_finished(known, job, told))
    if known is None:
        return JobEntry(
            id=job.id,
            account=job.account,
            labels=Labels.of(job),
            organization_id=job.organization_id,
            name=job.name,
            life=told,
            first_seen=at,
            last_seen=at,
            over_seen=at if job.finished else None,
            running_since=(told.started or told.created or at) if job.running else told.started,
        )
    over_seen = (known.over_seen or at) if job.finished else None
    running_since = told.started or known.running_since or (at if job.running else None)
    return replace(
        known,
        # Of what is over, two keys that tell of it need not take turns.
        account=known.account if known.over and job.finished else job.account,
        # A job that is not shown is told by lists alone, which leave out what its details told.
        labels=Labels(
            job.project_id or known.labels.project_id,
            job.owner or known.labels.owner,
            job.gpu_type or known.labels.gpu_type,
        ),
        organization_id=job.organization_id or known.organization_id,
        name=job.name or known.name,
        life=Life(
            created=told.created or known.life.created,
            started=told.started or known.life.started,
            finished=told.finished,
        ),
        over_seen=over_seen,
        running_since=running_since,
    )


def _finished(known: JobEntry | None, job: Job, told: Life) -> int | None:
    """Return when a job finished, as reported now or before; None: unknown, and never guessed."""
    if not job.finished or told.finished is not None or known is None:
        return told.finished
    return known.life.finished


class _Read(Struct, frozen=True):
    """A meter after a sighting."""

    curve: Curve | None
    kept: Sighting | None = None
    dropped: int | None = None
    correction: int = 0


def _read(known: Curve | None, job: Job, at: int, told: int | None, rate: int | None) -> _Read:
    if told is None:
        return _Read(known)
    last = None if known is None else known.last
    if last is not None:
        rate = last.rate if rate is None else rate
        if last.over and job.finished and (last.told, last.rate) == (told, rate):
            return _Read(known)  # history that stands still
        if last.at == at and last.told == told and last.rate == rate:
            return _Read(known)  # another part of the job changed
    sighting = Sighting(at, told, rate, job.finished)
    step = curve.begin(sighting) if known is None else curve.extend(known, sighting)
    return _Read(step.curve, step.kept, step.dropped, step.correction)


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


def _told(known: Curve | None) -> int:
    return 0 if known is None else known.last.told


def _price(job: Job) -> int | None:
    return _rounded(job.hourly_cost_dollars, microdollars)


def _gpu_rate(job: Job) -> int | None:
    return _rounded(job.gpus, gpu_milliseconds)


def _rounded(value: float | None, convert: Callable[[float], int]) -> int | None:
    """Return a whole number; None for one that no job can have, and no database could hold."""
    if value is None or (whole := convert(value)) > ABSURD:
        return None
    return whole
