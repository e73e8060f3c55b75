"""Which jobs have series of their own when there are more of them than the operator wants."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from itertools import chain, islice
from math import inf
from sys import maxsize

from trainwave_exporter.model import Job


class Pool:
    """Jobs by id, each kind in order of arrival."""

    def __init__(self) -> None:
        self.live: dict[str, Job] = {}
        self.finished: dict[str, Job] = {}

    def __len__(self) -> int:
        return len(self.live) + len(self.finished)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self.live or job_id in self.finished

    def find(self, job_id: str) -> Job | None:
        """Return a job as it was last put; None where there is none."""
        return self.live.get(job_id) or self.finished.get(job_id)

    def put(self, job: Job) -> None:
        """Take a job in, or take over what it has become."""
        goes, stays = (self.live, self.finished) if job.finished else (self.finished, self.live)
        goes.pop(job.id, None)
        stays[job.id] = job

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        self.live.pop(job_id, None)
        self.finished.pop(job_id, None)


class Cap:
    """Gives at most ``limit`` jobs a place (0: every job).

    First come, first served, and who has a place keeps it; only a live job, for want of a free one,
    takes the place of the job that finished longest ago. A job that waits to run is as live as one
    that runs: between the two, too, who came first stays.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit or maxsize
        self._placed = Pool()
        self._waiting = Pool()

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._placed

    def find(self, job_id: str) -> Job | None:
        """Return a job as it was last put, with a place or without; None where there is none."""
        return self._placed.find(job_id) or self._waiting.find(job_id)

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs as they were last put, those with a place first."""
        for pool in (self._placed, self._waiting):
            yield from pool.live.values()
            yield from pool.finished.values()

    def put(self, job: Job) -> None:
        """Take a job in, to wait until places are settled, or take over what it has become."""
        (self._placed if job.id in self._placed else self._waiting).put(job)

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        self._placed.remove(job_id)
        self._waiting.remove(job_id)

    def settle(self) -> list[Job]:
        """Give places to those who should have them; return the jobs that got or lost one."""
        free = self._limit - len(self._placed)
        finished = self._placed.finished.values()
        ousted = nsmallest(len(self._waiting.live) - free, finished, key=_finished_at)
        queue = chain(self._waiting.live.values(), self._waiting.finished.values())
        entering = list(islice(queue, free + len(ousted)))
        for job in ousted:
            self._placed.remove(job.id)
            self._waiting.put(job)
        for job in entering:
            self._waiting.remove(job.id)
            self._placed.put(job)
        return ousted + entering


def _finished_at(job: Job) -> float:
    """Return when a job was over; one whose end is not reported is taken for the oldest."""
    return -inf if job.finished_at is None else job.finished_at
