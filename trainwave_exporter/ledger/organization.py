"""Which organization pays for a job."""

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.ledger.stored import ProjectEntry


def organization_of(
    told: str | None, project_id: str, projects: Mapping[str, ProjectEntry]
) -> str | None:
    """Return the organization of a job: as it tells itself, else as its project does."""
    project = projects.get(project_id)
    return told or (project.organization_id if project is not None else None)
