"""Weeks in which jobs come and go, in minutes: nothing is left of those that went.

The rooms are the daemon's own, and so is the HTTP between them and the API; the clocks of both are
turned by hand. So many jobs at once (``SOAK_JOBS``) make about nine times as many in a day.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from operator import le
from pathlib import Path
from typing import NamedTuple

import pytest
from support.exporter import Metrics, wait_for
from support.probed_exporter import Holdings, ProbedExporter
from support.simulated import Served, served
from support.stepped_exporter import StepClock

from trainwave_exporter.simulator import ExpectedTotals, SimulatedDialect, SimulatedWorld, Simulator

pytestmark = pytest.mark.long

HOUR, DAY = 3600, 86_400
JOBS = int(os.environ.get("SOAK_JOBS", "30"))
DAYS = float(os.environ.get("SOAK_DAYS", "6"))
STEP = 12 * HOUR
START = 1_792_000_000
RETENTION = 6 * HOUR
KEY = "soak-key-83ab17"
_KEPT = 1.08
"""By how much memory may differ: what allocators keep of pages of which some is in use."""
WARM = 40_000
"""Jobs after which every cache is as full as it may get: that of the ledger's file has 16 MiB, and
a job takes about half a kilobyte there."""
FILLING = 1.5
"""Kilobytes that a job may add to the caches before."""
SETTLED = 3 * DAY
"""Seconds after which the ledger has begun to forget as many jobs as it learns of."""
CONNECTIONS = 16 + 3
"""To the API, at once: of the readings, and of each list."""
LIVE = frozenset({"SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING"})


LOOPS = ("sweep", "readings", "housekeeping", "ledger", "publication")


class Look(NamedTuple):
    """What there was at one step."""

    at: int
    jobs_ever: int
    series: int
    kilobytes: int


class Soak:
    """The world, the exporter, and their clocks."""

    def __init__(
        self, api: Served, exporter: ProbedExporter, clocks: tuple[StepClock, StepClock]
    ) -> None:
        self._api = api
        self.world = api.simulator.world
        self.exporter = exporter
        self._world_clock, self._clock = clocks
        self._quiet: tuple[int, int, int, float] | None = None
        self._text = ""

    def go_on(self, seconds: int) -> None:
        """Let time pass."""
        self._world_clock.set(self.world.now + seconds)
        self._api.do(lambda simulator: simulator.world.advance())
        self._clock.set(self.world.now)

    def look(self) -> Look:
        """Wait until the exporter knows all there is to know at this time, and rests."""
        self.exporter.gauges.reset()
        runs = runs_of_loops(self._scrape())
        try:
            text = wait_for(lambda: self._settled(runs), "all to be known", 300, pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._lacks(runs)}") from None
        holdings = self._rest()
        self.check_series(text)
        return Look(
            at=self.world.now,
            jobs_ever=len(self.world.jobs),
            series=sum(not line.startswith("#") for line in text.splitlines()),
            kilobytes=holdings.kilobytes,
        )

    def check_series(self, text: str) -> None:
        """Assert that all that live have series, and of the others those that ended of late."""
        expected_totals = self._books()
        shown = Metrics(text).by("job_id", "trainwave_job_info").keys()
        assert (
            set(jobs_since(expected_totals, expected_totals.at))
            <= shown
            <= set(
                # The end of a job whose details were not told yet is when it was seen.
                jobs_since(expected_totals, expected_totals.at - RETENTION - STEP)
            )
        )
        assert set(re.findall(r'[{,]job_id="([^"]*)"', text)) == shown

    def _settled(self, before: dict[str, float]) -> str | None:
        """Return a scrape, if each loop ran since from its begin, and all that live are shown."""
        self._text = self._scrape()
        return None if self._lacks(before) else self._text

    def _lacks(self, before: dict[str, float]) -> list[str]:
        """Return the loops and jobs that the last scrape lacks."""
        runs = runs_of_loops(self._text)
        # One may have been under way, so the second has seen all there is.
        loops = [loop for loop in LOOPS if runs[loop] < before[loop] + 2]
        expected_totals = self._books()
        shown = Metrics(self._text).by("job_id", "trainwave_job_info").keys()
        return [*loops, *sorted(set(jobs_since(expected_totals, expected_totals.at)) - shown)]

    def _books(self) -> ExpectedTotals:
        return self._api.do(lambda simulator: simulator.world.expected_totals())

    def _scrape(self) -> str:
        return self.exporter.get("/metrics")[1]

    def _rest(self) -> Holdings:
        """Wait until no more is held than at the first look; fail if that never comes again.

        Only connections that are kept for the next request may be more: as many as there may be.
        """

        least = [inf] * 4

        def rests() -> Holdings | None:
            now = self.exporter.holdings()
            tasks = self.exporter.gauges.fewest_tasks
            held = (now.files, now.sockets, now.threads, tasks)
            least[:] = map(min, held, least)
            if self._quiet is None:
                self._quiet = (now.files, now.sockets + CONNECTIONS, now.threads, tasks)
            return now if all(map(le, least, self._quiet)) else None

        try:
            return wait_for(rests, "no more files, sockets, threads and tasks than at first")
        except AssertionError as error:
            raise AssertionError(f"{error}: {least} instead of {self._quiet}") from None


def runs_of_loops(text: str) -> dict[str, float]:
    """Return how often each loop ran, whatever came of it."""
    runs = dict.fromkeys(LOOPS, 0.0)
    for labels, number in Metrics(text).all("trainwave_exporter_loop_runs_total"):
        if labels["loop"] in runs:
            runs[labels["loop"]] += number
    return runs


def jobs_since(expected_totals: ExpectedTotals, instant: int) -> Iterator[str]:
    """Yield the ids of the jobs that live or ended since an instant."""
    for entry in expected_totals.jobs.values():
        if entry.state.name in LIVE or entry.timeline[-1][0] >= instant:
            yield entry.ids[SimulatedDialect.DEPLOYED]


@contextmanager
def soaking(folder: Path, jobs: int) -> Iterator[Soak]:
    world_clock = StepClock.create(folder / "world-clock", START)
    clock = StepClock.create(folder / "clock", START)
    world = SimulatedWorld(
        seed=5, jobs=jobs, history=2 * jobs, forget_after=DAY, start=START, clock=world_clock
    )
    simulator = Simulator(
        world, dialect=SimulatedDialect.DEPLOYED, keys=(KEY,), rate_limit=None, page_cap=1000
    )
    with (
        served(simulator) as api,
        ProbedExporter(
            folder / "gauges",
            f"--trainwave.api-url={api.url}",
            "--trainwave.initial-rate-limit=100000",
            "--trainwave.rate-limit-share=1",
            "--trainwave.page-size=1000",
            "--polling.running-interval=200ms",
            "--polling.readings-interval=365d",
            "--polling.sweep-interval=200ms",
            "--fleet.staleness=30d",
            f"--fleet.finished-retention={RETENTION}s",
            f"--storage.path={folder / 'ledger'}",
            "--storage.write-interval=200ms",
            "--metrics.max-jobs=0",
            clock=folder / "clock",
            env={"TRAINWAVE_API_KEY": KEY},
        ) as exporter,
    ):
        yield Soak(api, exporter, (world_clock, clock))


@pytest.mark.timeout(120 + 60 * DAYS)
def test_weeks_of_jobs_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    """Series are those of recent jobs, and memory, descriptors, threads and tasks stay as many."""
    with soaking(tmp_path, JOBS) as soak:
        looks = [soak.look()]
        while soak.world.now - START < DAYS * DAY:
            soak.go_on(STEP)
            looks.append(soak.look())
        assert "Traceback" not in "".join(soak.exporter.raw_log)
    for look in looks:
        print(look)  # noqa: T201 - pytest shows it with a failure, and with -s
    settled = [look for look in looks if look.at - START > SETTLED]
    warm = [look for look in settled if look.jobs_ever > WARM]
    if warm:
        assert max(look.kilobytes for look in warm) <= _KEPT * warm[0].kilobytes
    first, last = settled[0], settled[-1]
    filled = (min(last.jobs_ever, WARM) - min(first.jobs_ever, WARM)) * FILLING
    assert last.kilobytes <= _KEPT * first.kilobytes + filled
