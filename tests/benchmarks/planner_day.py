"""A day of a hundred running jobs, watched by our poller and by simpler ones, replayed from a seed.

Every watcher sees the same world. Ours is the real one: poller, client, budget and fleet, talking
HTTP to the simulator, on a clock that is stepped second by second; its peers are given the truth at
once, without a wire, and pay for it from the same budget.
"""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple, Protocol

from support.fake_time import FakeTime, settle

from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.config import Settings
from trainwave_exporter.fleet import Fleet, Observation, Policy, TimePassed
from trainwave_exporter.ledger.billing.stored_records import UndescribedJobs
from trainwave_exporter.model import Metric as OurMetric
from trainwave_exporter.polling import AccountPoller, Intervals, WatchScope
from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld, Simulator
from trainwave_exporter.simulator.ids import IdKind, write_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import SimulatedState, Status
from trainwave_exporter.simulator.limits import LimitWindow, RateLimiter
from trainwave_exporter.simulator.usage import SimulatedMetric, SimulatedReading, read

SEED: Final = 7
START: Final = 1_700_000_040.0
"""At a full minute, so that fixed windows of the limit begin with the day."""
JOBS: Final = 106
"""Running or pending, so that about a hundred run."""
LIMIT: Final = 100
ALLOWANCE: Final = 80
DAY: Final = 86_400
LOOK_SECONDS: Final = 5
"""How often it is looked whether an idle GPU is shown to be idle."""
SCORE_SECONDS: Final = 31
"""How often what is shown is set against the truth: at any phase of whoever asks by the minute."""
INTERVAL: Final = 60
"""What the peers and we would have between two readings."""
WARM_UP: Final = 1800
"""Seconds that nobody is judged by: everybody has to read everything once."""
IDLE_BELOW: Final = 0.05
IDLE_FOR: Final = 600
"""Seconds for which a job's GPUs do nothing before that is called going idle."""
UTILIZATIONS: Final = (SimulatedMetric.GPU_UTILIZATION, SimulatedMetric.CPU)


class Shown(NamedTuple):
    """A reading as a watcher shows it."""

    values: tuple[float, ...]
    """One for each device told apart; of utilizations 0 to 1."""
    at: float
    """When it was read, in Unix seconds."""


class Watcher(Protocol):
    """Whoever shows readings of the world's jobs."""

    name: str

    async def tick(self, second: int) -> None:
        """Do what is to be done at this second of the day."""

    def shown(self, job: SimulatedJob, metric: SimulatedMetric) -> Shown | None:
        """Return what is shown of a running job."""


@dataclass
class Score:
    """How well someone did."""

    error: list[float] = field(default_factory=list)
    """Mean distance from the truth at each look, weighted by price."""
    age: list[float] = field(default_factory=list)
    """Mean age in seconds of the GPU utilizations shown at each look."""
    delays: list[float] = field(default_factory=list)
    """Seconds from each job's going idle until that was shown."""

    @property
    def mean_error(self) -> float:
        return statistics.fmean(self.error)

    @property
    def median_delay(self) -> float:
        return statistics.median(self.delays) if self.delays else math.nan

    @property
    def mean_age(self) -> float:
        return statistics.fmean(self.age)


class Exporter:
    """The real thing."""

    name = "planner"

    def __init__(self, world: SimulatedWorld, dialect: SimulatedDialect, time: FakeTime) -> None:
        self._time = time
        self._dialect = dialect
        self._world = world
        self.simulator = Simulator(
            world,
            dialect=dialect,
            rate_limit=LIMIT,
            wall=time.clock,
            monotonic=time.monotonic,
            sleep=time.sleep,
        )
        self._clock = time.as_clock(Random(SEED))
        self._budget = RateBudget(share=ALLOWANCE / LIMIT, initial_limit=LIMIT, clock=self._clock)
        self._fleet = Fleet(
            accounts=("a",),
            policy=Policy(
                finished_retention=3600,
                staleness=300,
                directory_staleness=900,
                listed_at_least_every=1200,
                vanish_after_sweeps=3,
            ),
            observe=lambda _: None,
            now=time.now,
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, url: str) -> None:
        """Build the poller, now that the simulator is there."""
        client = Client(
            account="a",
            base_url=url,
            key=lambda: "demo-key",
            budget=self._budget,
            observe=lambda _: None,
            clock=self._clock,
        )
        settings = Settings()
        polling = settings.polling
        self.poller = AccountPoller(
            account="a",
            client=client,
            budget=self._budget,
            fleet=self._fleet,
            report=self._report,
            observe=lambda _: None,
            scope=WatchScope(),
            intervals=Intervals(
                running=polling.running_interval,
                sweep=polling.sweep_interval,
                directory=polling.directory_interval,
                readings=polling.readings_interval,
            ),
            undescribed=UndescribedJobs,
            clock=self._clock,
        )

    async def tick(self, second: int) -> None:
        for loop in self.poller.loops:
            if second % int(loop.interval) == 0:
                task = asyncio.create_task(loop.run())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if second % 5 == 0:
            self._report(TimePassed({"a": max(300.0, self.poller.readings_max_age)}))
        await settle()
        while self._budget._in_flight:
            await settle()

    def shown(self, job: SimulatedJob, metric: SimulatedMetric) -> Shown | None:
        known = self._fleet.job(write_id(self._dialect, IdKind.JOB, job.code))
        reading = None if known is None else known.readings.get(OurMetric(metric.value))
        if reading is None:
            return None
        return Shown(tuple(point.value for point in reading.points), reading.at)

    def _report(self, observation: Observation) -> None:
        changes = self._fleet.apply(observation, self._time.now)
        self.poller.apply(changes)


