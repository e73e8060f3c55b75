"""The tables of the jobs: those with series of their own, and those folded for want of a place."""

from __future__ import annotations

from collections.abc import Sequence

from trainwave_exporter.exposition.cap import Cap
from trainwave_exporter.exposition.families import job as job_families
from trainwave_exporter.exposition.family import Family
from trainwave_exporter.exposition.fold import Fold, Folds
from trainwave_exporter.exposition.renderer import Table
from trainwave_exporter.model import Job


class Jobs:
    """All jobs; at most ``limit`` of them (0: all) have series of their own."""

    def __init__(self, families: Sequence[Family[Job]], limit: int) -> None:
        self._cap = Cap(limit)
        self._changed: dict[str, Job] = {}
        self._own = Table(families, job_families.labels, job_families.identity)
        self._folds = Folds(families)

    def put(self, key: str, job: Job) -> None:
        """Take a job in, or take over what it has become."""
        self._cap.put(job)
        self._changed[key] = job

    def remove(self, key: str) -> None:
        """Forget a job."""
        self._cap.remove(key)
        self._changed.pop(key, None)
        self._own.remove(key)
        self._folds.remove(key)

    def settle(self) -> None:
        """Render what changed since the last time, each job in the place that it has now."""
        self._changed.update((job.id, job) for job in self._cap.settle())
        for key, job in self._changed.items():
            if key in self._cap:
                self._folds.remove(key)
                self._own.put(key, job)
            else:
                self._own.remove(key)
                self._folds.put(job)
        self._changed.clear()

    @property
    def folded(self) -> int:
        """How many jobs have no series of their own."""
        return len(self._folds)

    @property
    def tables(self) -> tuple[Table[Job], Table[Fold]]:
        """What is rendered; a family that is in both has its samples in that order."""
        return self._own, self._folds.table
