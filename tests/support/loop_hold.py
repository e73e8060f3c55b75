"""How long one turn of the event loop takes, in CPU time of its thread.

That is what the code takes, however busy the machine is otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LoopHold:
    """The longest turn so far."""

    def __init__(self) -> None:
        self.longest = 0.0
        """Seconds."""

    async def watch(self) -> None:
        """Look at every turn until cancelled."""
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            before = now


@asynccontextmanager
async def watching() -> AsyncIterator[LoopHold]:
    """Watch the event loop until the block ends."""
    hold = LoopHold()
    task = asyncio.create_task(hold.watch())
    await asyncio.sleep(0)
    try:
        yield hold
        await asyncio.sleep(0)
    finally:
        task.cancel()