class Peer:
    """Reads the truth directly; what it may ask for is up to its kind."""

    name = ""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world
        self._known: dict[tuple[int, SimulatedMetric], Shown] = {}
        self._running: list[SimulatedJob] = []

    def shown(self, job: SimulatedJob, metric: SimulatedMetric) -> Shown | None:
        return self._known.get((job.ordinal, metric))

    def _list(self) -> int:
        """Learn which jobs run; return what that takes, in requests of a hundred jobs."""
        self._running = running(self._world)
        return -(-len(self._running) // 100)

    def _ask(self, job: SimulatedJob, metric: SimulatedMetric) -> None:
        reading = read(job, metric, self._world.now)
        if reading is not None and job.state is SimulatedState.RUNNING:
            self._known[job.ordinal, metric] = Shown(values(reading, metric), reading.at)


class RoundRobin(Peer):
    """Every minute the list; what is left of the budget goes from reading to reading, evenly."""

    name = "round robin"

    listed: Sequence[SimulatedMetric] = ()
    """What it takes over from the list itself."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__(world)
        self._credit = 0.0
        self._queue: Iterator[tuple[SimulatedJob, SimulatedMetric]] = iter(())

    async def tick(self, second: int) -> None:
        self._credit += ALLOWANCE / 60
        if second % INTERVAL == 0:
            self._credit -= self._list()
            for job in self._running:
                for metric in self.listed:
                    reading = read(job, metric, self._world.now)
                    if reading is not None:
                        self._known[job.ordinal, metric] = Shown((reading.whole / 100,), reading.at)
        while self._credit >= 1:
            job, metric = self._next()
            if metric in self.listed:
                continue
            self._credit -= 1
            self._ask(job, metric)

    def _next(self) -> tuple[SimulatedJob, SimulatedMetric]:
        question = next(self._queue, None)
        if question is None:
            self._queue = iter(
                [(job, metric) for job in self._running for metric in SimulatedMetric]
            )
            question = next(self._queue)
        return question


class ReadsLists(RoundRobin):
    """The same, but what lists bring along is taken from them and not asked for."""

    name = "round robin, reading lists"
    listed = (SimulatedMetric.GPU_UTILIZATION, SimulatedMetric.MEMORY)


class Unlimited(Peer):
    """Every minute everything, as if there were no limit: the best that the interval allows."""

    name = "without a limit"

    async def tick(self, second: int) -> None:
        if second % INTERVAL == 0:
            self._list()
            for job in self._running:
                for metric in UTILIZATIONS:
                    self._ask(job, metric)


class Heedless(Peer):
    """Every minute everything at once; what is beyond the limit is answered with 429."""

    name = "ignores the limit"

    def __init__(self, world: SimulatedWorld, time: FakeTime) -> None:
        super().__init__(world)
        self._time = time
        self._limiter = RateLimiter(LIMIT, LimitWindow.FIXED)
        self.refused = 0

    async def tick(self, second: int) -> None:
        if second % INTERVAL:
            return
        for _ in range(self._list()):
            self._allowed()
        for job in self._running:
            for metric in SimulatedMetric:
                if self._allowed():
                    self._ask(job, metric)

    def _allowed(self) -> bool:
        verdict = self._limiter.charge("key", self._time.now)
        allowed = verdict is not None and verdict.allowed
        self.refused += not allowed
        return allowed


@dataclass
class Day:
    """What came of it."""

    dialect: SimulatedDialect
    scores: dict[str, Score]
    requests: int
    refused: int
    """Of our own requests."""
    heedless_refused: int
    running: float
    """Jobs that ran, on average."""


class Referee:
    """Sets what is shown against the truth."""

    def __init__(self, world: SimulatedWorld, watchers: Sequence[Watcher]) -> None:
        self._world = world
        self._watchers = watchers
        self._idle_since: dict[int, int] = {}
        self._told: dict[str, dict[int, int]] = {watcher.name: {} for watcher in watchers}
        """Of jobs that are idle: after how many seconds each watcher said so."""
        self.scores = {watcher.name: Score() for watcher in watchers}

    def look(self, second: int) -> None:
        """See which jobs have gone idle, and who says so, by a reading made since."""
        for job in running(self._world):
            devices = truth(job, SimulatedMetric.GPU_UTILIZATION, self._world.now)
            if devices is None or max(devices) >= IDLE_BELOW:
                self._idle_since.pop(job.ordinal, None)
                for told in self._told.values():
                    told.pop(job.ordinal, None)
                continue
            since = self._idle_since.setdefault(job.ordinal, second)
            began = self._world.now - (second - since)
            for watcher in self._watchers:
                told, seen = (
                    self._told[watcher.name],
                    watcher.shown(job, SimulatedMetric.GPU_UTILIZATION),
                )
                if seen is not None and seen.at >= began and max(seen.values) < IDLE_BELOW:
                    told.setdefault(job.ordinal, second - since)
                if second - since == IDLE_FOR and since > 0:
                    self.scores[watcher.name].delays.append(told.get(job.ordinal, IDLE_FOR))

    def score(self) -> int:
        """Measure everybody's error and age now; return how many jobs run."""
        jobs = running(self._world)
        for watcher in self._watchers:
            score = self.scores[watcher.name]
            score.error.append(_error(watcher, jobs, self._world.now))
            ages = [
                self._world.now - seen.at
                for job in jobs
                if (seen := watcher.shown(job, SimulatedMetric.GPU_UTILIZATION)) is not None
            ]
            score.age.append(statistics.fmean(ages))
        return len(jobs)


async def live(dialect: SimulatedDialect, seconds: int) -> Day:
    """Let so many seconds of the day pass."""
    time = FakeTime(START)
    world = SimulatedWorld(seed=SEED, jobs=JOBS, history=100, start=START, clock=time.monotonic)
    ours, heedless = Exporter(world, dialect, time), Heedless(world, time)
    watchers: list[Watcher] = [ours, RoundRobin(world), heedless, Unlimited(world)]
    if dialect is SimulatedDialect.DOCUMENTED:
        watchers.append(ReadsLists(world))
    referee = Referee(world, watchers)
    number: list[int] = []
    async with ours.simulator.serve() as url:
        ours.connect(url)
        for second in range(seconds):
            world.advance()
            for watcher in watchers:
                await watcher.tick(second)
            if second % LOOK_SECONDS == 0:
                referee.look(second)
            if second >= WARM_UP and second % SCORE_SECONDS == 0:
                number.append(referee.score())
            await time.advance(1)
        await ours.poller.stop()
    return Day(
        dialect=dialect,
        scores=referee.scores,
        requests=ours.simulator.stats.requests,
        refused=ours.simulator.stats.refusals,
        heedless_refused=heedless.refused,
        running=statistics.fmean(number),
    )


def running(world: SimulatedWorld) -> list[SimulatedJob]:
    """Return the jobs that run, oldest first."""
    jobs = (world.jobs[ordinal] for ordinal in world.select(None, Status.RUNNING))
    return [job for job in jobs if job.state is SimulatedState.RUNNING]


def values(reading: SimulatedReading, metric: SimulatedMetric) -> tuple[float, ...]:
    """Return the values of a reading; of a utilization as ratios."""
    scale = 100.0 if metric in UTILIZATIONS else 1.0
    return tuple(value / scale for value in reading.parts.values())


def truth(job: SimulatedJob, metric: SimulatedMetric, now: int) -> tuple[float, ...] | None:
    """Return what is true of a job now."""
    reading = read(job, metric, now)
    return None if reading is None else values(reading, metric)


def _error(watcher: Watcher, jobs: list[SimulatedJob], now: int) -> float:
    """Return the mean distance of the utilizations shown from the truth, weighted by price.

    What is not shown counts as shown to be nothing.
    """
    wrong = weight = 0.0
    for job in jobs:
        price = float(job.order.offer.price)
        for metric in UTILIZATIONS:
            true, seen = truth(job, metric, now), watcher.shown(job, metric)
            if true is not None:
                told = statistics.fmean(seen.values) if seen else 0.0
                wrong += price * abs(statistics.fmean(true) - told)
                weight += price
    return wrong / weight
