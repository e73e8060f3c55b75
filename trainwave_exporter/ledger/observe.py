"""One more sighting of a job: what is kept of it from then on. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger import curve, idleness, runs
from trainwave_exporter.ledger.entry import (
    Correction,
    Curve,
    IdleInterval,
    JobEntry,
    Labels,
    Life,
    Meter,
    Sighting,
    Suspect,
    UtilizationBucket,
)
from trainwave_exporter.ledger.late_bills import STEP, Origin
from trainwave_exporter.ledger.peaks import rose
from trainwave_exporter.ledger.plausible import confirmed, plausible
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.stored import ClosedRun, Dropped, KeptSighting
from trainwave_exporter.ledger.units import DAY, HOUR, gpu_milliseconds, microdollars, milliseconds
from trainwave_exporter.model import Job

ABSURD: Final = 10**15
"""A thousand million dollars, or 30,000 years."""


class Observed(Struct, frozen=True):
    """What a sighting came to."""

    entry: JobEntry
    points: tuple[KeptSighting, ...] = ()
    """Sightings to be kept besides the last."""
    dropped: tuple[Dropped, ...] = ()
    """Sightings not to be kept any more."""
    corrections: tuple[Correction, ...] = ()
    closed: ClosedRun | None = None
    """The run that ended as another began."""
    idled: tuple[IdleInterval, ...] = ()
    """Idle intervals, each in the place of one that began at the same time."""
    used: tuple[UtilizationBucket, ...] = ()
    """What is added to buckets of utilization."""


def observe(
    known: JobEntry | None,
    job: Job,
    rules: Rules,
    dearest: int | None = None,
    clock_set: int = 0,
) -> Observed:
    """Return what is kept of a job after the API reported it; ``known`` is what was kept before.

    ``dearest``: the highest price of any job seen, micro-dollars an hour, for want of its own.
    ``clock_set``: by how much the wall clock was set since the job was last seen, milliseconds.
    """
    at = milliseconds(job.confirmed_at)
    closed = None
    reported = _life(job)
    if known is not None and runs.is_older(known, job, reported, at):
        return Observed(known)
    if known is not None and runs.is_another(known, job, reported):
        closed = runs.close(idleness.abandoned(known), at, runs.begun(known, reported))
        known = closed.entry
    entry = _described(known, job, at)
    changed = known is not None and known.state not in {"", job.state}
    waited = _waited(known, entry, job)
    near = waited and known is not None and at - _last_seen(known) <= STEP
    origin = replace(_origin(entry), state_changed=changed, seen_to_start=near, seen_to_wait=waited)
    # The start of another run may be reported after its first cost.
    begins = known is not None and known.run > 0 and known.life.started is None
    cost = _read(
        Meter.COST,
        _Known(entry.cost, entry.cost_offset, entry.suspect_cost),
        _Report(
            at,
            _rounded(job.cost_dollars, microdollars),
            _price(job),
            job.finished,
            reported_at=_reported(job.cost_reported_at, at),
            over_since=entry.over_seen,
            clock_set=clock_set,
        ),
        origin,
        dearest,
        begins=begins,
        since=entry.run_since,
    )
    gpu = _read(
        Meter.GPU,
        _Known(entry.gpu, entry.gpu_offset, entry.suspect_gpu),
        _Report(
            at,
            _rounded(job.gpu_hours, gpu_milliseconds),
            _gpu_rate(job),
            job.finished,
            reported_at=_reported(job.gpu_hours_reported_at, at),
            over_since=entry.over_seen,
            clock_set=clock_set,
        ),
        origin,
        None,
        begins=begins,
        since=entry.run_since,
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
    found = idleness.assess(known, replace(entry, totals=totals), job, rules)
    entry = replace(entry, totals=found.totals, judgement=found.judgement, peaks=found.peaks)
    if known is not None and entry == known:
        entry = replace(entry, last_seen=max(known.last_seen, at // DAY * DAY))
    elif entry.last_seen < at:
        entry = replace(entry, last_seen=at)
    steps = ((Meter.COST, cost.step), (Meter.GPU, gpu.step))
    kept = tuple(
        KeptSighting(job.id, meter, sighting, entry.run)
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


def _life(job: Job) -> Life:
    return Life(
        created=_rounded(job.created_at, milliseconds),
        started=_rounded(job.started_at, milliseconds),
        finished=_rounded(job.finished_at, milliseconds),
    )


def _described(known: JobEntry | None, job: Job, at: int) -> JobEntry:
    """Return the entry with what the API reports of the job, all but meters and verdicts."""
    told = _life(job)
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
            running_since=told.started or (_began(job, at) if job.running else None),
            state=job.state,
        )
    over_seen = (known.over_seen or at) if job.finished else None
    running_since = told.started or known.running_since or (at if job.running else None)
    if job.running and running_since is not None and _ran_before(known, job, told):
        running_since = min(running_since, _began(job, at))
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


def _ran_before(known: JobEntry, job: Job, told: Life) -> bool:
    """Return whether a bill may show that a job ran for longer than was known.

    It ran when its present run was first seen, its start is not reported, and its price is the
    first: cost over price is how long it has run.
    """
    since, seen = known.running_since, known.run_seen or known.first_seen
    if told.started is not None or known.life.started is not None or since is None or since > seen:
        return False
    rate = None if known.cost is None else known.cost.last.rate
    return known.judgement.earlier_price is None and rate in {None, _price(job)}


def _waited(known: JobEntry | None, entry: JobEntry, job: Job) -> bool:
    """Return whether a job runs, or is over, that was only seen to wait; no start is reported."""
    if known is None or known.over or known.running_since is not None:
        return False
    return entry.life.started is None and (job.running or job.finished)


def _last_seen(known: JobEntry) -> int:
    return known.first_seen if known.cost is None else known.cost.last.at


def _origin(entry: JobEntry) -> Origin:
    """Return since when the present run may have been billed."""
    life = entry.life
    if entry.run_seen is None:
        return Origin(entry.first_seen, life.created, life.started, life.finished)
    own = life.started if life.started is not None and life.started > entry.run_since else None
    # It was created no earlier than the run before was last seen.
    return Origin(entry.run_seen, entry.run_since, own, life.finished)


def _finished(known: JobEntry | None, job: Job, told: Life) -> int | None:
    """Return when a job finished, as reported now or before; None: unknown, and never guessed."""
    if not job.finished or told.finished is not None or known is None:
        return told.finished
    return known.life.finished


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
    reported_at: int
    """When the meter was reported, which may be earlier than the job was."""
    over_since: int | None = None
    """When the job was first seen finished."""
    clock_set: int = 0
    """By how much the wall clock was set since the report before, milliseconds."""


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
    since: int,
) -> _Read:
    """Return a meter after a report; ``begins``: whether it goes on from a run before is open.

    ``since``: when the run before was last seen, milliseconds.
    """
    told, rate, before = report.told, report.rate, known.curve
    if told is None:
        return _Read(known)
    fell = before is None and told < known.offset
    if (fell and runs.may_have_begun(told, rate, report.at - since)) or (
        begins and known.offset and runs.begins_anew(told, known.offset, rate, report.at, origin)
    ):
        began = _read(
            meter, _Known(None, 0, None), report, origin, dearest, begins=False, since=since
        )
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
    return _taken(
        meter, known, report, Sighting(report.at, told, rate, report.over), origin, dearest
    )


def _taken(
    meter: Meter,
    known: _Known,
    report: _Report,
    sighting: Sighting,
    origin: Origin,
    dearest: int | None,
) -> _Read:
    """Return a meter after a sighting, which waits for a second report if it is implausible."""
    before, told = known.curve, sighting.told
    if not plausible(meter, before, sighting, origin, dearest):
        suspect = known.suspect
        if suspect is None or not confirmed(meter, suspect, sighting, dearest):
            return _Read(replace(known, suspect=Suspect(report.reported_at, told)))
        if report.reported_at <= suspect.at:
            return _Read(known)  # the same report once more
    if before is None:
        step = curve.begin(sighting, origin)
    else:
        step = curve.extend(before, sighting, origin, report.clock_set)
        doubted = _borne_out(meter, known.suspect, before.last, report, sighting, dearest)
        if doubted is not None:
            step = curve.followed(curve.extend(before, doubted, origin), sighting, origin)
    return _Read(_Known(step.curve, known.offset, None), step)


def _borne_out(
    meter: Meter,
    suspect: Suspect | None,
    last: Sighting,
    report: _Report,
    sighting: Sighting,
    dearest: int | None,
) -> Sighting | None:
    """Return what was seen when the suspect was reported, if this report bears it out."""
    if suspect is None or not last.at < suspect.at < sighting.at:
        return None
    if not confirmed(meter, suspect, sighting, dearest):
        return None
    was_over = report.over_since is not None and report.over_since <= suspect.at
    return Sighting(suspect.at, suspect.told, sighting.rate, was_over)


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


def _told(known: Curve | None) -> int:
    return 0 if known is None else known.last.told


def _reported(reported_at: float | None, at: int) -> int:
    """Return when a meter was reported of a job that was at ``at``."""
    return at if reported_at is None else milliseconds(reported_at)


def _price(job: Job) -> int | None:
    return _rounded(job.hourly_cost_dollars, microdollars)


def _gpu_rate(job: Job) -> int | None:
    return _rounded(job.gpus, gpu_milliseconds)


def _rounded(value: float | None, convert: Callable[[float], int]) -> int | None:
    """Return a whole number; None for one that no job can have, and no database could hold."""
    if value is None or (whole := convert(value)) > ABSURD:
        return None
    return whole
