"""Metrics of a running job's six readings: use of what it was given, traffic, and their age.

A reading says what its numbers are (`Quantity`); one that does not fit a family gives no sample.
Series are told apart by ``gpu`` or ``direction`` where the API does.
"""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from trainwave_exporter.exposition.families.job import job
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Job, Metric, Point, Quantity

# Looked up once: these functions run for every running job whose readings changed, and looking up a
# member of an enumeration takes as long as looking up the reading itself.
_CPU = Metric.CPU
_GPU_UTILIZATION = Metric.GPU_UTILIZATION
_MEMORY = Metric.MEMORY
_GPU_MEMORY = Metric.GPU_MEMORY
_NETWORK = Metric.NETWORK
_DISK = Metric.DISK
_RATIO = Quantity.RATIO
_BYTES = Quantity.BYTES
_BYTES_PER_SECOND = Quantity.BYTES_PER_SECOND
_BYTES_TOTAL = Quantity.BYTES_TOTAL

Size: TypeAlias = Callable[[Job, Point], float | None]
"""How much there is of what a point tells the use of."""


@job.gauge(
    "trainwave_job_gpu_utilization_ratio",
    "How busy the GPUs are, 0 to 1.",
    labels=("gpu",),
)
def gpu_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, _GPU_UTILIZATION)


@job.gauge(
    "trainwave_job_cpu_utilization_ratio",
    "How busy the CPU cores are, 0 to 1.",
    labels=("gpu",),
)
def cpu_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, _CPU)


@job.gauge("trainwave_job_memory_used_bytes", "Memory in use.", labels=("gpu",), additive=True)
def memory_used(j: Job) -> Mapping[LabelValues, float]:
    return _bytes(j, _MEMORY, _memory)


@job.gauge(
    "trainwave_job_memory_utilization_ratio",
    "Memory in use as a part of what is allocated, 0 to 1.",
    labels=("gpu",),
)
def memory_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, _MEMORY, _memory)


@job.gauge(
    "trainwave_job_gpu_memory_used_bytes", "GPU memory in use.", labels=("gpu",), additive=True
)
def gpu_memory_used(j: Job) -> Mapping[LabelValues, float]:
    return _bytes(j, _GPU_MEMORY, _gpu_memory)


@job.gauge(
    "trainwave_job_gpu_memory_utilization_ratio",
    "GPU memory in use as a part of what is allocated, 0 to 1.",
    labels=("gpu",),
)
def gpu_memory_utilization(j: Job) -> Mapping[LabelValues, float]:
    return _ratios(j, _GPU_MEMORY, _gpu_memory)


@job.gauge(
    "trainwave_job_network_io_bytes_per_second",
    "Network traffic.",
    labels=("direction",),
    additive=True,
)
def network_io(j: Job) -> Mapping[LabelValues, float]:
    return _traffic(j, _NETWORK)


@job.gauge(
    "trainwave_job_disk_io_bytes_per_second",
    "Disk traffic.",
    labels=("direction",),
    additive=True,
)
def disk_io(j: Job) -> Mapping[LabelValues, float]:
    return _traffic(j, _DISK)


@job.gauge(
    "trainwave_job_readings_timestamp_seconds",
    "When each reading was last confirmed; metric=job stands for state and cost.",
    labels=("metric",),
)
def confirmed(j: Job) -> Mapping[LabelValues, float]:
    times: dict[LabelValues, float] = {("job",): j.confirmed_at}
    for metric, reading in j.readings.items():
        times[metric,] = reading.at
    return times


def _memory(j: Job, _: Point) -> float | None:
    return j.memory_limit_bytes


def _gpu_memory(j: Job, point: Point) -> float | None:
    """Of the point's device, or of all devices where the API does not tell them apart."""
    one = j.gpu_memory_limit_bytes
    if one is None or point.device is not None:
        return one
    return None if j.gpus is None else one * j.gpus


def _unknown(_: Job, __: Point) -> None:
    return None


def _ratios(j: Job, metric: Metric, size: Size = _unknown) -> dict[LabelValues, float]:
    """Return each device's use as a part of the whole, where that is told or known."""
    ratios: dict[LabelValues, float] = {}
    reading = j.readings.get(metric)
    if reading is None:
        return ratios
    if reading.quantity is _RATIO:
        for point in reading.points:
            ratios[point.device,] = point.value
    elif reading.quantity is _BYTES:
        for point in reading.points:
            if (whole := size(j, point)) is not None and whole > 0:
                ratios[point.device,] = point.value / whole
    return ratios


def _bytes(j: Job, metric: Metric, size: Size) -> dict[LabelValues, float]:
    """Return each device's use in bytes, where that is told or known."""
    used: dict[LabelValues, float] = {}
    reading = j.readings.get(metric)
    if reading is None:
        return used
    if reading.quantity is _BYTES:
        for point in reading.points:
            used[point.device,] = point.value
    elif reading.quantity is _RATIO:
        for point in reading.points:
            if (whole := size(j, point)) is not None and whole > 0:
                used[point.device,] = point.value * whole
    return used


def _traffic(j: Job, metric: Metric) -> dict[LabelValues, float]:
    """Return the bytes per second in each direction, of all devices together."""
    traffic: dict[LabelValues, float] = {}
    reading = j.readings.get(metric)
    if reading is None:
        return traffic
    if reading.quantity is _BYTES_PER_SECOND:
        points = reading.points
    elif reading.quantity is _BYTES_TOTAL:
        points = reading.rates
    else:
        return traffic
    for point in points:
        way = (point.direction,)
        traffic[way] = traffic.get(way, 0.0) + point.value
    return traffic
