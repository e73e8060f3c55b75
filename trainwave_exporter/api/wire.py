"""One exchange over HTTP: a call goes out with the key, an answer comes back within bounds.

The client is httpx's, over httpx-aiohttp's transport (a sixth of httpcore's CPU cost with many
requests in flight). Proxies and certificates come from the environment
(`trainwave_exporter.api.network`). Nothing here interprets answers, retries, follows redirects, or
keeps cookies.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from msgspec import Struct

from trainwave_exporter import __version__
from trainwave_exporter.api.answer_bounds import ONE
from trainwave_exporter.api.connector import BoundedConnector
from trainwave_exporter.api.credential import Credential
from trainwave_exporter.api.decompression import ACCEPTED, PIECE, unpacking
from trainwave_exporter.api.errors import (
    BadRequest,
    BodyTooLarge,
    ConnectionFailed,
    NotJson,
    RedirectRefused,
    Timeout,
    TrainwaveError,
    UnsupportedEncoding,
)
from trainwave_exporter.api.network import NetworkSettings
from trainwave_exporter.api.resolver import DaemonThreadResolver
from trainwave_exporter.runtime.clock import Clock

_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, ValueError)
"""What a transport raises; the aiohttp one does not map all of aiohttp's own errors."""

_NO_LOCATION = (httpx.InvalidURL, httpx.RemoteProtocolError)
"""What httpx raises for a redirect whose target is no URL, although it does not follow it."""

_LONGEST_REFUSAL = 64 * 1024
"""Bytes that are read of an error's body."""

_REFUSAL_PATIENCE = 1.0
"""Seconds that an error's body may take; after that the status alone counts."""

_CONNECT_SHARE, _SILENCE_SHARE = 0.4, 0.8
"""Parts of the timeout: for a connection, and for the wait between two pieces of an answer."""

_KEEPALIVE_SECONDS = 5.0
"""How long a connection that is not used stays open."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": ACCEPTED,
    "User-Agent": f"trainwave-exporter/{__version__}",
}


class Call(Struct, frozen=True, kw_only=True):
    """A request to send: ``url`` is absolute, without the query."""

    method: str
    url: str
    query: Mapping[str, str] = {}
    body: Mapping[str, object] | None = None
    """Sent as JSON."""
    most_bytes: int = ONE.bytes
    """Of the answer's body, decompressed."""


