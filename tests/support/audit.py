"""What an exporter must have in its ledger, by the simulator's expected totals.

It is told whenever the exporter looked at the world (or may have looked, when it was killed before
that could be known), and says what counters and chargeback must be. It shares no code with the
ledger. Money is in whole micro-dollars, instants are Unix seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from trainwave_exporter.simulator import ExpectedTotals, SimulatedDialect, SimulatedWorld
from trainwave_exporter.simulator.expected_totals import ExpectedJob
from trainwave_exporter.simulator.ids import IdKind, write_id
from trainwave_exporter.simulator.lifecycle import SimulatedState

Labels: TypeAlias = tuple[str, str, str]
"""The project's id, the owner and the type of GPU."""

CENT = 10_000
_SLACK = 1_000_000
"""By how much, in micro-dollars, a cost may be beyond what prices explain and still be believed."""
_LIVE = ("SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING")
_LONGEST_SUBMISSION = 41
"""Seconds from the creation of a job until it is billed."""
_LONGEST_LAUNCH = 241
"""Seconds for which a job is billed before its reported start."""
_BILLING_STEP = 3600
"""Seconds after which another bill comes, where bills come in steps."""


class Piece(NamedTuple):
    """A stretch of time in which a job cost the same in each second."""

    begin: int
    end: int
    price: int
    """Micro-dollars a second."""

    @property
    def cost(self) -> int:
        return self.price * (self.end - self.begin)

    def until(self, end: int) -> Piece:
        return Piece(self.begin, max(self.begin, min(self.end, end)), self.price)


class Run(NamedTuple):
    """From a launch of a job to its end, or until now; Unix seconds."""

    launched: int
    started: int | None
    end: int


class Doubt(NamedTuple):
    """Days to which so much may be added, or taken from, as nobody can know better."""

    begin: int
    end: int
    amount: int


class Bounds(NamedTuple):
    """What a number must lie between, both included."""

    low: int = 0
    high: int = 0

    def plus(self, low: int, high: int) -> Bounds:
        return Bounds(self.low + low, self.high + high)


