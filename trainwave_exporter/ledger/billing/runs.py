"""The runs of a job: an id may come back, and then it is another run that costs money.

A run ends where its job is seen finished. It is followed by another where the job is alive again,
or where the API reports a start, or a finish, that lies after all that was seen of it. What the
earlier runs cost stays as it is: their samples and their times are kept as they were, and the
meters of the new run begin at zero, whether those of the API begin anew or go on. A meter that fell
began anew; of one that did not, the price since the new start decides.

Lists report a job's cost before its details report its start, so the last sample may be one of
the new run already. It is taken off the run that ended. Pure functions.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import JobEntry, Life, Meter, MeterKind, Run
from trainwave_exporter.ledger.billing.late_bills import Origin
from trainwave_exporter.ledger.billing.meter import FINISH_GRACE, STALE
from trainwave_exporter.ledger.billing.price_line import TOLERANCE, exceeds
from trainwave_exporter.ledger.billing.stored_records import ClosedRun, KeptSample
from trainwave_exporter.ledger.billing.units import HOUR, microdollars
from trainwave_exporter.model import Job, JobState

_UNDER_WAY = frozenset({JobState.RUNNING, JobState.UPLOADING})
_WAITING = frozenset({JobState.SUBMIT_CODE, JobState.LAUNCHING})
_LONGEST_LAUNCH = HOUR // 4
"""Milliseconds for which a run may be billed before its reported start."""
_QUARTER = HOUR // 4
_ROUNDING = 1000
"""Milliseconds by which two reports of one moment may differ."""


class Closed(Struct, frozen=True):
    """A run that is over because another began."""

    entry: JobEntry
    """What is kept of the job as the new run begins."""
    run: ClosedRun
    points: tuple[KeptSample, ...]
    """The last samples of the run's meters, which close them."""


def is_another(known: JobEntry, job: Job, reported: Life) -> bool:
    """Return whether a job is seen in another run than before.

    ``reported`` are the times that the API reports of it now.
    """
    before = known.life
    restarted = (
        reported.started is not None
        and before.started is not None
        and reported.started > before.started + _ROUNDING
    )
    if known.finished and not job.finished:
        return restarted or reported.started is None or reported.started != before.started
    if restarted and reported.started is not None:
        return (
            reported.started > _last_seen(known) - _ROUNDING
            or _fell(known, job)
            or _is_ahead(known.cost, reported.started)
        )
    if known.state in _UNDER_WAY and job.state in _WAITING:
        return True
    return _ended_again(known, reported)


def begun(known: JobEntry, reported: Life) -> int | None:
    """Return when another run began at the earliest; None where that is unknown.

    A run that ended in its launch has no start, but an end of its own.
    """
    if reported.started not in {None, known.life.started}:
        return reported.started
    if known.finished_seen is not None and _ended_again(known, reported):
        return known.finished_seen + 1
    return None


def _ended_again(known: JobEntry, reported: Life) -> bool:
    """Return whether a job that was over is reported to have finished after that."""
    return (
        known.finished_seen is not None
        and reported.finished is not None
        and reported.finished > known.finished_seen + FINISH_GRACE
        and reported.finished > (known.life.finished or 0) + FINISH_GRACE
    )


def is_older(known: JobEntry, job: Job, reported: Life, at: int) -> bool:
    """Return whether a report of a job in an earlier state is an older one.

    It then seems alive again after its end, or launched again as it runs. Where several servers
    answer in turn, some are minutes behind the others. An older answer reports nothing new: the
    same start, and no higher cost. A job that is alive again at the same start and cost was taken
    for finished by mistake.
    """
    if job.finished or job.cost_dollars is None or reported.started not in _starts(known):
        return False
    began = known.running_since
    if job.state in _WAITING and began is not None and at - began > STALE:
        return False  # no answer is so old
    rise = microdollars(job.cost_dollars) - known.cost_offset - _shown(known.cost)
    if known.finished_seen is not None:
        lower = rise < 0 or (rise == 0 and reported.started is None)
        passed = at - known.finished_seen
        return lower and 0 <= passed <= STALE and not _began_since(known, job, reported, passed)
    launched_again = known.state in _UNDER_WAY and job.state in _WAITING
    return launched_again and began is not None and rise <= 0 and began <= at


