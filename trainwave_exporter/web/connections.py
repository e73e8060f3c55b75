"""The connections to the web server: how many there may be, and how long each may take.

A connection takes a file descriptor, and memory for what is not sent yet. There are at most so many
of them; where there is no room, the newest takes the place of one without a request under way: of
the address that has most, the one that has waited longest. Some places are kept for the addresses
of known scrapers: those that fetched the metrics before. As anybody can become one, none of them
can keep another out: where each place has an answer under way, a known scraper takes one from an
address that has more of them. A request must be complete, and an answer taken to its last byte,
within a bound of time.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import socket
import ssl
import struct
import termios
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, cast

from aiohttp import web

from trainwave_exporter.runtime.loop_throttle import LoopThrottle
from trainwave_exporter.web.clients import client_of

MOST_CONNECTIONS: Final = 256
"""Connections at a time, whatever the limit of file descriptors is."""

IDLE_SECONDS: Final = 300.0
"""Time that a connection may be kept open between two requests."""

_KEPT_SHARE: Final = 4
"""One in so many places is kept for known scrapers."""

_MOST_KNOWN: Final = 256
_KNOWN_SECONDS: Final = 3600.0

_MOST_UNSENT: Final = 64 * 1024
"""Bytes of an answer that the kernel takes for a connection beyond what the peer has room for."""

_A_TURN: Final = 8
"""Connections that are accepted within one turn of the event loop: enough that nobody waits long
behind a crowd, few enough that the crowd sends no megabytes before it is refused."""

_RETRY_SECONDS: Final = 0.1
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: drop what was not taken, and reset the peer
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Drop(StrEnum):
    """Why a connection is refused, or closed early."""

    LIMIT = "limit"
    """There are too many, and each has an answer under way."""
    DISPLACED = "displaced"
    """There was no other place for a newer one, and it had no request under way, or its address
    more places than that of the newer one."""
    REQUEST_TIMEOUT = "request_timeout"
    """It sent no complete request in time."""
    ANSWER_TIMEOUT = "answer_timeout"
    """It did not take an answer in time."""
    ACCEPT_FAILED = "accept_failed"
    """There was no file descriptor left for it."""


def connection_limit(descriptors: int) -> int:
    """Return how many connections there may be under a limit of open files; negative: no limit.

    The other half is left to the API, the ledger and the process itself.
    """
    return MOST_CONNECTIONS if descriptors < 0 else max(1, min(MOST_CONNECTIONS, descriptors // 2))


class KnownScrapers:
    """Addresses that fetched the metrics before.

    Who is known stays known for an hour; when there are ``most``, nobody else gets in until then.
    """

    def __init__(self, clock: Callable[[], float], most: int = _MOST_KNOWN) -> None:
        self._clock = clock
        self._most = most
        self._seen_at: OrderedDict[str, float] = OrderedDict()

    def add(self, client: str) -> None:
        """Note that a client fetched the metrics just now."""
        now = self._clock()
        while self._seen_at and next(iter(self._seen_at.values())) < now - _KNOWN_SECONDS:
            self._seen_at.popitem(last=False)
        if client in self._seen_at or len(self._seen_at) < self._most:
            self._seen_at[client] = now
            self._seen_at.move_to_end(client)

    def __contains__(self, client: str) -> bool:
        return client in self._seen_at


class Connections:
    """Accepts connections, hands each to an HTTP protocol, and drops those that break the bounds.

    ``most`` bounds their number. ``request_timeout`` is the time for a complete request head, a
    TLS handshake likewise; ``answer_timeout`` the time from a request until its answer is taken.
    ``dropped`` is notified of each connection that is dropped: why, and whose it was.
    """

    def __init__(
        self,
        *,
        most: int,
        request_timeout: float,
        answer_timeout: float,
        dropped: Callable[[Drop, str], None],
        clock: Callable[[], float],
    ) -> None:
        self._most = most
        self._most_strangers = most - most // _KEPT_SHARE
        self._request_timeout = request_timeout
        self._answer_timeout = answer_timeout
        self._dropped = dropped
        self._known = KnownScrapers(clock)
        self._open: dict[web.RequestHandler, Connection] = {}
        self._strangers: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """Those without a request under way, the one that waits longest first."""
        self._under_way: dict[web.RequestHandler, Connection] = {}
        self._accepting: list[asyncio.Task[None]] = []

    def accept(
        self,
        listening: socket.socket,
        new_handler: Callable[[], web.RequestHandler],
        context: ssl.SSLContext | None,
    ) -> None:
        """Accept connections of a listening socket from now on."""
        listening.setblocking(False)
        self._accepting.append(
            asyncio.create_task(self._accept(listening, new_handler, context), name="web-accept")
        )

    async def stop(self) -> None:
        """Accept no more connections, and drop those whose TLS handshake is not done."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        handshakes = [each.abandon() for each in self._open.values() if each.opening]
        await asyncio.gather(*handshakes, return_exceptions=True)

    @web.middleware
    async def under_way(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Note that a request is under way."""
        connection = self._open.get(request.protocol)
        if connection is None:  # it is gone already
            return await handler(request)
        self._waiting.pop(connection, None)
        self._under_way[request.protocol] = connection
        connection.begin()
        try:
            return await handler(request)
        finally:
            connection.end()
            del self._under_way[request.protocol]
            if request.protocol in self._open:
                self._waiting[connection] = None

    def scraped(self, request: web.Request) -> None:
        """Note that a request fetched the metrics: its address is that of a known scraper."""
        if connection := self._open.get(request.protocol):
            self._known.add(connection.client)
            self._strangers.discard(connection)

    def is_known(self, request: web.Request) -> bool:
        """Whether a request comes from the address of a known scraper."""
        connection = self._open.get(request.protocol)
        return connection is not None and connection.client in self._known

    def was_dropped(self, request: web.Request) -> bool:
        """Whether a request that is under way lost its connection by our doing."""
        connection = self._under_way.get(request.protocol)
        return connection is not None and connection.dropped

    async def _accept(
        self,
        listening: socket.socket,
        new_handler: Callable[[], web.RequestHandler],
        context: ssl.SSLContext | None,
    ) -> None:
        throttle = LoopThrottle(_A_TURN)
        while True:
            try:
                accepted, address = await _next_of(listening)
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._dropped(Drop.ACCEPT_FAILED, "")
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            client = client_of(address[0] if isinstance(address, tuple) else "")
            _bound_unsent(accepted)
            if self._has_room(client):
                self._add(Connection(self, client, new_handler(), accepted), context)
            else:
                accepted.close()
                self._dropped(Drop.LIMIT, client)
            await throttle.wait()  # what came before has its turn, however many there are

    def _has_room(self, client: str) -> bool:
        """Whether there is a place for a client's connection; make one where that can be."""
        known = client in self._known
        if len(self._open) < self._most and (known or len(self._strangers) < self._most_strangers):
            return True
        places = Counter(each.client for each in self._open.values())
        idle = [each for each in self._waiting if each.idle]
        victims = [each for each in idle if each in self._strangers]
        if not victims and known:
            have_more = places[client] + 1  # after which this one would have as many
            victims = idle + [e for e in self._open.values() if places[e.client] > have_more]
        if not victims:
            return False
        victim = max(victims, key=lambda each: places[each.client])  # of equals the first
        victim.drop(Drop.DISPLACED)
        return True

    def _add(self, connection: Connection, context: ssl.SSLContext | None) -> None:
        self._open[connection.handler] = connection
        if connection.client not in self._known:
            self._strangers.add(connection)
        self._waiting[connection] = None
        connection.open(context, self._request_timeout, self._answer_timeout)

    def forget(self, connection: Connection) -> None:
        """Free the place of a connection that is closed."""
        self._open.pop(connection.handler, None)
        self._strangers.discard(connection)
        self._waiting.pop(connection, None)

    def report_drop(self, reason: Drop, connection: Connection) -> None:
        """Note that a connection is dropped, and free its place."""
        connection.dropped = True
        self.forget(connection)
        self._dropped(reason, connection.client)


async def _next_of(listening: socket.socket) -> tuple[socket.socket, Any]:
    """Return the next connection, and its address, as soon as there is one."""
    try:
        accepted, address = listening.accept()
    except BlockingIOError:
        # This would do alone, but for one connection in each turn of the event loop.
        return await asyncio.get_running_loop().sock_accept(listening)
    accepted.setblocking(False)
    return accepted, address


def _bound_unsent(accepted: socket.socket) -> None:
    """Have the kernel take no megabytes for a peer that fetches none of them."""
    with suppress(OSError):  # a Unix socket, which takes little
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)


