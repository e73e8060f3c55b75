"""Between the ledger's records and rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import astuple

from trainwave_exporter.ledger.billing.job_entry import (
    IdleEstimate,
    IdleInterval,
    JobEntry,
    Labels,
    Life,
    Meter,
    MeterSample,
    Peaks,
    Run,
    SeriesEntry,
    Totals,
    UnconfirmedValue,
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
SAMPLE: Final = ("at", "told", "rate", "over")
"""Columns of a meter sample."""
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
    *(f"cost_anchor_{column}" for column in SAMPLE),
    *(f"cost_last_{column}" for column in SAMPLE),
    "cost_behind",
    "cost_pending",
    *(f"gpu_anchor_{column}" for column in SAMPLE),
    *(f"gpu_last_{column}" for column in SAMPLE),
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

_NO_METER = (*(None,) * (2 * len(SAMPLE)), 0, 0)
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
        entry.finished_seen,
        entry.running_since,
        *_meter_row(entry.cost),
        *_meter_row(entry.gpu),
        *astuple(entry.totals),
        *_idle_estimate_row(entry.idle_estimate),
        *(_NO_LABELS if entry.series is None else _labels_row(entry.series)),
        entry.state,
        entry.run,
        entry.run_seen,
        entry.run_since,
        entry.cost_base,
        entry.gpu_base,
        entry.cost_offset,
        entry.gpu_offset,
        *_unconfirmed_row(entry.unconfirmed_cost),
        *_unconfirmed_row(entry.unconfirmed_gpu),
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
        finished_seen=row[12],
        running_since=row[13],
        cost=_meter(row[14:24]),
        gpu=_meter(row[24:34]),
        totals=Totals(*row[34:42]),
        idle_estimate=_idle_estimate(row[42:59]),
        series=None if row[59] is None else Labels(*row[59:62]),
        state=row[62],
        run=row[63],
        run_seen=row[64],
        run_since=row[65],
        cost_base=row[66],
        gpu_base=row[67],
        cost_offset=row[68],
        gpu_offset=row[69],
        unconfirmed_cost=_unconfirmed(row[70:72]),
        unconfirmed_gpu=_unconfirmed(row[72:74]),
        peaks=Peaks(*row[74:78]),
    )


def series_row(entry: SeriesEntry) -> Row:
    """Return the row of a series."""
    return (*_labels_row(entry.labels), *astuple(entry.totals), entry.opened_at)


def series_entry(row: Row) -> SeriesEntry:
    """Return the series of a row."""
    return SeriesEntry(labels=Labels(*row[:3]), totals=Totals(*row[3:11]), opened_at=row[11])


def sample_row(sample: MeterSample) -> Row:
    """Return the columns of a sample."""
    return (sample.at, sample.value, sample.rate, sample.finished)


def sample(row: Row) -> MeterSample:
    """Return the sample of such columns."""
    at, value, rate, finished = row
    return MeterSample(at, value, rate, bool(finished))


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


def _idle_estimate_row(idle_estimate: IdleEstimate) -> Row:
    *plain, interval = astuple(idle_estimate)
    return (*plain, *(_NO_INTERVAL if interval is None else astuple(interval)))


def _idle_estimate(row: Row) -> IdleEstimate:
    *plain, begin, end, gpu, value = row
    interval = None if begin is None else IdleInterval(begin, end, gpu, value)
    return IdleEstimate(*[*plain, interval])


def _meter_row(meter: Meter | None) -> Row:
    if meter is None:
        return _NO_METER
    return (
        *sample_row(meter.anchor),
        *sample_row(meter.last),
        meter.behind,
        meter.pending,
    )


def _meter(row: Row) -> Meter | None:
    if row[0] is None:
        return None
    return Meter(sample(row[:4]), sample(row[4:8]), row[8], row[9])


def _unconfirmed_row(unconfirmed: UnconfirmedValue | None) -> Row:
    return (None, None) if unconfirmed is None else (unconfirmed.at, unconfirmed.value)


def _unconfirmed(row: Row) -> UnconfirmedValue | None:
    return None if row[0] is None else UnconfirmedValue(*row)


def _labels_row(labels: Labels) -> Row:
    return (labels.project_id, labels.owner, labels.gpu_type)