class HttpAnswer(Struct, frozen=True, kw_only=True):
    """A complete answer."""

    status: int
    headers: httpx.Headers
    body: bytes
    received_at: float
    """When its headers arrived, in Unix seconds."""

    def __repr__(self) -> str:
        """Show as much as a traceback may show: a careless server repeats the key."""
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class Wire:
    """Sends calls; how many are in flight is bounded by the budget, not here.

    ``timeout`` (seconds) is for a whole exchange, from name lookup to the last byte. Parts of it
    are for single phases, so that an error names the phase: name lookup, connection and TLS;
    waiting for an answer to begin or to go on.
    """

    def __init__(
        self,
        *,
        credential: Credential,
        timeout: float,
        clock: Clock,
        client: httpx.AsyncClient,
    ) -> None:
        self._credential = credential
        self._timeout = timeout
        self._clock = clock
        self._client = client

    async def send(
        self, call: Call, on_headers: Callable[[httpx.Headers, float], None]
    ) -> HttpAnswer:
        """Send one call and return its answer, whatever its status.

        ``on_headers`` is called with the headers and their time of arrival before the body is read:
        they count even where the body cannot be used. Raises `NoAnswer`, `BodyTooLarge`,
        `UnsupportedEncoding` and, for a body that cannot be decompressed, `NotJson`;
        `RedirectRefused` for a redirect to what is no URL; `InvalidKey` if the key cannot be sent,
        and `BadRequest` if nothing else of the call can.
        """
        failure: TrainwaveError
        request = self._request(call)
        if request is None:
            raise BadRequest(None, None, "no HTTP request can be made of this")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(request, call.most_bytes, on_headers)
        except TimeoutError:
            failure = Timeout(f"no whole answer within {self._timeout:g} s")
        except zlib.error:
            failure = NotJson("the answer's body cannot be decompressed")
        except _NO_LOCATION:
            failure = RedirectRefused("redirected to what is no URL")
        except _FAILURES as error:
            failure = self._failure(error)
        # Raised out here, it carries no context: that would hold the request, and so the key.
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _request(self, call: Call) -> httpx.Request | None:
        """Return a call as a request; None if it has no place in one."""
        headers = dict(_HEADERS)
        self._credential.authorize(headers)
        try:
            # The query is put in here: httpx would take the URL apart once more for it.
            url = f"{call.url}?{urlencode(call.query)}" if call.query else call.url
            return httpx.Request(call.method, url, headers=headers, json=call.body)
        except (httpx.InvalidURL, ValueError):
            return None

    async def _exchange(
        self,
        request: httpx.Request,
        most_bytes: int,
        on_headers: Callable[[httpx.Headers, float], None],
    ) -> HttpAnswer:
        response = await self._client.send(request, stream=True)
        try:
            received_at = self._clock.time()
            on_headers(response.headers, received_at)
            body = await self._body(response, most_bytes)
        finally:
            await response.aclose()
            del response.stream  # breaks a cycle of references
        return HttpAnswer(
            status=response.status_code,
            headers=response.headers,
            body=body,
            received_at=received_at,
        )

    async def _body(self, response: httpx.Response, most_bytes: int) -> bytes:
        if response.status_code < 400:
            body, whole = await self._read(response, most_bytes)
            if not whole:
                raise BodyTooLarge(f"the answer is longer than {most_bytes} bytes")
            return body
        try:
            async with asyncio.timeout(_REFUSAL_PATIENCE):
                return (await self._read(response, _LONGEST_REFUSAL))[0]
        except (*_FAILURES, zlib.error, UnsupportedEncoding):  # TimeoutError is an OSError
            return b""

    async def _read(self, response: httpx.Response, most: int) -> tuple[bytes, bool]:
        """Return the first ``most`` bytes of the body, decompressed, and whether that is all."""
        unpack = unpacking(response.headers)
        body = bytearray()
        async for packed in response.aiter_raw():
            for piece in unpack(packed):
                room = most - len(body)
                body += piece[:room]
                if len(piece) > room:
                    return bytes(body), False
                if len(piece) >= PIECE:
                    await asyncio.sleep(0)
        return bytes(body), True

    def _failure(self, error: Exception) -> TrainwaveError:
        cause = error.__cause__ or error
        cause.__traceback__ = None  # its frames hold what holds it
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            answer = self._credential.tidy(f"{cause.status} {cause.message}")
            return ConnectionFailed(f"the proxy refused to connect to the API: {answer}")
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            return Timeout(f"no connection within {_CONNECT_SHARE * self._timeout:g} s")
        if isinstance(cause, aiohttp.SocketTimeoutError):
            return Timeout(f"nothing received for {_SILENCE_SHARE * self._timeout:g} s")
        if isinstance(cause, (TimeoutError, httpx.TimeoutException)):
            return Timeout("the connection timed out")
        return ConnectionFailed(self._credential.tidy(f"{type(cause).__name__}: {cause}"))


class _NoCookies(httpx.Cookies):
    """Keeps no cookie."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave the cookies of an answer alone; httpx would make three objects to look for any."""


_NO_COOKIES = _NoCookies()


class _Client(httpx.AsyncClient):
    """A client without cookies."""

    @property
    def cookies(self) -> httpx.Cookies:
        """None, whatever was answered."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, _: object) -> None:
        raise AttributeError("this client has no cookies")


def new_client(
    *,
    transport: httpx.AsyncBaseTransport,
    proxied: Mapping[str, httpx.AsyncBaseTransport],
    timeout: float,
) -> httpx.AsyncClient:
    """Return a client that ignores the environment and keeps no cookies.

    ``proxied`` are the transports to URLs that begin so. ``timeout`` is for a whole exchange.
    """
    return _Client(
        timeout=httpx.Timeout(
            None,  # asyncio.timeout bounds the whole exchange, and so the writing
            pool=_CONNECT_SHARE * timeout,  # from the name to TLS
            read=_SILENCE_SHARE * timeout,
        ),
        transport=transport,
        mounts=proxied,
        trust_env=False,
    )


def client_of(network: NetworkSettings, address: str, timeout: float) -> httpx.AsyncClient:
    """Return a client for a URL, through a proxy where the environment names one for it.

    Raises `NetworkSettingsError` if it names one that cannot be used.
    """
    proxy = network.proxy_for(address)
    scheme = httpx.URL(address).scheme
    return new_client(
        transport=_transport(network, None),
        proxied={} if proxy is None else {f"{scheme}://": _transport(network, proxy)},
        timeout=timeout,
    )


def _transport(network: NetworkSettings, proxy: httpx.Proxy | None) -> httpx.AsyncBaseTransport:
    context = network.ssl_context

    def new_session() -> aiohttp.ClientSession:
        connector = BoundedConnector(
            ssl=context,
            limit=0,  # no bound
            keepalive_timeout=_KEEPALIVE_SECONDS,
            resolver=DaemonThreadResolver(),
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=context, proxy=proxy, client=new_session)
