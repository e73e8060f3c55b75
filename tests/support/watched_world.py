"""A world and an exporter that watches it, step by step.

The exporter's clock stands still while it looks at the world, and then jumps, by hours if need be.
So what it saw is known exactly, and much time passes in little.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from support.audit import Audit
from support.exporter import Metrics, wait_for
from support.simulated import Served, served
from support.stepped_exporter import Rest, StepClock, SteppedExporter
from trainwave_exporter.simulator import (
    BillingMix,
    ExpectedTotals,
    Faults,
    SimulatedDialect,
    SimulatedWorld,
    Simulator,
    parse_faults,
)

COST = "trainwave_project_cost_dollars_total"
GPU_HOURS = "trainwave_project_gpu_hours_total"
ACTIVITY = "trainwave_project_activity_gpu_hours_total"
WASTE = "trainwave_waste_dollars_total"
CORRECTIONS = "trainwave_cost_corrections_dollars_total"
COUNTERS = (COST, GPU_HOURS, ACTIVITY, WASTE, CORRECTIONS)
WAITING = "trainwave_exporter_ledger_waiting_jobs"
GENERATION = "ledger.sqlite3-generation"
"""The file beside the ledger that has the number of its last write."""

START = 1_792_000_000
"""In October 2026: the month from then on has the end of a month and a change of clocks in it."""
RETENTION = 48 * 3600
"""Seconds after its end in which a job is shown, and so its details are asked for."""
_KEY = "watch-key-2f8c1d"
_SHOWN = (
    *COUNTERS,
    "trainwave_up",
    "trainwave_job_info",
    "trainwave_job_cost_dollars",
    "trainwave_job_finished_timestamp_seconds",
    "trainwave_organization_credit_balance_dollars",
    "trainwave_reconciliation_difference_dollars",
    "trainwave_exporter_api_requests_total",
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
    """What the exporter showed when it had seen and written all it could."""

    at: int
    metrics: Metrics
    kills: int
    """How often the exporter had been killed by then."""
    restored: int | None
    """When the copy was made that was last put in the ledger's place."""
    caught_up: bool
    """The exporter read the whole list since it started, so it shows counters."""
    regained: bool
    """These are the first counters since a copy was put in place, and the exporter knows it was.

    What came up since the copy was made opens as a whole.
    """


class Backup(NamedTuple):
    """A copy of the ledger, as it was at an instant."""

    at: int
    path: Path


