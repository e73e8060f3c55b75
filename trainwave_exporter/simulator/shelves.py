"""Which jobs there are, so that a filtered page is found without looking at any other job."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from trainwave_exporter.simulator.catalogue import Organization, Project
from trainwave_exporter.simulator.jobs import Job
from trainwave_exporter.simulator.lifecycle import Status

Scope: TypeAlias = Organization | Project | None
"""Whose jobs; None for everybody's."""


class Shelves:
    """The ordinals of jobs, oldest first, on one shelf for each scope and status."""

    def __init__(self) -> None:
        self._shelves: defaultdict[tuple[Scope, Status | None], list[int]] = defaultdict(list)

    def select(self, scope: Scope, status: Status | None) -> Sequence[int]:
        """Return the ordinals of a scope's jobs with that status (None: with any)."""
        return self._shelves.get((scope, status), ())

    def add(self, job: Job) -> None:
        """Take in a job; it must be newer than those before, and have no status yet."""
        for scope in _scopes(job):
            self._shelves[scope, None].append(job.ordinal)

    def move(self, job: Job, before: Status | None, after: Status | None) -> None:
        """Follow a job's change of status."""
        if before is after:
            return
        for scope in _scopes(job):
            if before is not None:
                shelf = self._shelves[scope, before]
                del shelf[bisect_left(shelf, job.ordinal)]
            if after is not None:
                insort(self._shelves[scope, after], job.ordinal)

    def drop(self, job: Job, status: Status | None) -> None:
        """Take a job away that has that status: no list has it any more."""
        for scope in _scopes(job):
            for place in {None, status}:
                shelf = self._shelves[scope, place]
                del shelf[bisect_left(shelf, job.ordinal)]


def _scopes(job: Job) -> tuple[Scope, ...]:
    project = job.order.project
    return (None, project.organization, project)
