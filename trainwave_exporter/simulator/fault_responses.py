"""How faults look on the wire."""

from __future__ import annotations

import socket
import struct
from random import Random

from aiohttp import web

from trainwave_exporter.simulator.dialects import Renderer
from trainwave_exporter.simulator.faults import Fault

_PAGE = """<!DOCTYPE html>
<html><head><title>{title}</title></head>
<body><h1>{title}</h1><p>Please try again in a moment.</p></body></html>
"""
_GATEWAY_TEXTS = {
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
_AT_ONCE = struct.pack("ii", 1, 0)
"""Linger for no time: closing the socket then resets the connection."""


def instead(
    fault: Fault | None, renderer: Renderer, random: Random, elsewhere: str
) -> web.Response | None:
    """Return what is answered in place of an answer, for the faults that do not let one be made.

    ``elsewhere`` is the URL that redirects lead to.
    """
    match fault:
        case Fault.TOO_MANY_REQUESTS:
            headers = {"Retry-After": str(random.randint(1, 5))} if random.random() < 0.5 else {}
            error = renderer.error("rate_limit_exceeded", "Too many requests")
            return web.json_response(error, status=429, headers=headers)
        case Fault.SERVER_ERROR:
            return _server_error(renderer, random)
        case Fault.HTML:
            page = _PAGE.format(title="Down for maintenance")
            return web.Response(text=page, content_type="text/html")
        case Fault.SUCCESS_FALSE:
            return web.json_response(renderer.error("internal_error", "Something went wrong"))
        case Fault.NULL_DATA:
            return web.json_response(renderer.answer(None))
        case Fault.WRONG_JSON:
            return web.json_response(_wrong(renderer, random))
        case Fault.REDIRECT:
            status = random.choice((301, 302, 307, 308))
            return web.Response(status=status, headers={"Location": elsewhere})
    return None


def _server_error(renderer: Renderer, random: Random) -> web.Response:
    status, text = random.choice(tuple(_GATEWAY_TEXTS.items()))
    match random.randrange(3):
        case 0:
            return web.json_response(renderer.error("internal_error", text), status=status)
        case 1:
            return web.Response(text=text, status=status)
    return web.Response(text=_PAGE.format(title=text), status=status, content_type="text/html")


def _wrong(renderer: Renderer, random: Random) -> object:
    """Return JSON that nobody can take for an answer, least of all for an empty list."""
    wrong = random.choice(("ok", True, {"unexpected": True}, {"count": 3, "results": "many"}))
    return renderer.answer(wrong) if random.random() < 0.5 else wrong


async def spoil(
    fault: Fault | None, request: web.Request, response: web.StreamResponse, random: Random
) -> web.StreamResponse:
    """Deliver a right answer in the way that ``fault`` wants; most faults want nothing here."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    body = response.body
    if fault is Fault.HALF_BODY and body.startswith((b"{", b"[")) and random.random() < 0.5:
        response.body = body[: len(body) // 2]
        return response
    if fault in {Fault.RESET, Fault.HALF_BODY}:
        torn = web.StreamResponse(status=response.status, headers=response.headers)
        torn.content_length = len(body)
        await torn.prepare(request)
        await torn.write(body[: len(body) // 2])
        hang_up(request, reset=fault is Fault.RESET)
        return torn
    return response


def hang_up(request: web.Request, *, reset: bool) -> None:
    """End the connection that a request came by, with a reset or in good order."""
    transport = request.transport
    if transport is None:  # the client was quicker
        return
    if not reset:
        transport.close()
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
