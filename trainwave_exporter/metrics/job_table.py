"""The tables of the jobs: those with series of their own, and those in the overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.metrics.catalog import Selection
from trainwave_exporter.metrics.families import IdleJob, idle_job
from trainwave_exporter.metrics.families import job as job_families
from trainwave_exporter.metrics.overflow import Overflow, Overflows
from trainwave_exporter.metrics.series_cap import Cap
from trainwave_exporter.model import OTHER, Idleness, Job

R = TypeVar("R")


class JobSplit(Generic[R]):
    """Records of one kind, by the jobs they are about, each shown by itself or in the overflow.

    Those of finished jobs are apart from the others: they hardly ever change.
    """

    def __init__(self, families: Families[R], selection: Selection, max_groups: int) -> None:
        """``max_groups``: so many projects have a sum of their own (0: all)."""
        shown = selection.among(families)
        self._live = Table(shown, families.labels, families.identity)
        self._finished = Table(shown, families.labels, families.identity)
        self._overflow = Overflows(
            shown, families.labels, families.identity, summed=("job_id",), limit=max_groups
        )
        self._where: dict[str, Table[R] | Overflows[R]] = {}

    def put(self, job: Job, record: R, *, in_overflow: bool) -> None:
        """Show a record, in the place of what was shown of that job."""
        place = self._overflow if in_overflow else self._finished if job.finished else self._live
        if self._where.get(job.id, place) is not place:
            self.remove(job.id)
        self._where[job.id] = place
        place.put(job.id, record)

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        place = self._where.pop(job_id, None)
        if place is not None:
            place.remove(job_id)

    def settle(self) -> Iterator[None]:
        """Sum up the overflow anew, in small steps."""
        yield from self._overflow.settle()

    @property
    def in_overflow(self) -> int:
        """How many jobs have no series of their own."""
        return len(self._overflow) - (OTHER in self._overflow)

    @property
    def tables(self) -> tuple[Table[R], Table[R], Table[Overflow]]:
        """What is rendered; a family that is in several has its samples in that order."""
        return self._live, self._finished, self._overflow.table


class Jobs:
    """All jobs; at most ``limit`` of them (0: all) have series of their own.

    A job with the very id that stands for those without has none either.

    How idle a job is comes from the ledger in its own time, at times before the job itself. It is
    shown once both are known, and rendered apart: nothing else of the job need be for its sake.
    """

    def __init__(self, selection: Selection, limit: int, max_groups: int) -> None:
        self._cap = Cap(limit)
        self._changed: dict[str, Job] = {}
        self._jobs = JobSplit(job_families, selection, max_groups)
        self._idleness: dict[str, Idleness] = {}
        self._idleness_changed: set[str] = set()
        self._idle_jobs = JobSplit(idle_job, selection, max_groups)

    def put(self, key: str, job: Job) -> None:
        """Take a job in, or take over what it has become."""
        self._cap.put(job)
        self._changed[key] = job

    def remove(self, key: str) -> None:
        """Forget a job; how idle it was is kept until that is taken back, too."""
        self._cap.remove(key)
        self._changed.pop(key, None)
        self._jobs.remove(key)
        self._idle_jobs.remove(key)

    def put_idleness(self, key: str, idleness: Idleness) -> None:
        """Take in how idle a job is, whether or not the job is known."""
        self._idleness[key] = idleness
        self._idleness_changed.add(key)

    def remove_idleness(self, key: str) -> None:
        """Forget how idle a job is."""
        self._idleness.pop(key, None)
        self._idle_jobs.remove(key)

    def settle(self) -> Iterator[None]:
        """Show what changed since the last time, each job in the place that it has now.

        In small steps; nothing else may be called in between.
        """
        self._changed.update((job.id, job) for job in self._cap.settle())
        for key, job in self._changed.items():
            self._jobs.put(job, job, in_overflow=self._is_in_overflow(key))
            yield
        for key in self._idleness_changed | self._changed.keys():
            self._settle_idleness(key)
            yield
        self._changed.clear()
        self._idleness_changed.clear()
        yield from self._jobs.settle()
        yield from self._idle_jobs.settle()

    def _settle_idleness(self, key: str) -> None:
        idleness = self._idleness.get(key)
        if idleness is not None and (job := self._cap.find(key)) is not None:
            self._idle_jobs.put(job, IdleJob(job, idleness), in_overflow=self._is_in_overflow(key))

    def _is_in_overflow(self, key: str) -> bool:
        return key not in self._cap or key == OTHER

    def records(self) -> Iterator[Job | Idleness]:
        """Yield all that was put and not removed."""
        yield from self._cap.jobs()
        yield from self._idleness.values()

    @property
    def in_overflow(self) -> int:
        """How many jobs have no series of their own."""
        return self._jobs.in_overflow

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """What is rendered; a family that is in two has its samples in that order."""
        return *self._jobs.tables, *self._idle_jobs.tables
