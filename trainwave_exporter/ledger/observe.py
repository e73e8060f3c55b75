"""One more sighting of a job: what is kept of it from then on. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger import curve, idleness
from trainwave_exporter.ledger.entry import (
    Curve,
    IdleInterval,
    JobEntry,
    Labels,
    Life,
    Meter,
    Sighting,
    UtilizationBucket,
)
from trainwave_exporter.ledger.peaks import rose
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.store import Point
from trainwave_exporter.ledger.units import DAY, gpu_milliseconds, microdollars, milliseconds
from trainwave_exporter.model import Job

ABSURD: Final = 10**15
"""A thousand million dollars, or 30,000 years."""


class Observed(Struct, frozen=True):
    """What a sighting came to."""

    entry: JobEntry
    points: tuple[Point, ...] = ()
    """Sightings to be kept besides the last."""
    dropped: tuple[tuple[str, Meter, int], ...] = ()
    """From when on kept sightings are not to be kept any more: job, meter, time."""
    correction: int = 0
    """Micro-dollars by which the cost changed otherwise than by time going by."""
    idled: tuple[IdleInterval, ...] = ()
    """Idle intervals, each in the place of one that began at the same time."""
    used: tuple[UtilizationBucket, ...] = ()
    """What is added to buckets of utilization."""


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
    found = idleness.assess(known, replace(entry, totals=totals), job, rules)
    entry = replace(entry, totals=found.totals, judgement=found.judgement, peaks=found.peaks)
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
        idled=found.idled,
        used=found.used,
    )


def irrelevant(before: Job, after: Job) -> bool:
    """Tell whether `observe` would find the same: of readings, it looks at three."""
    then, now = before.readings, after.readings
    if then.gpu_utilization != now.gpu_utilization:
        return False
    if rose(then.memory, now.memory) or rose(then.gpu_memory, now.gpu_memory):
        return False
    return replace(after, readings=then) == before


def _described(known: JobEntry | None, job: Job, at: int) -> JobEntry:
    """Return the entry with what the API tells of the job, all but meters and verdicts."""
    told = Life(
        created=_rounded(job.created_at, milliseconds),
        started=_rounded(job.started_at, milliseconds),
        finished=_rounded(job.finished_at, milliseconds),
    )
    told = replace(told, finished=_finished(known, job, told, at))
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


def _finished(known: JobEntry | None, job: Job, told: Life, at: int) -> int | None:
    """Return when a job finished, as told now or before.

    Where nobody saw it alive and nothing tells, it ended at the latest when its GPU hours were used
    on one GPU; once its price is told, that says better how long it ran.
    """
    if not job.finished or told.finished is not None:
        return told.finished
    priced, before = job.hourly_cost_dollars is not None, None
    if known is not None:
        before = known.life.finished
        if known.over_seen != known.first_seen:
            return before
        if priced and (known.cost is None or known.cost.last.rate is None):
            return None
    if before is None and not priced and told.created is not None and job.gpu_hours is not None:
        return min(at, told.created + gpu_milliseconds(job.gpu_hours))
    return before


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
