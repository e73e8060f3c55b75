"""A web server on a free port of loopback that serves a page with something of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from support.overviews import OVERVIEW

from trainwave_exporter.landing import CONTENT_SECURITY_POLICY, render
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.web import HtmlPage, WebServer


@dataclass
class Site:
    """The server's port."""

    port: int


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    exposition = Exposition(
        selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="1.2.3")
    )
    exposition.publish()
    server = WebServer(
        answer=lambda: exposition.answer,
        telemetry_path="/metrics",
        unready_reasons=list,
        page=lambda: HtmlPage(render(OVERVIEW), CONTENT_SECURITY_POLICY),
        scraped=lambda _form, _seconds: None,
    )
    await server.start("127.0.0.1:0")
    yield Site(server.addresses[0][1])
    await server.stop()
