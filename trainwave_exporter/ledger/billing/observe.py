"""The changes that one more report of a job makes to what is kept of it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing import idleness, runs
from trainwave_exporter.ledger.billing import meter as meters
from trainwave_exporter.ledger.billing.job_entry import (
    Correction,
    IdleInterval,
    JobEntry,
    Labels,
    Life,
    Meter,
    MeterKind,
    MeterSample,
    UnconfirmedValue,
    UtilizationBucket,
)
from trainwave_exporter.ledger.billing.late_bills import STEP, Origin
from trainwave_exporter.ledger.billing.peaks import rose
from trainwave_exporter.ledger.billing.plausible import confirmed, plausible
from trainwave_exporter.ledger.billing.stored_records import ClosedRun, DroppedSamples, KeptSample
from trainwave_exporter.ledger.billing.units import (
    DAY,
    HOUR,
    gpu_milliseconds,
    microdollars,
    milliseconds,
)
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import Job

ABSURD: Final = 10**15
"""Amounts beyond this are errors: a thousand million dollars, or 30,000 years."""


class Observed(Struct, frozen=True):
    """What a report of a job changes in the ledger."""

    entry: JobEntry
    points: tuple[KeptSample, ...] = ()
    """Samples to be kept besides the last."""
    dropped: tuple[DroppedSamples, ...] = ()
    """Samples not to be kept any more."""
    corrections: tuple[Correction, ...] = ()
    closed: ClosedRun | None = None
    """The run that ended as another began."""
    idled: tuple[IdleInterval, ...] = ()
    """Idle intervals, each in the place of one that began at the same time."""
    used: tuple[UtilizationBucket, ...] = ()
    """Amounts to be added to buckets of utilization."""


def observe(
    known: JobEntry | None,
    job: Job,
    rules: WasteRules,
    dearest: int | None = None,
    clock_set: int = 0,
) -> Observed:
    """Return the changes by a report of a job; ``known`` is what was kept of it before.

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
        MeterKind.COST,
        _Known(entry.cost, entry.cost_offset, entry.unconfirmed_cost),
        _Report(
            at,
            _rounded(job.cost_dollars, microdollars),
            _price(job),
            job.finished,
            reported_at=_reported(job.cost_reported_at, at),
            over_since=entry.finished_seen,
            clock_set=clock_set,
        ),
        origin,
        dearest,
        begins=begins,
        since=entry.run_since,
    )
    gpu = _read(
        MeterKind.GPU,
        _Known(entry.gpu, entry.gpu_offset, entry.unconfirmed_gpu),
        _Report(
            at,
            _rounded(job.gpu_hours, gpu_milliseconds),
            _gpu_rate(job),
            job.finished,
            reported_at=_reported(job.gpu_hours_reported_at, at),
            over_since=entry.finished_seen,
            clock_set=clock_set,
        ),
        origin,
        None,
        begins=begins,
        since=entry.run_since,
    )
    entry = replace(
        entry,
        cost=cost.known.meter,
        gpu=gpu.known.meter,
        cost_offset=cost.known.offset,
        gpu_offset=gpu.known.offset,
        unconfirmed_cost=cost.known.unconfirmed,
        unconfirmed_gpu=gpu.known.unconfirmed,
    )
    totals = replace(
        entry.totals,
        cost=max(entry.totals.cost, entry.cost_base + _last_value(entry.cost)),
        gpu=max(entry.totals.gpu, entry.gpu_base + _last_value(entry.gpu)),
    )
    found = idleness.assess(known, replace(entry, totals=totals), job, rules)
    entry = replace(
        entry, totals=found.totals, idle_estimate=found.idle_estimate, peaks=found.peaks
    )
    if known is not None and entry == known:
        entry = replace(entry, last_seen=max(known.last_seen, at // DAY * DAY))
    elif entry.last_seen < at:
        entry = replace(entry, last_seen=at)
    steps = ((MeterKind.COST, cost.step), (MeterKind.GPU, gpu.step))
    kept = tuple(
        KeptSample(job.id, kind, sample, entry.run)
        for kind, step in steps
        if step is not None
        for sample in step.kept
    )
    return Observed(
        entry,
        points=(closed.points if closed is not None else ()) + kept,
        dropped=tuple(
            DroppedSamples(job.id, kind, entry.run, step.dropped)
            for kind, step in steps
            if step is not None and step.dropped is not None
        ),
        corrections=_corrections(job.id, known, cost.step, at),
        closed=None if closed is None else closed.run,
        idled=found.idled,
        used=found.used,
    )


def irrelevant(before: Job, after: Job) -> bool:
    """Return whether `observe` would return the same for both: it uses three readings only."""
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
    """Return the entry with what the API reports of the job, but for meters and idleness."""
    life = _life(job)
    life = replace(life, finished=_finished(known, job, life))
    if known is None:
        return JobEntry(
            id=job.id,
            account=job.account,
            labels=Labels.of(job),
            organization_id=job.organization_id,
            name=job.name,
            life=life,
            first_seen=at,
            last_seen=at,
            finished_seen=at if job.finished else None,
            running_since=life.started or (_began(job, at) if job.running else None),
            state=job.state,
        )
    finished_seen = (known.finished_seen or at) if job.finished else None
    running_since = life.started or known.running_since or (at if job.running else None)
    if job.running and running_since is not None and _ran_before(known, job, life):
        running_since = min(running_since, _began(job, at))
    return replace(
        known,
        # Of what is over, two keys that report it need not take turns.
        account=known.account if known.finished and job.finished else job.account,
        # A job that is not shown is reported by lists alone, which leave out what its details say.
        labels=Labels(
            job.project_id or known.labels.project_id,
            job.owner or known.labels.owner,
            job.gpu_type or known.labels.gpu_type,
        ),
        organization_id=job.organization_id or known.organization_id,
        name=job.name or known.name,
        life=Life(
            created=life.created or known.life.created,
            started=life.started or known.life.started,
            finished=life.finished,
        ),
        finished_seen=finished_seen,
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


def _ran_before(known: JobEntry, job: Job, reported: Life) -> bool:
    """Return whether a bill may show that a job ran for longer than was known.

    It ran when its present run was first seen, its start is not reported, and its price is the
    first: cost over price is how long it has run.
    """
    since, seen = known.running_since, known.run_seen or known.first_seen
    if reported.started is not None or known.life.started is not None:
        return False
    if since is None or since > seen:
        return False
    rate = None if known.cost is None else known.cost.last.rate
    return known.idle_estimate.earlier_price is None and rate in {None, _price(job)}


def _waited(known: JobEntry | None, entry: JobEntry, job: Job) -> bool:
    """Return whether a job runs, or is over, that was only seen to wait; no start is reported."""
    if known is None or known.finished or known.running_since is not None:
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


def _finished(known: JobEntry | None, job: Job, reported: Life) -> int | None:
    """Return when a job finished, as reported now or before; None: unknown, and never guessed."""
    if not job.finished or reported.finished is not None or known is None:
        return reported.finished
    return known.life.finished


class _Known(Struct, frozen=True):
    """All that is kept of a meter."""

    meter: Meter | None
    offset: int
    """The amount of earlier runs that the API's own meter includes."""
    unconfirmed: UnconfirmedValue | None
    """A report too high to be believed, which waits for a second one."""


class _Report(Struct, frozen=True):
    """A report of a meter by the API."""

    at: int
    value: int | None
    rate: int | None
    finished: bool
    reported_at: int
    """When the meter was reported, which may be earlier than the job was."""
    over_since: int | None = None
    """When the job was first seen finished."""
    clock_set: int = 0
    """By how much the wall clock was set since the report before, milliseconds."""


class _Read(Struct, frozen=True):
    """A meter after a report, and the step that led there."""

    known: _Known
    step: meters.Step | None = None


def _read(
    kind: MeterKind,
    known: _Known,
    report: _Report,
    origin: Origin,
    dearest: int | None,
    *,
    begins: bool,
    since: int,
) -> _Read:
    """Return a meter after a report.

    ``begins``: another run began, and it is not known yet whether its meter begins at zero or goes
    on. ``since``: when the run before was last seen, milliseconds.
    """
    value, rate, before = report.value, report.rate, known.meter
    if value is None:
        return _Read(known)
    fell = before is None and value < known.offset
    if (fell and runs.may_have_begun(value, rate, report.at - since)) or (
        begins and known.offset and runs.begins_anew(value, known.offset, rate, report.at, origin)
    ):
        began = _read(
            kind, _Known(None, 0, None), report, origin, dearest, begins=False, since=since
        )
        if before is None or began.step is None:
            return began
        return replace(began, step=replace(began.step, dropped=before.anchor.at))
    value = max(0, value - known.offset)
    if before is not None:
        last = before.last
        rate = last.rate if rate is None else rate
        same = (last.value, last.rate) == (value, rate)
        if same and not before.pending and last.finished and report.finished:
            return _Read(replace(known, unconfirmed=None))  # history that stands still
        if same and last.at == report.at:
            return _Read(known)  # another part of the job changed
    return _taken(
        kind, known, report, MeterSample(report.at, value, rate, report.finished), origin, dearest
    )


def _taken(
    kind: MeterKind,
    known: _Known,
    report: _Report,
    sample: MeterSample,
    origin: Origin,
    dearest: int | None,
) -> _Read:
    """Return a meter after a sample, which waits for a second report if it is implausible."""
    before, value = known.meter, sample.value
    if not plausible(kind, before, sample, origin, dearest):
        unconfirmed = known.unconfirmed
        if unconfirmed is None or not confirmed(kind, unconfirmed, sample, dearest):
            return _Read(replace(known, unconfirmed=UnconfirmedValue(report.reported_at, value)))
        if report.reported_at <= unconfirmed.at:
            return _Read(known)  # the same report once more
    if before is None:
        step = meters.begin(sample, origin)
    else:
        step = meters.extend(before, sample, origin, report.clock_set)
        earlier = _confirmed_sample(kind, known.unconfirmed, before.last, report, sample, dearest)
        if earlier is not None:
            step = meters.followed(meters.extend(before, earlier, origin), sample, origin)
    return _Read(_Known(step.meter, known.offset, None), step)


def _confirmed_sample(
    kind: MeterKind,
    unconfirmed: UnconfirmedValue | None,
    last: MeterSample,
    report: _Report,
    sample: MeterSample,
    dearest: int | None,
) -> MeterSample | None:
    """Return the sample of an unconfirmed value, if this report confirms it; else None."""
    if unconfirmed is None or not last.at < unconfirmed.at < sample.at:
        return None
    if not confirmed(kind, unconfirmed, sample, dearest):
        return None
    was_over = report.over_since is not None and report.over_since <= unconfirmed.at
    return MeterSample(unconfirmed.at, unconfirmed.value, sample.rate, was_over)


def _corrections(
    job_id: str, known: JobEntry | None, step: meters.Step | None, at: int
) -> tuple[Correction, ...]:
    """Return the corrections of a job's cost in a step, each with the time when it was seen."""
    if step is None or not step.corrections or known is None or known.cost is None:
        return ()
    amounts, before = list(step.corrections), known.cost
    found = []
    if before.pending and amounts[0] == before.pending:
        found.append(Correction(job_id, before.last.at, before.anchor.at, amounts.pop(0)))
    found.extend(Correction(job_id, at, before.last.at, amount) for amount in amounts)
    return tuple(found)


def _last_value(known: Meter | None) -> int:
    return 0 if known is None else known.last.value


def _reported(reported_at: float | None, at: int) -> int:
    """Return when a meter was reported; ``at``, when the job was, where that is unknown."""
    return at if reported_at is None else milliseconds(reported_at)


def _price(job: Job) -> int | None:
    return _rounded(job.hourly_cost_dollars, microdollars)


def _gpu_rate(job: Job) -> int | None:
    return _rounded(job.gpus, gpu_milliseconds)


def _rounded(value: float | None, convert: Callable[[float], int]) -> int | None:
    """Return a whole number; None for one that no job can have, nor a database could hold."""
    if value is None or (whole := convert(value)) > ABSURD:
        return None
    return whole
