"""The kinds of objects that have metrics; importing this declares them all."""

from typing import Any

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.metrics import job_usage  # noqa: F401 - declares on `job`
from trainwave_exporter.metrics.account import account
from trainwave_exporter.metrics.budget import ViewedBudget, budget
from trainwave_exporter.metrics.burn import burn
from trainwave_exporter.metrics.corrections import corrections
from trainwave_exporter.metrics.funds import funds
from trainwave_exporter.metrics.idleness import IdleJob, idle_job
from trainwave_exporter.metrics.job import job
from trainwave_exporter.metrics.job_counts import tally
from trainwave_exporter.metrics.organization import organization
from trainwave_exporter.metrics.project import project
from trainwave_exporter.metrics.spend import spend
from trainwave_exporter.metrics.unknown_figures import unknown

OTHERS: tuple[Families[Any], ...] = (account, burn, corrections, spend, tally)
"""All whose records are shown as they come."""
CAPPED: tuple[Families[Any], ...] = (funds, organization, project, unknown)
"""All of whose records no more than wanted are shown by themselves."""
FAMILIES: tuple[Families[Any], ...] = (job, idle_job, budget, *OTHERS, *CAPPED)

__all__ = ["CAPPED", "FAMILIES", "OTHERS", "IdleJob", "ViewedBudget", "budget", "idle_job", "job"]