class Watch:
    """A world, its API, and the exporter. The `audit` says what must come of it."""

    def __init__(
        self,
        world: SimulatedWorld,
        served: Served,
        exporter: SteppedExporter,
        clocks: tuple[StepClock, StepClock],
        audit: Audit,
        ledger: Path,
    ) -> None:
        """``clocks``: the world's and the exporter's; ``ledger``: its folder."""
        self.audit = audit
        self.exporter = exporter
        self.ledger = ledger
        self.kills = self.restores = 0
        self.restored: int | None = None
        """When the copy was made that was last put in the ledger's place."""
        self.corrected = 0.7
        """How likely a job is corrected in each step."""
        self._caught_up = False
        """The exporter read the whole list since it started."""
        self._regaining = False
        """It has yet to show counters since a copy was put in place, and will know it was."""
        self.fallen: list[str] = []
        """Counters that were lower than before, at whichever scrape."""
        self.world = world
        self._served = served
        self._world_clock, self._clock = clocks
        self._random = Random(world.seed)
        self._highest: dict[str, float] = {}
        self._seen_since = True
        """The exporter looked since a copy of the ledger was put back."""

    @property
    def now(self) -> int:
        """The time, which stands still (Unix seconds)."""
        return self.world.now

    @property
    def expected_totals(self) -> ExpectedTotals:
        """The truth, now."""
        return self.world.expected_totals()

    def go_on(self, seconds: int, *, down: bool = False) -> None:
        """Let time pass, and some job be corrected; ``down``: the API does not answer then.

        No request sees the world ahead of the exporter's clock.
        """

        def pass_on(simulator: Simulator) -> None:
            simulator.faults = parse_faults("down=1") if down else Faults()
            self._world_clock.set(self.now + seconds)
            self.world.advance()
            if self._seen_since:
                self._correct_a_job()
            self._clock.set(self.now)

        self._served.do(pass_on)

    def _correct_a_job(self) -> None:
        """Correct what a job costs that runs or ended of late, beyond what the world does."""
        lately = [
            job
            for job in self.world.jobs[-40:]
            if job.cost(self.now) > 0
            and self.world.corrigible(job)
            and (job.finished_at is None or self.now - job.finished_at < 86_400)
        ]
        if lately and self._random.random() < self.corrected:
            job = self._random.choice(lately)
            self.world.correct(job, int(job.cost(self.now) * self._random.uniform(-0.3, 0.2)))

    def kill(self, *, answered: bool) -> None:
        """Kill the exporter; ``answered``: the API did, so it may have looked before."""
        self.exporter.kill()
        self.kills += 1
        self._caught_up = False
        if answered:
            self.audit.look(self.expected_totals, sure=False)

    def back_up(self) -> Backup:
        """Copy the ledger as SQLite's own tools do, while the exporter runs."""
        path = self.ledger.with_name(f"backup-{self.now}")
        with (
            closing(sqlite3.connect(self.ledger / "ledger.sqlite3")) as ledger,
            closing(sqlite3.connect(path)) as copy,
        ):
            ledger.backup(copy)
        return Backup(self.now, path)

    def restore(self, backup: Backup, *, noted: bool) -> None:
        """Put a copy in the ledger's place, while the exporter does not run.

        ``noted``: the number of the last write stays beside it, so that it is known for a copy.
        """
        assert self.exporter.pid is None
        for path in self.ledger.glob("ledger.sqlite3*"):
            if not (noted and path.name == GENERATION):
                path.unlink()
        shutil.copy(backup.path, self.ledger / "ledger.sqlite3")
        self.audit.lose(backup.at)
        self.restores += 1
        self.restored = backup.at
        self._seen_since = False
        self._regaining = noted
        # What the API reports no more is lost, so its counters may fall.
        lasting = (COST, GPU_HOURS) if noted and self.audit.detailed else (COST,) if noted else ()
        self._highest = {
            series: value for series, value in self._highest.items() if series.startswith(lasting)
        }

    def look(self, *, answered: bool = True) -> Scrape:
        """Have the exporter look at the world until it has nothing more to ask or to write.

        Not ``answered``: the API is down, so all there is to do is done soon.
        """
        before = self.see(sure=True) if answered else self.exporter.metrics()
        runs = _runs(before, "ledger")
        written = self.wait(
            # One may have been under way, so the second has written all.
            lambda m: _runs(m, "ledger") >= runs + 2 and not m.get(WAITING),
            "all to be written",
        )
        # What an answer says of loops is newer than what it says of money.
        published = _runs(written, "publication")
        written = self.wait(lambda m: _runs(m, "publication") > published, "all to be shown")
        regained = self._regaining and self._caught_up
        self._regaining &= not regained
        return Scrape(self.now, written, self.kills, self.restored, self._caught_up, regained)

    def see(self, *, sure: bool) -> Metrics:
        """Have the exporter look likewise; ``sure``: it will be able to write what it saw."""
        expected_totals = self.expected_totals
        self.audit.look(expected_totals, sure=sure)
        self._seen_since = True
        rest = Rest()
        known = self.wait(
            lambda m: rest.of(m) and self._all_known(m, expected_totals), "all to be known"
        )
        self._caught_up = True
        return known

    def wait(self, condition: Callable[[Metrics], object], what: str) -> Metrics:
        """Scrape until a condition holds, and return that scrape."""

        def scrape() -> Metrics | None:
            metrics = self.exporter.metrics()
            self._note_falls(metrics)
            return metrics if condition(metrics) else None

        return wait_for(scrape, what)

    def _all_known(self, metrics: Metrics, expected_totals: ExpectedTotals) -> bool:
        """Whether the exporter knows of the world what there is to know at this time."""
        succeeded = metrics.by("loop", "trainwave_exporter_loop_last_success_timestamp_seconds")
        if not succeeded.get("sweep") == succeeded.get("running") == expected_totals.at:
            return False
        stats = self._served.simulator.stats
        if stats.requests != stats.by_status.total():
            return False
        costs = metrics.by("job_id", "trainwave_job_cost_dollars")
        told = {job_id: self.audit.jobs[job_id].looks[-1] for job_id in costs}
        if not self.audit.live <= costs.keys() or any(
            round(costs[job_id] * 1_000_000) != look.cost for job_id, look in told.items()
        ):
            return False
        if not self.audit.detailed:
            return True
        ended = metrics.by("job_id", "trainwave_job_finished_timestamp_seconds")
        described = all(labels["gpu_type"] for labels, _ in metrics.all("trainwave_job_info"))
        return described and {job_id for job_id, look in told.items() if look.over} <= ended.keys()

    def _note_falls(self, metrics: Metrics) -> None:
        for name in COUNTERS:
            for series, value in metrics.series(name):
                if value < self._highest.get(series, 0.0):
                    self.fallen.append(f"{series}: {self._highest[series]} to {value}")
                self._highest[series] = value


def _runs(metrics: Metrics, loop: str) -> float:
    runs = metrics.all("trainwave_exporter_loop_runs_total", loop=loop)
    return sum(value for _, value in runs)


@contextmanager
def watching(
    folder: Path,
    dialect: SimulatedDialect,
    *flags: str,
    seed: int,
    jobs: int,
    history: int,
    billing: BillingMix = BillingMix(),  # noqa: B008 - it is frozen
    start: int = START,
) -> Iterator[Watch]:
    """Set up a world and an exporter, which does not run yet, with all files in ``folder``.

    ``flags`` are the exporter's, beside those it always has, or in their place.
    """
    world_clock = StepClock.create(folder / "world-clock", start)
    clock = StepClock.create(folder / "clock", start)
    world = SimulatedWorld(
        seed=seed, jobs=jobs, history=history, billing=billing, start=start, clock=world_clock
    )
    simulator = Simulator(world, dialect=dialect, keys=(_KEY,), rate_limit=None)
    ledger = folder / "ledger"
    with (
        served(simulator) as api,
        SteppedExporter(
            folder / "clock",
            f"--trainwave.api-url={api.url}",
            f"--storage.path={ledger}",
            *_FLAGS,
            *flags,
            env={"TRAINWAVE_API_KEY": _KEY},
        ) as exporter,
    ):
        audit = Audit(world, dialect)
        yield Watch(world, api, exporter, (world_clock, clock), audit, ledger)
