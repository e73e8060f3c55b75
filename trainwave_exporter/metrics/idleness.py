"""Metrics of a job's idleness and waste, from the ledger, with the identity that the job has."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.metrics.job import job
from trainwave_exporter.model import Idleness, Job


class IdleJob(Struct, frozen=True):
    """A job, and how idle it is."""

    job: Job
    idleness: Idleness


idle_job = Families(IdleJob, labels=job.labels, identity=lambda i: job.identity(i.job))


@idle_job.gauge(
    "trainwave_job_idle_since_timestamp_seconds",
    "Since when all GPUs of the job have been idle; absent while one is busy or unknown.",
)
def idle_since(i: IdleJob) -> float | None:
    return i.idleness.idle_since


@idle_job.gauge("trainwave_job_idle_gpu_hours", "Idle GPU hours so far.", additive=True)
def gpu_hours(i: IdleJob) -> float | None:
    return i.idleness.gpu_hours


@idle_job.gauge(
    "trainwave_job_waste_dollars",
    "Dollars spent without useful work so far, by reason. Includes idle time that is not billed"
    " yet; absent while its price is unknown.",
    labels=("reason",),
    additive=True,
)
def waste(i: IdleJob) -> Mapping[LabelValues, float]:
    return {(reason.value,): amount for reason, amount in i.idleness.waste_dollars.items()}
