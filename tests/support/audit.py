"""What an exporter must have in its ledger, by the simulator's own books.

It is told whenever the exporter looked at the world (or may have looked, when it was killed before
that could be known), and says what counters and chargeback must be. It shares no code with the
ledger. Money is in whole micro-dollars, instants are Unix seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from trainwave_exporter.simulator import Books, Dialect, World
from trainwave_exporter.simulator.books import JobEntry
from trainwave_exporter.simulator.identity import Kind, write_id

Labels: TypeAlias = tuple[str, str, str]
"""The project's id, the owner and the type of GPU."""

CENT = 10_000
_LIVE = ("SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING")
_LONGEST_SUBMISSION = 41
"""Seconds from the creation of a job until it is billed."""


class Bounds(NamedTuple):
    """What a number must lie between, both included."""

    low: int = 0
    high: int = 0

    def plus(self, low: int, high: int) -> Bounds:
        return Bounds(self.low + low, self.high + high)


@dataclass(frozen=True, slots=True)
class Look:
    """What the API told of a job at one time; ``sure``: the exporter certainly took it in."""

    at: int
    cost: int
    gpu_hours: float
    over: bool
    sure: bool


@dataclass(slots=True)
class Watched:
    """A job, and all looks at it but those at a job that is over and stays as it was."""

    entry: JobEntry
    looks: list[Look] = field(default_factory=list)

    def look(self, entry: JobEntry, look: Look) -> None:
        last = self.looks[-1] if self.looks else None
        stays = last is not None and replace(look, at=last.at) == last and last.over and last.sure
        if not stays or entry.corrections != self.entry.corrections:
            self.looks.append(look)
        self.entry = entry

    @property
    def surely(self) -> list[Look]:
        """The looks that are certain."""
        return [look for look in self.looks if look.sure]

    @property
    def over(self) -> bool:
        """Whether it was over when last looked at."""
        return self.looks[-1].over

    @property
    def stood_still(self) -> int | None:
        """Since when its cost seemed to, as a correction made up for what it was billed."""
        for before, after in pairwise(self.looks):
            if not after.over and 0 < before.cost == after.cost and before.at < after.at:
                return before.at
        return None

    @property
    def billed(self) -> tuple[int, int]:
        """Since when it was billed, and until when as of the last look."""
        return self._since("LAUNCHING")

    @property
    def ran(self) -> tuple[int, int]:
        """Since when its GPUs were of use, and until when."""
        return self._since("RUNNING")

    @property
    def price(self) -> int:
        """What it costs in a second; 0 for a job that was never billed."""
        begin, end = self.billed
        if begin == end:
            return 0
        net = self.entry.total.microdollars - sum(amount for _, amount in self.entry.corrections)
        price, rest = divmod(net, end - begin)
        assert rest == 0
        return price

    def _since(self, state: str) -> tuple[int, int]:
        last, name = self.entry.timeline[-1]
        end = self.looks[-1].at if name in _LIVE else last
        return next((at for at, name in self.entry.timeline if name == state), end), end


