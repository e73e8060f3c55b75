"""Someone who sends requests through a budget, on a clock turned by hand."""

from __future__ import annotations

import asyncio
from random import Random

from support.fake_time import FakeTime
from trainwave_exporter.api import Priority, RateBudget
from trainwave_exporter.api.headers import rate_headers


class Sender:
    """Notes when each of its requests went out."""

    def __init__(
        self,
        time: FakeTime,
        *,
        share: float = 0.8,
        limit: int = 100,
        max_in_flight: int = 10_000,
    ) -> None:
        self.time = time
        self.budget = RateBudget(
            share=share,
            initial_limit=limit,
            max_in_flight=max_in_flight,
            clock=time.as_clock(Random(7)),
        )
        self.sent: list[tuple[float, Priority]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def want(self, priority: Priority, times: int = 1, *, hold: bool = False) -> None:
        """Begin so many requests; held ones stay in flight."""
        for _ in range(times):
            self.tasks.append(asyncio.create_task(self._send(priority, hold=hold)))

    async def _send(self, priority: Priority, *, hold: bool) -> None:
        await self.budget.acquire(priority)
        self.sent.append((self.time.now, priority))
        if not hold:
            self.budget.release()

    def learn(self, **headers: object) -> None:
        """Let an answer arrive with these: ``Limit``, ``Remaining``, ``Reset``."""
        told = {f"X-RateLimit-{name}": str(value) for name, value in headers.items()}
        self.budget.learn(rate_headers(told, self.time.now))

    def sent_with(self, priority: Priority) -> int:
        return sum(other is priority for _, other in self.sent)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
