"""A loop survives its work, reports how it went, and is seen when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from trainwave_exporter.api import InvalidKey, ServerError, Timeout, TrainwaveError
from trainwave_exporter.model import Fact, LoopBegan, LoopRun
from trainwave_exporter.polling.loop import Loop, Work
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.failure_log import SUMMARY_SECONDS


class Clocks:
    def __init__(self) -> None:
        self.now = 0.0
        self.excused = 0.0
        self.facts: list[Fact] = []

    def loop(self, work: Work, interval: float = 30.0) -> Loop:
        return Loop(
            account="a",
            name="running",
            interval=interval,
            work=work,
            observe=self.facts.append,
            clock=Clock(time=lambda: 1000.0 + self.now, monotonic=lambda: self.now),
            excused=lambda: self.excused,
        )


async def test_a_run_is_reported_with_its_outcome_and_duration() -> None:
    clocks = Clocks()

    async def work(_step: Callable[[], None]) -> None:
        clocks.now += 2.5

    loop = clocks.loop(work)
    assert not loop.last_run
    await loop.run()
    expected = LoopRun(account="a", loop="running", succeeded=True, seconds=2.5, finished_at=1002.5)
    assert clocks.facts == [LoopBegan("a", "running", 1000.0), expected]
    assert loop.last_run == expected
    assert loop.last_error is None


async def test_failures_are_logged_at_their_beginning_now_and_then_and_at_their_end() -> None:
    clocks = Clocks()
    failing = True

    async def work(_step: Callable[[], None]) -> None:
        if failing:
            raise Timeout("no answer within 10 s")

    loop = clocks.loop(work)
    errors: list[str | None] = []
    with structlog.testing.capture_logs() as logs:
        for _ in range(25):
            await loop.run()
            clocks.now += SUMMARY_SECONDS / 10
        errors.append(loop.last_error)
        failing = False
        await loop.run()
        await loop.run()
    events = [(entry["event"], entry.get("failures")) for entry in logs]
    assert events == [
        ("loop_failing", None),
        ("loop_still_failing", 11),
        ("loop_still_failing", 21),
        ("loop_recovered", 25),
    ]
    runs = [fact.succeeded for fact in clocks.facts if isinstance(fact, LoopRun)]
    assert runs == [False] * 25 + [True] * 2
    assert [*errors, loop.last_error] == ["no answer within 10 s", None]


async def test_another_cause_is_logged_at_once_and_another_text_of_the_same_is_not() -> None:
    """Whoever reads the log must not take an invalid key for the outage before it."""
    clocks = Clocks()
    errors: list[TrainwaveError] = [
        ServerError(503, None, "maintenance"),
        ServerError(503, None, "maintenance until noon"),
        InvalidKey(401, "invalid_api_key", "the key is invalid"),
        InvalidKey(401, "invalid_api_key", "the key is invalid"),
    ]
    left = iter(errors)

    async def work(_step: Callable[[], None]) -> None:
        raise next(left)

    loop = clocks.loop(work)
    with structlog.testing.capture_logs() as logs:
        for _ in errors:
            await loop.run()
            clocks.now += 30
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("loop_failing", str(errors[0])),
        ("loop_still_failing", str(errors[2])),
    ]


async def test_a_bug_in_the_work_is_shown_once_with_its_traceback_and_stops_nothing() -> None:
    async def work(_step: Callable[[], None]) -> None:
        raise KeyError("surprise")

    clocks = Clocks()
    loop = clocks.loop(work)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await loop.run()
    assert [entry["event"] for entry in logs] == ["loop_failing"]
    assert isinstance(logs[0]["exc_info"], KeyError)
    assert loop.last_error == "KeyError: 'surprise'"


async def test_a_loop_without_a_step_for_long_has_stopped() -> None:
    clocks = Clocks()

    async def work(_step: Callable[[], None]) -> None:
        pass

    loop = clocks.loop(work)
    stopped = []
    for clocks.now in (420.0, 421.0):
        stopped.append(loop.stopped)
    await loop.run()
    assert [*stopped, loop.stopped] == [False, True, False]


async def test_time_that_is_excused_does_not_count_and_all_other_does() -> None:
    clocks = Clocks()

    async def work(_step: Callable[[], None]) -> None:
        pass

    loop = clocks.loop(work)
    stopped = []
    clocks.excused = 3_600.0
    for clocks.now in (3_600.0, 4_020.0, 4_021.0):
        stopped.append(loop.stopped)
    await loop.run()
    for clocks.now in (4_441.0, 4_442.0):  # what was excused before does not count again
        stopped.append(loop.stopped)
    assert stopped == [False, False, True, False, True]


async def test_a_long_run_that_gets_on_has_not_stopped() -> None:
    clocks = Clocks()
    stopped: list[bool] = []

    async def work(step: Callable[[], None]) -> None:
        for _ in range(10):
            clocks.now += 400
            stopped.append(loop.stopped)
            step()

    loop = clocks.loop(work)
    await loop.run()
    assert stopped == [False] * 10


async def test_the_work_is_never_done_twice_at_the_same_time() -> None:
    clocks = Clocks()
    gate = asyncio.Event()
    begun = 0

    async def work(_step: Callable[[], None]) -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    loop = clocks.loop(work)
    first: asyncio.Task[Any] = asyncio.ensure_future(loop.run())
    await asyncio.sleep(0)
    await loop.run()
    assert begun == 1
    gate.set()
    await first
    await loop.run()
    assert begun == 2
