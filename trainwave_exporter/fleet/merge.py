"""How what is reported now goes together with what was known before. Pure functions."""

from __future__ import annotations

from collections.abc import Container

from msgspec.structs import replace

from trainwave_exporter.model import Job, Metric, Point, Quantity, Reading, Readings

_MERGED_FIELDS = tuple(
    field
    for field in Job.__struct_fields__
    if field
    not in {
        "id",
        "state",
        "project_id",
        "confirmed_at",
        "cost_reported_at",
        "gpu_hours_reported_at",
        "account",
        "readings",
    }
)


def merge_jobs(known: Job, reported: Job) -> Job:
    """Return what is known of a job after one more answer about it, all but its readings.

    What the answer does not report stays as it was. A job that lives again has not finished.
    """
    fields = {
        field: value for field in _MERGED_FIELDS if (value := getattr(reported, field)) is not None
    }
    merged = replace(
        known,
        **fields,
        account=reported.account,
        state=reported.state,
        project_id=reported.project_id or known.project_id,
        confirmed_at=reported.confirmed_at,
    )
    if known.finished and reported.finished_at is None and _revived(known, reported):
        # Another run begins: the times of the last one are not its own.
        merged = replace(merged, started_at=reported.started_at, finished_at=None)
    return merged


def _revived(known: Job, reported: Job) -> bool:
    return reported.state != known.state and not reported.finished


def merge_readings(known: Readings, reported: Readings, overdue: Container[Metric]) -> Readings:
    """Return both, the newer one where both report the same metric, with rates between totals.

    A job's list entry gives one number where the metric's own endpoint distinguishes devices. The
    number does not replace the richer reading, or the series would flap between two sets of labels.
    A reading without a value (it is too old) replaces any that is not newer.
    ``overdue`` names the metrics whose known reading came so long ago that any other replaces it,
    whatever its timestamp (the API's clock may be wrong) and however poor.
    """
    newer: dict[str, Reading] = {}
    for metric, reading in reported.items():
        before = known.get(metric)
        if before is None:
            newer[metric] = reading
        elif metric in overdue or not _yields(reading, before):
            newer[metric] = _with_rates(before, reading)
    return replace(known, **newer)


def _yields(reported: Reading, known: Reading) -> bool:
    poorer = bool(reported.points) and _has_devices(known) and not _has_devices(reported)
    return reported.at < known.at or poorer


def _with_rates(known: Reading, reported: Reading) -> Reading:
    if reported.quantity is not Quantity.BYTES_TOTAL:
        return reported
    return replace(reported, rates=_rates(known, reported))


def _has_devices(reading: Reading) -> bool:
    return any(point.device is not None for point in reading.points)


def _rates(known: Reading, reported: Reading) -> tuple[Point, ...]:
    """Bytes per second between two running totals; the last rates if no time passed between them.

    A total that fell was reset: what it was in between nobody knows, so it has no rate.
    """
    if known.quantity is not Quantity.BYTES_TOTAL:
        return ()
    seconds = reported.at - known.at
    if seconds <= 0:
        return known.rates
    totals = {(point.device, point.direction): point.value for point in known.points}
    return tuple(
        replace(point, value=(point.value - before) / seconds)
        for point in reported.points
        if (before := totals.get((point.device, point.direction))) is not None
        and point.value >= before
    )
