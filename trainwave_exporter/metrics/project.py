"""Metrics of a project."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Project

project = Families(Project, labels=("project_id",), identity=lambda p: (p.id,))


@project.info(
    "trainwave_project_info",
    "Description of a project, to be joined to other series; always 1.",
    labels=("project_rid", "project_name", "organization_id", "account"),
)
def info(p: Project) -> LabelValues:
    return (p.rid or "", p.name or "", p.organization_id or "", p.account)
