"""The event loop that commands run on: uvloop's where it is installed, asyncio's own elsewhere.

uvloop takes a fraction of the processor's time, and keeps no copy of what a slow reader has not
fetched yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


def _new_event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - has no wheels for every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(main: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end on a new loop and return what it returns."""
    with asyncio.Runner(loop_factory=_new_event_loop()) as runner:
        return runner.run(main)
