"""The records that the ledger's store takes and returns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.entry import (
    Correction,
    IdleInterval,
    JobEntry,
    Meter,
    Run,
    SeriesEntry,
    Sighting,
    UtilizationBucket,
)


class KeptSighting(Struct, frozen=True):
    """A sighting that is kept."""

    job_id: str
    meter: Meter
    sighting: Sighting
    run: int = 0


class ProjectEntry(Struct, frozen=True):
    """What is kept of a project, for reports on jobs that have long been over."""

    id: str
    organization_id: str | None
    name: str | None
    earlier: frozenset[str] = frozenset()
    """Names that it had before."""

    @property
    def names(self) -> frozenset[str]:
        """All names that it has or had."""
        return self.earlier | ({self.name} if self.name else set())

    def after(self, known: ProjectEntry | None) -> ProjectEntry:
        """Return this with the names that were known before."""
        if known is None:
            return self
        return replace(self, earlier=known.names - {self.name or ""})


class Balance(Struct, frozen=True):
    """What credit an organization was said to have."""

    organization_id: str
    at: int
    """Milliseconds since 1970."""
    micro: int
    """Micro-dollars."""
    billed: tuple[int, int] | None = None
    """Bounds of what all its jobs were billed in all when it was read, micro-dollars."""


class ClosedRun(Struct, frozen=True):
    """A run of a job that is over, as another run with its id was seen."""

    job_id: str
    run: Run


class Idled(Struct, frozen=True):
    """An idle interval of a job; one with the same begin takes the place of an earlier."""

    job_id: str
    interval: IdleInterval


class Used(Struct, frozen=True):
    """What is added to a utilization bucket of a job."""

    job_id: str
    bucket: UtilizationBucket


class Dropped(Struct, frozen=True):
    """The kept sightings of a meter of a job's run from a time on."""

    job_id: str
    meter: Meter
    run: int
    at: int


class Batch(Struct, frozen=True):
    """What is written at once: all of it or nothing."""

    jobs: Sequence[JobEntry] = ()
    points: Sequence[KeptSighting] = ()
    dropped: Sequence[Dropped] = ()
    """Sightings that are dropped before ``points`` are added."""
    series: Sequence[SeriesEntry] = ()
    corrections: tuple[int, int] | None = None
    """By how many micro-dollars costs were corrected in all, upwards and downwards."""
    corrected: Sequence[Correction] = ()
    """Each of those that is new."""
    runs: Sequence[ClosedRun] = ()
    idled: Sequence[Idled] = ()
    used: Sequence[Used] = ()
    opened: Sequence[tuple[str, int]] = ()
    """Accounts whose history is counted as a whole, and since when."""
    projects: Sequence[ProjectEntry] = ()
    balances: Sequence[Balance] = ()


class Wanted(Struct, frozen=True):
    """What the details of finished jobs are wanted for."""

    begins: Collection[int] = ()
    """Instants, milliseconds: of a job that may have run on both sides the times are wanted."""
    within: Collection[int] = ()
    """Likewise: of a job created since, the type of GPU is wanted."""
    queue: int = 0
    """The longest plausible queue, milliseconds."""


class Undescribed(Struct, frozen=True):
    """Finished jobs whose details are wanted, the most wanted first."""

    urgent: Sequence[str] = ()
    others: Sequence[str] = ()


class State(Struct, frozen=True):
    """What an exporter has to know when it starts."""

    series: tuple[SeriesEntry, ...]
    live: tuple[JobEntry, ...]
    """Jobs that are not over, or not counted yet."""
    corrections: tuple[int, int]
    dearest: int
    """The highest price stored of a job, micro-dollars an hour; 0: none is."""
    opened: dict[str, int]
    projects: tuple[ProjectEntry, ...]
    balances: tuple[Balance, ...]
    """In order of time."""
    counted_before: dict[str, int] = {}
    """Accounts whose jobs that are over and were created before then are counted, known or not."""


class EarlierRun(Struct, frozen=True):
    """A run of a job before its present one, with all sightings that are kept of its meters."""

    run: Run
    cost: tuple[Sighting, ...]
    gpu: tuple[Sighting, ...]


class Story(Struct, frozen=True):
    """A job with all sightings that are kept of its meters, in order of time."""

    entry: JobEntry
    cost: tuple[Sighting, ...]
    """Those of its present run."""
    gpu: tuple[Sighting, ...]
    earlier: tuple[EarlierRun, ...] = ()
