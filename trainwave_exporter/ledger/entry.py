"""What the ledger keeps: of each job, and of each set of labels that money is counted under.

All of it is whole numbers (`trainwave_exporter.ledger.units`) and stored as it stands here.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct
from msgspec.structs import astuple

from trainwave_exporter.model import Job


class Meter(IntEnum):
    """What is read off a job again and again, and only grows, but for corrections."""

    COST = 0
    """Micro-dollars."""
    GPU = 1
    """GPU milliseconds."""


class Sighting(Struct, frozen=True, gc=False):
    """What a meter of a job showed at one time."""

    at: int
    """Milliseconds since 1970."""
    told: int
    rate: int | None
    """By how much it grows in an hour while the job is billed (or runs); None: not known then."""
    over: bool
    """The job was finished then."""


class Curve(Struct, frozen=True, gc=False):
    """The end of a meter's story: the last sighting worth keeping, and the last of all.

    The kept sightings before these two are in the store only.
    """

    anchor: Sighting
    last: Sighting
    behind: int = 0
    """By how much the last was behind what the rate explains, because the meter stood still."""


class Life(Struct, frozen=True, gc=False):
    """What is told of when a job was created, began to run and finished; milliseconds."""

    created: int | None = None
    started: int | None = None
    finished: int | None = None


class Labels(Struct, frozen=True, gc=False):
    """What money is told apart by. Empty where the API does not tell."""

    project_id: str
    owner: str
    gpu_type: str

    @classmethod
    def of(cls, job: Job) -> Labels:
        """Return those of a job."""
        return cls(job.project_id, job.owner or "", job.gpu_type or "")


class Totals(Struct, frozen=True, gc=False):
    """What is counted, of a job or of a set of labels. No number in it ever falls."""

    cost: int = 0
    """The highest cost told: corrections downwards do not lower it."""
    gpu: int = 0
    """The highest GPU time told; of it idle, busy and unknown are parts."""
    idle: int = 0
    busy: int = 0
    unknown: int = 0
    waste_idle: int = 0
    waste_launching: int = 0
    waste_after_finish: int = 0

    def __add__(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals(*[a + b for a, b in zip(astuple(self), astuple(other), strict=True)])

    def __sub__(self, other: Totals) -> Totals:
        """Return what this has more than the other."""
        return Totals(*[a - b for a, b in zip(astuple(self), astuple(other), strict=True)])


class Judgement(Struct, frozen=True, gc=False):
    """What is known of how a job used its GPUs, as of its last reading of GPU utilization."""

    read_at: int | None = None
    """When the last reading was taken; None: there was none, or the job is over."""
    idle_millionths: int = 0
    """The part of its GPUs that did nothing by that reading."""
    idle_since: int | None = None
    """Since when none of its GPUs did anything."""
    owed_idle: int = 0
    """GPU milliseconds judged idle that the meter of GPU time has not reached yet."""
    owed_busy: int = 0


class JobEntry(Struct, frozen=True, kw_only=True):
    """What is kept of a job, as long as the API names it and beyond."""

    id: str
    account: str
    labels: Labels
    organization_id: str | None
    """As the job itself tells; else its project may know."""
    name: str | None
    life: Life
    first_seen: int
    last_seen: int
    """To the day only where nothing else changes, so that history costs no writing."""
    over_seen: int | None = None
    """When it was first seen finished."""
    running_since: int | None = None
    """When it started to run, as told or else as seen."""
    cost: Curve | None = None
    gpu: Curve | None = None
    totals: Totals = Totals()
    judgement: Judgement = Judgement()
    series: Labels | None = None
    """Under which labels it is counted; None: not yet, as they may still become known."""

    @property
    def over(self) -> bool:
        """Whether it was finished when it was last seen."""
        return self.over_seen is not None


class SeriesEntry(Struct, frozen=True, kw_only=True):
    """What is counted under one set of labels."""

    labels: Labels
    totals: Totals = Totals()
    opened_at: int | None = None
    """Since when it is shown as zero, milliseconds; 0: in full; None: not shown yet."""
