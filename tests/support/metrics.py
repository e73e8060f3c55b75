"""Records made with few words, and an exposition read back as a table of series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.model import (
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
    Job,
    Point,
    Quantity,
    Reading,
    Record,
)

OWN = ("trainwave_exporter_*", "process_*", "python_info")
"""The exporter's own metrics, all but the one that cannot be denied."""

IDENTITY = 'project_id="p-1",job_id="j-1"'
"""The labels of the job that `make_job` makes."""


def make_job(**known: Any) -> Job:
    asked: dict[str, Any] = {
        "account": "main",
        "id": "j-1",
        "state": "RUNNING",
        "confirmed_at": 1000.0,
        "project_id": "p-1",
    }
    return Job(**(asked | known))


def make_reading(quantity: Quantity, *points: Point, **known: Any) -> Reading:
    return Reading.of(quantity, points, **({"at": 2000.0} | known))


def make_exposition(
    *,
    allow: Sequence[str] = (),
    deny: Sequence[str] = OWN,
    max_jobs: int = 0,
    max_groups: int = 0,
    telemetry: ExporterMetrics | None = None,
) -> Exposition:
    return Exposition(
        selection=Selection(allow=allow, deny=deny),
        max_jobs=max_jobs,
        max_groups=max_groups,
        telemetry=telemetry or ExporterMetrics(version="1.2.3"),
    )


def appeared(*records: Record) -> list[Change]:
    return [Appeared(record) for record in records]


def changed(before: Record, after: Record) -> list[Change]:
    return [Changed(before, after)]


def departed(*records: Record) -> list[Change]:
    return [Departed(record, Departure.VANISHED) for record in records]


def text_of(exposition: Exposition, form: Format = Format.TEXT) -> str:
    """Return the plain answer, after what waits is published."""
    exposition.publish()
    return b"".join(exposition.answer.plain(form)).decode()


def series_of(exposition: Exposition, name: str = "trainwave_") -> dict[str, str]:
    """Return the values by series, of the families whose names begin so; none may come twice."""
    lines = [line for line in text_of(exposition).splitlines() if line.startswith(name)]
    series = dict(line.rsplit(" ", 1) for line in lines)
    assert len(series) == len(lines)
    return series


def series_of_record(record: Record, name: str = "trainwave_") -> dict[str, str]:
    """Return the values by series of an exposition that knows nothing but this record."""
    exposition = make_exposition()
    exposition.apply(appeared(record))
    return series_of(exposition, name)
