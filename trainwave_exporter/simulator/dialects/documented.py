"""The documented dialect: the vendor's API reference, taken by its word.

Where the reference shows no example (projects, organizations), objects have the deployed dialect's
keys with the ids of this one, and organizations are a plain list, as no paging is documented.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.simulator.catalogue import SimulatedOrganization, SimulatedProject
from trainwave_exporter.simulator.dialects.renderer import (
    Object,
    whole_cents,
)
from trainwave_exporter.simulator.ids import IdKind, SimulatedDialect, write_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import SimulatedState, Status, status_of
from trainwave_exporter.simulator.timestamps import write_time
from trainwave_exporter.simulator.usage import SimulatedMetric, read
from trainwave_exporter.simulator.world import SimulatedWorld

_STATES = {Status.RUNNING: "RUNNING", Status.COMPLETED: "COMPLETED", Status.FAILED: "FAILED"}


class Documented:
    """Renders the documented dialect."""

    dialect = SimulatedDialect.DOCUMENTED
    stop_path = "stop"
    pages_organizations = False

    def answer(self, data: object) -> object:
        """Wrap ``data`` in the standard format."""
        return {"success": True, "data": data}

    def error(self, code: str, message: str) -> object:
        """Write an error in the standard format."""
        return {"success": False, "error": {"code": code, "message": message}}

    def job_in_list(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write the keys of the reference's list example."""
        owner = job.order.owner
        return {
            "id": _id(IdKind.JOB, job.code),
            "rid": job.rid,
            "created_at": write_time(job.created_at),
            "state": _state(job),
            "project": _id(IdKind.PROJECT, job.order.project.code),
            "owner": {
                "id": _id(IdKind.USER, owner.code),
                "email": owner.email,
                "username": owner.username,
            },
            "total_cost": job.reported_cost(world.now) / 1_000_000,
            "gpu_hours": round(job.reported_gpu_seconds(world.now) / 3600, 4),
            "metrics": _metrics(job, world),
        }

    def job(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write the keys of the reference's detail example."""
        offer = job.order.offer
        return {
            "id": _id(IdKind.JOB, job.code),
            "name": job.order.name,
            "state": _state(job),
            "created_at": write_time(job.created_at),
            "started_at": job.started_at and write_time(job.started_at),
            "finished_at": job.finished_at and write_time(job.finished_at),
            "project": _id(IdKind.PROJECT, job.order.project.code),
            "gpu_type": offer.gpu_type,
            "gpus": offer.gpus,
            "cpu_cores": job.order.cpus,
            "memory_gb": job.order.memory_mb // 1000,
            "cost_per_hour": job.hourly_dollars,
            "total_cost": job.reported_cost(world.now) / 1_000_000,
            "metrics": _metrics(job, world),
        }

    def project(self, project: SimulatedProject, world: SimulatedWorld) -> Object:
        """Write a project."""
        return {
            "id": _id(IdKind.PROJECT, project.code),
            "rid": project.rid,
            "name": project.name,
            "organization": _id(IdKind.ORGANIZATION, project.organization.code),
            "total_job_count": len(world.select(project)),
            "created_at": write_time(world.founded_at),
        }

    def organization(self, organization: SimulatedOrganization, world: SimulatedWorld) -> Object:
        """Write an organization; its balance is in cents, as in the one source there is."""
        return {
            "id": _id(IdKind.ORGANIZATION, organization.code),
            "rid": organization.rid,
            "name": organization.name,
            "computed_credit_balance": whole_cents(world.balance(organization)),
        }

    def order(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Take the body as it is: it is flat here."""
        return body


def _id(kind: IdKind, code: int) -> str:
    return write_id(SimulatedDialect.DOCUMENTED, kind, code)


def _state(job: SimulatedJob) -> str:
    """Name a state after the ``status`` that finds it; others have the vendor's only name."""
    status = status_of(job.state)
    return job.state if status is None else _STATES[status]


def _metrics(job: SimulatedJob, world: SimulatedWorld) -> Object | None:
    """Write the two readings that lists and details have while a job runs; null otherwise."""
    if job.state is not SimulatedState.RUNNING:
        return None
    gpu = read(job, SimulatedMetric.GPU_UTILIZATION, world.now)
    memory = read(job, SimulatedMetric.MEMORY, world.now)
    return {
        "gpu_utilization": gpu and gpu.whole,
        "memory_usage": memory and memory.whole,
    }
