"""What the fleet keeps beside each job's record, and how long it keeps what."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from trainwave_exporter.fleet.agreement import Agreement
from trainwave_exporter.model import Job, Metric


class Policy(Struct, frozen=True, kw_only=True):
    """How long things are kept. Seconds, but ``vanish_after_sweeps``."""

    finished_retention: float
    """How long a finished job is shown after its end."""
    staleness: float
    """How long last good values are shown after the API stopped answering."""
    directory_staleness: float
    """The same for projects and organizations, which are asked for less often."""
    listed_at_least_every: float
    """How often a full sweep is made: what only lists report is not older than that."""
    vanish_after_sweeps: int
    """A job leaves after it was missing from this many complete sweeps in a row; that the API
    knows no such job counts as much as a sweep."""
    idle_threshold: float = 0.05
    """The utilization below which a GPU is idle."""
    max_groups: int = 0
    """So many projects have counts of their own; 0: all."""
    reading_gap: float = 300.0
    """Two readings that are farther apart are not of the same time."""


@dataclass(slots=True)
class Entry:
    """What is kept beside a job's record."""

    job: Job
    admitted_at: float
    shown: bool = False
    misses: int = 0
    """Complete sweeps in a row that it was missing from."""
    cost_reported_at: float | None = None
    gpu_hours_reported_at: float | None = None
    """When an answer last reported them, by our clock; None: never."""
    started_seen: float | None = None
    finished_seen: float | None = None
    """When it was seen to start and to finish, for want of its own times."""
    price: float | None = None
    """The first price known of its present run, dollars an hour."""
    billed_since: float | None = None
    """Since when it runs by its bill at that price."""
    leaves_at: float | None = None
    received_at: dict[Metric, float] = field(default_factory=dict)
    """When each reading came, by our clock."""
    agreement: Agreement | None = None
    """Of its GPU utilization's two sources; None: neither was read."""
    queue_counted: bool = False
    run_counted: bool = False

    @property
    def untimed(self) -> bool:
        """Whether it was seen to finish, and how long it took is not counted yet."""
        return self.job.finished and not self.run_counted and self.finished_seen is not None
