"""Looks up host names in daemon threads.

uvloop looks names up in threads that it waits for before the process ends: a resolver that does not
answer would delay a shutdown until its timeout.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from trainwave_exporter.runtime.daemon_threads import DaemonThreadExecutor

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class DaemonThreadResolver(AbstractResolver):
    """Resolves names as the system does (``/etc/hosts``, DNS), each in a thread of its own."""

    def __init__(self) -> None:
        self._executor = DaemonThreadExecutor()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host. Raises `OSError` where there are none."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, _look_up, host, port, family)

    async def close(self) -> None:
        """Do nothing: threads end by themselves."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
    return [
        ResolveResult(
            hostname=host,
            # Numeric, and with the interface that a link-local IPv6 address needs.
            host=socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0],
            port=port,
            family=of_family,
            proto=protocol,
            flags=_NUMERIC,
        )
        for of_family, _, protocol, _, address in found
    ]
