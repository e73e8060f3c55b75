"""Which jobs there are, so that a filtered page is found without looking at any other job."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from trainwave_exporter.simulator.catalogue import SimulatedOrganization, SimulatedProject
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import Status

Scope: TypeAlias = SimulatedOrganization | SimulatedProject | None
"""Whose jobs; None for everybody's."""


class JobIndex:
    """The ordinals of jobs, oldest first, on one shelf for each scope and status."""

    def __init__(self) -> None:
        self._job_index: defaultdict[tuple[Scope, Status | None], list[int]] = defaultdict(list)

    def select(self, scope: Scope, status: Status | None) -> Sequence[int]:
        """Return the ordinals of a scope's jobs with that status (None: with any)."""
        return self._job_index.get((scope, status), ())

    def add(self, job: SimulatedJob) -> None:
        """Take in a job; it must be newer than those before, and have no status yet."""
        for scope in _scopes(job):
            self._job_index[scope, None].append(job.ordinal)

    def move(self, job: SimulatedJob, before: Status | None, after: Status | None) -> None:
        """Follow a job's change of status."""
        if before is after:
            return
        for scope in _scopes(job):
            if before is not None:
                shelf = self._job_index[scope, before]
                del shelf[bisect_left(shelf, job.ordinal)]
            if after is not None:
                insort(self._job_index[scope, after], job.ordinal)

    def drop(self, job: SimulatedJob, status: Status | None) -> None:
        """Take a job away that has that status: no list has it any more."""
        for scope in _scopes(job):
            for place in {None, status}:
                shelf = self._job_index[scope, place]
                del shelf[bisect_left(shelf, job.ordinal)]


def _scopes(job: SimulatedJob) -> tuple[Scope, ...]:
    project = job.order.project
    return (None, project.organization, project)
