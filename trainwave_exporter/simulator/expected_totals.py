"""Expected totals: what is true about money and GPU time, to the cent, to compare others with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from trainwave_exporter.simulator.accounts import SimulatedAccount
from trainwave_exporter.simulator.catalogue import SimulatedOrganization
from trainwave_exporter.simulator.ids import IdKind, SimulatedDialect, write_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import LEGAL, SimulatedState

_DAY = 24 * 3600


@dataclass(slots=True)
class ExpectedTotal:
    """Money and GPU time, exactly."""

    microdollars: int = 0
    gpu_seconds: int = 0

    @property
    def dollars(self) -> float:
        """The money, rounded to a float."""
        return self.microdollars / 1_000_000

    @property
    def gpu_hours(self) -> float:
        """The GPU time, rounded to a float."""
        return self.gpu_seconds / 3600

    def add(self, microdollars: int, gpu_seconds: int) -> None:
        """Count some more."""
        self.microdollars += microdollars
        self.gpu_seconds += gpu_seconds


@dataclass(frozen=True, slots=True)
class ExpectedJob:
    """The truth about one job."""

    ids: Mapping[SimulatedDialect, str]
    rid: str
    project: str
    """The project's rid."""
    owner: str
    """The owner's username."""
    gpu_type: str
    gpus: int
    state: SimulatedState
    total: ExpectedTotal
    timeline: tuple[tuple[int, SimulatedState], ...]
    """Every state it was in, and since which Unix second."""
    corrections: tuple[tuple[int, int], ...]
    """Unix seconds and micro-dollars; they are part of the total."""
    prices: tuple[tuple[int, int], ...]
    """Since which Unix second it has which price, in micro-dollars a second."""
    reported: ExpectedTotal
    """What the API reports of it: less than the total where bills come late or began anew."""
    billed_until: int
    """Until when its cost is reported, Unix seconds."""
    reported_since: int | None
    """Since when it is reported; None: from the beginning."""


@dataclass(frozen=True, slots=True)
class ExpectedOrganization:
    """The truth about one organization, in micro-dollars."""

    deposited: int
    spent: int
    balance: int


@dataclass(frozen=True, slots=True)
class ExpectedTotals:
    """All of it at one instant ``at`` (Unix seconds). Jobs are keyed by rid, oldest first."""

    at: int
    jobs: Mapping[str, ExpectedJob]
    organizations: Mapping[str, ExpectedOrganization]
    """By rid."""
    total: ExpectedTotal
    by_project: Mapping[str, ExpectedTotal]
    """By the project's rid."""
    by_owner: Mapping[str, ExpectedTotal]
    """By username."""
    by_gpu_type: Mapping[str, ExpectedTotal]
    by_day: Mapping[str, ExpectedTotal]
    """By UTC day, such as ``2024-03-21``; a correction counts on the day it was made."""


def keep_books(
    jobs: Sequence[SimulatedJob],
    accounts: Mapping[SimulatedOrganization, SimulatedAccount],
    now: int,
) -> ExpectedTotals:
    """Return the totals of ``jobs`` and ``accounts`` as of ``now``."""
    entries: dict[str, ExpectedJob] = {}
    whole = ExpectedTotal()
    by_project: dict[str, ExpectedTotal] = {}
    by_owner: dict[str, ExpectedTotal] = {}
    by_gpu_type: dict[str, ExpectedTotal] = {}
    by_day: dict[str, ExpectedTotal] = {}
    for job in jobs:
        entry = _entry(job, now)
        entries[entry.rid] = entry
        for expected, name in (
            (by_project, entry.project),
            (by_owner, entry.owner),
            (by_gpu_type, entry.gpu_type),
        ):
            expected.setdefault(name, ExpectedTotal()).add(
                entry.total.microdollars, entry.total.gpu_seconds
            )
        whole.add(entry.total.microdollars, entry.total.gpu_seconds)
        for day, microdollars, gpu_seconds in _days(job, now):
            by_day.setdefault(day, ExpectedTotal()).add(microdollars, gpu_seconds)
    return ExpectedTotals(
        at=now,
        jobs=entries,
        organizations={
            organization.rid: ExpectedOrganization(
                deposited=sum(amount for _, amount in account.deposits),
                spent=account.spent(now),
                balance=account.balance(now),
            )
            for organization, account in accounts.items()
        },
        total=whole,
        by_project=by_project,
        by_owner=by_owner,
        by_gpu_type=by_gpu_type,
        by_day=dict(sorted(by_day.items())),
    )


def _entry(job: SimulatedJob, now: int) -> ExpectedJob:
    order = job.order
    return ExpectedJob(
        ids={dialect: write_id(dialect, IdKind.JOB, job.code) for dialect in SimulatedDialect},
        rid=job.rid,
        project=order.project.rid,
        owner=order.owner.username,
        gpu_type=order.offer.gpu_type,
        gpus=order.offer.gpus,
        state=job.state,
        total=ExpectedTotal(job.cost(now), job.gpu_seconds(now)),
        timeline=tuple(job.timeline),
        corrections=tuple(job.corrections),
        prices=tuple(job.prices),
        reported=ExpectedTotal(job.reported_cost(now), job.reported_gpu_seconds(now)),
        billed_until=job.billed_until(now),
        reported_since=job.meters_since,
    )


def _days(job: SimulatedJob, now: int) -> Iterator[tuple[str, int, int]]:
    """Yield a job's micro-dollars and GPU seconds on each UTC day that has any."""
    steps = [*job.timeline, (now, job.state)]
    for (since, state), (until, _) in pairwise(steps):
        if state not in LEGAL or state is SimulatedState.SUBMIT_CODE:
            continue
        for begin, end, price in _priced(job, since, until):
            for day, seconds in _split(begin, end):
                yield day, seconds * price, 0
        if state is not SimulatedState.LAUNCHING:
            for day, seconds in _split(since, until):
                yield day, 0, seconds * job.order.offer.gpus
    for at, amount in job.corrections:
        yield _day(at), amount, 0


def _priced(job: SimulatedJob, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Cut the time from ``begin`` to ``end`` where the price changes; yield prices with it."""
    for (since, price), (until, _) in pairwise([*job.prices, (end, 0)]):
        yield max(begin, since), min(end, until), price


def _split(begin: int, end: int) -> Iterator[tuple[str, int]]:
    """Cut the time from ``begin`` to ``end`` at midnights; yield days and seconds."""
    while begin < end:
        midnight = min(end, (begin // _DAY + 1) * _DAY)
        yield _day(begin), midnight - begin
        begin = midnight


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
