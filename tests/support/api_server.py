"""An API on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Respond = Callable[[web.Request], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass
class Asked:
    method: str
    path: str
    """As it came over the wire, still quoted."""
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ApiServer:
    respond: Respond
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(
            Asked(
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=json.loads(body) if body else None,
            )
        )
        response = self.respond(request)  # type: ignore[arg-type]  # tests use what both kinds have
        return response if isinstance(response, web.StreamResponse) else await response


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[ApiServer]:
    """Serve on a free port until the block ends."""
    server = ApiServer(respond)
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}/api/v1"
        yield server
    finally:
        await runner.cleanup()
