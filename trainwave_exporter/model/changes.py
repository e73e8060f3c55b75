"""Changes of what is known, as listeners receive them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from trainwave_exporter.model.jobs import Job
from trainwave_exporter.model.money import (
    BudgetStatus,
    Burn,
    Corrections,
    Funds,
    Idleness,
    Spend,
    UnknownFigure,
)
from trainwave_exporter.model.things import AccountStatus, Organization, Project, ProjectTally

Record: TypeAlias = (
    Job
    | Project
    | Organization
    | AccountStatus
    | ProjectTally
    | Spend
    | Burn
    | Corrections
    | BudgetStatus
    | Funds
    | Idleness
    | UnknownFigure
)


class Departure(StrEnum):
    """Why something is no longer shown."""

    VANISHED = "vanished"
    """Missing from several complete sweeps."""
    RETENTION = "retention"
    """Finished for longer than finished jobs are kept."""
    UNWATCHED = "unwatched"
    """Its account is not watched any more."""
    EXPIRED = "expired"
    """Its account could not be read for longer than the bound; it may come back."""


class Appeared(Struct, frozen=True):
    """Something is shown that was not before (or not any more)."""

    record: Record


class Changed(Struct, frozen=True):
    """Something shown is now different."""

    before: Record
    after: Record


class Departed(Struct, frozen=True):
    """Something is shown no longer."""

    record: Record
    reason: Departure


class HistoricalJob(Struct, frozen=True):
    """The API reported a job that is over for too long to be shown.

    Given with every answer that names the job: its cost may still be corrected.
    """

    record: Job


Change: TypeAlias = Appeared | Changed | Departed | HistoricalJob

ChangeListener: TypeAlias = Callable[[Iterable[Change]], None]
"""Called with every batch of changes, in order, within the event loop; must not block."""
