"""The event loop that commands run on: uvloop's where it is installed, asyncio's own elsewhere.

uvloop takes a fraction of the processor's time, and keeps no copy of what a slow reader has not
fetched yet.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Final, TypeVar

from trainwave_exporter.runtime.freed_memory import return_large_blocks

T = TypeVar("T")

SWITCH_SECONDS: Final = 0.001
"""For how long another thread (the ledger's) may keep the event loop waiting for the interpreter at
a stretch: a fifth of Python's own, as a publication gives the interpreter away for each cell."""


def _new_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - has no wheels for every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end on a new loop and return what it returns."""
    return_large_blocks()
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=_new_event_loop()) as runner:
        return runner.run(main)
