"""Bodies of requests: small ones are ignored, others refused unread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from trainwave_exporter.metrics import Exposition
from trainwave_exporter.web import WebServer

HEAD = b"POST /-/reload HTTP/1.1\r\nHost: x\r\n"
NO_RELOAD = b"HTTP/1.1 403 "
"""The answer where reloading is not enabled: the request was handled, whatever its body."""


async def answers_of(
    server: WebServer, *pieces: bytes, then: bytes = b""
) -> tuple[list[bytes], bool]:
    """Return the status lines, and whether the server closed the connection by itself.

    ``then`` is sent as soon as the first answer has come.
    """
    reader, writer = await asyncio.open_connection(*server.addresses[0])
    try:
        async with asyncio.timeout(10):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            heads = [await reader.readuntil(b"\r\n\r\n")]
            if then:
                length = int(heads[0].lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)
                writer.write(then)
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            closed = b"connection: close" in heads[-1].lower()
            if closed:
                await reader.read()  # up to the end, which comes
            return [head.partition(b"\r\n")[0] for head in heads], closed
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("length", [2, 8192])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_small_body_is_ignored_and_the_connection_kept(
    exposition: Exposition, make_server: Callable[..., WebServer], length: int, apart: bool
) -> None:
    server = make_server(exposition)
    await server.start("127.0.0.1:0")
    head, body = HEAD + f"Content-Length: {length}\r\n\r\n".encode(), b"x" * length
    pieces = (head, body) if apart else (head + body,)
    statuses, closed = await answers_of(server, *pieces, then=HEAD + b"\r\n")
    assert [status[:13] for status in statuses] == [NO_RELOAD, NO_RELOAD]
    assert not closed
    await server.stop()


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: 8193", b"HTTP/1.1 413 Request Entity Too Large"),
        (b"Content-Length: 1000000000000", b"HTTP/1.1 413 Request Entity Too Large"),
        (b"Transfer-Encoding: chunked", b"HTTP/1.1 411 Length Required"),
        (
            b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
            b"HTTP/1.1 411 Length Required",
        ),
    ],
)
@pytest.mark.parametrize("request_line", [HEAD.splitlines()[0], b"GET /metrics HTTP/1.1"])
async def test_another_body_is_refused_before_it_comes(
    exposition: Exposition,
    make_server: Callable[..., WebServer],
    request_line: bytes,
    framing: bytes,
    status: bytes,
) -> None:
    server = make_server(exposition)
    await server.start("127.0.0.1:0")
    request = request_line + b"\r\nHost: x\r\n" + framing + b"\r\n\r\n"
    assert await answers_of(server, request) == ([status], True)
    await server.stop()


async def test_a_body_that_does_not_come_is_not_waited_for(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    server = make_server(exposition, request_timeout=0.05)
    await server.start("127.0.0.1:0")
    statuses, closed = await answers_of(server, HEAD + b"Content-Length: 10\r\n\r\nhalf")
    assert (statuses, closed) == ([b"HTTP/1.1 408 Request Timeout"], True)
    await server.stop()
