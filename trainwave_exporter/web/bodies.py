"""Bodies of requests, of which nothing served here needs one.

A small one is read and ignored, as some clients send ``{}`` with each POST. Any other is refused
unread, and the connection closed: chunks of a byte each, parsed as they come, hold the event loop.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

MOST_BODY: Final = 8 * 1024
"""Bytes."""


def refuse_bodies(timeout: float) -> Middleware:
    """Return what refuses requests with a body that is large or of unknown length.

    A small one must come within ``timeout`` seconds.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.can_read_body:
            return await handler(request)
        if hdrs.TRANSFER_ENCODING in request.headers:
            return _refusal(HTTPStatus.LENGTH_REQUIRED, "a body must have a Content-Length")
        if (request.content_length or 0) > MOST_BODY:
            text = f"the body is larger than {MOST_BODY} bytes"
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        try:
            async with asyncio.timeout(timeout):
                await request.read()
        except TimeoutError:
            return _refusal(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
        return await handler(request)

    return guard


def _refusal(status: HTTPStatus, text: str) -> web.Response:
    response = web.Response(status=status, text=f"{text}\n")
    response.force_close()
    return response
