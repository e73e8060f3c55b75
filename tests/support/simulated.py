"""A simulator in a thread of its own, so that tests may block while it serves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from trainwave_exporter.simulator import Simulator


@contextmanager
def serving(simulator: Simulator) -> Iterator[str]:
    """Serve while the context lasts; give the API's base URL."""
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
        yield url
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(30)
        loop.close()
