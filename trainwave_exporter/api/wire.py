"""One exchange over HTTP: a call goes out with the key, an answer comes back within bounds.

Requests and answers are httpx's, the transport is httpx-aiohttp's (a sixth of httpcore's cost at
many requests at once). Proxies and certificates come from the environment
(`trainwave_exporter.api.network`). Nothing here knows what answers mean, nor retries, nor follows
redirects, nor keeps a cookie. What a server says is as it was need not be sent again
(`trainwave_exporter.api.validators`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Mapping
from urllib.parse import urlencode

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport
from msgspec import Struct

from trainwave_exporter import __version__
from trainwave_exporter.api.credential import Credential
from trainwave_exporter.api.errors import (
    BodyTooLarge,
    ConnectionFailed,
    NotJson,
    Timeout,
    TrainwaveError,
)
from trainwave_exporter.api.network import NetworkSettings
from trainwave_exporter.api.resolver import DetachedResolver
from trainwave_exporter.api.validators import Validators
from trainwave_exporter.turnstile import Turnstile

_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, ValueError)
"""What a transport raises; the aiohttp one does not map all of aiohttp's own errors."""

_LONGEST_REFUSAL = 64 * 1024
"""Bytes read of an error's body; what it says has room in them."""

_REFUSAL_PATIENCE = 1.0
"""Seconds an error's body may take; after that its status has to do."""

_CONNECT_SHARE, _SILENCE_SHARE = 0.4, 0.8
"""Of the patience with a whole exchange: for a connection, and for the wait between two pieces."""

_A_TURN = 4
"""Answers that are taken in within one turn of the event loop: a few milliseconds."""

_NOT_MODIFIED = 304

