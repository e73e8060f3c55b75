"""Between the ledger's records and rows of its tables.

A row is read by the names of its columns. It is written in their order, which is that of the groups
of fields in `JOB`.

Columns keep the names that they were given first (``told`` for the value of a sample, ``over`` for
finished): a name is not worth a migration of everyone's ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct
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
)
from trainwave_exporter.ledger.billing.stored_records import Balance

S = TypeVar("S", bound=Struct)

Row: TypeAlias = Sequence[Any]
"""Values as SQLite returns them: whole numbers, texts and None."""
Values: TypeAlias = Mapping[str, Any]
"""The same by the names of their columns."""

SAMPLE: Final = ("at", "told", "rate", "over")
"""Columns of a meter sample."""
BALANCE: Final = ("organization_id", "at", "micro", "billed_lower", "billed_upper")
"""Columns of a balance."""
RUN: Final = ("number", *Life.__struct_fields__, "until")
"""Columns of a closed run."""
SERIES: Final = (*Labels.__struct_fields__, *Totals.__struct_fields__, "opened_at")
"""Columns of a series."""

_PLAIN: Final = {
    "id": "id",
    "account": "account",
    "organization_id": "organization_id",
    "name": "name",
    "first_seen": "first_seen",
    "last_seen": "last_seen",
    "over_seen": "finished_seen",
    "running_since": "running_since",
    "state": "state",
    "run": "run",
    "run_seen": "run_seen",
    "run_since": "run_since",
    "cost_base": "cost_base",
    "gpu_base": "gpu_base",
    "cost_offset": "cost_offset",
    "gpu_offset": "gpu_offset",
}
"""The columns of a job that hold a field of it as it is, and the names of these fields."""
_IDLE_ESTIMATE: Final = {
    "gpu_use" if field == "use" else field: field
    for field in IdleEstimate.__struct_fields__
    if field != "interval"
}
_PEAKS: Final = {
    "peak_memory": "memory",
    "memory_limit": "memory_limit",
    "peak_gpu_memory": "gpu_memory",
    "gpu_memory_limit": "gpu_memory_limit",
}


def _meter_columns(meter: str) -> tuple[str, ...]:
    samples = [f"{meter}_{which}_{column}" for which in ("anchor", "last") for column in SAMPLE]
    return (*samples, f"{meter}_behind", f"{meter}_pending")


JOB: Final = (
    *_PLAIN,
    *Labels.__struct_fields__,
    *Life.__struct_fields__,
    *_meter_columns("cost"),
    *_meter_columns("gpu"),
    *Totals.__struct_fields__,
    *_IDLE_ESTIMATE,
    *(f"interval_{field}" for field in IdleInterval.__struct_fields__),
    *(f"series_{field}" for field in Labels.__struct_fields__),
    *("suspect_cost_at", "suspect_cost", "suspect_gpu_at", "suspect_gpu"),
    *_PEAKS,
)
"""Columns of a job."""

_plain_fields = attrgetter(*_PLAIN.values())
_NO_METER = (*(None,) * (2 * len(SAMPLE)), 0, 0)


def job_row(entry: JobEntry) -> Row:
    """Return the values of a job, in the order of `JOB`."""
    *estimate, interval = astuple(entry.idle_estimate)
    return (
        *_plain_fields(entry),
        *astuple(entry.labels),
        *astuple(entry.life),
        *_meter_row(entry.cost),
        *_meter_row(entry.gpu),
        *astuple(entry.totals),
        *estimate,
        *_optional_row(IdleInterval, interval),
        *_optional_row(Labels, entry.series),
        *_optional_row(UnconfirmedValue, entry.unconfirmed_cost),
        *_optional_row(UnconfirmedValue, entry.unconfirmed_gpu),
        *astuple(entry.peaks),
    )


def job_entry(row: Row) -> JobEntry:
    """Return the job of a row of the columns `JOB`."""
    values = dict(zip(JOB, row, strict=True))
    estimate = {field: values[column] for column, field in _IDLE_ESTIMATE.items()}
    interval = _optional("interval_", IdleInterval, values)
    return JobEntry(
        **{field: values[column] for column, field in _PLAIN.items()},
        labels=_record(Labels, values),
        life=_record(Life, values),
        cost=_meter("cost", values),
        gpu=_meter("gpu", values),
        totals=_record(Totals, values),
        idle_estimate=IdleEstimate(**estimate, interval=interval),
        series=_optional("series_", Labels, values),
        unconfirmed_cost=_unconfirmed("suspect_cost", values),
        unconfirmed_gpu=_unconfirmed("suspect_gpu", values),
        peaks=Peaks(**{field: values[column] for column, field in _PEAKS.items()}),
    )


def series_row(entry: SeriesEntry) -> Row:
    """Return the values of a series, in the order of `SERIES`."""
    return (*astuple(entry.labels), *astuple(entry.totals), entry.opened_at)


def series_entry(row: Row) -> SeriesEntry:
    """Return the series of a row of the columns `SERIES`."""
    values = dict(zip(SERIES, row, strict=True))
    return SeriesEntry(
        labels=_record(Labels, values),
        totals=_record(Totals, values),
        opened_at=values["opened_at"],
    )


def sample_row(sample: MeterSample) -> Row:
    """Return the values of a sample, in the order of `SAMPLE`."""
    return astuple(sample)


def sample(values: Values, prefix: str = "") -> MeterSample:
    """Return the sample of such columns, whose names begin with a prefix."""
    at, value, rate, finished = (values[prefix + column] for column in SAMPLE)
    return MeterSample(at, value, rate, bool(finished))


def balance_row(balance: Balance) -> Row:
    """Return the values of a balance, in the order of `BALANCE`."""
    billed = balance.billed or (None, None)
    return (balance.organization_id, balance.at, balance.micro, *billed)


def balance(row: Row) -> Balance:
    """Return the balance of a row of the columns `BALANCE`."""
    organization_id, at, micro, lower, upper = row
    return Balance(organization_id, at, micro, None if lower is None else (lower, upper))


def run(row: Row) -> Run:
    """Return the run of a row of the columns `RUN`."""
    number, *life, until = row
    return Run(number, Life(*life), until)


def _record(kind: type[S], values: Values, prefix: str = "") -> S:
    return kind(*[values[prefix + field] for field in kind.__struct_fields__])


def _optional_row(kind: type[Struct], record: Struct | None) -> Row:
    return (None,) * len(kind.__struct_fields__) if record is None else astuple(record)


def _optional(prefix: str, kind: type[S], values: Values) -> S | None:
    missing = values[prefix + kind.__struct_fields__[0]] is None
    return None if missing else _record(kind, values, prefix)


def _meter_row(meter: Meter | None) -> Row:
    if meter is None:
        return _NO_METER
    return (*astuple(meter.anchor), *astuple(meter.last), meter.behind, meter.pending)


def _meter(name: str, values: Values) -> Meter | None:
    if values[f"{name}_anchor_at"] is None:
        return None
    return Meter(
        sample(values, f"{name}_anchor_"),
        sample(values, f"{name}_last_"),
        values[f"{name}_behind"],
        values[f"{name}_pending"],
    )


def _unconfirmed(column: str, values: Values) -> UnconfirmedValue | None:
    at = values[f"{column}_at"]
    return None if at is None else UnconfirmedValue(at, values[column])
