"""What a dialect is: how each thing of the world is written, and how answers are wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from trainwave_exporter.simulator.catalogue import SimulatedOrganization, SimulatedProject
from trainwave_exporter.simulator.ids import SimulatedDialect
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.world import SimulatedWorld

Object: TypeAlias = dict[str, object]


class Renderer(Protocol):
    """One dialect. Objects it returns are ready to be encoded as JSON."""

    dialect: SimulatedDialect
    stop_path: str
    """The last part of the path that stops a job."""
    pages_organizations: bool
    """Whether the list of organizations is paginated as other lists are."""

    def answer(self, data: object) -> object:
        """Wrap what was asked for."""

    def error(self, code: str, message: str) -> object:
        """Say why there is no answer."""

    def job_in_list(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write a job as lists have it."""

    def job(self, job: SimulatedJob, world: SimulatedWorld) -> Object:
        """Write a job in all detail."""

    def project(self, project: SimulatedProject, world: SimulatedWorld) -> Object:
        """Write a project."""

    def organization(self, organization: SimulatedOrganization, world: SimulatedWorld) -> Object:
        """Write an organization."""

    def order(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Return the body of a request for a new job in the terms of the documented one."""


def whole_cents(microdollars: int) -> int:
    """Round money to cents, halves upward."""
    return (microdollars + 5_000) // 10_000