class FloatBounds(NamedTuple):
    """The same of numbers that are not whole."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Look:
    """What the API reported of a job at one time; ``sure``: the exporter certainly took it in."""

    at: int
    cost: int
    gpu_hours: float
    over: bool
    sure: bool
    state: SimulatedState
    billed_until: int
    """Until when the cost is in the bill."""
    runs: int
    """How often it had been launched."""
    restarts: int
    """How often its cost had begun anew."""


@dataclass(slots=True, repr=False)
class Watched:
    """A job, and all looks at it but those at a job that is over and stays as it was."""

    entry: ExpectedJob
    looks: list[Look] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return what matters of it, so that a failed comparison can be understood."""
        looks = [
            (look.at, look.cost, look.state.value, look.sure)
            for before, look in pairwise([None, *self.looks])
            if look is not None
            and (before is None or (before.cost, before.state) != (look.cost, look.state))
        ]
        steps = [(at, state.value) for at, state in self.entry.timeline]
        prices, corrections = self.entry.prices, self.entry.corrections
        return f"{self.entry.ids}: {steps=} {prices=} {corrections=} {looks=}"

    def look(self, entry: ExpectedJob, look: Look) -> None:
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
        for before, after in pairwise(self.looks if self.entry.corrections else ()):
            if not after.over and 0 < before.cost == after.cost and before.at < after.at:
                return before.at
        return None

    @property
    def meters(self) -> list[list[Look]]:
        """The looks, apart where the reported cost began anew; none of these is empty."""
        restarts = sorted({look.restarts for look in self.looks})
        return [[look for look in self.looks if look.restarts == number] for number in restarts]

    def bounds(self, number: Callable[[Look], float], best: Callable[..., float]) -> FloatBounds:
        """Return the least and the most that all meters come to, by the looks at each."""
        believed = [
            [look for place, look in enumerate(looks) if self._believed(looks, place)]
            for looks in self.meters
        ]
        lows = [best(map(number, looks)) for looks in believed if looks]
        high = sum(best(number(look) for look in looks) for looks in self.meters)
        return FloatBounds(lows[-1] if self.restart_hidden else sum(lows), high)

    def _believed(self, looks: Sequence[Look], place: int) -> bool:
        """Whether the exporter certainly took one of the looks in, and what it showed.

        A rise over twice what the dearest price that is known comes to waits for a second look,
        unless it is what the job cost in all the time until then.
        """
        look, earlier = looks[place], looks[:place]
        if not look.sure:
            return False
        known = max((at for at, each in enumerate(earlier) if each.sure), default=None)
        since = earlier[known or 0 :]
        candidates: list[Look | None] = [*since] if known is not None else [None, *since]
        return all(self._explained(before, look) for before in candidates) or any(
            each.sure and each.cost <= look.cost <= self._most(each, look) for each in since
        )

    def _explained(self, before: Look | None, look: Look) -> bool:
        """Whether prices explain a cost; ``before`` is the look before, if there was one."""
        whole = self._price(look) * (look.at - self.created) + _SLACK
        if before is None:
            return look.cost <= 2 * whole
        return look.cost <= max(whole, self._most(before, look))

    def _most(self, before: Look, look: Look) -> int:
        price = max(self._price(before), self._price(look))
        return before.cost + 2 * price * (look.at - before.at) + _SLACK

    def _price(self, look: Look) -> int:
        """Return its price at that time, in micro-dollars a second."""
        return [price for since, price in self.entry.prices if since <= look.at][-1]

    @property
    def restart_hidden(self) -> bool:
        """Whether nothing shows that its cost began anew.

        Either it was not seen running before, or what it costs may as well be both runs' together.
        """
        return any(
            before.state in {"SUBMIT_CODE", "LAUNCHING"} or self._may_go_on(before, after)
            for before, after in pairwise(self.surely)
            if before.restarts < after.restarts
        )

    def _may_go_on(self, before: Look, after: Look) -> bool:
        run = self.runs[-1]
        ran = 0 if run.started is None else max(0, min(after.at, run.end) - run.started)
        return after.cost - before.cost >= self.dearest * ran - (2 * CENT + self.dearest)

    @property
    def runs(self) -> list[Run]:
        """All its runs, by the world's expected totals."""
        runs = []
        for place, (at, name) in enumerate(self.entry.timeline):
            if name != "LAUNCHING":
                continue
            rest = self.entry.timeline[place:]
            end = next((at for at, name in rest if name not in _LIVE), self.looks[-1].at)
            started = next((at for at, name in rest if name == "RUNNING" and at <= end), None)
            runs.append(Run(at, started, end))
        return runs

    @property
    def pieces(self) -> list[Piece]:
        """What it truly cost, piece by piece."""
        return [
            Piece(max(run.launched, since), min(run.end, until), price)
            for run in self.runs
            for (since, price), (until, _) in pairwise([*self.entry.prices, (run.end, 0)])
            if max(run.launched, since) < min(run.end, until)
        ]

    @property
    def dearest(self) -> int:
        """The highest of its prices, in micro-dollars a second; 0 if it never cost anything."""
        return max((piece.price for piece in self.pieces), default=0)

    @property
    def created(self) -> int:
        return self.entry.timeline[0][0]

    @property
    def late(self) -> bool:
        """Whether its bills ever were behind."""
        return any(not look.over and look.billed_until < look.at for look in self.looks)

    def between(self, begin: int, end: int) -> int:
        """Return what it truly cost between two instants."""
        return sum(
            Piece(max(piece.begin, begin), piece.end, piece.price).until(end).cost
            for piece in self.pieces
            if piece.end > begin
        )

    def changes(self, begin: int, end: int) -> list[int]:
        """Return when its price changed while it was billed, after ``begin`` and until ``end``."""
        return [
            at
            for at, _ in self.entry.prices[1:]
            if begin < at <= end and any(run.launched < at < run.end for run in self.runs)
        ]


