"""How soon a GPU that goes idle is seen, and that nothing starves for it.

60 running jobs, 100 requests a minute, all defaults. Readings stand still until they change at
once, so that nothing but the plan's own order brings the change to light.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

import pytest
from support.fake_time import FakeTime
from support.still_fleet import START, Dialect, StillApi, StillJob, Window, still_jobs, watched

from trainwave_exporter.model import Metric

RUNNING: Final = 60
FIRST: Final = (1, 300)
"""Seconds in which jobs go idle while everything is read for the first time."""
LATER: Final = (600, 900)
SLOWEST: Final = 200
"""Seconds given to see the last one."""
MEDIAN, P95 = 50, 90
"""Seconds within which idle GPUs are to be seen."""


async def delays(
    dialect: Dialect,
    idle_between: tuple[int, int],
    seed: int,
    *,
    window: Window = "fixed",
    history: int = 0,
    all_change: bool = False,
) -> list[int]:
    """Return the seconds from each job's going idle until it is seen, or `SLOWEST`."""
    jobs = still_jobs(RUNNING, idle_between, seed)
    old = [StillJob(f"h-{n:04}", 8, 20.0, finished=True) for n in range(history)]
    time = FakeTime(START)
    api = StillApi(dialect, time, [*jobs, *old], window=window, all_change=all_change)
    async with watched(api, [job.id for job in old]) as watch:
        await watch.run(idle_between[1] + SLOWEST)
        assert api.refused == 0
        return [watch.delays.get(job.id, SLOWEST) for job in jobs]


def assert_soon(seconds: Sequence[int]) -> None:
    assert statistics.median(seconds) <= MEDIAN
    assert statistics.quantiles(seconds, n=20)[-1] <= P95


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_an_idle_gpu_is_seen_soon_while_everything_is_read_for_the_first_time(
    dialect: Dialect,
) -> None:
    seen = [await delays(dialect, FIRST, seed, all_change=seed == 2) for seed in (1, 2)]
    assert_soon([each for run in seen for each in run])


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_an_idle_gpu_is_seen_soon_afterwards(dialect: Dialect) -> None:
    assert_soon(await delays(dialect, LATER, seed=1))


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_an_idle_gpu_is_seen_soon_while_a_long_history_is_read(dialect: Dialect) -> None:
    assert_soon(await delays(dialect, FIRST, seed=1, history=1_000))


async def test_an_idle_gpu_is_seen_soon_where_the_limit_slides() -> None:
    assert_soon(await delays("deployed", FIRST, seed=3, window="sliding"))


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_no_reading_starves_for_it(dialect: Dialect) -> None:
    """Within the bound that is published all are read, and again, beside a long history."""
    old = [StillJob(f"h-{n:04}", 8, 20.0, finished=True) for n in range(1_000)]
    api = StillApi(dialect, FakeTime(START), [*still_jobs(RUNNING, LATER, seed=1), *old])
    async with watched(api, [job.id for job in old]) as watch:
        await watch.run(60)
        bound = int(watch.poller.readings_max_age)
        await watch.run(bound - 60)
        assert watch.unread() == 0
        assert max(age for ages in watch.ages.values() for age in ages) <= bound
        assert all(watch.oldest(metric) <= bound for metric in Metric)
        assert api.asked["job"] >= 200
