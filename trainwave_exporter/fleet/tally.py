"""What is counted of each project's jobs: how many are in which state, and how they got there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from trainwave_exporter.model import OTHER, Distribution, Job, ProjectTally

QUEUE_BOUNDS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0)
RUN_BOUNDS = (
    60.0,
    300.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    14400.0,
    28800.0,
    57600.0,
    86400.0,
    259200.0,
)


MOST_LABELS = 200
"""Distinct transitions, or final states, that have series in a project: states may be anything."""


@dataclass(slots=True)
class _Counts:
    jobs: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By state, for every account that ever reported a job in the project."""
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    queue: Distribution = field(default_factory=lambda: Distribution.empty(QUEUE_BOUNDS))
    runs: dict[str, Distribution] = field(default_factory=dict)


class Tallies:
    """The counts of every project, and which of them changed since they were last asked for.

    At most ``limit`` projects (0: any number) have counts of their own: first come, first served,
    and for good, as no counter may fall. All others are counted together. One that was counted so
    stays there for as long as it has jobs, whatever becomes of the limit.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._counts: dict[str, _Counts] = {}
        self._together: Counter[str] = Counter()
        """How many jobs are shown of each of the projects that are counted together."""
        self._touched: set[str] = set()

    def shown(self, before: Job | None, after: Job | None) -> None:
        """Count a job in where it is shown now, and out of where it was."""
        if before is not None:
            jobs = self._of(before).jobs[before.account]
            jobs[before.state] -= 1
            if not jobs[before.state]:
                del jobs[before.state]
            self._note(before, -1)
        if after is not None:
            self._of(after).jobs[after.account][after.state] += 1
            self._note(after, 1)

    def transition(self, before: Job, after: Job) -> None:
        """Count a state change that was seen."""
        transitions = self._of(after).transitions
        change = (before.state, after.state)
        if change not in transitions and len(transitions) >= MOST_LABELS:
            change = (OTHER, OTHER)
        transitions[change] += 1

    def queued(self, job: Job, seconds: float) -> None:
        """Count how long a job waited for its start."""
        counts = self._of(job)
        counts.queue = counts.queue.observe(seconds)

    def ran(self, job: Job, seconds: float) -> None:
        """Count how long a job ran until its end."""
        runs = self._of(job).runs
        state = job.state if job.state in runs or len(runs) < MOST_LABELS else OTHER
        runs[state] = (runs.get(state) or Distribution.empty(RUN_BOUNDS)).observe(seconds)

    def touch(self, account: str) -> None:
        """Have every project of an account published again: whether it can be counted changed."""
        self._touched.update(
            project_id for project_id, counts in self._counts.items() if account in counts.jobs
        )

    def take_touched(self, silent_accounts: AbstractSet[str]) -> list[ProjectTally]:
        """Return the tallies that changed since the last call.

        ``silent_accounts``: accounts not all of whose jobs are known. The counts that they have a
        part in are withheld instead of falling: an error is not an empty fleet.
        """
        touched = [self._tally(project_id, silent_accounts) for project_id in sorted(self._touched)]
        self._touched.clear()
        return touched

    def _of(self, job: Job) -> _Counts:
        place = self._place(job.project_id)
        self._touched.add(place)
        return self._counts.setdefault(place, _Counts())

    def _place(self, project_id: str) -> str:
        """Return under which name a project is counted."""
        if project_id in self._counts:
            return project_id
        apart = len(self._counts) - (OTHER in self._counts)
        full = self.limit and apart >= self.limit
        return OTHER if full or project_id in self._together else project_id

    def _note(self, job: Job, more: int) -> None:
        """Note that more of the jobs, or fewer, are shown of a project that has no place."""
        project_id = job.project_id
        if self._place(project_id) != project_id:
            self._together[project_id] += more
            if self._together[project_id] <= 0:
                del self._together[project_id]

    def _tally(self, project_id: str, silent_accounts: AbstractSet[str]) -> ProjectTally:
        counts = self._counts[project_id]
        withheld = not silent_accounts.isdisjoint(counts.jobs)
        return ProjectTally(
            project_id=project_id,
            jobs=None if withheld else dict(sum(counts.jobs.values(), Counter())),
            transitions=dict(counts.transitions),
            queue_duration=counts.queue,
            run_duration=dict(counts.runs),
        )
