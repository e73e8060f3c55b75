"""Under which hosts the page is served.

A page of another site can have its visitor's browser ask for this one, by a name of its own that it
lets point here, and read the answer. The browser then says that name.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def only_under(names: Collection[str], paths: Collection[str]) -> Middleware:
    """Return what refuses requests for these paths under any host but these, in lower case."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in paths and host_of(request.host) not in names:
            text = "unknown Host header; --web.host-names lists the accepted hosts\n"
            return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST, text=text)
        return await handler(request)

    return guard


def host_of(header: str) -> str:
    """Return the host in a ``Host`` header, in lower case, without its port."""
    host = header.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
