"""The HTTP server: metrics for Prometheus, health for an orchestrator, a page for people.

A request only sends what is there; nothing it does reaches the API.
"""

from __future__ import annotations

import asyncio
import math
import os
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from typing import NamedTuple, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from trainwave_exporter.exposition import Format, ScrapeAnswer, negotiate
from trainwave_exporter.runtime.loop_throttle import LoopThrottle
from trainwave_exporter.web.access import Access
from trainwave_exporter.web.bodies import MOST_BODY, refuse_bodies
from trainwave_exporter.web.connections import (
    IDLE_SECONDS,
    Connections,
    Drop,
    connection_limit,
)
from trainwave_exporter.web.content_coding import Coding, preferred
from trainwave_exporter.web.hosts import only_under
from trainwave_exporter.web.sockets import UnixSocket, name_of, tcp_sockets

log = structlog.get_logger()

_A_TURN = 4  # scrapes that are begun, or parts sent, within one turn of the event loop
_A_TURN_OF_KNOWN = 32  # the same of known scrapers: still some milliseconds
_PIECE = 64 * 1024  # bytes that are handed over at once: what is not taken of them is held
_MOST_PACKING = 8  # answers that are packed at a time; each takes a megabyte until it is taken
_GRACE = 0.5  # seconds that requests under way get when the server stops
_BACKLOG = 1024  # connections that the kernel keeps for us; who finds no place waits for seconds
_EPISODE_SECONDS = 60.0  # without a dropped connection, after which the next is logged

REQUEST_SECONDS = 5.0
"""Time in which a request must be complete, and once more its body; a TLS handshake likewise."""

ANSWER_SECONDS = 60.0
"""Time in which an answer must be taken to its last byte."""

HEALTH_PATHS = ("/-/healthy", "/-/ready")
_RELOAD = "/-/reload"

