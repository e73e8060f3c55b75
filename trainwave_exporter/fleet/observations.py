"""What the pollers report to the fleet: everything that can change what is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from trainwave_exporter.model import Job, Metric, Organization, Project, Reading


class JobsSeen(Struct, frozen=True):
    """The API reported these jobs, in a page of a list or a detail. Says nothing of other jobs."""

    account: str
    jobs: tuple[Job, ...]
    asked_at: float
    """When the request was sent: an answer may be older than another that overtook it."""
    details: bool = False
    """It is the answer of a job's own page, which may lag behind the lists."""


class SweepEnded(Struct, frozen=True):
    """A list of jobs was walked to its end."""

    account: str
    began_at: float
    seen: frozenset[str]
    """The ids of all jobs in it."""
    full: bool
    """No filter kept any jobs out of the list."""
    complete: bool
    """Full, and nothing is known to be missing: no page shifted, every job could be read. Only then
    does absence from ``seen`` mean anything."""


class SweepFailed(Struct, frozen=True):
    """A list of jobs could not be walked to its end."""

    account: str


class ReadingSeen(Struct, frozen=True):
    """The API answered one metric of one job."""

    account: str
    job_id: str
    metric: Metric
    reading: Reading


class JobMissing(Struct, frozen=True):
    """The API says that it knows no such job."""

    account: str
    job_id: str


class ProjectsSeen(Struct, frozen=True):
    """Projects of an account."""

    account: str
    projects: tuple[Project, ...]
    complete: bool
    """All of them. Only then does absence mean anything."""


class OrganizationsSeen(Struct, frozen=True):
    """Organizations of an account."""

    account: str
    organizations: tuple[Organization, ...]
    complete: bool
    """As in `ProjectsSeen`."""


class TimePassed(Struct, frozen=True):
    """Nothing came, but time went by: what became too old has to go.

    ``readings_max_age``: by account, how old in seconds a reading may grow before it is dropped.
    """

    readings_max_age: Mapping[str, float]


class OffersSeen(Struct, frozen=True):
    """The prices on offer were listed."""

    account: str
    dearest_dollars: float
    """The highest of them, dollars an hour."""


class ClockSet(Struct, frozen=True):
    """The wall clock was set; what is known is no older for that."""

    seconds: float
    """By how much; negative if it was set back."""


class ViewSeen(Struct, frozen=True):
    """The directory of an account was read, or could not be."""

    account: str
    view: str
    """What the account's key sees, see `trainwave_exporter.polling.scope`; empty if unknown."""


Observation: TypeAlias = (
    JobsSeen
    | JobMissing
    | SweepEnded
    | SweepFailed
    | ReadingSeen
    | ProjectsSeen
    | OrganizationsSeen
    | ViewSeen
    | TimePassed
    | OffersSeen
    | ClockSet
)
