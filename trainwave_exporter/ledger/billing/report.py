"""The chargeback of a period: its spend, by who spent it and on what.

Costs are net of corrections, which belong to the time at which they were seen. Where it is not
reported when a job ran, its cost within a period has a lower and an upper bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeAlias, assert_never
from zoneinfo import ZoneInfo

from msgspec import Struct

from trainwave_exporter.ledger.billing.accrual import accrued, may_accrue
from trainwave_exporter.ledger.billing.bounds import (
    NOTHING,
    SHORTEST_QUEUE_BOUND,
    Bounds,
    cost_before,
    gpu_before,
)
from trainwave_exporter.ledger.billing.job_entry import JobEntry
from trainwave_exporter.ledger.billing.periods import Span, days
from trainwave_exporter.ledger.billing.stored_records import (
    JobHistory,
    ProjectEntry,
    organization_of,
)

_Spent: TypeAlias = tuple[Bounds, Bounds]
"""Micro-dollars, and GPU milliseconds."""


class Dimension(StrEnum):
    """A dimension that spend can be broken down by."""

    PROJECT = "project"
    OWNER = "owner"
    GPU_TYPE = "gpu_type"
    ORGANIZATION = "organization"
    JOB = "job"
    DAY = "day"


_COLUMNS: Final[Mapping[Dimension, tuple[str, ...]]] = {
    Dimension.PROJECT: ("project_id", "project_name"),
    Dimension.OWNER: ("owner",),
    Dimension.GPU_TYPE: ("gpu_type",),
    Dimension.ORGANIZATION: ("organization_id",),
    Dimension.JOB: ("job_id", "job_name"),
    Dimension.DAY: ("day",),
}


class Row(Struct, frozen=True):
    """The spend of all jobs with the same keys.

    The bounds differ where it is unknown when a job ran.
    """

    keys: tuple[str, ...]
    """Values of the columns that `columns` names, in that order; empty where unknown."""
    cost: Bounds
    """Micro-dollars."""
    gpu: Bounds
    """GPU milliseconds."""


class Chargeback(Struct, frozen=True):
    """The spend within a period, and what is not known of it yet."""

    rows: Sequence[Row]
    total: Row
    """Without keys. By day, the bounds of the rows may be further apart: it may be unknown on which
    day a job ran, but certain that it ran within the period."""
    unread: Sequence[str] = ()
    """Accounts whose history was never read as a whole."""
    unbilled: Bounds = NOTHING
    """Micro-dollars that running jobs owe for the period and that no bill covers yet."""
    implausible: int = 0
    """How many jobs report a cost that waits for a second report."""


def columns(by: Sequence[Dimension]) -> tuple[str, ...]:
    """Return the names of the columns of a row's keys."""
    return tuple(name for dimension in by for name in _COLUMNS[dimension])


def unbilled(live: Iterable[JobEntry], span: Span) -> Bounds:
    """Return what jobs owed for a span beyond their bills when they were last seen."""
    owed = NOTHING
    for entry in live:
        if may_accrue(entry) and entry.cost is not None:
            at = entry.cost.last.at
            whole, after = accrued(entry, span.begin, at), accrued(entry, span.end, at)
            lower, upper = whole.lower - after.lower, whole.upper - after.upper
            owed = owed.plus(Bounds(max(0, lower), max(0, upper)))
    return owed


def chargeback(
    histories: Iterable[JobHistory],
    projects: Mapping[str, ProjectEntry],
    span: Span,
    zone: ZoneInfo,
    by: Sequence[Dimension],
    queue: int = SHORTEST_QUEUE_BOUND,
) -> Chargeback:
    """Return the spend within a span, broken down by some dimensions, the dearest first.

    By day, if that is one of them, the days of the zone come one after the other. ``queue``: the
    longest plausible queue, milliseconds.
    """
    parts = list(days(span, zone)) if Dimension.DAY in by else [("", span)]
    sums: defaultdict[tuple[str, tuple[str, ...]], _Spent] = defaultdict(_nothing)
    total = _nothing()
    for history in histories:
        for _, spent in _spent(history, [("", span)], queue):
            total = _sum(total, spent)
        for day, spent in _spent(history, parts, queue):
            keys = tuple(key for d in by for key in _keys(d, history.entry, day, projects))
            sums[day, keys] = _sum(sums[day, keys], spent)
    ordered = sorted(sums.items(), key=lambda item: (item[0][0], -item[1][0].upper, item[0][1]))
    rows = [Row(keys, *spent) for (_, keys), spent in ordered if spent != _nothing()]
    return Chargeback(rows, Row((), *total))


def _nothing() -> _Spent:
    return NOTHING, NOTHING


def _sum(one: _Spent, other: _Spent) -> _Spent:
    return one[0].plus(other[0]), one[1].plus(other[1])


def _keys(
    dimension: Dimension, entry: JobEntry, day: str, projects: Mapping[str, ProjectEntry]
) -> tuple[str, ...]:
    """Return a job's values in the columns of a dimension."""
    labels = entry.labels
    match dimension:
        case Dimension.PROJECT:
            project = projects.get(labels.project_id)
            return labels.project_id, (project.name if project is not None else None) or ""
        case Dimension.OWNER:
            return (labels.owner,)
        case Dimension.GPU_TYPE:
            return (labels.gpu_type,)
        case Dimension.ORGANIZATION:
            payer = organization_of(entry.organization_id, labels.project_id, projects)
            return (payer or "",)
        case Dimension.JOB:
            return entry.id, entry.name or ""
        case Dimension.DAY:
            return (day,)
        case _:
            assert_never(dimension)


def _spent(
    history: JobHistory, parts: Sequence[tuple[str, Span]], queue: int
) -> Iterator[tuple[str, _Spent]]:
    """Yield what a job cost and its GPU time, within each part in which it lived."""
    entry = history.entry
    seen_at = [meter.last.at for meter in (entry.cost, entry.gpu) if meter is not None]
    begin, end = _earliest(entry), max(seen_at, default=0)
    lived = [
        (day, part)
        for day, part in parts
        if part.begin <= end and (begin is None or begin <= part.end)
    ]
    if not lived:
        return
    before = _before(history, lived[0][1].begin, queue)
    for day, part in lived:
        then = _before(history, part.end, queue)
        yield day, (then[0].since(before[0]), then[1].since(before[1]))
        before = then


def _earliest(entry: JobEntry) -> int | None:
    """Return when a job may have begun to cost anything; None: it may be any time."""
    if entry.life.created is None:
        return None
    times = (entry.life.created, entry.life.started, entry.life.finished, entry.first_seen)
    return min(at for at in times if at is not None)  # in whichever order they are reported


def _before(history: JobHistory, at: int, queue: int) -> _Spent:
    """Return a job's cost and GPU time just before an instant."""
    return cost_before(history, at, queue), gpu_before(history, at, queue)
