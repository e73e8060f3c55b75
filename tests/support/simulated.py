"""A simulator in a thread of its own, so that tests may block while it serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from trainwave_exporter.simulator import Simulator

T = TypeVar("T")


@dataclass(frozen=True)
class Served:
    """A simulator that serves."""

    simulator: Simulator
    url: str
    """Base URL of the API."""
    loop: asyncio.AbstractEventLoop

    def do(self, action: Callable[[Simulator], T]) -> T:
        """Do something to the simulator or its world between two requests."""

        async def act() -> T:
            return action(self.simulator)

        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(30)


@contextmanager
def serving(simulator: Simulator) -> Iterator[str]:
    """Serve while the context lasts; give the API's base URL."""
    with served(simulator) as api:
        yield api.url


@contextmanager
def served(simulator: Simulator) -> Iterator[Served]:
    """Serve while the context lasts, and let the world be changed meanwhile."""
    started = threading.Event()
    url = ""
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        nonlocal url
        async with simulator.serve() as base:
            url = base
            started.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield Served(simulator, url, loop)
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(30)
        loop.close()
