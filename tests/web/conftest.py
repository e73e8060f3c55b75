"""A web server on a free port of loopback, around an exposition that knows one account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession

from trainwave_exporter.exposition import Exposition, Format, Selection, Telemetry
from trainwave_exporter.model import AccountStatus, Appeared
from trainwave_exporter.web import Overview, WebServer

OVERVIEW = Overview(version="1.2.3", started_at=1000, now=1012, telemetry_path="/metrics")


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
    exposition = Exposition(selection=Selection(), max_jobs=0, telemetry=Telemetry(version="1.2.3"))
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
        send_timeout: float = 60.0,
    ) -> WebServer:
        told = [] if scrapes is None else scrapes
        return WebServer(
            answer=lambda: exposition.answer,
            telemetry_path=telemetry_path,
            unready_reasons=lambda: unready or [],
            overview=lambda: OVERVIEW,
            scraped=lambda form, seconds: told.append((form, seconds)),
            send_timeout=send_timeout,
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
