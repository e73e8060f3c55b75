"""Threads that nobody waits for.

The event loop resolves host names in threads of its default executor, and Python waits for all of
them before it exits. A resolver that hangs would hold up a shutdown for as long as it pleases.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any


class DaemonThreadExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own, which dies with the process.

    It is a `ThreadPoolExecutor` in name only, because the event loop takes no other.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as the base class has it
        """Start the call at once; see `concurrent.futures.Executor.submit`."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=run, name="detached", daemon=True).start()
        return future
