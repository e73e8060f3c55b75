"""The metrics, one file for each kind of object (and one for what changes most, the readings).

Importing this package declares them all.
"""

from typing import Any

from trainwave_exporter.exposition.families import readings as readings  # declares on `job`
from trainwave_exporter.exposition.families.account import account
from trainwave_exporter.exposition.families.job import job
from trainwave_exporter.exposition.families.organization import organization
from trainwave_exporter.exposition.families.project import project
from trainwave_exporter.exposition.families.tally import tally
from trainwave_exporter.exposition.family import Families

FAMILIES: tuple[Families[Any], ...] = (account, job, organization, project, tally)

__all__ = ["FAMILIES", "account", "job", "organization", "project", "tally"]
