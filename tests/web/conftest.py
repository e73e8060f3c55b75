"""A web server on a free port of loopback, around an exposition that knows one account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from multidict import CIMultiDictProxy
from support.certificates import Authority

from trainwave_exporter.config import parse_document
from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.model import AccountStatus, Appeared
from trainwave_exporter.web import Access, HtmlPage, WebServer

PAGE = HtmlPage("<h1>trainwave-exporter</h1>", "default-src 'none'")


@dataclass
class Site:
    """The server, what it was given, and what it told."""

    server: WebServer
    client: ClientSession
    unready: list[str] = field(default_factory=list)
    scrapes: list[tuple[Format, float]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.addresses[0][1]


@pytest.fixture
def exposition() -> Exposition:
    exposition = Exposition(
        selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="1.2.3")
    )
    exposition.apply([Appeared(AccountStatus(name="research", up=True))])
    exposition.publish()
    return exposition


@pytest.fixture
def make_server() -> Callable[..., WebServer]:
    def make(
        exposition: Exposition,
        *,
        telemetry_path: str = "/metrics",
        unready: list[str] | None = None,
        scrapes: list[tuple[Format, float]] | None = None,
        access: Access | None = None,
        **details: Any,
    ) -> WebServer:
        told = [] if scrapes is None else scrapes
        return WebServer(
            answer=lambda: exposition.answer,
            telemetry_path=telemetry_path,
            unready_reasons=lambda: unready or [],
            page=lambda: PAGE,
            scraped=lambda form, seconds: told.append((form, seconds)),
            access=access,
            **details,
        )

    return make


@pytest.fixture
async def site(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> AsyncIterator[Site]:
    unready: list[str] = []
    scrapes: list[tuple[Format, float]] = []
    server = make_server(exposition, unready=unready, scrapes=scrapes)
    await server.start("127.0.0.1:0")
    host, port = server.addresses[0]
    async with ClientSession(f"http://{host}:{port}", auto_decompress=False) as client:
        yield Site(server, client, unready, scrapes)
    await server.stop()


@dataclass
class Gate:
    """A server behind a web configuration file, and what it told of changes to that file."""

    server: WebServer
    access: Access
    file: Path
    reloads: list[bool]
    told: asyncio.Event
    refusals: list[str]

    @property
    def port(self) -> int:
        return self.server.addresses[0][1]

    async def get(
        self,
        path: str = "/metrics",
        *,
        tls: ssl.SSLContext | None = None,
        auth: str | None = None,
    ) -> tuple[int, CIMultiDictProxy[str]]:
        """Return status and headers of an answer, over a connection of its own."""
        scheme = "http" if tls is None else "https"
        async with (
            ClientSession(headers={"Authorization": auth} if auth else {}) as client,
            client.get(f"{scheme}://localhost:{self.port}{path}", ssl=tls or True) as response,
        ):
            await response.read()
            return response.status, response.headers

    async def rewrite(self, text: str) -> None:
        """Change the file and have the change noticed."""
        self.file.write_text(text)
        await self.access.refresh()


@pytest.fixture
async def open_gate(
    exposition: Exposition, make_server: Callable[..., WebServer], tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Gate]]]:
    """Start a server behind a web configuration file of some text."""
    gates: list[Gate] = []

    async def start(text: str, **details: Any) -> Gate:
        file = tmp_path / "web.yml"
        file.write_text(text)
        reloads: list[bool] = []
        told = asyncio.Event()

        def reloaded(succeeded: bool) -> None:
            reloads.append(succeeded)
            told.set()

        refusals: list[str] = []
        access = Access(file, parse_document, reloaded=reloaded, refused=refusals.append, **details)
        assert reloads == [True]
        told.clear()
        reloads.clear()
        server = make_server(exposition, access=access)
        gate = Gate(server, access, file, reloads, told, refusals)
        gates.append(gate)
        await server.start("127.0.0.1:0")
        return gate

    yield start
    for gate in gates:
        await gate.server.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that issued the server's certificate into the test's folder."""
    authority = Authority(tmp_path)
    authority.issue("server", "localhost")
    return authority
