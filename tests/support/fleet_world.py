"""A fleet on a clock that tests turn by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trainwave_exporter.fleet import (
    ClockSet,
    Fleet,
    JobsSeen,
    Observation,
    OrganizationsSeen,
    Policy,
    ProjectsSeen,
    ReadingSeen,
    SweepEnded,
    SweepFailed,
    TimePassed,
)
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    Change,
    Changed,
    Departed,
    Fact,
    HistoricalJob,
    Job,
    Metric,
    Organization,
    Point,
    Project,
    ProjectTally,
    Quantity,
    Reading,
    Record,
)

START = 1_000_000.0
POLICY = Policy(
    finished_retention=3600,
    staleness=300,
    directory_staleness=900,
    listed_at_least_every=600,
    vanish_after_sweeps=3,
)


class World:
    """A fleet, what a listener makes of its changes, and short words for observations."""

    def __init__(self, accounts: tuple[str, ...] = ("a",)) -> None:
        self.now = START
        self.facts: list[Fact] = []
        self.changes: list[Change] = []
        self.accounts = accounts
        self.fleet = Fleet(
            accounts=accounts, policy=POLICY, observe=self.facts.append, now=self.now
        )
        self.mirror: dict[tuple[type, str], Record] = {}
        self._listen(self.fleet.introduce())

    def job(self, job_id: str = "j-1", state: str = "RUNNING", **fields: Any) -> Job:
        fields = {"account": "a", "project_id": "p-1", "confirmed_at": self.now, **fields}
        return Job(id=job_id, state=state, **fields)

    def see(self, *jobs: Job, asked_at: float | None = None) -> tuple[Change, ...]:
        account = jobs[0].account if jobs else "a"
        asked = self.now if asked_at is None else asked_at
        return self.apply(JobsSeen(account, jobs, asked))

    def sweep(self, *jobs: Job, account: str = "a", complete: bool = True) -> tuple[Change, ...]:
        seen = frozenset(job.id for job in jobs)
        changes = self.see(*jobs) if jobs else ()
        began_at = self.now + 0.001  # after whatever was confirmed before
        ended = SweepEnded(account, began_at, seen, full=True, complete=complete)
        return changes + self.apply(ended)

    def fail(self, account: str = "a") -> tuple[Change, ...]:
        return self.apply(SweepFailed(account))

    def read(
        self,
        job_id: str,
        *values: Point | float,
        metric: Metric = Metric.GPU_UTILIZATION,
        quantity: Quantity = Quantity.RATIO,
        at: float | None = None,
        account: str = "a",
    ) -> tuple[Change, ...]:
        reading = self.reading(*values, quantity=quantity, at=at)
        return self.apply(ReadingSeen(account, job_id, metric, reading))

    def reading(
        self,
        *values: Point | float,
        quantity: Quantity = Quantity.RATIO,
        at: float | None = None,
    ) -> Reading:
        points = [v if isinstance(v, Point) else Point(v) for v in values]
        return Reading.of(quantity, points, self.now if at is None else at)

    def points(self) -> tuple[Point, ...]:
        """Return how busy the GPUs of the first job are."""
        reading = self.shown().readings.gpu_utilization
        assert reading is not None
        return reading.points

    def projects(
        self, *projects: Project, account: str = "a", complete: bool = True
    ) -> tuple[Change, ...]:
        return self.apply(ProjectsSeen(account, projects, complete=complete))

    def organizations(
        self, *found: Organization, account: str = "a", complete: bool = True
    ) -> tuple[Change, ...]:
        return self.apply(OrganizationsSeen(account, found, complete=complete))

    def set_clock(self, seconds: float) -> None:
        """Set the clock ahead, or back, and have that noticed."""
        self.now += seconds
        self.apply(ClockSet(seconds))

    def tick(
        self, seconds: float = 0.0, readings_max_age: float = 600.0, *, answering: bool = False
    ) -> tuple[Change, ...]:
        """Let time pass; ``answering``: all accounts go on being swept, if only of empty lists."""
        self.now += seconds
        for account in self.accounts if answering else ():
            self.apply(SweepEnded(account, self.now, frozenset(), full=False, complete=False))
        return self.apply(TimePassed(dict.fromkeys(self.accounts, readings_max_age)))

    def apply(self, observation: Observation) -> tuple[Change, ...]:
        changes = self.fleet.apply(observation, self.now)
        self._listen(changes)
        return changes

    def _listen(self, changes: Iterable[Change]) -> None:
        """Mirror what a listener knows, and insist that the changes fit together."""
        for change in changes:
            self.changes.append(change)
            match change:
                case Appeared(record):
                    assert (type(record), record.key) not in self.mirror
                    self.mirror[type(record), record.key] = record
                case Changed(before, after):
                    assert before.key == after.key
                    assert before != after
                    assert self.mirror[type(after), after.key] == before
                    self.mirror[type(after), after.key] = after
                case Departed(record):
                    assert self.mirror.pop((type(record), record.key)) == record
                case HistoricalJob(record):
                    assert (type(record), record.key) not in self.mirror

    def shown(self, job_id: str = "j-1") -> Job:
        record = self.mirror[Job, job_id]
        assert isinstance(record, Job)
        return record

    def is_shown(self, job_id: str = "j-1") -> bool:
        return (Job, job_id) in self.mirror

    def tally(self, project_id: str = "p-1") -> ProjectTally:
        record = self.mirror[ProjectTally, project_id]
        assert isinstance(record, ProjectTally)
        return record

    def status(self, account: str = "a") -> AccountStatus:
        record = self.mirror[AccountStatus, account]
        assert isinstance(record, AccountStatus)
        return record