_KEEPALIVE_SECONDS = 5.0
"""How long a connection that is not used stays open."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "User-Agent": f"trainwave-exporter/{__version__}",
}


class Call(Struct, frozen=True, kw_only=True):
    """What to ask for, relative to nothing: ``url`` is whole, but for the query."""

    method: str
    url: str
    query: Mapping[str, str] = {}
    body: Mapping[str, object] | None = None
    """Sent as JSON."""


class Answer(Struct, frozen=True, kw_only=True):
    """What came back, whole."""

    status: int
    headers: httpx.Headers
    body: bytes
    received_at: float
    """When its headers arrived, in Unix seconds."""

    def __repr__(self) -> str:
        """Tell as much as a traceback may show: a careless server repeats the key."""
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class Wire:
    """Sends calls, one by one or many at once; their number is bounded by the budget, not here.

    ``timeout`` (seconds) is for a whole exchange, connecting and the last byte included. Parts of
    it are for single phases, so that an error tells which one it was: looking the name up,
    connecting and agreeing on TLS; waiting for an answer to begin or to go on.
    """

    def __init__(
        self,
        *,
        credential: Credential,
        timeout: float,
        max_body_bytes: int,
        clock: Callable[[], float],
        transport: httpx.AsyncBaseTransport,
    ) -> None:
        self._credential = credential
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._validators = Validators()
        self._turnstile = Turnstile(_A_TURN)
        self._phases = httpx.Timeout(
            None,  # asyncio.timeout bounds the whole exchange, and so the writing
            pool=_CONNECT_SHARE * timeout,  # from the name to TLS
            read=_SILENCE_SHARE * timeout,
        ).as_dict()
        self._headers = httpx.Headers(_HEADERS)
        self._transport = transport

    async def send(self, call: Call, heard: Callable[[httpx.Headers, float], None]) -> Answer:
        """Send one call and return its answer, whatever its status.

        ``heard`` is called with the headers and their time of arrival before the body is read, so
        that nothing they tell is lost with it. Raises `NoAnswer`, `BodyTooLarge` and, for a body
        that cannot be decompressed, `NotJson`; `InvalidKey` if the key cannot be sent.
        """
        failure: TrainwaveError
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(call, heard)
        except TimeoutError:
            failure = Timeout(f"no whole answer within {self._timeout:g} s")
        except httpx.DecodingError:
            failure = NotJson("the answer's body cannot be decompressed")
        except _FAILURES as error:
            failure = self._failure(error)
        # Raised out here, it carries no context: that would hold the request, and so the key.
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _exchange(self, call: Call, heard: Callable[[httpx.Headers, float], None]) -> Answer:
        # Put together here: httpx would take the URL apart and put it together several times.
        asked_for = f"{call.url}?{urlencode(call.query)}" if call.query else call.url
        headers = self._headers.copy()
        self._credential.authorize(headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.method == "GET" and (conditions := self._validators.conditions(asked_for)):
            headers.update(conditions)
        content = b"" if call.body is None else msgspec.json.encode(call.body)
        request = httpx.Request(
            call.method,
            asked_for,
            headers=headers,
            stream=httpx.ByteStream(content),  # aiohttp adds the headers that this asks for
            extensions={"timeout": self._phases},
        )
        request.read()
        response = await self._transport.handle_async_request(request)
        try:
            received_at = self._clock()
            await self._turnstile.wait()
            heard(response.headers, received_at)
            body = await self._body(response)
        finally:
            await response.aclose()
        status = response.status_code
        if status == _NOT_MODIFIED and (known := self._validators.unchanged(asked_for)) is not None:
            status, body = 200, known
        elif call.method == "GET" and status == 200:
            self._validators.remember(asked_for, response.headers, body)
        return Answer(
            status=status,
            headers=response.headers,
            body=body,
            received_at=received_at,
        )

    async def _body(self, response: httpx.Response) -> bytes:
        if response.status_code < 400:
            body, whole = await _read(response, self._max_body_bytes)
            if not whole:
                raise BodyTooLarge(f"the answer is longer than {self._max_body_bytes} bytes")
            return body
        try:
            async with asyncio.timeout(_REFUSAL_PATIENCE):
                return (await _read(response, _LONGEST_REFUSAL))[0]
        except _FAILURES:  # TimeoutError is an OSError
            return b""

    def _failure(self, error: Exception) -> TrainwaveError:
        cause = error.__cause__ or error
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            answer = self._credential.tidy(f"{cause.status} {cause.message}")
            return ConnectionFailed(f"the proxy refused to connect to the API: {answer}")
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return Timeout(f"no connection within {_CONNECT_SHARE * self._timeout:g} s")
        if isinstance(cause, aiohttp.SocketTimeoutError):
            return Timeout(f"nothing heard for {_SILENCE_SHARE * self._timeout:g} s")
        if isinstance(cause, (TimeoutError, httpx.TimeoutException)):
            return Timeout("the connection timed out")
        return ConnectionFailed(self._credential.tidy(f"{type(cause).__name__}: {cause}"))


def new_transport(network: NetworkSettings, address: str) -> httpx.AsyncBaseTransport:
    """Return the transport to a URL, through a proxy where the environment names one for it.

    Raises `NetworkSettingsError` if it names one that cannot be used.
    """
    context = network.ssl_context

    def new_session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=context,
            limit=0,  # no bound
            keepalive_timeout=_KEEPALIVE_SECONDS,
            resolver=DetachedResolver(),
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=context, proxy=network.proxy_for(address), client=new_session)


async def _read(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    """Return the first ``most`` bytes of the body, decompressed, and whether that is all of it."""
    body = bytearray()
    async for chunk in _pieces(response):
        body += chunk
        if len(body) > most:
            return bytes(body[:most]), False
    return bytes(body), True


def _pieces(response: httpx.Response) -> AsyncIterable[bytes]:
    """Return the body piece by piece, decompressed; one that needs no decoder goes through none.

    That spares an eighth of the CPU that a request takes before and after the transport.
    """
    if "content-encoding" not in response.headers and isinstance(
        response.stream, httpx.AsyncByteStream
    ):
        return response.stream
    return response.aiter_bytes()
