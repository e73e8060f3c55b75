"""Which jobs an account watches."""

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.fleet import Fleet
from trainwave_exporter.model import Job, Organization, Project


class WatchScope(Struct, frozen=True, kw_only=True):
    """All jobs that an account's key sees, or less."""

    organization: str | None = None
    project: str | None = None
    page_size: int = 100

    def admits(self, job: Job, fleet: Fleet) -> bool:
        """Whether a job is within: the API may ignore the filters that it was asked with."""
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
