"""What is known besides jobs: where they belong, who reports them, what is counted of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

OTHER: Final = "other"
"""In place of a label's value: that of all objects without series of their own, summed up."""


class Project(Struct, frozen=True, kw_only=True):
    """A project of an organization; the key of an account usually sees several."""

    account: str
    id: str
    rid: str | None = None
    name: str | None = None
    organization_id: str | None = None

    @property
    def key(self) -> str:
        """Unique among projects."""
        return self.id


class Organization(Struct, frozen=True, kw_only=True):
    """An organization and what credit it has left."""

    account: str
    id: str
    rid: str | None = None
    name: str | None = None
    credit_balance_dollars: float | None = None
    confirmed_at: float | None = None
    """When the API last reported it: what the balance is as old as."""

    @property
    def key(self) -> str:
        """Unique among organizations."""
        return self.id


class Offer(Struct, frozen=True):
    """A machine that can be rented."""

    id: str
    hourly_cost_dollars: float


class AccountStatus(Struct, frozen=True, kw_only=True):
    """Whether one account (one API key) can be read. Departs only when it is watched no more."""

    name: str
    up: bool = False
    """The last sweep succeeded."""
    expired: bool = False
    """The API failed for longer than the bound, and the account's jobs are no longer shown."""
    counted: bool = False
    """All its jobs were listed since it became readable: what is counted of them is whole."""
    organizations_listed: bool = False
    """All its organizations were listed once: a name that is not among them is not there."""
    projects_listed: bool = False
    """Likewise its projects."""
    confirmed_at: float | None = None
    """When a sweep last succeeded."""
    view: str | None = None
    """What the account's key sees: the same text for all exporters that see the same, and another
    for those that see something else. Empty if that is unknown, None before anybody asked."""
    dearest_offer_dollars: float | None = None
    """The highest price on offer, dollars an hour; None: the API has not listed any."""

    @property
    def key(self) -> str:
        """Unique among accounts."""
        return self.name


class Distribution(Struct, frozen=True):
    """A histogram: ``counts[i]`` observations lie at or below ``bounds[i]``, above the one before.

    ``counts`` has one more place than ``bounds``, for what lies above them all.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Distribution:
        """Return a histogram without observations."""
        return cls(bounds, (0,) * (len(bounds) + 1))

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)

    def observe(self, value: float) -> Distribution:
        """Return this histogram with one more observation."""
        place = bisect_left(self.bounds, value)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return replace(self, counts=counts, total=self.total + value)


class ProjectTally(Struct, frozen=True, kw_only=True):
    """What is counted of a project's jobs. Outlives them; its counters never fall."""

    project_id: str
    jobs: Mapping[str, int] | None = None
    """Jobs now known, by state; None while no account knows (an error is not an empty fleet)."""
    transitions: Mapping[tuple[str, str], int] = {}
    """Seen state transitions, by (from, to)."""
    queue_duration: Distribution | None = None
    """Seconds from creation to start, of jobs whose start was witnessed."""
    run_duration: Mapping[str, Distribution] = {}
    """Seconds from start to finish, by final state, of jobs whose finish was witnessed."""

    @property
    def key(self) -> str:
        """Unique among tallies."""
        return self.project_id
