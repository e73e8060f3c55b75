"""Between the ledger's records and rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import astuple

from trainwave_exporter.ledger.entry import (
    Curve,
    IdleInterval,
    JobEntry,
    Judgement,
    Labels,
    Life,
    Peaks,
    Run,
    SeriesEntry,
    Sighting,
    Suspect,
    Totals,
    UtilizationBucket,
)

_LABELS = ("project_id", "owner", "gpu_type")
_TOTALS = (
    "cost",
    "gpu",
    "idle",
    "busy",
    "unknown",
    "waste_idle",
    "waste_launching",
    "waste_after_finish",
)
SIGHTING: Final = ("at", "told", "rate", "over")
"""Columns of a sighting."""
SERIES: Final = (*_LABELS, *_TOTALS, "opened_at")
"""Columns of a series, in the order of `series_row`."""
BALANCE: Final = ("organization_id", "at", "micro", "billed_lower", "billed_upper")
"""Columns of a balance."""
JOB: Final = (
    "id",
    "account",
    *_LABELS,
    "organization_id",
    "name",
    "created",
    "started",
    "finished",
    "first_seen",
    "last_seen",
    "over_seen",
    "running_since",
    *(f"cost_anchor_{column}" for column in SIGHTING),
    *(f"cost_last_{column}" for column in SIGHTING),
    "cost_behind",
    "cost_pending",
    *(f"gpu_anchor_{column}" for column in SIGHTING),
    *(f"gpu_last_{column}" for column in SIGHTING),
    "gpu_behind",
    "gpu_pending",
    *_TOTALS,
    "read_at",
    "idle_millionths",
    "idle_since",
    "owed_idle",
    "owed_busy",
    "idle_value",
    "unpriced_idle",
    "gpu_use",
    "unbilled",
    "unbilled_launching",
    "overbilled",
    "earlier_price",
    "price_since",
    "interval_begin",
    "interval_end",
    "interval_gpu",
    "interval_value",
    *(f"series_{column}" for column in _LABELS),
    "state",
    "run",
    "run_seen",
    "run_since",
    "cost_base",
    "gpu_base",
    "cost_offset",
    "gpu_offset",
    "suspect_cost_at",
    "suspect_cost",
    "suspect_gpu_at",
    "suspect_gpu",
    "peak_memory",
    "memory_limit",
    "peak_gpu_memory",
    "gpu_memory_limit",
)
"""Columns of a job, in the order of `job_row`."""

Row = Sequence[Any]
"""Values as SQLite takes and gives them: whole numbers, texts and None."""

_NO_CURVE = (*(None,) * (2 * len(SIGHTING)), 0, 0)
_NO_INTERVAL = (None,) * len(IdleInterval.__struct_fields__)
_NO_LABELS = (None,) * len(_LABELS)


def job_row(entry: JobEntry) -> Row:
    """Return the row of a job."""
    life = entry.life
    return (
        entry.id,
        entry.account,
        *_labels_row(entry.labels),
        entry.organization_id,
        entry.name,
        life.created,
        life.started,
        life.finished,
        entry.first_seen,
        entry.last_seen,
        entry.over_seen,
        entry.running_since,
        *_curve_row(entry.cost),
        *_curve_row(entry.gpu),
        *astuple(entry.totals),
        *_judgement_row(entry.judgement),
        *(_NO_LABELS if entry.series is None else _labels_row(entry.series)),
        entry.state,
        entry.run,
        entry.run_seen,
        entry.run_since,
        entry.cost_base,
        entry.gpu_base,
        entry.cost_offset,
        entry.gpu_offset,
        *_suspect_row(entry.suspect_cost),
        *_suspect_row(entry.suspect_gpu),
        *astuple(entry.peaks),
    )


def job_entry(row: Row) -> JobEntry:
    """Return the job of a row."""
    return JobEntry(
        id=row[0],
        account=row[1],
        labels=Labels(*row[2:5]),
        organization_id=row[5],
        name=row[6],
        life=Life(*row[7:10]),
        first_seen=row[10],
        last_seen=row[11],
        over_seen=row[12],
        running_since=row[13],
        cost=_curve(row[14:24]),
        gpu=_curve(row[24:34]),
        totals=Totals(*row[34:42]),
        judgement=_judgement(row[42:59]),
        series=None if row[59] is None else Labels(*row[59:62]),
        state=row[62],
        run=row[63],
        run_seen=row[64],
        run_since=row[65],
        cost_base=row[66],
        gpu_base=row[67],
        cost_offset=row[68],
        gpu_offset=row[69],
        suspect_cost=_suspect(row[70:72]),
        suspect_gpu=_suspect(row[72:74]),
        peaks=Peaks(*row[74:78]),
    )


def series_row(entry: SeriesEntry) -> Row:
    """Return the row of a series."""
    return (*_labels_row(entry.labels), *astuple(entry.totals), entry.opened_at)


def series_entry(row: Row) -> SeriesEntry:
    """Return the series of a row."""
    return SeriesEntry(labels=Labels(*row[:3]), totals=Totals(*row[3:11]), opened_at=row[11])


def sighting_row(sighting: Sighting) -> Row:
    """Return the columns of a sighting."""
    return (sighting.at, sighting.told, sighting.rate, sighting.over)


def sighting(row: Row) -> Sighting:
    """Return the sighting of such columns."""
    at, told, rate, over = row
    return Sighting(at, told, rate, bool(over))


def run(row: Row) -> Run:
    """Return the run of the columns number, created, started, finished and until."""
    number, *life, until = row
    return Run(number, Life(*life), until)


def idle_interval(row: Row) -> IdleInterval:
    """Return the idle interval of the columns begin, end, gpu and value."""
    return IdleInterval(*row)


def utilization_bucket(row: Row) -> UtilizationBucket:
    """Return the bucket of the columns begin, observed and used."""
    return UtilizationBucket(*row)


def _judgement_row(judgement: Judgement) -> Row:
    *plain, interval = astuple(judgement)
    return (*plain, *(_NO_INTERVAL if interval is None else astuple(interval)))


def _judgement(row: Row) -> Judgement:
    *plain, begin, end, gpu, value = row
    interval = None if begin is None else IdleInterval(begin, end, gpu, value)
    return Judgement(*[*plain, interval])


def _curve_row(curve: Curve | None) -> Row:
    if curve is None:
        return _NO_CURVE
    return (
        *sighting_row(curve.anchor),
        *sighting_row(curve.last),
        curve.behind,
        curve.pending,
    )


def _curve(row: Row) -> Curve | None:
    if row[0] is None:
        return None
    return Curve(sighting(row[:4]), sighting(row[4:8]), row[8], row[9])


def _suspect_row(suspect: Suspect | None) -> Row:
    return (None, None) if suspect is None else (suspect.at, suspect.told)


def _suspect(row: Row) -> Suspect | None:
    return None if row[0] is None else Suspect(*row)


def _labels_row(labels: Labels) -> Row:
    return (labels.project_id, labels.owner, labels.gpu_type)