class Audit:
    """Follows a world in one dialect, and keeps the account that the exporter should keep."""

    def __init__(self, world: SimulatedWorld, dialect: SimulatedDialect) -> None:
        self._dialect = dialect
        self.detailed = dialect is SimulatedDialect.DOCUMENTED
        """Money is told to the micro-dollar, and when jobs ended."""
        self._projects = {
            project.rid: write_id(dialect, IdKind.PROJECT, project.code)
            for project in world.catalogue.projects
        }
        self.jobs: dict[str, Watched] = {}
        """By the id that the exporter knows."""

    def look(self, expected_totals: ExpectedTotals, *, sure: bool) -> None:
        """Note that the exporter looked; not ``sure``: that it may have."""
        for entry in expected_totals.jobs.values():
            look = Look(
                expected_totals.at,
                self._told(entry.reported.microdollars),
                round(entry.reported.gpu_hours, 4),
                entry.state not in _LIVE,
                sure,
                entry.state,
                entry.billed_until,
                sum(name == "LAUNCHING" for _, name in entry.timeline),
                int(entry.reported_since is not None),
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
        for piece in job.pieces:
            for day, seconds in _split(piece.begin, piece.end, zone):
                yield day, seconds * piece.price
        for made_at, amount in job.entry.corrections:
            yield from ((day, amount) for day in _days(made_at, made_at, zone))

    def lose(self, since: int) -> None:
        """Note that all is lost that was looked at after ``since``."""
        for job in self.jobs.values():
            job.looks = [look for look in job.looks if look.at <= since]
        self.jobs = {job_id: job for job_id, job in self.jobs.items() if job.looks}

    def falls_without(self, since: int) -> bool:
        """Return whether some job cost more, by a look after ``since``, than by all others."""
        for job in self.jobs.values():
            kept = [look.cost for look in job.looks if look.at <= since]
            lost = [look.cost for look in job.looks if look.at > since]
            if lost and max(lost) > max([*kept, lost[-1]]):
                return True
        return False

    # What the chargeback says

    def cost_by_day(self, job: Watched, zone: ZoneInfo) -> dict[str, Bounds]:
        """Return what a job cost on each local day, as far as it was billed.

        A correction counts on the day it was first looked at. Where that is not sure, or it cannot
        be told apart from time going by, the days in question have bounds.
        """
        days: defaultdict[str, Bounds] = defaultdict(Bounds)
        for day, low, high in self._billed(job, job.pieces, zone, lambda look: look.billed_until):
            days[day] = days[day].plus(low, high)
        for made_at, amount in job.entry.corrections:
            doubtful = list(_days(*self._noticed(job, made_at, amount), zone))
            for day in doubtful:
                if len(doubtful) == 1:
                    days[day] = days[day].plus(amount, amount)
                else:
                    days[day] = days[day].plus(min(amount, 0), max(amount, 0))
        for doubt in self._doubts(job):
            for day in _days(doubt.begin, doubt.end, zone):
                days[day] = days[day].plus(-doubt.amount, doubt.amount)
        if not self.detailed:
            self._allow_for_what_is_not_told(job, days, zone)
        return dict(days)

    def _billed(
        self, job: Watched, pieces: list[Piece], zone: ZoneInfo, until: Callable[[Look], int]
    ) -> Iterator[tuple[str, int, int]]:
        """Yield days with the least and the most of these pieces that is in some look.

        ``until`` says until when a look has them. A meter that begins anew leaves out what was
        never looked at of the one before.
        """
        for piece, least, most in _reported(job, pieces, until):
            low = dict(_split(*piece.until(least)[:2], zone))
            for day, seconds in _split(*piece.until(most)[:2], zone):
                yield day, low.get(day, 0) * piece.price, seconds * piece.price

    def _doubts(self, job: Watched) -> Iterator[Doubt]:
        """Yield what of a job's cost cannot be put into its right days, nor by whom."""
        looks = job.surely
        if not looks:
            return
        first, last = looks[0], looks[-1]
        if job.late:
            # What is billed late is put behind the start, or before the end: the launch between.
            # Steps that happen to grow by the price look like billing that began later.
            stepped = any(look.cost and not look.over for look in job.looks)
            seconds = _LONGEST_LAUNCH + (_BILLING_STEP if stepped or not self.detailed else 0)
            yield Doubt(job.created, last.at, job.dearest * seconds + CENT)
            if not job.looks[0].sure:
                # If it was killed before it knew price and start, it does not know what was behind.
                yield Doubt(job.created, last.at, first.cost)
        if len(job.entry.prices) > 1:
            yield Doubt(job.created, last.at, CENT + job.dearest)
            if job.changes(0, first.at):
                # The price that it has now draws back what it cost so far; what that does not come
                # to is taken for a bill that is behind, until another look shows what it is.
                until, most = looks[:2][-1].at, job.dearest * (first.at - job.created)
                yield Doubt(job.created, until, max(first.cost, most))
        if first.runs > 1 and not first.restarts:
            yield Doubt(job.created, first.at, first.cost)
        for before, after in pairwise(looks):
            yield from self._doubts_between(job, before, after)

    def _doubts_between(self, job: Watched, before: Look, after: Look) -> Iterator[Doubt]:
        rise = job.between(before.at, after.at)
        changes = job.changes(before.at, after.at)
        ended = after.over and not self.detailed
        if changes and (len(changes) > 1 or not before.cost or ended):
            yield Doubt(before.at, after.at, rise)
        if job.restart_hidden and before.restarts < after.restarts:
            yield Doubt(before.at, after.at, before.cost)
        if after.runs > before.runs and not before.over and not after.restarts:
            # Nobody knows when the first run ended, whose bill goes on in the second.
            again = job.runs[after.runs - 1].launched
            yield Doubt(before.at, after.at, job.between(before.at, again))
            if self._looks_like_one_run(before, after):
                yield Doubt(before.at, after.at, self._pause(job, before, after))
        if after.runs > before.runs and before.over and after.over and not self.detailed:
            yield Doubt(job.created, after.at, rise)

    def _looks_like_one_run(self, before: Look, after: Look) -> bool:
        """Whether nothing shows that a job ran anew between two looks."""
        if self.detailed:
            return False
        return before.over is after.over and _LIVE.index(after.state) >= _LIVE.index(before.state)

    def _pause(self, job: Watched, before: Look, after: Look) -> int:
        """Return what it would have cost if it had run all the time between two looks."""
        return job.dearest * (after.at - before.at) - job.between(before.at, after.at)

    def _allow_for_what_is_not_told(
        self, job: Watched, days: defaultdict[str, Bounds], zone: ZoneInfo
    ) -> None:
        """Widen the bounds where fractions of a cent matter, or the time at which a job ended."""
        slack = 2 * CENT + _LONGEST_SUBMISSION * job.dearest
        seen = [look for look in job.surely if look.over]
        lived = _days(job.created, seen[0].at if seen else job.looks[-1].at, zone)
        for day in {*days, *lived}:
            days[day] = days[day].plus(-slack, slack)
        alive = [look for look in job.surely if not look.over]
        since = job.stood_still
        if since is None and seen and alive and alive[-1].cost == 0:
            since = job.created if job.late else alive[-1].at
        if since is not None:
            for day in _days(since, job.looks[-1].at, zone):
                days[day] = days[day].plus(-job.looks[-1].cost, job.looks[-1].cost)

    def _noticed(self, job: Watched, made_at: int, amount: int) -> tuple[int, int]:
        """Return since when, and until when, a correction can have been taken for one."""
        before = [look for look in job.surely if look.at < made_at]
        after = [look for look in job.looks if look.at >= made_at]
        noticed = next(look.at for look in after if look.sure)
        if not before or before[-1].cost == 0:
            return job.created, noticed  # it was in the bill that was first seen
        if before[-1].over and self._of_a_late_bill(job, before[-1], amount):
            return job.created, noticed
        ended_untold = after[0].over and not self.detailed
        if not before[-1].over and (ended_untold or not self._plain(job, amount)):
            return before[-1].at, noticed
        return after[0].at, noticed

    def _of_a_late_bill(self, job: Watched, before: Look, amount: int) -> int:
        """Return how much of a correction after the end may as well be the rest of the bill.

        Where no end is reported, nobody knows how much the time since the last look came to; else
        it is what the bill is short of, by an earlier correction.
        """
        if not self.detailed:
            return max(0, amount)
        short = sum(piece.cost for piece in job.pieces) - before.cost
        return max(0, min(amount, short))

    def _plain(self, job: Watched, amount: int) -> bool:
        """Whether a correction is more than a cent, rounding, and a second of running."""
        return abs(amount) > CENT + job.dearest + (0 if self.detailed else CENT)

    def gpu_seconds_by_day(self, job: Watched, zone: ZoneInfo) -> dict[str, Bounds]:
        """Return for how many GPU seconds a job ran on each local day."""
        days: defaultdict[str, Bounds] = defaultdict(Bounds)
        gpus = job.entry.gpus
        pieces = [Piece(run.started, run.end, gpus) for run in job.runs if run.started is not None]
        for day, low, high in self._billed(job, pieces, zone, lambda look: look.at):
            days[day] = days[day].plus(low, high)
        first = job.surely[0]
        if first.runs > 1 and not first.restarts:  # nobody knows when the run before was
            for day in _days(job.created, first.at, zone):
                most = round(first.gpu_hours * 3600)
                days[day] = days[day].plus(-most, most)
        for before, after in pairwise(job.surely):
            if after.runs > before.runs and not before.over and not after.restarts:
                most = gpus * (after.at - before.at)
                for day in _days(before.at, after.at, zone):
                    days[day] = days[day].plus(-most, most)
        return dict(days)

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
                late = self._of_a_late_bill(job, before, whole) if after.over else 0
                if before.cost > 0 and alike and self._plain(job, whole - late):
                    direction = "up" if whole > 0 else "down"
                    bounds[direction] = bounds[direction].plus(abs(whole - late), 0)
                for direction, amount in self._like_corrections(job, before, after).items():
                    bounds[direction] = bounds[direction].plus(0, amount)
            for _, amount in job.entry.corrections:
                direction = "up" if amount > 0 else "down"
                bounds[direction] = bounds[direction].plus(0, abs(amount))
        return bounds

    def _like_corrections(self, job: Watched, before: Look, after: Look) -> dict[str, int]:
        """Return what cannot be told from corrections, though none was made."""
        if len(job.changes(before.at, after.at)) > 1:
            least = min(piece.price for piece in job.pieces)
            amount = (job.dearest - least) * (after.at - before.at)
            return {"up": amount, "down": amount}
        if job.restart_hidden and before.restarts < after.restarts:
            return {"down": before.cost}
        if after.runs > before.runs and not self.detailed:
            if before.over and after.over:
                return {"up": job.between(before.at, after.at)}
            if self._looks_like_one_run(before, after):
                return {"down": self._pause(job, before, after)}
        return {}


def _reported(
    job: Watched, pieces: list[Piece], until: Callable[[Look], int]
) -> Iterator[tuple[Piece, int, int]]:
    """Yield each piece with the instants until which it is surely, and at most, in some look."""
    anew = job.entry.reported_since
    for looks in job.meters:
        restarted = looks[0].restarts > 0
        sure = [until(look) for look in looks if look.sure]
        for piece in pieces:
            if anew is None or (piece.begin >= anew) is restarted:
                hidden = job.restart_hidden and not restarted
                yield piece, sure[-1] if sure and not hidden else 0, until(looks[-1])


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
