"""The web configuration file at work: read, kept current, and asked about every request."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import StrEnum
from http import HTTPStatus
from math import ceil
from pathlib import Path
from typing import NamedTuple

import structlog
from aiohttp import web

from trainwave_exporter.runtime.regular_files import read_regular
from trainwave_exporter.web.access.errors import AccessError
from trainwave_exporter.web.access.passwords import Passwords
from trainwave_exporter.web.access.request_limits import Bucket
from trainwave_exporter.web.access.tls import CurrentContext, new_context
from trainwave_exporter.web.access.web_config import RequestRateLimit, TlsServer, WebConfig, read

log = structlog.get_logger()

REREAD_SECONDS = 1.0
"""How often the file, and what it names, is looked at for changes."""

_CHALLENGE = 'Basic realm="trainwave-exporter", charset="UTF-8"'


class Refusal(StrEnum):
    """Why a request is not let in."""

    CREDENTIALS = "credentials"
    GUESSING = "guessing"
    RATE_LIMIT = "rate_limit"


class _Loaded(NamedTuple):
    config: WebConfig
    context: ssl.SSLContext | None


class _WebConfigFiles:
    """Files as they were when they were read, failures included."""

    def __init__(self) -> None:
        self._seen: dict[Path, bytes | str] = {}

    def read(self, path: Path) -> bytes:
        """Return the content; raise `AccessError` where there is none to have."""
        seen = self._seen[path] = _content(path)
        if isinstance(seen, str):
            raise AccessError(f"{path}: cannot be read: {seen}")
        return seen

    @property
    def changed(self) -> bool:
        """Whether any of them is not as it was."""
        return any(_content(path) != seen for path, seen in self._seen.items())


class Access:
    """Who may come in, and how, by a file that may change at any time.

    ``parse`` turns the bytes of the file, called by a name, into what its YAML says, or raises
    `AccessError`. ``open_paths`` ask nobody for a password. ``reloaded`` is notified of every
    attempt to take the files, that at the start included: whether they were taken; ``refused`` of
    every request that is not let in: why. Raises `AccessError` for a file of no use.

    What is wrong with a changed file is logged, once, and the one before stays in use. TLS is
    neither begun nor ended by a change, as that would need new listeners.
    """

    def __init__(
        self,
        file: Path,
        parse: Callable[[bytes, str], object],
        *,
        open_paths: Collection[str] = (),
        reloaded: Callable[[bool], None] = lambda _: None,
        refused: Callable[[Refusal], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._parse = parse
        self._open_paths = frozenset(open_paths)
        self._reloaded = reloaded
        self._refused = refused
        self._clock = clock
        self._passwords = Passwords(clock)
        self._limit = RequestRateLimit()
        self._bucket: Bucket | None = None
        self._refreshing = asyncio.Lock()
        self._files = _WebConfigFiles()
        self._loaded = self._load()
        self._apply(self._loaded)
        self.ssl_context = None if self._loaded.context is None else CurrentContext(self._context)
        """The context of listeners; None for plain HTTP."""
        reloaded(True)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers for answers that have none of that name."""
        return self._headers

    async def watch(self) -> None:
        """Look for changes for ever."""
        while True:
            await asyncio.sleep(REREAD_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Take the files anew if one of them changed; see the class for what goes wrong."""
        try:
            async with self._refreshing:
                loaded = await asyncio.to_thread(self._load_changed)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is in use stays in use
            reason = str(error) if isinstance(error, AccessError) else type(error).__name__
            log.error("web_config_refused", reason=reason)  # noqa: TRY400 - a reason, not a trace
            self._reloaded(False)
            return
        if loaded is not None:
            self._apply(loaded)
            log.info("web_config_reloaded", file=str(self._file))
            self._reloaded(True)

    @web.middleware
    async def guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Pass a request on, or answer it with 401 or 429."""
        if self._bucket is not None and (wait := self._bucket.take()):
            return self._too_many(Refusal.RATE_LIMIT, wait)
        if not self._passwords or request.path in self._open_paths:
            return await handler(request)
        verdict = await self._passwords.check(request.headers.get("Authorization"), request.remote)
        if verdict.allowed:
            return await handler(request)
        if verdict.retry_after is not None:
            return self._too_many(Refusal.GUESSING, verdict.retry_after)
        self._refused(Refusal.CREDENTIALS)
        headers = {"WWW-Authenticate": _CHALLENGE}
        return web.Response(status=HTTPStatus.UNAUTHORIZED, text="unauthorized\n", headers=headers)

    def _too_many(self, reason: Refusal, wait: float) -> web.Response:
        self._refused(reason)
        headers = {"Retry-After": str(max(1, ceil(wait)))}
        return web.Response(
            status=HTTPStatus.TOO_MANY_REQUESTS, text="too many requests\n", headers=headers
        )

    def _context(self) -> ssl.SSLContext:
        if self._loaded.context is None:  # which no change can bring about
            raise AccessError("there is no TLS")
        return self._loaded.context

    def _apply(self, loaded: _Loaded) -> None:
        self._loaded = loaded
        self._headers = loaded.config.http_server_config.fields
        self._passwords.use(loaded.config.basic_auth_users)
        limit = loaded.config.rate_limit
        if limit != self._limit:
            self._limit = limit
            made = limit.interval > 0
            self._bucket = Bucket(limit.interval, limit.burst, self._clock) if made else None

    def _load_changed(self) -> _Loaded | None:
        if not self._files.changed:
            return None
        loaded = self._load()
        if (loaded.context is None) is not (self._loaded.context is None):
            raise AccessError(f"{self._file}: TLS begins and ends with a restart only")
        return loaded

    def _load(self) -> _Loaded:
        self._files = files = _WebConfigFiles()
        document = self._parse(files.read(self._file), str(self._file))
        try:
            config = read(document)
            tls = config.tls_server_config
            context = None if tls is None else self._new_context(tls, files)
        except AccessError as error:
            raise AccessError(f"{self._file}: {error}") from None
        return _Loaded(config, context)

    def _new_context(self, tls: TlsServer, files: _WebConfigFiles) -> ssl.SSLContext:
        def pem(file: str, inline: str) -> bytes:
            return files.read(self._file.parent / file) if file else inline.encode(errors="replace")

        wants_ca = tls.client_ca_file or tls.client_ca
        return new_context(
            tls,
            pem(tls.cert_file, tls.cert),
            pem(tls.key_file, tls.key),
            pem(tls.client_ca_file, tls.client_ca) if wants_ca else None,
        )


def _content(path: Path) -> bytes | str:
    """Return the content of a file, or why it cannot be read."""
    try:
        return read_regular(path)
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    except ValueError:  # for a path that can be none
        return "no such file or directory"
