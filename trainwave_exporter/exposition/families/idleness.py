"""Metrics of a job's idleness, which the ledger tells of, with the identity that the job has."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.exposition.families.job import job
from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import Idleness, Job


class IdleJob(Struct, frozen=True):
    """A job, and how idle it is."""

    job: Job
    idleness: Idleness


idle_job = Families(IdleJob, labels=job.labels, identity=lambda i: job.identity(i.job))


@idle_job.gauge(
    "trainwave_job_idle_since_timestamp_seconds",
    "Since when none of the job's GPUs does anything; absent while one does.",
)
def idle_since(i: IdleJob) -> float | None:
    return i.idleness.idle_since


@idle_job.gauge(
    "trainwave_job_idle_gpu_hours", "GPU hours that the job spent idle so far.", additive=True
)
def gpu_hours(i: IdleJob) -> float | None:
    return i.idleness.gpu_hours
