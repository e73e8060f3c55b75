"""Loops start at once, go on at their interval, and outlive a clock that was set."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from trainwave_exporter.polling import Loop, Schedule
from trainwave_exporter.polling.schedule import _Every
from trainwave_exporter.runtime.clock import Clock, ClockWatch


class Runs:
    """A loop that counts its runs, and lets tests wait for them."""

    def __init__(self, interval: float) -> None:
        self.count = 0
        self._ran = asyncio.Event()
        self.loop = Loop(
            account="a",
            name=f"every {interval} s",
            interval=interval,
            work=self._work,
            observe=lambda _fact: None,
            clock=Clock(),
        )

    async def _work(self, _step: Callable[[], None]) -> None:
        self.count += 1
        self._ran.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                self._ran.clear()
                await self._ran.wait()


def new_schedule(loops: Iterable[Loop], clock: Clock | None = None) -> Schedule:
    return Schedule(loops, clock_watch=ClockWatch(clock or Clock()))


async def test_loops_run_at_once_and_again_at_their_interval() -> None:
    often, seldom = Runs(0.05), Runs(3600)
    schedule = new_schedule([often.loop, seldom.loop])
    schedule.start()
    await often.reach(3)
    schedule.stop()
    assert seldom.count == 1


async def test_a_loop_can_be_made_to_hurry() -> None:
    runs = Runs(3600)
    schedule = new_schedule([runs.loop])
    schedule.start()
    await runs.reach(1)
    schedule.hurry(runs.loop)
    await runs.reach(2)
    schedule.stop()
    schedule.hurry(runs.loop)
    assert runs.count == 2


@pytest.mark.parametrize(("error", "reported"), [(asyncio.CancelledError(), 0), (ValueError(), 1)])
def test_a_loop_that_a_stop_cancels_before_it_began_is_no_error(
    error: BaseException, reported: int, caplog: pytest.LogCaptureFixture
) -> None:
    """APScheduler logs it as one, with a traceback."""
    logger = logging.getLogger("apscheduler.executors.default")
    logger.error("Error running job", exc_info=(type(error), error, None))
    assert len(caplog.records) == reported


def test_what_was_missed_is_made_up_for_once() -> None:
    """However long the machine slept, or however far its clock was set forward."""
    every = _Every(30)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert every.get_next_fire_time(None, now) == now
    soon = now + timedelta(seconds=10)
    assert every.get_next_fire_time(now, soon) == now + timedelta(seconds=30)
    years_later = now + timedelta(days=3650)
    following = every.get_next_fire_time(now, years_later)
    assert years_later < following < years_later + timedelta(seconds=1)


async def test_nothing_runs_after_the_stop() -> None:
    runs = Runs(0.01)
    schedule = new_schedule([runs.loop])
    schedule.start()
    await runs.reach(1)
    schedule.stop()
    schedule.stop()
    for _ in range(3):
        await asyncio.sleep(0)
    count = runs.count
    rest = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.1, rest.set_result, None)
    await rest
    assert runs.count == count


async def test_a_stop_cancels_what_runs_without_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(_step: Callable[[], None]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = Loop(
        account="a",
        name="waiting",
        interval=3600,
        work=work,
        observe=lambda _fact: None,
        clock=Clock(),
    )
    schedule = new_schedule([loop])
    schedule.start()
    async with asyncio.timeout(10):
        await begun.wait()
        with caplog.at_level("ERROR"):
            schedule.stop()
            await ended.wait()
            await asyncio.sleep(0)
    assert caplog.records == []


async def test_a_clock_that_is_set_starts_every_loop_anew() -> None:
    runs = Runs(3600)
    shift = 0.0
    schedule = new_schedule([runs.loop], clock=Clock(time=lambda: time.time() + shift))
    with structlog.testing.capture_logs() as logs:
        schedule.start()
        await runs.reach(1)
        shift = -3600.0
        await runs.reach(2)
        schedule.stop()
    (entry,) = logs
    assert (entry["event"], entry["seconds"]) == ("clock_jumped", -3600.0)


async def test_loops_are_added_and_removed_while_it_runs() -> None:
    stays, goes, comes = Runs(0.05), Runs(0.06), Runs(0.07)
    schedule = new_schedule([stays.loop, goes.loop])
    schedule.start()
    await goes.reach(1)
    await schedule.remove([goes.loop])
    gone = goes.count
    schedule.add([comes.loop])
    await comes.reach(2)
    await stays.reach(stays.count + 2)
    schedule.stop()
    assert goes.count == gone


async def test_a_loop_that_is_removed_gives_up_what_it_has_under_way() -> None:
    begun, ended = asyncio.Event(), []

    async def work(_step: Callable[[], None]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    loop = Loop(
        account="a",
        name="sweep",
        interval=3600,
        work=work,
        observe=lambda _fact: None,
        clock=Clock(),
    )
    schedule = new_schedule([loop])
    schedule.start()
    await begun.wait()
    await schedule.remove([loop])
    assert ended == [True]
    schedule.stop()
