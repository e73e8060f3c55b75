"""What lists and readings take of a budget, in requests and in time. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

from trainwave_exporter.model import Job, Metric


def requests_per_minute(requests: int, interval: float) -> float:
    """Return what a list of so many requests needs in a minute, walked every so many seconds.

    A list that is walked less than once a minute still needs all of its requests in that minute.
    """
    return requests * max(1.0, 60.0 / interval)


def round_seconds(readings: int, rate: float, ideal: float) -> float:
    """Return how long a round of so many readings takes at ``rate`` requests a minute.

    No less than the ``ideal`` interval in seconds; a rate below one counts as one.
    """
    return max(ideal, 60.0 * readings / max(1.0, rate))


def readings_in_a_round(jobs: Iterable[Job]) -> int:
    """Return how many requests it takes to read all running jobs once."""
    return sum(not brought_by_list(job, metric) for job in jobs if job.running for metric in Metric)


def brought_by_list(job: Job, metric: Metric) -> bool:
    """Whether the list itself brought this reading: it is as old as the job's own facts.

    One number over several GPUs cannot show which of them idles: there the devices are wanted.
    """
    reading = job.readings.get(metric)
    several_devices = metric is Metric.GPU_UTILIZATION and (job.gpus or 1) > 1
    return reading is not None and reading.at == job.confirmed_at and not several_devices
