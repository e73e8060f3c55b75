"""How long one turn of the event loop takes, in CPU time of its thread.

That is what the code takes, however busy the machine is otherwise. What the test process keeps
besides is left out of garbage collection meanwhile, as the exporter does with what it keeps.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coverage import Coverage

LONGEST_HOLD = 0.1 if Coverage.current() is None else 0.3
"""Seconds that a turn may take; to be traced for coverage costs twice as much again."""


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
    gc.collect()
    gc.freeze()
    task = asyncio.create_task(hold.watch())
    await asyncio.sleep(0)
    try:
        yield hold
        await asyncio.sleep(0)
    finally:
        task.cancel()
        gc.unfreeze()
