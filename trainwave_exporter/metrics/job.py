"""Metrics of a job as the API lists it: what it is, where it stands, what it costs."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import KNOWN_STATES, Job

job = Families(
    Job,
    labels=("organization_id", "project_id", "job_id"),
    identity=lambda j: (j.organization_id, j.project_id, j.id),
)


@job.info(
    "trainwave_job_info",
    "Description of a job, to be joined to its other series; always 1.",
    labels=("job_rid", "job_name", "project_name", "owner", "gpu_type"),
)
def info(j: Job) -> LabelValues:
    return (j.rid or "", j.name or "", j.project_name or "", j.owner or "", j.gpu_type or "")


@job.state(
    "trainwave_job_state",
    "1 for the current state of the job, 0 for every other.",
    label="state",
    known=KNOWN_STATES,
)
def state(j: Job) -> str:
    return j.state


@job.gauge("trainwave_job_cost_dollars", "Cost so far, as the API reports it.", additive=True)
def cost(j: Job) -> float | None:
    return j.cost_dollars


@job.gauge("trainwave_job_hourly_cost_dollars", "Current hourly price.", additive=True)
def hourly_cost(j: Job) -> float | None:
    return j.hourly_cost_dollars


@job.gauge("trainwave_job_gpu_hours", "GPU hours used so far.", additive=True)
def gpu_hours(j: Job) -> float | None:
    return j.gpu_hours


@job.gauge("trainwave_job_gpus", "GPUs allocated.", additive=True)
def gpus(j: Job) -> float | None:
    return j.gpus


@job.gauge("trainwave_job_cpu_cores", "CPU cores allocated.", additive=True)
def cpu_cores(j: Job) -> float | None:
    return j.cpu_cores


@job.gauge("trainwave_job_memory_limit_bytes", "Memory allocated.", additive=True)
def memory_limit(j: Job) -> float | None:
    return j.memory_limit_bytes


@job.gauge("trainwave_job_disk_limit_bytes", "Disk space allocated.", additive=True)
def disk_limit(j: Job) -> float | None:
    return j.disk_limit_bytes


@job.gauge("trainwave_job_created_timestamp_seconds", "When the job was created.")
def created(j: Job) -> float | None:
    return j.created_at


@job.gauge("trainwave_job_started_timestamp_seconds", "When the job started to run.")
def started(j: Job) -> float | None:
    return j.started_at


@job.gauge("trainwave_job_finished_timestamp_seconds", "When the job finished.")
def finished(j: Job) -> float | None:
    return j.finished_at


@job.gauge(
    "trainwave_job_expires_timestamp_seconds", ("When the job expires, and the service ends it.")
)
def expires(j: Job) -> float | None:
    return j.expires_at