def _began_since(known: JobEntry, job: Job, reported: Life, passed: int) -> bool:
    """Return whether a job that is alive again is in a run that began at zero since its end.

    ``passed``: milliseconds since it was seen finished. The price of that time explains all of the
    cost then. An older answer reports so low a cost only of a run that is shorter than the answer
    is old, or that was not billed before its end.
    """
    meter = known.cost
    if reported.started is not None or job.cost_dollars is None or meter is None:
        return False
    rate, value = meter.last.rate, microdollars(job.cost_dollars)
    billed_before = meter.anchor.value > 0 and not meter.anchor.finished
    return rate is not None and billed_before and not exceeds(value, rate, passed)


def close(known: JobEntry, at: int, begun: int | None) -> Closed:
    """Return a job as it is when another of its runs is first seen at ``at``, milliseconds.

    ``begun``: when the other run began at the earliest; None: unknown.
    """
    known = replace(
        known,
        cost=_ended(known.cost, begun, known.totals.cost - known.cost_base),
        gpu=_ended(known.gpu, begun, known.totals.gpu - known.gpu_base),
    )
    ends = [
        KeptSample(known.id, kind, replace(meter.last, finished=True), known.run)
        for kind, meter in ((MeterKind.COST, known.cost), (MeterKind.GPU, known.gpu))
        if meter is not None
    ]
    entry = replace(
        known,
        life=Life(created=known.life.created),
        finished_seen=None,
        running_since=None,
        run=known.run + 1,
        run_seen=at,
        run_since=_last_seen(known),
        cost=None,
        gpu=None,
        cost_base=known.cost_base + _shown(known.cost),
        gpu_base=known.gpu_base + _shown(known.gpu),
        cost_offset=known.cost_offset + _shown(known.cost),
        gpu_offset=known.gpu_offset + _shown(known.gpu),
        unconfirmed_cost=None,
        unconfirmed_gpu=None,
    )
    return Closed(entry, ClosedRun(known.id, Run(known.run, known.life, at)), tuple(ends))


def begins_anew(value: int, offset: int, rate: int | None, at: int, origin: Origin) -> bool:
    """Return whether a meter that did not fall began at zero, instead of going on from ``offset``.

    ``at``: when it was read; ``origin``: of the new run. It did where its rate explains all of it
    since the new start, and what goes on would be too little.
    """
    if rate is None or origin.started is None or origin.first_seen is None:
        return False
    end = at if origin.finished is None else min(at, origin.finished)
    run = rate * (end - origin.started) // HOUR
    slack = TOLERANCE + rate * _ROUNDING // HOUR
    launch = rate * _LONGEST_LAUNCH // HOUR
    return run - slack <= value <= run + launch + slack and value - offset < run - slack


def may_have_begun(value: int, rate: int | None, time: int) -> bool:
    """Return whether a meter that fell may have begun at zero within a time, milliseconds.

    A value far beyond its rate is the cost of the run before, less a refund: the meter goes on.
    """
    return rate is None or value <= 2 * rate * (max(0, time) + _LONGEST_LAUNCH) // HOUR + TOLERANCE


def _starts(known: JobEntry) -> tuple[int | None, ...]:
    """Return which starts an older report of a job's present run may name."""
    return None, known.life.started


def _is_ahead(meter: Meter | None, begun: int) -> bool:
    """Return whether the last sample of a meter, and it alone, is of a run that began then."""
    return meter is not None and meter.anchor.at < begun <= meter.last.at


def _ended(meter: Meter | None, begun: int | None, highest: int) -> Meter | None:
    """Return the meter of a run as it was before another run began at ``begun``.

    ``highest``: the most that it ever showed in that run. The sample before the last is the
    anchor, unless its quarter of an hour has enough of them.
    """
    if meter is None:
        return None
    if begun is None or not _is_ahead(meter, begun):
        return replace(meter, pending=0)
    anchor = meter.anchor
    if anchor.at // _QUARTER != meter.last.at // _QUARTER:
        return Meter(anchor, anchor)
    most = anchor.value + (anchor.rate or 0) * (begun - anchor.at) // HOUR
    value = max(anchor.value, min(highest, most))
    return Meter(anchor, replace(anchor, value=value, at=max(anchor.at, begun - 1)))


def _last_seen(known: JobEntry) -> int:
    seen = [meter.last.at for meter in (known.cost, known.gpu) if meter is not None]
    return max(seen, default=known.run_seen or known.first_seen)


def _fell(known: JobEntry, job: Job) -> bool:
    """Return whether the cost is lower than it was."""
    reported = job.cost_dollars
    return reported is not None and microdollars(reported) < _shown(known.cost)


def _shown(meter: Meter | None) -> int:
    return 0 if meter is None else meter.last.value
