"""A clock that tests turn by hand, and a sleep that goes by it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from random import Random

from trainwave_exporter.runtime.clock import Clock

START = 1_711_011_600.0
"""2024-03-21T09:00:00Z."""


class FakeTime:
    """Stands still until it is advanced; sleepers wake in the order of their times.

    Setting `now` sets the wall clock, which the monotonic one and sleepers do not go by.
    """

    def __init__(self, now: float = START) -> None:
        self._elapsed = now
        self._set_by = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def now(self) -> float:
        return self._elapsed + self._set_by

    @now.setter
    def now(self, now: float) -> None:
        self._set_by = now - self._elapsed

    def clock(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self._elapsed

    def as_clock(self, random: Random | None = None) -> Clock:
        """Return it as the exporter's clock, with chance of its own."""
        return Clock(
            time=self.clock,
            monotonic=self.monotonic,
            sleep=self.sleep,
            random=random or Random(1),
        )

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                self._elapsed = max(self._elapsed, due)
                woken.set_result(None)
                await settle()
        self._elapsed = end
        await settle()

    def hold(self, seconds: float) -> None:
        """Let time pass without anybody's turn, as where the event loop is held up."""
        self._elapsed += seconds

    @property
    def sleeping(self) -> int:
        """How many sleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)
