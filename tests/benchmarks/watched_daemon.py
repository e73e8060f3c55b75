"""The exporter with a heartbeat on its event loop: ``python watched_daemon.py FLAGS``.

At SIGUSR1 it writes to standard output for how many seconds of its own processor time the loop was
busy at most without another turn for the heart, and begins anew. Time in which other processes had
the processor does not count.
"""

# ruff: noqa: T201  it prints what it measured

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Final, TypeVar

from trainwave_exporter import cli
from trainwave_exporter.cli import event_loop

T = TypeVar("T")

BEAT: Final = 0.002
_run = event_loop.run


class Heart:
    """Beats as long as the loop has time for it."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def beat(self) -> None:
        """Note the longest time that a beat had to wait for others."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(BEAT)
            self._longest = max(self._longest, time.thread_time() - before)

    def tell(self) -> None:
        """Write the longest time, and forget it."""
        print(self._longest, flush=True)
        self._longest = 0.0


def run(main: Coroutine[None, None, T]) -> T:
    """Run a coroutine as the command line does, with a heart beside it."""

    async def watched() -> T:
        heart = Heart()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heart.tell)
        beating = asyncio.create_task(heart.beat())
        try:
            return await main
        finally:
            beating.cancel()

    return _run(watched())


if __name__ == "__main__":
    event_loop.run = run
    sys.exit(cli.main())
