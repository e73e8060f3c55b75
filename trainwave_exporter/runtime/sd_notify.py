"""What a service manager is notified of: that the daemon is ready, that it lives, that it goes.

The protocol of systemd's ``Type=notify``: datagrams to the socket that ``NOTIFY_SOCKET`` names.
Where there is no such variable nothing is sent. Nothing here raises: a service manager that does
not listen is no reason to stop watching jobs.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger()


class Notifier:
    """Talks to the service manager that started this process, if one did."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._interval = _half_of_watchdog(environ)
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """Note that it serves: after the start, and after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Note that the configuration is being read anew; `ready` reports the end of that."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Note that it goes, and send no sign of life any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send("STOPPING=1")

    def keep_alive(self, troubles: Callable[[], list[str]], alive: Callable[[], bool]) -> None:
        """From now on report what is amiss and, while it is ``alive``, that it is.

        Twice in the time that the watchdog grants, and from the event loop: one that is blocked
        sends nothing. To be called within the event loop.
        """
        if self._address and self._interval:
            self._beat(troubles, alive)

    def _beat(self, troubles: Callable[[], list[str]], alive: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._interval, self._beat, troubles, alive)
        status = "; ".join(troubles()) or "ready"
        self._send(*(["WATCHDOG=1"] if alive() else []), f"STATUS={status}")

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        # An abstract socket is written with an @ for its leading zero byte.
        path = self._address
        address = f"\0{path[1:]}" if path.startswith("@") else path
        message = "\n".join(assignment.replace("\n", " ") for assignment in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), address)
        except OSError as error:
            log.warning("notify_failed", socket=path, error=str(error))


def _half_of_watchdog(environ: Mapping[str, str]) -> float:
    """Return half of the watchdog's time in seconds; 0 where none waits for this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
