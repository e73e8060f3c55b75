"""The most that a job used of its memory and of a GPU's memory, as far as readings show it."""

from __future__ import annotations

from typing import Final

from trainwave_exporter.ledger.billing.job_entry import Peaks
from trainwave_exporter.model import Job, Quantity, Reading

_MOST: Final = 1e18
"""Bytes beyond which no memory is believed to be in use, and no database could hold them."""


def peaks(known: Peaks, job: Job) -> Peaks:
    """Return the peaks after the present readings of a job, and its limits as last reported."""
    memory_limit = _whole(job.memory_limit_bytes, known.memory_limit)
    gpu_memory_limit = _whole(job.gpu_memory_limit_bytes, known.gpu_memory_limit)
    memory, gpu_memory = job.readings.memory, job.readings.gpu_memory
    return Peaks(
        memory=_highest(known.memory, _all_in_use(memory, memory_limit)),
        memory_limit=memory_limit,
        gpu_memory=_highest(known.gpu_memory, _one_in_use(gpu_memory, job.gpus, gpu_memory_limit)),
        gpu_memory_limit=gpu_memory_limit,
    )


def rose(before: Reading | None, after: Reading | None) -> bool:
    """Return whether a reading may be a new peak, compared with the one before it."""
    return after is not None and after != before and _most(after) > _most(before)


def _all_in_use(reading: Reading | None, limit: int | None) -> float | None:
    """Return the bytes that all devices use together; a ratio is the part of all."""
    if reading is None or not reading.points:
        return None
    values = [point.value for point in reading.points]
    if reading.quantity is Quantity.BYTES:
        return sum(values)
    return _of_limit(reading, sum(values) / len(values), limit)


def _one_in_use(reading: Reading | None, gpus: float | None, limit: int | None) -> float | None:
    """Return the bytes that the fullest device uses; one number for all is split evenly."""
    if reading is None or not reading.points:
        return None
    most = _most(reading)
    if reading.quantity is not Quantity.BYTES:
        return _of_limit(reading, most, limit)
    if isinstance(reading.value, tuple):
        return most
    return most / gpus if gpus else None


def _of_limit(reading: Reading, ratio: float, limit: int | None) -> float | None:
    return ratio * limit if reading.quantity is Quantity.RATIO and limit is not None else None


def _most(reading: Reading | None) -> float:
    if reading is None:
        return 0.0
    return max((point.value for point in reading.points), default=0.0)


def _highest(known: int | None, seen: float | None) -> int | None:
    if seen is None or seen > _MOST:
        return known
    return round(seen) if known is None else max(known, round(seen))


def _whole(value: float | None, known: int | None) -> int | None:
    return known if value is None or value > _MOST else round(value)
