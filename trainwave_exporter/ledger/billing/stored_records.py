"""The records that the ledger's store takes and returns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import (
    Correction,
    IdleInterval,
    JobEntry,
    MeterKind,
    MeterSample,
    Run,
    SeriesEntry,
    UtilizationBucket,
)


class KeptSample(Struct, frozen=True):
    """A sample that is kept."""

    job_id: str
    kind: MeterKind
    sample: MeterSample
    run: int = 0


class ProjectEntry(Struct, frozen=True):
    """A project, kept for reports on jobs that have long been over."""

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


def organization_of(
    reported: str | None, project_id: str, projects: Mapping[str, ProjectEntry]
) -> str | None:
    """Return the organization of a job: as it reports itself, else as its project does."""
    project = projects.get(project_id)
    return reported or (project.organization_id if project is not None else None)


class Balance(Struct, frozen=True):
    """The credit of an organization, as reported at one time."""

    organization_id: str
    at: int
    """Milliseconds since 1970."""
    micro: int
    """Micro-dollars."""
    billed: tuple[int, int] | None = None
    """Bounds of the sum billed to all its jobs when it was read, micro-dollars."""


class ClosedRun(Struct, frozen=True):
    """A run of a job that is over, because another run with its id was seen."""

    job_id: str
    run: Run


class IdleIntervalUpdate(Struct, frozen=True):
    """An idle interval of a job; one with the same begin takes the place of an earlier."""

    job_id: str
    interval: IdleInterval


class UtilizationUpdate(Struct, frozen=True):
    """An addition to a utilization bucket of a job."""

    job_id: str
    bucket: UtilizationBucket


class DroppedSamples(Struct, frozen=True):
    """The kept samples of a meter of a job's run from a time on."""

    job_id: str
    kind: MeterKind
    run: int
    at: int


class Batch(Struct, frozen=True):
    """Changes of the store that are written together: all or nothing."""

    jobs: Sequence[JobEntry] = ()
    points: Sequence[KeptSample] = ()
    dropped: Sequence[DroppedSamples] = ()
    """Samples that are dropped before ``points`` are added."""
    series: Sequence[SeriesEntry] = ()
    corrections: tuple[int, int] | None = None
    """By how many micro-dollars costs were corrected in all, upwards and downwards."""
    corrected: Sequence[Correction] = ()
    """Each of those that is new."""
    runs: Sequence[ClosedRun] = ()
    idled: Sequence[IdleIntervalUpdate] = ()
    used: Sequence[UtilizationUpdate] = ()
    opened: Sequence[tuple[str, int]] = ()
    """Accounts whose history is counted as a whole, and since when."""
    projects: Sequence[ProjectEntry] = ()
    balances: Sequence[Balance] = ()


class DetailsWanted(Struct, frozen=True):
    """The times for which details of finished jobs are wanted."""

    begins: Collection[int] = ()
    """Instants, milliseconds: of a job that may have run on both sides the times are wanted."""
    within: Collection[int] = ()
    """Likewise: of a job created since, the type of GPU is wanted."""
    queue: int = 0
    """The longest plausible queue, milliseconds."""


class UndescribedJobs(Struct, frozen=True):
    """Finished jobs whose details are wanted, the most wanted first."""

    urgent: Sequence[str] = ()
    others: Sequence[str] = ()


class StoredState(Struct, frozen=True):
    """All that an exporter has to know when it starts."""

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
    """A run of a job before its present one, with all samples that are kept of its meters."""

    run: Run
    cost: tuple[MeterSample, ...]
    gpu: tuple[MeterSample, ...]


class JobHistory(Struct, frozen=True):
    """A job with all samples that are kept of its meters, in order of time."""

    entry: JobEntry
    cost: tuple[MeterSample, ...]
    """Those of its present run."""
    gpu: tuple[MeterSample, ...]
    earlier: tuple[EarlierRun, ...] = ()
