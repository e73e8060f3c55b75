"""The deployed dialect: what the vendor's command line and JupyterLab extension parse."""

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.simulator.catalogue import (
    Owner,
    SimulatedOffer,
    SimulatedOrganization,
    SimulatedProject,
)
from trainwave_exporter.simulator.dialects.renderer import Object, whole_cents
from trainwave_exporter.simulator.ids import IdKind, SimulatedDialect, write_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import LEGAL, SimulatedState
from trainwave_exporter.simulator.timestamps import write_time
from trainwave_exporter.simulator.world import SimulatedWorld

_PROVIDERS = ("runpod", "lambda", "coreweave")


class Deployed:
    """Renders the deployed dialect."""

    dialect = SimulatedDialect.DEPLOYED
    stop_path = "cancel"
    pages_organizations = True

    def answer(self, data: object) -> object:
        """Leave ``data`` bare."""
        return data

    def error(self, code: str, message: str) -> object:
        """Write an error; there are no codes here."""
        del code
        return {"detail": message}

    def job_in_list(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write a job; lists have all of it."""
        return self.job(job, world)

    def job(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write a job; it has a machine and an instance once that is being launched."""
        order = job.order
        offer = order.offer
        identity = _id(IdKind.JOB, job.code)
        launched = job.billed_from is not None
        return {
            "id": identity,
            "rid": job.rid,
            "state": job.state,
            "created_at": write_time(job.created_at),
            "project": _reference(order.project),
            "config": {
                "id": _id(IdKind.CONFIG, job.code),
                "rid": f"config-{job.ordinal + 1}",
                "name": order.name,
                "expires_at": -1 if job.expires_at is None else job.expires_at,
                "cpus": order.cpus,
                "gpus": offer.gpus,
                "gpu_type": offer.gpu_type,
                "interactive": False,
            },
            "cloud_offer": _machine(offer) if launched else None,
            "total_cost": whole_cents(job.reported_cost(world.now)),
            "cost_per_hour": job.hourly_dollars,
            "instances": [_instance(job)] if launched else [],
            "url": f"https://{identity}.jobs.invalid/"
            if job.state is SimulatedState.RUNNING
            else None,
            "s3_url": f"s3://trainwave-results/{identity}/",
        }

    def project(self, project: SimulatedProject, world: SimulatedWorld) -> Object:
        """Write a project."""
        founded = write_time(world.founded_at)
        return {
            **_reference(project),
            "active_job_count": world.active_jobs(project),
            "total_job_count": len(world.select(project)),
            "created_at": founded,
            "updated_at": founded,
            "organization": {
                "id": _id(IdKind.ORGANIZATION, project.organization.code),
                "rid": project.organization.rid,
                "name": project.organization.name,
            },
            "users": [self.user(owner) for owner in world.catalogue.owners],
        }

    def organization(self, organization: SimulatedOrganization, world: SimulatedWorld) -> Object:
        """Write an organization, its balance in cents."""
        return {
            "id": _id(IdKind.ORGANIZATION, organization.code),
            "rid": organization.rid,
            "name": organization.name,
            "computed_credit_balance": whole_cents(world.balance(organization)),
        }

    def user(self, owner: Owner) -> Object:
        """Write a user."""
        return {
            "id": _id(IdKind.USER, owner.code),
            "rid": owner.username,
            "email": owner.email,
            "first_name": owner.first_name,
            "last_name": owner.last_name,
        }

    def offer(self, offer: SimulatedOffer) -> Object:
        """Write an offer."""
        return {
            "id": _id(IdKind.OFFER, offer.code),
            "offer": offer.hourly_dollars,
            **_machine(offer),
            "tflops": offer.tflops,
            "grade": "datacenter" if offer.gpu_memory_mb >= 80_000 else "workstation",
        }

    def order(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Flatten ``{"project", "config": {…}}``, where ``cpus`` stands for ``cpu_cores``."""
        config = body.get("config")
        if not isinstance(config, dict):
            return {"project": body.get("project")}
        flat = {**config, "project": body.get("project")}
        if "cpus" in flat:
            flat["cpu_cores"] = flat.pop("cpus")
        return flat


def _id(kind: IdKind, code: int) -> str:
    return write_id(SimulatedDialect.DEPLOYED, kind, code)


def _reference(project: SimulatedProject) -> Object:
    return {"id": _id(IdKind.PROJECT, project.code), "rid": project.rid, "name": project.name}


def _machine(offer: SimulatedOffer) -> Object:
    return {
        "cpus": offer.cpus,
        "memory_mb": offer.memory_mb,
        "compliance_soc2": offer.gpu_memory_mb >= 80_000,
        "gpu_type": offer.gpu_type,
        "gpu_memory_mb": offer.gpu_memory_mb,
        "gpus": offer.gpus,
    }


def _instance(job: SimulatedJob) -> Object:
    return {
        "id": _id(IdKind.INSTANCE, job.code),
        "rid": f"instance-{job.ordinal + 1}",
        "state": "RUNNING" if job.state in LEGAL else "TERMINATED",
        "provider": _PROVIDERS[job.code % len(_PROVIDERS)],
        "created_at": write_time(job.billed_from or job.created_at),
    }
