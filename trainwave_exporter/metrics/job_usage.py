"""Metrics of a running job's six readings: use of what it was given, traffic, and their age.

A reading says what its numbers are (`Quantity`); one that does not fit a family gives no sample.
Series have ``gpu`` or ``direction`` where the API reports them. These functions run for every
running job whose readings changed, so they take the short way where there is only one number.
"""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec.structs import astuple

from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.metrics.job import job
from trainwave_exporter.model import Job, Quantity, Reading, Readings

# Looked up once: looking up a member of an enumeration takes as long as the reading itself.
_RATIO = Quantity.RATIO
_BYTES = Quantity.BYTES
_BYTES_PER_SECOND = Quantity.BYTES_PER_SECOND
_BYTES_TOTAL = Quantity.BYTES_TOTAL
_WHOLE: LabelValues = (None,)
_METRICS: tuple[LabelValues, ...] = tuple((name,) for name in Readings.__struct_fields__)

Use: TypeAlias = dict[LabelValues, float]
"""How much each device uses; of the whole job under ``(None,)``."""
Size: TypeAlias = Callable[[Job, LabelValues], float | None]
"""How much there is of it."""


@job.gauge(
    "trainwave_job_gpu_utilization_ratio",
    "GPU utilization (0 to 1).",
    labels=("gpu",),
)
def gpu_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, j.readings.gpu_utilization)


@job.gauge(
    "trainwave_job_cpu_utilization_ratio",
    "CPU utilization (0 to 1).",
    labels=("gpu",),
)
def cpu_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, j.readings.cpu)


@job.gauge("trainwave_job_memory_used_bytes", "Memory used.", labels=("gpu",), additive=True)
def memory_used(j: Job) -> Mapping[LabelValues, float]:
    return _bytes(j, j.readings.memory, _memory)


@job.gauge(
    "trainwave_job_memory_utilization_ratio",
    "Memory used as a share of what is allocated (0 to 1).",
    labels=("gpu",),
)
def memory_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, j.readings.memory, _memory)


@job.gauge(
    "trainwave_job_gpu_memory_used_bytes", "GPU memory used.", labels=("gpu",), additive=True
)
def gpu_memory_used(j: Job) -> Mapping[LabelValues, float]:
    return _bytes(j, j.readings.gpu_memory, _gpu_memory)


@job.gauge(
    "trainwave_job_gpu_memory_utilization_ratio",
    "GPU memory used as a share of what is allocated (0 to 1).",
    labels=("gpu",),
)
def gpu_memory_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, j.readings.gpu_memory, _gpu_memory)


@job.gauge(
    "trainwave_job_network_io_bytes_per_second",
    "Network I/O.",
    labels=("direction",),
    additive=True,
)
def network_io(j: Job) -> Mapping[LabelValues, float]:
    return _traffic(j.readings.network)


@job.gauge(
    "trainwave_job_disk_io_bytes_per_second",
    "Disk I/O.",
    labels=("direction",),
    additive=True,
)
def disk_io(j: Job) -> Mapping[LabelValues, float]:
    return _traffic(j.readings.disk)


@job.gauge(
    "trainwave_job_readings_timestamp_seconds",
    "When each reading was last confirmed; metric=job stands for state and cost.",
    labels=("metric",),
)
def confirmed(j: Job) -> Mapping[LabelValues, float]:
    times: dict[LabelValues, float] = {("job",): j.confirmed_at}
    for metric, reading in zip(_METRICS, astuple(j.readings), strict=True):
        if reading is not None:
            times[metric] = reading.at
    return times


def _memory(j: Job, _: LabelValues) -> float | None:
    return j.memory_limit_bytes


def _gpu_memory(j: Job, where: LabelValues) -> float | None:
    """Of the device, or of all devices where the API does not distinguish them."""
    one = j.gpu_memory_limit_bytes
    if one is None or where != _WHOLE:
        return one
    return None if j.gpus is None else one * j.gpus


def _unknown(_: Job, __: LabelValues) -> None:
    return None


def _ratios(j: Job, reading: Reading | None, size: Size = _unknown) -> Use:
    """Return each device's use as a part of the whole, where that is reported or known."""
    if reading is None:
        return {}
    if reading.quantity is _RATIO:
        return _use(reading)
    if reading.quantity is _BYTES:
        ratios: Use = {}
        for where, used in _use(reading).items():
            if (whole := size(j, where)) is not None and whole > 0:
                ratios[where] = used / whole
        return ratios
    return {}


def _bytes(j: Job, reading: Reading | None, size: Size) -> Use:
    """Return each device's use in bytes, where that is reported or known."""
    if reading is None:
        return {}
    if reading.quantity is _BYTES:
        return _use(reading)
    if reading.quantity is _RATIO:
        used: Use = {}
        for where, ratio in _use(reading).items():
            if (whole := size(j, where)) is not None and whole > 0:
                used[where] = ratio * whole
        return used
    return {}


def _use(reading: Reading) -> Use:
    value = reading.value
    if isinstance(value, tuple):
        return {(point.device,): point.value for point in value}
    return {_WHOLE: value}


def _traffic(reading: Reading | None) -> dict[LabelValues, float]:
    """Return the bytes per second in each direction, of all devices together."""
    if reading is None:
        return {}
    if reading.quantity is _BYTES_PER_SECOND:
        value = reading.value
    elif reading.quantity is _BYTES_TOTAL:
        value = reading.rates
    else:
        return {}
    if not isinstance(value, tuple):
        return {_WHOLE: value}
    traffic: dict[LabelValues, float] = {}
    for point in value:
        way = (point.direction,)
        traffic[way] = traffic.get(way, 0.0) + point.value
    return traffic
