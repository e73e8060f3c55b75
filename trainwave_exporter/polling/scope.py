"""What of an account is watched, how often, and how that is named to the outside."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Final

from msgspec import Struct

from trainwave_exporter.fleet import Fleet
from trainwave_exporter.model import Job, Organization, Project

LONGEST_VIEW: Final = 80
"""Characters of a view; what is longer becomes a hash."""


class Intervals(Struct, frozen=True, kw_only=True):
    """How often each thing is requested, in seconds, if the rate limit allows."""

    running: float
    sweep: float
    directory: float
    readings: float


class WatchScope(Struct, frozen=True, kw_only=True):
    """All jobs that an account's key sees, or less."""

    organization: str | None = None
    project: str | None = None
    page_size: int = 100

    def admits(self, job: Job, fleet: Fleet) -> bool:
        """Whether a job is within: the API may ignore the filters of a request."""
        project = fleet.project(job.project_id)
        of_project = project.organization_id if project is not None else None
        organization_id = job.organization_id or of_project
        organization = fleet.organization(organization_id) if organization_id else None
        return _is_within(self.project, job.project_id, project) and _is_within(
            self.organization, organization_id, organization
        )


def _is_within(
    wanted: str | None, reported: str | None, known: Project | Organization | None
) -> bool:
    """Whether something belongs to what is watched, by id or rid; what is not reported may."""
    if wanted is None or not reported:
        return True
    return wanted in {reported, known.rid if known is not None else None}


def view_of(
    scope: WatchScope, organizations: Collection[str] = (), projects: Collection[Project] = ()
) -> str:
    """Return what an account's key sees as one short text: the value of the label ``view``.

    Two exporters that see the same have the same view, whatever their accounts are called; two that
    see something else differ, even where both left their account's name at ``default``.

    It is ids in order, separated by commas; empty where nothing is known. A configured project or
    organization wins. Else it is the ids of all organizations that the API lists, or, where it
    lists none, those that projects name, or else the projects' own.
    """
    configured = scope.project or scope.organization
    if configured is not None:
        ids = {configured}
    else:
        named = {project.organization_id for project in projects if project.organization_id}
        ids = {*organizations} or named or {project.id for project in projects}
    view = ",".join(sorted(ids))
    return view if len(view) <= LONGEST_VIEW else f"sha256:{sha256(view.encode()).hexdigest()[:16]}"