class Connection(asyncio.Protocol):
    """Stands between the transport and the HTTP protocol, which notices nothing of it."""

    def __init__(
        self,
        connections: Connections,
        client: str,
        handler: web.RequestHandler,
        accepted: socket.socket,
    ) -> None:
        self.client = client
        self.dropped = False
        self.handler = handler
        self._connections = connections
        self._accepted = accepted
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._requests = 0
        self._request_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._request_timeout = self._answer_timeout = 0.0

    @property
    def opening(self) -> bool:
        """Whether it is not open yet, as with a TLS handshake under way."""
        return self._opening is not None and not self._opening.done()

    @property
    def idle(self) -> bool:
        """Whether nothing is asked for, and nothing waits here to be sent."""
        return not self._requests and (
            self._transport is None or not self._transport.get_write_buffer_size()
        )

    def open(
        self, context: ssl.SSLContext | None, request_timeout: float, answer_timeout: float
    ) -> None:
        """Begin to talk, by TLS where there is a context."""
        self._request_timeout, self._answer_timeout = request_timeout, answer_timeout
        self._opening = asyncio.create_task(self._open(context), name="web-connection")
        self._opening.add_done_callback(self._close_unless_open)

    async def _open(self, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._request_timeout):
                await loop.connect_accepted_socket(lambda: self, self._accepted, ssl=context)
        except TimeoutError:
            self._connections.report_drop(Drop.REQUEST_TIMEOUT, self)
        except OSError:  # it went away, or speaks no TLS
            self._connections.forget(self)

    def _close_unless_open(self, _: asyncio.Task[None]) -> None:
        """Close what was given up, maybe before it began."""
        if self._transport is None:
            self._connections.forget(self)
            self._accepted.close()

    async def abandon(self) -> None:
        """Give up opening it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)

    def begin(self) -> None:
        """Note that a request is complete and its answer under way."""
        self._stop(self._request_timer)
        self._request_timer = None
        if self._answer_timer is None or self._taken:
            self._stop(self._answer_timer)
            loop = asyncio.get_running_loop()
            self._answer_timer = loop.call_later(self._answer_timeout, self._look_at_answer)
        self._requests += 1

    def end(self) -> None:
        """Note that the answer is written, though maybe not sent and taken."""
        self._requests -= 1

    def drop(self, reason: Drop) -> None:
        """Close it at once, whatever is not sent."""
        self._connections.report_drop(reason, self)
        if self._transport is None:
            if self._opening is not None:
                self._opening.cancel()
            return
        if reason is Drop.ANSWER_TIMEOUT:
            with suppress(OSError):
                peer = self._transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self.handler.connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Pass on what came."""
        if not self._requests:
            self._await_request()
        self.handler.data_received(data)

    def eof_received(self) -> None:
        """Pass on that no more comes."""
        self.handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the peer is slow."""
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the peer took what was sent."""
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free its place."""
        self._stop(self._request_timer)
        self._stop(self._answer_timer)
        self._connections.forget(self)
        self.handler.connection_lost(exc)

    def _await_request(self) -> None:
        """Have a request come in time that began to come, or should."""
        if self._request_timer is None:
            loop = asyncio.get_running_loop()
            self._request_timer = loop.call_later(
                self._request_timeout, self.drop, Drop.REQUEST_TIMEOUT
            )

    def _look_at_answer(self) -> None:
        self._answer_timer = None
        if self._requests or not self._taken:
            self.drop(Drop.ANSWER_TIMEOUT)

    @property
    def _taken(self) -> bool:
        """Whether the peer took all that was written: neither we nor the kernel hold any of it."""
        return self.idle and not self._in_kernel

    @property
    def _in_kernel(self) -> int:
        """Bytes that were sent and that the peer has not acknowledged."""
        if self._transport is None:
            return 0
        with suppress(OSError, ValueError):  # closed just now
            peer = self._transport.get_extra_info("socket")
            answer = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(answer, "little")
        return 0

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