class Audit:
    """Follows a world in one dialect, and keeps the books that the exporter should keep."""

    def __init__(self, world: World, dialect: Dialect) -> None:
        self._dialect = dialect
        self.detailed = dialect is Dialect.DOCUMENTED
        """Money is told to the micro-dollar, and when jobs ended."""
        self._projects = {
            project.rid: write_id(dialect, Kind.PROJECT, project.code)
            for project in world.catalogue.projects
        }
        self.jobs: dict[str, Watched] = {}
        """By the id that the exporter knows."""

    def look(self, books: Books, *, sure: bool) -> None:
        """Note that the exporter looked; not ``sure``: that it may have."""
        for entry in books.jobs.values():
            look = Look(
                books.at,
                self._told(entry.total.microdollars),
                round(entry.total.gpu_hours, 4),
                entry.state not in _LIVE,
                sure,
            )
            job_id = entry.ids[self._dialect]
            self.jobs.setdefault(job_id, Watched(entry)).look(entry, look)

    def _told(self, microdollars: int) -> int:
        """Return a cost as the API tells it: to the micro-dollar, or in whole cents."""
        return microdollars if self.detailed else (microdollars + CENT // 2) // CENT * CENT

    @property
    def live(self) -> set[str]:
        """The jobs that are not over."""
        return {job_id for job_id, job in self.jobs.items() if not job.over}

    def labels(self, job: Watched) -> Labels:
        """Return what the job's money is told apart by."""
        owner = job.entry.owner if self.detailed else ""
        return self._projects[job.entry.project], owner, job.entry.gpu_type

    def by_labels(self) -> dict[Labels, list[Watched]]:
        """Return the jobs by their labels."""
        jobs: defaultdict[Labels, list[Watched]] = defaultdict(list)
        for job in self.jobs.values():
            jobs[self.labels(job)].append(job)
        return dict(jobs)

    def as_made(self, job: Watched, zone: ZoneInfo) -> Iterator[tuple[str, int]]:
        """Yield what a job truly cost, by local day, with corrections when they were made."""
        for day, seconds in _split(*job.billed, zone):
            yield day, seconds * job.price
        for made_at, amount in job.entry.corrections:
            yield from ((day, amount) for day in _days(made_at, made_at, zone))

    # What the chargeback says

    def cost_by_day(self, job: Watched, zone: ZoneInfo) -> dict[str, Bounds]:
        """Return what a job cost on each local day.

        A correction counts on the day it was first looked at. Where that is not sure, or it cannot
        be told apart from time going by, the days in question have bounds.
        """
        days: defaultdict[str, Bounds] = defaultdict(Bounds)
        price = job.price
        for day, seconds in _split(*job.billed, zone):
            days[day] = days[day].plus(seconds * price, seconds * price)
        for made_at, amount in job.entry.corrections:
            doubtful = list(_days(*self._noticed(job, made_at, amount), zone))
            for day in doubtful:
                if len(doubtful) == 1:
                    days[day] = days[day].plus(amount, amount)
                else:
                    days[day] = days[day].plus(min(amount, 0), max(amount, 0))
        if not self.detailed:
            self._allow_for_what_is_not_told(job, days, zone)
        return dict(days)

    def _allow_for_what_is_not_told(
        self, job: Watched, days: defaultdict[str, Bounds], zone: ZoneInfo
    ) -> None:
        """Widen the bounds where fractions of a cent matter, or the time at which a job ended."""
        slack = 2 * CENT + _LONGEST_SUBMISSION * job.price
        created, seen = job.entry.timeline[0][0], [look for look in job.surely if look.over]
        lived = _days(created, seen[0].at if seen else job.looks[-1].at, zone)
        for day in {*days, *lived}:
            days[day] = days[day].plus(-slack, slack)
        alive = [look for look in job.surely if not look.over]
        since = job.stood_still
        if since is None and seen and alive and alive[-1].cost == 0:
            since = alive[-1].at
        if since is not None:
            for day in _days(since, job.looks[-1].at, zone):
                days[day] = days[day].plus(-job.looks[-1].cost, job.looks[-1].cost)

    def _noticed(self, job: Watched, made_at: int, amount: int) -> tuple[int, int]:
        """Return since when, and until when, a correction can have been taken for one."""
        before = [look for look in job.surely if look.at < made_at]
        after = [look for look in job.looks if look.at >= made_at]
        noticed = next(look.at for look in after if look.sure)
        if not before or before[-1].cost == 0:
            return job.entry.timeline[0][0], noticed  # it was in the bill that was first seen
        if before[-1].over and self._like_a_late_bill(amount):
            return job.entry.timeline[0][0], noticed
        ended_untold = after[0].over and not self.detailed
        if not before[-1].over and (ended_untold or not self._plain(job, amount)):
            return before[-1].at, noticed
        return after[0].at, noticed

    def _like_a_late_bill(self, amount: int) -> bool:
        """Whether a correction after the end cannot be told from the rest of the bill.

        Where no end is reported, nobody knows how much the time since the last look came to.
        """
        return amount > 0 and not self.detailed

    def _plain(self, job: Watched, amount: int) -> bool:
        """Whether a correction is more than a cent, rounding, and a second of running."""
        return abs(amount) > CENT + job.price + (0 if self.detailed else CENT)

    def gpu_seconds_by_day(self, job: Watched, zone: ZoneInfo) -> dict[str, int]:
        """Return for how many GPU seconds a job ran on each local day."""
        return {day: seconds * job.entry.gpus for day, seconds in _split(*job.ran, zone)}

    def corrections(self) -> Mapping[str, Bounds]:
        """Return what was plainly corrected while the exporter watched, and what was at all.

        Of several corrections between two looks only the sum is plain.
        """
        bounds = {"up": Bounds(), "down": Bounds()}
        for job in self.jobs.values():
            for before, after in pairwise(job.surely):
                amounts = [
                    amount for at, amount in job.entry.corrections if before.at < at <= after.at
                ]
                whole = sum(amounts)
                alike = before.over == after.over and before.cost != after.cost
                late = after.over and self._like_a_late_bill(whole)
                if before.cost > 0 and alike and not late and self._plain(job, whole):
                    direction = "up" if whole > 0 else "down"
                    bounds[direction] = bounds[direction].plus(abs(whole), 0)
            for _, amount in job.entry.corrections:
                direction = "up" if amount > 0 else "down"
                bounds[direction] = bounds[direction].plus(0, abs(amount))
        return bounds


def _split(begin: int, end: int, zone: ZoneInfo) -> Iterator[tuple[str, int]]:
    """Yield local days, each with the seconds of a stretch of time that are in it."""
    for day in _days(begin, end, zone):
        first = date.fromisoformat(day)
        since, until = _midnight(first, zone), _midnight(first + timedelta(days=1), zone)
        if (seconds := min(end, until) - max(begin, since)) > 0:
            yield day, seconds


def _days(first: int, last: int, zone: ZoneInfo) -> Iterator[str]:
    """Yield the local days from that of one instant to that of another."""
    day = datetime.fromtimestamp(first, zone).date()
    while day <= datetime.fromtimestamp(last, zone).date():
        yield day.isoformat()
        day += timedelta(days=1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
