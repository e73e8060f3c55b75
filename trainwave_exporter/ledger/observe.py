"""One more sighting of a job: what is kept of it from then on. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger import curve, runs, waste
from trainwave_exporter.ledger.curve import FINISH_GRACE, Origin
from trainwave_exporter.ledger.entry import (
    Correction,
    Curve,
    JobEntry,
    Judgement,
    Labels,
    Life,
    Meter,
    Sighting,
    Suspect,
    Totals,
)
from trainwave_exporter.ledger.plausible import confirmed, plausible
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.store import ClosedRun, Dropped, Point
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
    dropped: tuple[Dropped, ...] = ()
    """Sightings not to be kept any more."""
    corrections: tuple[Correction, ...] = ()
    closed: ClosedRun | None = None
    """The run that ended as another began."""


def observe(known: JobEntry | None, job: Job, rules: Rules, dearest: int | None = None) -> Observed:
    """Return what is kept of a job after the API reported it; ``known`` is what was kept before.

    ``dearest``: the highest price of any job seen, micro-dollars an hour, for want of its own.
    """
    at = milliseconds(job.confirmed_at)
    closed = None
    reported = _life(job)
    if known is not None and runs.is_another(known, job, reported):
        closed = runs.close(abandoned(known), at, reported.started)
        known = closed.entry
    entry = _described(known, job, at)
    origin = _origin(entry)
    # The start of another run may be reported after its first cost.
    begins = known is not None and known.run > 0 and known.life.started is None
    cost = _read(
        Meter.COST,
        _Known(entry.cost, entry.cost_offset, entry.suspect_cost),
        _Report(at, _rounded(job.cost_dollars, microdollars), _price(job), job.finished),
        origin,
        dearest,
        begins=begins,
    )
    gpu = _read(
        Meter.GPU,
        _Known(entry.gpu, entry.gpu_offset, entry.suspect_gpu),
        _Report(at, _rounded(job.gpu_hours, gpu_milliseconds), _gpu_rate(job), job.finished),
        origin,
        None,
        begins=begins,
    )
    entry = replace(
        entry,
        cost=cost.known.curve,
        gpu=gpu.known.curve,
        cost_offset=cost.known.offset,
        gpu_offset=gpu.known.offset,
        suspect_cost=cost.known.suspect,
        suspect_gpu=gpu.known.suspect,
    )
    totals = replace(
        entry.totals,
        cost=max(entry.totals.cost, entry.cost_base + _told(entry.cost)),
        gpu=max(entry.totals.gpu, entry.gpu_base + _told(entry.gpu)),
    )
    rise = totals.cost - entry.totals.cost
    totals, judgement = _judged(entry, job, totals, rules)
    totals = waste.wasted(
        totals,
        idle=_idle_money(totals.idle - entry.totals.idle, entry.cost, entry.gpu),
        launching=_launching_money(known, entry, job, rise, rules),
        after_finish=_late_money(known, rise, at),
    )
    entry = replace(entry, totals=totals, judgement=judgement)
    if known is not None and entry == known:
        entry = replace(entry, last_seen=max(known.last_seen, at // DAY * DAY))
    elif entry.last_seen < at:
        entry = replace(entry, last_seen=at)
    steps = ((Meter.COST, cost.step), (Meter.GPU, gpu.step))
    kept = tuple(
        Point(job.id, meter, sighting, entry.run)
        for meter, step in steps
        if step is not None
        for sighting in step.kept
    )
    return Observed(
        entry,
        points=(closed.points if closed is not None else ()) + kept,
        dropped=tuple(
            Dropped(job.id, meter, entry.run, step.dropped)
            for meter, step in steps
            if step is not None and step.dropped is not None
        ),
        corrections=_corrections(job.id, known, cost.step, at),
        closed=None if closed is None else closed.run,
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


def _life(job: Job) -> Life:
    return Life(
        created=_rounded(job.created_at, milliseconds),
        started=_rounded(job.started_at, milliseconds),
        finished=_rounded(job.finished_at, milliseconds),
    )


def _described(known: JobEntry | None, job: Job, at: int) -> JobEntry:
    """Return the entry with what the API reports of the job, all but meters and verdicts."""
    told = _life(job)
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
            running_since=told.started or (_began(job, at) if job.running else None),
            state=job.state,
        )
    over_seen = (known.over_seen or at) if job.finished else None
    running_since = told.started or known.running_since or (at if job.running else None)
    if job.running and running_since == known.first_seen and not _priced(known):
        running_since = _began(job, at)
    return replace(
        known,
        # Of what is over, two keys that report it need not take turns.
        account=known.account if known.over and job.finished else job.account,
        # A job that is not shown is reported by lists alone, which leave out what its details say.
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
        state=job.state,
    )


def _began(job: Job, at: int) -> int:
    """Return since when a job runs that was first seen running and whose start is not reported.

    Its bill says how long it has run at least.
    """
    price, cost = _price(job), _rounded(job.cost_dollars, microdollars)
    if not price or cost is None:
        return at
    return max(_rounded(job.created_at, milliseconds) or 0, at - cost * HOUR // price)


def _priced(known: JobEntry) -> bool:
    return known.cost is not None and known.cost.last.rate is not None


def _origin(entry: JobEntry) -> Origin:
    """Return since when the present run may have been billed."""
    life = entry.life
    if entry.run_seen is None:
        return Origin(entry.first_seen, life.created, life.started, life.finished)
    own = life.started if life.started is not None and life.started > entry.run_since else None
    return Origin(entry.run_seen, None, own, life.finished)


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


class _Known(Struct, frozen=True):
    """What is kept of a meter."""

    curve: Curve | None
    offset: int
    """What the API's own meter includes of earlier runs."""
    suspect: Suspect | None
    """A report too high to be believed, which waits for a second one."""


