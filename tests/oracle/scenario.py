"""Scenarios: an account's jobs, projects and balances as pure functions of world time.

Written from the vendor's texts alone. Amounts are US dollars, instants Unix seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")
Over = Callable[[float], T]
"""A value as a function of world time."""

DAY = 86_400.0
HOUR = 3600.0
MINUTE = 60.0
NEVER = math.inf


class Dialect(Enum):
    """The two forms in which the API is known to answer."""

    DOCUMENTED = "documented"
    DEPLOYED = "deployed"


class End(Enum):
    """How a run ended: the documented state, and the deployed one."""

    COMPLETED = ("COMPLETED", "SUCCESS")
    FAILED = ("FAILED", "USER_PROCESS_FAILED")

    def state(self, dialect: Dialect) -> str:
        """Return the state as that dialect spells it."""
        return self.value[dialect is Dialect.DEPLOYED]


def utc(text: str) -> float:
    """Return the instant of an ISO date and time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def iso(instant: float) -> str:
    """Return an instant as the API spells it."""
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")


def always(value: T) -> Over[T]:
    """Return what never changes."""
    return lambda _: value


@dataclass(frozen=True)
class Steps:
    """A value that changes at instants, such as a price."""

    first: Any
    changes: tuple[tuple[float, Any], ...] = ()

    def __call__(self, now: float) -> Any:
        """Return the value at an instant."""
        return next((value for at, value in reversed(self.changes) if at <= now), self.first)

    def integral(self, start: float, end: float) -> float:
        """Return what a price per hour comes to between two instants."""
        if end <= start:
            return 0.0
        edges = [start, *(at for at, _ in self.changes if start < at < end), end]
        return math.fsum((after - at) / HOUR * self(at) for at, after in pairwise(edges))


def steps(first: T, *changes: tuple[float, T]) -> Steps:
    """Return a value that begins as ``first`` and changes at each instant."""
    return Steps(first, changes)


@dataclass(frozen=True)
class Run:
    """One time that a job ran."""

    started: float
    finished: float = NEVER
    end: End = End.COMPLETED

    def elapsed(self, now: float) -> float:
        """Return the seconds that it has run."""
        return max(0.0, min(now, self.finished) - self.started)


def metered(price: Steps, *runs: Run) -> Over[float]:
    """Return a cost that follows price and running time to the second."""
    return lambda now: math.fsum(
        price.integral(run.started, min(now, run.finished)) for run in runs
    )


def billed_at_end(cost: Over[float], run: Run) -> Over[float]:
    """Return a cost that stays 0 until the run is over."""
    return lambda now: cost(now) if now >= run.finished else 0.0


def billed_in_steps(cost: Over[float], run: Run, step: float) -> Over[float]:
    """Return a cost that grows by whole steps of running time, and by the rest at the end."""

    def shown(now: float) -> float:
        if now >= run.finished:
            return cost(now)
        return cost(run.started + max(0.0, now - run.started) // step * step)

    return shown


def corrected(cost: Over[float], at: float, by: float) -> Over[float]:
    """Return a cost that changes by an amount at an instant, as with a refund."""
    return lambda now: cost(now) + (by if now >= at else 0.0)


NOTHING = always(None)
PLENTY = always(10_000.0)
DEFAULT_READINGS: Mapping[str, Over[Any]] = {
    "cpu": always(50.0),
    "memory": always(4.0),
    "network": always({"rx": 1000, "tx": 2000}),
    "gpu_utilization": always(90.0),
    "gpu_memory": always(8.0),
    "disk": always({"read": 3000, "write": 4000}),
}


@dataclass(frozen=True)
class Job:
    """A job. Without a ``cost`` of its own the bill follows price and running time."""

    id: str
    project: str
    runs: tuple[Run, ...]
    price: Steps
    gpus: int = 8
    gpu_type: str = "H100"
    created: float | None = None
    """When it was created; as it started, if not given."""
    cost: Over[float] | None = None
    price_shown: bool = True
    restarts: bool = False
    """Whether a further run counts cost and GPU hours from 0 again."""
    listed_utilization: Over[Any] = NOTHING
    """GPU utilization in percent, as the documented list brings it along."""
    readings: Mapping[str, Over[Any]] = field(default_factory=dict)
    """What the metric endpoint returns, by metric, where it differs from the ordinary."""
    listed_until: float = NEVER
    """When the job is deleted."""

    @property
    def created_at(self) -> float:
        """When it was created."""
        return self.runs[0].started if self.created is None else self.created

    def run(self, now: float) -> Run | None:
        """Return the run that goes on or was the last; None while it has not started."""
        return next((run for run in reversed(self.runs) if run.started <= now), None)

    def is_running(self, now: float) -> bool:
        """Whether it runs."""
        run = self.run(now)
        return run is not None and now < run.finished

    def state(self, now: float, dialect: Dialect) -> str:
        """Return the state as that dialect spells it."""
        run = self.run(now)
        if run is None:
            return "LAUNCHING"
        return "RUNNING" if now < run.finished else run.end.state(dialect)

    def billed_runs(self, now: float) -> tuple[Run, ...]:
        """Return the runs that the API's cost and GPU hours are about."""
        run = self.run(now)
        if self.restarts:
            return () if run is None else (run,)
        return self.runs

    def total_cost(self, now: float) -> float:
        """Return what the API says that the job cost, in dollars."""
        cost = self.cost or metered(self.price, *self.billed_runs(now))
        return cost(now)

    def gpu_hours(self, now: float) -> float:
        """Return GPUs times running time."""
        return self.gpus * math.fsum(run.elapsed(now) for run in self.billed_runs(now)) / HOUR


@dataclass(frozen=True)
class Project:
    """A project."""

    id: str
    name: Over[str]
    organization: str = "o-1"


@dataclass(frozen=True)
class Organization:
    """An organization; only the deployed dialect shows a balance."""

    id: str
    name: str
    balance: Over[float] = PLENTY


@dataclass(frozen=True)
class Scenario:
    """All that the service knows."""

    jobs: tuple[Job, ...]
    projects: tuple[Project, ...]
    organizations: tuple[Organization, ...] = (Organization("o-1", "Acme"),)
    requests_per_minute: int = 100
    honours_status: bool = True
    """Whether the list is filtered by ``status``."""
    list_delay: float = 0.0
    """World seconds that an answer with a list of jobs takes."""
    absurd_once: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By job: an amount shown in the first answer that names it at or after an instant."""
