"""The metrics, one file for each kind of object (and one for what changes most, the readings).

Importing this package declares them all.
"""

from typing import Any

from trainwave_exporter.exposition.families import readings as readings  # declares on `job`
from trainwave_exporter.exposition.families.account import account
from trainwave_exporter.exposition.families.budget import ViewedBudget, budget
from trainwave_exporter.exposition.families.burn import burn
from trainwave_exporter.exposition.families.corrections import corrections
from trainwave_exporter.exposition.families.funds import funds
from trainwave_exporter.exposition.families.idleness import IdleJob, idle_job
from trainwave_exporter.exposition.families.job import job
from trainwave_exporter.exposition.families.organization import organization
from trainwave_exporter.exposition.families.project import project
from trainwave_exporter.exposition.families.spend import spend
from trainwave_exporter.exposition.families.tally import tally
from trainwave_exporter.exposition.families.unknown import unknown
from trainwave_exporter.exposition.family import Families

OTHERS: tuple[Families[Any], ...] = (account, burn, corrections, spend, tally)
"""All whose records are shown as they come."""
CAPPED: tuple[Families[Any], ...] = (funds, organization, project, unknown)
"""All of whose records no more than wanted are shown by themselves."""
FAMILIES: tuple[Families[Any], ...] = (job, idle_job, budget, *OTHERS, *CAPPED)

__all__ = ["CAPPED", "FAMILIES", "OTHERS", "IdleJob", "ViewedBudget", "budget", "idle_job", "job"]
