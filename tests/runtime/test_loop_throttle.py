from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from trainwave_exporter.runtime.loop_throttle import LoopThrottle


async def passed_by_turn(throttle: LoopThrottle, people: int) -> list[list[int]]:
    """Return who passed, turn by turn, of so many who come at once."""
    turns: list[list[int]] = [[]]

    async def one(number: int) -> None:
        await throttle.wait()
        turns[-1].append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(people)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        turns.append([])
    return [turn for turn in turns if turn]


@pytest.mark.parametrize("people", [1, 3, 4, 20])
async def test_so_many_pass_a_turn_in_order_of_their_coming(people: int) -> None:
    turns = await passed_by_turn(LoopThrottle(3), people)
    assert [number for turn in turns for number in turn] == [*range(people)]
    assert max(map(len, turns)) <= 3
    assert len(turns) == -(-people // 3)


async def test_whoever_comes_in_a_later_turn_goes_behind_those_who_wait() -> None:
    throttle, order = LoopThrottle(1), list[str]()

    async def one(name: str) -> None:
        await throttle.wait()
        order.append(name)

    early = [asyncio.create_task(one(name)) for name in "abc"]
    await asyncio.sleep(0)
    late = asyncio.create_task(one("d"))
    await asyncio.gather(*early, late)
    assert order == ["a", "b", "c", "d"]


async def test_who_is_cancelled_takes_nobodys_turn() -> None:
    throttle = LoopThrottle(1)
    passed: Counter[int] = Counter()

    async def one(number: int) -> None:
        await throttle.wait()
        passed[number] += 1

    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert passed == {0: 1, 3: 1}


async def test_it_rests_when_nobody_waits_and_begins_anew() -> None:
    throttle = LoopThrottle(2)
    for _ in range(3):
        assert await passed_by_turn(throttle, 2) == [[0, 1]]
        for _ in range(3):
            await asyncio.sleep(0)