_HEADERS = {
    "Server": "trainwave-exporter",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ListenError(Exception):
    """The address cannot be listened on; the text says which, and why, in one line."""


class HtmlPage(NamedTuple):
    """A page for people."""

    html: str
    content_security_policy: str


class WebServer:
    """Serves an exposition and pages about it.

    ``answer`` returns what a scrape is answered with now; ``unready_reasons`` why the exporter
    is not ready, one text per reason; ``remarks`` what else there is to say of readiness,
    likewise; ``page`` the page for people; ``scraped`` is notified of every scrape, with the
    seconds it took. ``reload`` loads the configuration again, and returns what is wrong with
    it, if anything is. A client that takes more than ``send_timeout`` seconds to fetch an
    answer is dropped: it would pin an old one in memory; likewise one that takes more than
    ``request_timeout`` to send a request. ``most_connections`` bounds their number; None: by
    the limit of open files. ``dropped`` is notified of each connection that is refused or dropped:
    why. ``access`` says who may come in, and whether by TLS; without it everybody may, by plain
    HTTP. ``host_names``, if any, are the hosts under which the page and `reload` may be asked
    for.
    """

    def __init__(
        self,
        *,
        answer: Callable[[], ScrapeAnswer],
        telemetry_path: str,
        unready_reasons: Callable[[], Sequence[str]],
        remarks: Callable[[], Sequence[str]] = tuple,
        page: Callable[[], HtmlPage],
        scraped: Callable[[Format, float], None],
        clock: Callable[[], float] = time.monotonic,
        send_timeout: float = ANSWER_SECONDS,
        request_timeout: float = REQUEST_SECONDS,
        most_connections: int | None = None,
        dropped: Callable[[Drop], None] = lambda _: None,
        access: Access | None = None,
        host_names: Collection[str] = (),
        reload: Callable[[], Awaitable[str | None]] | None = None,
    ) -> None:
        self._answer = answer
        self._unready_reasons = unready_reasons
        self._remarks = remarks
        self._page = page
        self._scraped = scraped
        self._clock = clock
        self._dropped = dropped
        self._packing = 0
        """Answers that are packed for the one who asks, and not taken yet."""
        self._told_at: dict[Drop, float] = {}
        """When connections were last dropped, by reason."""
        if most_connections is None:
            most_connections = connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._connections = Connections(
            most=most_connections,
            request_timeout=request_timeout,
            answer_timeout=send_timeout,
            dropped=self._connection_dropped,
            clock=clock,
        )
        self._known_scrapers = LoopThrottle(_A_TURN_OF_KNOWN)
        self._strangers = LoopThrottle(_A_TURN)
        self._access = access
        self._reload = reload
        self._watching: asyncio.Task[None] | None = None
        self._socket_files: list[UnixSocket] = []
        self._listening: list[socket.socket] = []
        guards: list[Middleware] = [refuse_bodies(request_timeout)]
        if access is not None:
            guards.append(access.guard)
        if host_names:
            guards.append(only_under(host_names, {"/", _RELOAD}))
        application = web.Application(middlewares=[self._connections.under_way, *guards])
        application.router.add_get("/", self._landing)
        application.router.add_get(telemetry_path, self._metrics)
        for path, handler in zip(HEALTH_PATHS, (self._healthy, self._ready), strict=True):
            application.router.add_get(path, handler)
        application.router.add_post(_RELOAD, self._reloaded)
        application.router.add_put(_RELOAD, self._reloaded)
        application.on_response_prepare.append(_add_headers)
        if access is not None:
            application.on_response_prepare.append(self._add_configured_headers)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_GRACE,
            keepalive_timeout=IDLE_SECONDS,
            # A body has been read when it is answered, or is not read at all; the rest is for the
            # parser, which holds at most this much of it, or a sixteenth as many chunks.
            lingering_time=0,
            read_bufsize=MOST_BODY,
            auto_decompress=False,
        )

    async def start(self, *addresses: str, sockets: Iterable[socket.socket] = ()) -> None:
        """Listen on addresses, and on sockets that listen already.

        An address is ``host:port``, ``[address]:port``, ``:port`` or ``unix:/path``. Raises
        `ListenError` unless all of them can be listened on.
        """
        await self._runner.setup()
        try:
            for address in addresses:
                self._listening += await self._bound(address)
        except ListenError:
            self._listening += sockets
            await self.stop()
            raise
        self._listening = [*sockets, *self._listening]
        context = None if self._access is None else self._access.ssl_context
        new_handler = cast("web.Server", self._runner.server)  # as it is set up
        for listening in self._listening:
            listening.listen(_BACKLOG)
            self._connections.accept(listening, new_handler, context)
        if self._access is not None:
            self._watching = asyncio.create_task(self._access.watch(), name="web-config")

    async def _bound(self, address: str) -> list[socket.socket]:
        """Return sockets that are bound to an address; raise `ListenError` where there is none."""
        try:
            if address.startswith("unix:"):
                file = UnixSocket(address.removeprefix("unix:"))
                self._socket_files.append(file)
                return [file.socket]
            host, _, port = address.rpartition(":")
            host = host.removeprefix("[").removesuffix("]")
            return tcp_sockets(await _numeric(host) if host else [], int(port))
        except (OSError, UnicodeError) as error:  # the latter for a host no resolver would take
            raise ListenError(f"cannot listen on {address}: {_reason(error)}") from error

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment, then drop them."""
        if self._watching is not None:
            self._watching.cancel()
        for file in self._socket_files:
            file.remove()
        await self._connections.stop()
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        await self._runner.cleanup()

    def _connection_dropped(self, reason: Drop, client: str) -> None:
        self._dropped(reason)
        now, last = self._clock(), self._told_at.get(reason, -math.inf)
        self._told_at[reason] = now
        if reason is Drop.ANSWER_TIMEOUT:
            log.info("scrape_aborted", client=client, reason="TimeoutError")
        elif now - last > _EPISODE_SECONDS:
            log.warning("connections_dropped", reason=reason.value, client=client)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The hosts and ports that are listened on."""
        return [
            (address[0], address[1])
            for address in (each.getsockname() for each in self._listening)
            if not isinstance(address, str)  # the path of a Unix socket
        ]

    @property
    def listening(self) -> list[str]:
        """All that is listened on, as addresses are written."""
        return [name_of(each.getsockname()) for each in self._listening]

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "http" if self._access is None or self._access.ssl_context is None else "https"

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        began = self._clock()
        known = self._connections.is_known(request)
        throttle = self._known_scrapers if known else self._strangers
        await throttle.wait()
        wanted = negotiate(_header(request, "Accept"))
        zstd = self._packing < _MOST_PACKING
        coding = preferred(_header(request, "Accept-Encoding"), zstd=zstd)
        answer = self._answer()
        if names := request.query.getall("name[]", None):
            answer = answer.only(names)
        tag = f"{answer.tag}-{wanted.name.lower()}-{coding}"
        headers = {"ETag": f'"{tag}"', "Vary": "Accept, Accept-Encoding"}
        if any(theirs.value == tag for theirs in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        response = web.StreamResponse(headers={"Content-Type": wanted.value, **headers})
        parts: Iterable[bytes | memoryview]
        match coding:
            case Coding.GZIP:
                parts = zipped = answer.gzip(wanted)
                response.content_length = sum(map(len, zipped))
            case Coding.ZSTD:
                parts = answer.zstd(wanted)
            case Coding.IDENTITY:
                parts = answer.plain(wanted)
                response.content_length = answer.size(wanted)
        if coding is not Coding.IDENTITY:
            response.headers["Content-Encoding"] = coding
        self._packing += coding is Coding.ZSTD
        try:
            await _send(request, response, parts, throttle)
            if request.method != "HEAD" and not self._connections.was_dropped(request):
                self._connections.scraped(request)
                self._scraped(wanted, self._clock() - began)
        except ConnectionError as error:
            error.__traceback__ = None  # its frames hold the answer, and a future that holds it
            if not self._connections.was_dropped(request):  # which is counted already
                log.info("scrape_aborted", client=request.remote, reason=type(error).__name__)
        finally:
            self._packing -= coding is Coding.ZSTD
        return response

    async def _add_configured_headers(
        self, _request: web.Request, response: web.StreamResponse
    ) -> None:
        if self._access is not None:
            for name, value in self._access.headers.items():
                response.headers.setdefault(name, value)

    async def _landing(self, _request: web.Request) -> web.Response:
        page = self._page()
        return web.Response(
            text=page.html,
            content_type="text/html",
            headers={"Content-Security-Policy": page.content_security_policy},
        )

    async def _reloaded(self, _request: web.Request) -> web.Response:
        if self._reload is None:
            return web.Response(status=403, text="not enabled; see --web.enable-lifecycle\n")
        problem = await self._reload()
        if problem is not None:
            return web.Response(status=500, text=f"{problem}\n")
        return web.Response(text="reloaded\n")

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        reasons = self._unready_reasons()
        if reasons:
            return web.Response(status=503, text="".join(f"{reason}\n" for reason in reasons))
        return web.Response(text="".join(f"{line}\n" for line in ("ready", *self._remarks())))


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    parts: Iterable[bytes | memoryview],
    throttle: LoopThrottle,
) -> None:
    """Send the parts one by one, as they are made, each in its turn.

    Joining them would copy the whole body for every scrape.
    """
    await response.prepare(request)
    if request.method != "HEAD":
        for part in parts:
            for start in range(0, len(part), _PIECE):
                await response.write(memoryview(part)[start : start + _PIECE])
            await throttle.wait()
    await response.write_eof()


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _header(request: web.Request, name: str) -> str | None:
    """Return a list header that may be spread over several lines."""
    return ",".join(request.headers.getall(name, ())) or None


async def _numeric(host: str) -> list[str]:
    """Return the addresses of a host, looked up in the event loop's default executor.

    uvloop would look it up in a thread that holds up the end of the process. Raises `OSError` or
    `UnicodeError` for a host without addresses.
    """

    def look_up() -> list[str]:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        numeric = (socket.getnameinfo(each[4], socket.NI_NUMERICHOST)[0] for each in found)
        return list(dict.fromkeys(numeric))

    return await asyncio.get_running_loop().run_in_executor(None, look_up)


def _reason(error: OSError | UnicodeError) -> str:
    """Return why listening failed, without the address that asyncio adds to it."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no such host"
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
