"""The running jobs by waste, kept up to date job by job so that a page never sorts them all.

Jobs stand in buckets of about the same waste. There are some thousands of buckets at most, however
many jobs there are, and the worst of them hold the worst jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import nlargest
from itertools import islice
from typing import TypeAlias

from trainwave_exporter.model import (
    Appeared,
    Change,
    Changed,
    Departed,
    Idleness,
    Job,
    Waste,
)

_Rank: TypeAlias = tuple[int, float]
"""Whether it is idle now (2), was (1) or never (0), and then dollars: wasted, or else its price."""

_IDLE_NOW = 2


class JobRanking:
    """All jobs counted, those running ordered."""

    def __init__(self) -> None:
        self.known: Counter[str] = Counter()
        """Jobs shown, by account; likewise those that run."""
        self.running: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}
        self._idleness: dict[str, Idleness] = {}
        self._ranks: dict[str, _Rank] = {}
        self._buckets: dict[_Rank, dict[str, None]] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what happened. A `ChangeListener`."""
        for change in changes:
            match change:
                case Appeared(Job() as job):
                    self._count(job, 1)
                    self._put(job)
                case Changed(Job() as before, Job() as job):
                    self._change(before, job)
                case Departed(Job() as job):
                    self._count(job, -1)
                    self._remove(job.id)
                case Appeared(Idleness() as idleness) | Changed(_, Idleness() as idleness):
                    self._idleness[idleness.job_id] = idleness
                    self._place(idleness.job_id)
                case Departed(Idleness() as idleness):
                    self._idleness.pop(idleness.job_id, None)
                    self._place(idleness.job_id)
                case _:
                    pass

    @property
    def idle(self) -> int:
        """How many jobs run whose GPUs do nothing now."""
        return sum(len(ids) for (group, _), ids in self._buckets.items() if group == _IDLE_NOW)

    def worst(self, most: int) -> list[tuple[Job, Idleness | None]]:
        """Return at most so many running jobs, the most wasteful first."""
        # No bucket is empty: so many of them hold at least as many jobs.
        ids = (job_id for rank in nlargest(most, self._buckets) for job_id in self._buckets[rank])
        return [(self._jobs[job_id], self._idleness.get(job_id)) for job_id in islice(ids, most)]

    def _count(self, job: Job, one: int) -> None:
        self.known[job.account] += one
        self.running[job.account] += one * job.running

    def _change(self, before: Job, job: Job) -> None:
        running = job.running
        if before.account != job.account or before.running != running:
            self._count(before, -1)
            self._count(job, 1)
        elif not running:
            return
        elif before.hourly_cost_dollars == job.hourly_cost_dollars and before.gpus == job.gpus:
            self._jobs[job.id] = job  # most changes: it stays where it is
            return
        self._put(job)

    def _put(self, job: Job) -> None:
        if job.running:
            self._jobs[job.id] = job
            self._place(job.id)
        else:
            self._remove(job.id)

    def _remove(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._place(job_id)

    def _place(self, job_id: str) -> None:
        """Put a job into the bucket where it belongs now; into none, if it does not run."""
        job = self._jobs.get(job_id)
        rank = None if job is None else _rank(job, self._idleness.get(job_id))
        before = self._ranks.get(job_id)
        if rank == before:
            return
        if before is not None:
            bucket = self._buckets[before]
            del bucket[job_id]
            if not bucket:
                del self._buckets[before]
        if rank is None:
            del self._ranks[job_id]
        else:
            self._ranks[job_id] = rank
            self._buckets.setdefault(rank, {})[job_id] = None


def wasted_dollars(idleness: Idleness | None) -> float | None:
    """Return what a job's idle GPUs cost so far; None where that is not known."""
    return None if idleness is None else idleness.waste_dollars.get(Waste.GPU_IDLE)


def _rank(job: Job, idleness: Idleness | None) -> _Rank:
    price = job.hourly_cost_dollars or 0.0
    if idleness is None or (idleness.idle_since is None and not idleness.gpu_hours):
        return 0, _rounded(price)
    wasted = wasted_dollars(idleness) or 0.0
    return (_IDLE_NOW if idleness.idle_since is not None else 1), _rounded(wasted)


def _rounded(dollars: float) -> float:
    """Return two digits of it: what parts jobs by waste, and keeps the buckets few."""
    return float(f"{dollars:.2g}")
