"""Another origin, to which a client may be sent and must not bring its key."""

from __future__ import annotations

from aiohttp import web


class ForeignOrigin:
    """Knows nothing, and remembers who came."""

    def __init__(self) -> None:
        self.url = ""
        """Where it listens; set while it does."""
        self.requests = 0
        self.keys: list[str] = []
        """Keys that were brought: there should never be one."""

    def application(self) -> web.Application:
        """Return the application to be served."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._receive)
        return application

    async def _receive(self, request: web.Request) -> web.Response:
        self.requests += 1
        if key := request.headers.get("X-API-KEY"):
            self.keys.append(key)
        return web.Response(status=404, text="There is nothing here.")