class _Report(Struct, frozen=True):
    """What the API reports of a meter."""

    at: int
    told: int | None
    rate: int | None
    over: bool


class _Read(Struct, frozen=True):
    """A meter after a report, and what that did to what is kept."""

    known: _Known
    step: curve.Step | None = None


def _read(
    meter: Meter,
    known: _Known,
    report: _Report,
    origin: Origin,
    dearest: int | None,
    *,
    begins: bool,
) -> _Read:
    """Return a meter after a report; ``begins``: whether it goes on from a run before is open."""
    told, rate, before = report.told, report.rate, known.curve
    if told is None:
        return _Read(known)
    fell = before is None and told < known.offset
    if fell or (
        begins and known.offset and runs.begins_anew(told, known.offset, rate, report.at, origin)
    ):
        began = _read(meter, _Known(None, 0, None), report, origin, dearest, begins=False)
        if before is None or began.step is None:
            return began
        return replace(began, step=replace(began.step, dropped=before.anchor.at))
    told = max(0, told - known.offset)
    if before is not None:
        last = before.last
        rate = last.rate if rate is None else rate
        same = (last.told, last.rate) == (told, rate)
        if same and not before.pending and last.over and report.over:
            return _Read(replace(known, suspect=None))  # history that stands still
        if same and last.at == report.at:
            return _Read(known)  # another part of the job changed
    sighting = Sighting(report.at, told, rate, report.over)
    if not plausible(meter, before, sighting, origin, dearest) and not (
        known.suspect is not None and confirmed(meter, known.suspect, sighting, dearest)
    ):
        return _Read(replace(known, suspect=Suspect(report.at, told)))
    step = (
        curve.begin(sighting, origin) if before is None else curve.extend(before, sighting, origin)
    )
    return _Read(_Known(step.curve, known.offset, None), step)


def _corrections(
    job_id: str, known: JobEntry | None, step: curve.Step | None, at: int
) -> tuple[Correction, ...]:
    """Return the corrections of a job's cost that a step shows, with the time they were seen."""
    if step is None or not step.corrections or known is None or known.cost is None:
        return ()
    amounts, before = list(step.corrections), known.cost
    found = []
    if before.pending and amounts[0] == before.pending:
        found.append(Correction(job_id, before.last.at, before.anchor.at, amounts.pop(0)))
    found.extend(Correction(job_id, at, before.last.at, amount) for amount in amounts)
    return tuple(found)


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
