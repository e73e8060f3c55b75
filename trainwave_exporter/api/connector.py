"""Connections with a limit on informational responses.

Before its answer a server may send any number of others (``100 Continue``, ``103 Early Hints``).
aiohttp parses all that have arrived in one turn of the event loop, some hundred thousand a second.
So bytes are passed on to it in small pieces, the answers that it finds in them are counted, and the
connection is closed where there are too many.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_ANSWERS: Final = 16
"""To one request, its real one included."""

_A_PIECE: Final = 16 * 1024
"""Bytes that are handed on at a time: they hold some hundred answers at most."""


class BoundedConnector(aiohttp.TCPConnector):
    """Opens and keeps connections, each with that limit."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as the base class has it
    ) -> aiohttp.connector.Connection:
        """Return a connection; see `aiohttp.BaseConnector.connect`."""
        connection = await super().connect(req, traces, timeout)
        transport, handler = connection.transport, connection.protocol
        if transport is not None and handler is not None:
            transport.set_protocol(_AnswerCounter(transport, handler))
        return connection


class _AnswerCounter(asyncio.Protocol):
    """Passes on what a connection receives, until it holds too many answers."""

    def __init__(self, transport: asyncio.Transport, handler: ResponseHandler) -> None:
        self._transport = transport
        self._handler = handler
        self._answers = 0
        self._refused = False

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _A_PIECE):
            waiting = len(self._handler)
            self._handler.data_received(data[start : start + _A_PIECE])
            self._answers += len(self._handler) - waiting
            if self._answers > MOST_ANSWERS:
                self._refuse()
            if self._transport.is_closing():
                return

    def _refuse(self) -> None:
        self._refused = True
        error = OSError(f"more than {MOST_ANSWERS} answers to one request, as 100 Continue is one")
        self._handler.connection_lost(error)
        self._transport.abort()

    def eof_received(self) -> bool | None:
        if not self._refused:
            self._handler.eof_received()
        return None

    def connection_lost(self, error: Exception | None) -> None:
        if not self._refused:
            self._handler.connection_lost(error)

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()
