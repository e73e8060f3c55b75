"""Threads that nobody waits for."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from trainwave_exporter.runtime.daemon_threads import DaemonThreadExecutor

HANGS = """
import asyncio, threading
from trainwave_exporter.runtime.daemon_threads import DaemonThreadExecutor

async def main():
    asyncio.get_running_loop().set_default_executor(DaemonThreadExecutor())
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    await asyncio.to_thread(int)

asyncio.run(main())
print("gone")
"""


async def test_calls_return_or_raise_as_anywhere() -> None:
    loop = asyncio.get_running_loop()
    executor = DaemonThreadExecutor()
    assert await loop.run_in_executor(executor, max, 3, 7) == 7
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(executor, divmod, 1, 0)


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=20, check=True
    )
    assert ended.stdout == "gone\n"
