"""A month of jobs, and of all that may happen to an exporter meanwhile.

The exporter's clock stands still while it looks at the world, and then jumps by minutes or hours.
So what it saw is known exactly, and a month passes in a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import NamedTuple

from support.audit import Audit
from support.exporter import wait_for
from support.simulated import serving
from support.stepped import Exposition, StepClock, SteppedExporter
from trainwave_exporter.simulator import Books, Dialect, Faults, Simulator, World, parse_faults

COST = "trainwave_project_cost_dollars_total"
GPU_HOURS = "trainwave_project_gpu_hours_total"
ACTIVITY = "trainwave_project_activity_gpu_hours_total"
WASTE = "trainwave_waste_dollars_total"
CORRECTIONS = "trainwave_cost_corrections_dollars_total"
COUNTERS = (COST, GPU_HOURS, ACTIVITY, WASTE, CORRECTIONS)

START = 1_792_000_000
"""In October 2026: the month from then on has the end of a month and a change of clocks in it."""
MONTH = 30 * 86_400
RETENTION = 48 * 3600
"""Seconds after its end in which the details of a job can be asked for: no outage is longer."""
_SHORTEST, _LONGEST = 600, 80_000
"""Seconds from one step to the next, before they are stretched to a month."""
_KEY = "month-key-2f8c1d"
_SHOWN = (
    *COUNTERS,
    "trainwave_job_info",
    "trainwave_job_finished_timestamp_seconds",
    "trainwave_exporter_plan_requests",
    "trainwave_exporter_loop_*",
    "trainwave_exporter_ledger_*",
)
_FLAGS = (
    "--polling.running-interval=100ms",
    "--polling.sweep-interval=200ms",
    "--polling.directory-interval=10m",
    "--polling.readings-interval=365d",
    "--fleet.staleness=30d",
    f"--fleet.finished-retention={RETENTION}s",
    "--trainwave.initial-rate-limit=100000",
    "--trainwave.rate-limit-share=1",
    "--storage.write-interval=100ms",
    f"--metrics.allow={','.join(_SHOWN)}",
)


class Scrape(NamedTuple):
    """What the exporter showed when it had seen and written all there was."""

    at: int
    metrics: Exposition
    kills: int
    """How often the exporter had been killed by then."""


class Month:
    """A world, an exporter that watches it, and what the `audit` of both says."""

    def __init__(
        self, folder: Path, dialect: Dialect, *, seed: int, jobs: int, history: int
    ) -> None:
        """``folder`` is for all files; the ledger is in ``ledger``, the log in ``log``."""
        self.kills = 0
        self.fallen: list[str] = []
        """Counters that were lower than before, at whichever scrape."""
        self._folder = folder
        self._dialect = dialect
        self._clock = StepClock.create(folder / "clock", START)
        # The world goes ahead while nobody looks; only then the exporter is let go on.
        self._world_clock = StepClock.create(folder / "world-clock", START)
        self._world = World(
            seed=seed, jobs=jobs, history=history, start=START, clock=self._world_clock
        )
        self._simulator = Simulator(self._world, dialect=dialect, keys=(_KEY,), rate_limit=None)
        self.audit = Audit(self._world, dialect)
        self._random = Random(seed)
        self._highest: dict[str, float] = {}

    @contextmanager
    def _serving(self) -> Iterator[SteppedExporter]:
        with (
            serving(self._simulator) as url,
            SteppedExporter(
                self._folder / "clock",
                self._folder / "log",
                f"--trainwave.api-url={url}",
                f"--storage.path={self._folder / 'ledger'}",
                *_FLAGS,
                env={"TRAINWAVE_API_KEY": _KEY},
            ) as exporter,
        ):
            yield exporter

    def pass_by(self, steps: int, kills: int) -> Iterator[Scrape]:
        """Let it happen; yield whenever the exporter has seen and written all there is.

        After kills the exporter comes back at once, or some steps later; at times the API does not
        answer. The last step is a quiet one.
        """
        random = self._random
        kill_at = set(random.sample(range(steps), kills))
        down_at = set(random.sample(range(1, steps), steps // 20))
        jumps = [0, *self._jumps(steps - 1)]
        # Only one dialect has details that can be missed.
        longest = RETENTION if self._detailed else MONTH
        looked_at = self._clock()
        off = down = 0
        with self._serving() as exporter:
            for step, (seconds, following) in enumerate(zip(jumps, [*jumps[1:], 0], strict=True)):
                last_chance = self._clock() + seconds + following > looked_at + longest
                if last_chance:
                    off = down = 0
                elif step in down_at:
                    down = random.randint(1, 3)
                self._go_on(seconds, down=down > 0)
                if step in kill_at:
                    exporter.ensure_running()
                    self._kill(exporter)
                    if not down:
                        self.audit.look(self.books, sure=False)
                    if not last_chance and random.random() < 0.4:
                        off = random.randint(1, 3)
                if not off:
                    exporter.ensure_running()
                    if not down:
                        yield self._look(exporter)
                        looked_at = self._clock()
                off, down = max(0, off - 1), max(0, down - 1)
            self._go_on(_SHORTEST, down=False)
            exporter.ensure_running()
            yield self._look(exporter)

    @property
    def books(self) -> Books:
        """The truth, now."""
        return self._world.books()

    @property
    def _detailed(self) -> bool:
        """Whether the API tells some things of a job only where it is asked for that job."""
        return self._dialect is Dialect.DOCUMENTED

    def _jumps(self, number: int) -> list[int]:
        """Draw how long each step lasts: as many short as long ones, a month in all."""
        ratio = _LONGEST / _SHORTEST
        drawn = [_SHORTEST * ratio ** self._random.random() for _ in range(number)]
        return [round(seconds * MONTH / sum(drawn)) for seconds in drawn]

    def _go_on(self, seconds: int, *, down: bool) -> None:
        if down:
            self._simulator.faults = parse_faults("down=1")
        now = self._clock() + seconds
        self._world_clock.set(now)
        self._world.advance()
        self._correct_a_job()
        self._clock.set(now)
        if not down:
            self._simulator.faults = Faults()

    def _correct_a_job(self) -> None:
        """Correct what a job costs that runs or ended of late, beyond what the world does."""
        now, random = self._world.now, self._random
        lately = [
            job
            for job in self._world.jobs[-40:]
            if job.cost(now) > 0 and (job.finished_at is None or now - job.finished_at < 86_400)
        ]
        if lately and random.random() < 0.7:
            job = random.choice(lately)
            job.correct(int(job.cost(now) * random.uniform(-0.3, 0.2)), now)

    def _kill(self, exporter: SteppedExporter) -> None:
        """Kill the exporter: at once, after a while, or as soon as it writes."""
        pause, log = Event(), self._folder / "ledger" / "ledger.sqlite3-wal"
        match self._random.randrange(3):
            case 1:
                pause.wait(self._random.uniform(0, 0.5))
            case 2:
                before = _touched(log)
                for _ in range(500):  # it may have nothing to write
                    if _touched(log) != before:
                        break
                    pause.wait(0.001)
        exporter.kill()
        self.kills += 1

    def _look(self, exporter: SteppedExporter) -> Scrape:
        """Have the exporter look at the world until it has nothing more to ask or to write."""
        books = self.books
        self.audit.look(books, sure=True)
        known = self._wait(exporter, lambda m: self._all_known(m, books), "all to be known")
        runs = _runs_of_ledger(known)
        written = self._wait(
            exporter,
            # One may have been under way, so the second has written all.
            lambda m: (
                _runs_of_ledger(m) >= runs + 2
                and not m.get("trainwave_exporter_ledger_waiting_jobs")
            ),
            "all to be written",
        )
        return Scrape(books.at, written, self.kills)

    def _all_known(self, metrics: Exposition, books: Books) -> bool:
        """Whether the exporter knows of the world what there is to know at this time."""
        succeeded = metrics.by("loop", "trainwave_exporter_loop_last_success_timestamp_seconds")
        if not succeeded.get("sweep") == succeeded.get("running") == books.at:
            return False
        planned = metrics.all("trainwave_exporter_plan_requests")
        stats = self._simulator.stats
        if any(number for _, number in planned) or stats.requests != stats.by_status.total():
            return False
        shown = [labels for labels, _ in metrics.all("trainwave_job_info")]
        ids = {labels["job_id"] for labels in shown}
        if not self._detailed or not self.audit.live <= ids:
            return self.audit.live <= ids
        ended = metrics.by("job_id", "trainwave_job_finished_timestamp_seconds")
        over = {job_id for job_id in ids if self.audit.jobs[job_id].over}
        return over <= ended.keys() and all(labels.get("gpu_type") for labels in shown)

    def _wait(
        self, exporter: SteppedExporter, condition: Callable[[Exposition], bool], what: str
    ) -> Exposition:
        """Scrape until a condition holds, and return that scrape."""

        def scrape() -> Exposition | None:
            metrics = exporter.metrics()
            self._note_falls(metrics)
            return metrics if condition(metrics) else None

        return wait_for(scrape, what)

    def _note_falls(self, metrics: Exposition) -> None:
        for name in COUNTERS:
            for series, value in metrics.series(name):
                if value < self._highest.get(series, 0.0):
                    self.fallen.append(f"{series}: {self._highest[series]} to {value}")
                self._highest[series] = value


def _touched(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _runs_of_ledger(metrics: Exposition) -> float:
    runs = metrics.all("trainwave_exporter_loop_runs_total", loop="ledger")
    return sum(value for _, value in runs)
