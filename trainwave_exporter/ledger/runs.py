"""The runs of a job: an id may come back, and then it is another run that costs money.

A run ends where its job is seen finished. It is followed by another where the job is alive again,
or where the API reports a start, or a finish, that lies after all that was seen of it. What the
earlier runs cost stays as it is: their sightings and their times are kept as they were, and the
meters of the new run begin at zero, whether the API's own begin anew or go on. Pure functions.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.curve import FINISH_GRACE
from trainwave_exporter.ledger.entry import Curve, JobEntry, Life, Meter, Run
from trainwave_exporter.ledger.store import ClosedRun, Point
from trainwave_exporter.model import Job

_ROUNDING = 1000
"""Milliseconds by which two reports of one moment may differ."""


class Closed(Struct, frozen=True):
    """A run that is over because another began."""

    entry: JobEntry
    """What is kept of the job as the new run begins."""
    run: ClosedRun
    points: tuple[Point, ...]
    """The last sightings of the run's meters, which close them."""


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
    if known.over and not job.finished:
        return restarted or reported.started is None or reported.started != before.started
    if restarted and reported.started is not None:
        return reported.started > _last_seen(known) - _ROUNDING or _fell(known, job)
    return (
        known.over_seen is not None
        and reported.finished is not None
        and reported.finished > known.over_seen + FINISH_GRACE
        and reported.finished > (before.finished or 0) + FINISH_GRACE
    )


def close(known: JobEntry, at: int) -> Closed:
    """Return a job as it is when another of its runs is first seen at ``at``, milliseconds."""
    ends = [
        Point(known.id, meter, replace(curve.last, over=True), known.run)
        for meter, curve in ((Meter.COST, known.cost), (Meter.GPU, known.gpu))
        if curve is not None
    ]
    entry = replace(
        known,
        life=Life(created=known.life.created),
        over_seen=None,
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
        suspect_cost=None,
        suspect_gpu=None,
    )
    return Closed(entry, ClosedRun(known.id, Run(known.run, known.life, at)), tuple(ends))


def _last_seen(known: JobEntry) -> int:
    seen = [curve.last.at for curve in (known.cost, known.gpu) if curve is not None]
    return max(seen, default=known.run_seen or known.first_seen)


def _fell(known: JobEntry, job: Job) -> bool:
    """Return whether the cost is lower than it was."""
    reported = job.cost_dollars
    return reported is not None and round(reported * 1_000_000) < _shown(known.cost)


def _shown(curve: Curve | None) -> int:
    return 0 if curve is None else curve.last.told
