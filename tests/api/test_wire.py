"""What may happen on the wire, with sockets that misbehave in every way."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from trainwave_exporter.api import (
    BodyTooLarge,
    Client,
    ConnectionFailed,
    NotJson,
    RateLimited,
    ServerError,
    Timeout,
    TrainwaveError,
    wire,
)
from trainwave_exporter.api.wire import new_client
from trainwave_exporter.model import Exchange, Fact

MakeClient = Callable[..., Client]

JOB = b'{"id": "j-1", "state": "RUNNING"}'


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


class Socket:
    """Answers each request with fixed bytes, then hangs up, resets, trickles or falls silent."""

    def __init__(self, reported: bytes, end: str) -> None:
        self.reported = reported
        self.end = end
        self.heard: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.reported)
            await writer.drain()
            while self.end == "trickle":
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
            if self.end == "silence":
                await reader.read()  # until the other side gives up
            elif self.end == "reset":
                writer.transport.abort()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(
    reported: bytes, end: str = "close", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Socket]:
    sock = Socket(reported, end)
    server = await asyncio.start_server(sock.serve, "127.0.0.1", 0, ssl=tls)
    sock.port = server.sockets[0].getsockname()[1]
    try:
        yield sock
    finally:
        server.close()


async def test_a_whole_answer_is_read(make_client: MakeClient) -> None:
    async with listening(http(JOB)) as sock:
        assert (await make_client(sock.url).get_job("j-1")).id == "j-1"


async def test_a_compressed_answer_is_read(make_client: MakeClient) -> None:
    async with listening(http(gzip.compress(JOB), "Content-Encoding: gzip")) as sock:
        assert (await make_client(sock.url).get_job("j-1")).id == "j-1"
    assert b"accept-encoding: gzip\r\n" in sock.heard[0].lower()


@pytest.mark.parametrize(
    ("reported", "end"),
    [
        (b"", "close"),
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "close"),
        (http(b'{"id": "j-', length=500), "close"),
        (http(b'{"id": "j-', length=500), "reset"),
        (b"220 smtp.example.org ESMTP\r\n", "close"),
        (b"\x16\x03\x01\x00\x00", "close"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "close"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "close"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "close"),
    ],
)
async def test_a_broken_connection_is_a_failed_connection(
    make_client: MakeClient, facts: list[Fact], reported: bytes, end: str
) -> None:
    async with listening(reported, end) as sock:
        with pytest.raises(ConnectionFailed):
            await make_client(sock.url).get_job("j-1")
    assert [f.outcome for f in facts if isinstance(f, Exchange)] == ["connection"]


async def test_a_port_where_nobody_listens_is_a_failed_connection(make_client: MakeClient) -> None:
    async with listening(b"") as sock:
        url = sock.url
    with pytest.raises(ConnectionFailed):
        await make_client(url).get_job("j-1")


@pytest.mark.parametrize(
    "reported", [b"", b"HTTP/1.1 200 OK\r\n", http(b'{"id"', length=500), http(JOB, length=500)]
)
async def test_an_answer_that_does_not_end_in_time_is_a_timeout(
    make_client: MakeClient, reported: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far from the end of the whole: a busy machine may let both pass at once.
    monkeypatch.setattr(wire, "_SILENCE_SHARE", 0.02)
    async with listening(reported, "silence") as sock:
        with pytest.raises(Timeout, match=r"nothing received for 0\.2 s"):
            await make_client(sock.url, timeout=10).get_job("j-1")


async def test_an_answer_that_only_trickles_in_is_a_timeout_of_the_whole(
    make_client: MakeClient,
) -> None:
    async with listening(http(b"", length=10_000), "trickle") as sock:
        with pytest.raises(Timeout, match=r"no whole answer within 2 s"):
            await make_client(sock.url, timeout=2).get_job("j-1")


async def test_a_peer_that_does_not_agree_on_tls_is_no_connection(make_client: MakeClient) -> None:
    async with listening(b"", "silence") as sock:
        client = make_client(f"https://127.0.0.1:{sock.port}/api/v1", timeout=1)
        with pytest.raises(Timeout, match=r"no connection within 0\.4 s"):
            await client.get_job("j-1")


async def test_a_peer_that_does_not_accept_is_no_connection(make_client: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        with socket.create_connection(address):  # there is room for one that waits
            client = make_client(f"http://127.0.0.1:{address[1]}/api/v1", timeout=1)
            with pytest.raises(Timeout, match=r"no connection within 0\.4 s"):
                await client.get_job("j-1")


@pytest.mark.parametrize("end", ["silence", "reset", "close"])
async def test_a_refusal_counts_even_if_its_body_never_ends(
    make_client: MakeClient, end: str
) -> None:
    reported = http(b'{"detail"', "Retry-After: 7", status="429 Too Many Requests", length=500)
    async with listening(reported, end) as sock:
        with pytest.raises(RateLimited) as refused:
            await make_client(sock.url).get_job("j-1")
    assert refused.value.retry_after == 7


async def test_a_long_refusal_is_cut_short(make_client: MakeClient) -> None:
    async with listening(http(b"x" * 1_000_000, status="500 Oops")) as sock:
        with pytest.raises(ServerError, match=r"^x{199}… "):
            await make_client(sock.url).get_job("j-1")


@pytest.mark.parametrize("length", [2_000_000, 2_000_001])
async def test_a_body_beyond_the_bound_is_not_read_to_its_end(
    make_client: MakeClient, length: int
) -> None:
    body = JOB + b" " * (length - len(JOB))
    async with listening(http(body)) as sock:
        client = make_client(sock.url)
        if length == 2_000_000:
            assert (await client.get_job("j-1")).id == "j-1"
        else:
            with pytest.raises(BodyTooLarge):
                await client.get_job("j-1")


async def test_a_small_body_that_unpacks_to_a_huge_one_is_too_large(
    make_client: MakeClient,
) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    async with listening(http(bomb, "Content-Encoding: gzip")) as sock:
        with pytest.raises(BodyTooLarge):
            await make_client(sock.url).get_job("j-1")


async def test_a_body_that_cannot_be_unpacked_is_not_json(make_client: MakeClient) -> None:
    async with listening(http(JOB, "Content-Encoding: gzip")) as sock:
        with pytest.raises(NotJson):
            await make_client(sock.url).get_job("j-1")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadTimeout("slow"), Timeout),
        (TimeoutError(), Timeout),
        (httpx.ConnectError("no route"), ConnectionFailed),
        (OSError("no route"), ConnectionFailed),
    ],
)
async def test_what_any_transport_raises_becomes_an_error_of_the_tree(
    make_client: MakeClient, error: Exception, kind: type[TrainwaveError]
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(kind):
        await make_client(transport=httpx.MockTransport(fail)).get_job("j-1")


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_certificates_of_the_environment_are_trusted_and_no_others(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trusted: bool
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if trusted:
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with listening(http(JOB), tls=context) as sock:
        client = make_client(f"https://127.0.0.1:{sock.port}/api/v1")
        if trusted:
            assert (await client.get_job("j-1")).id == "j-1"
        else:
            with pytest.raises(ConnectionFailed, match="certificate"):
                await client.get_job("j-1")


async def test_cookies_are_not_sent_back(make_client: MakeClient) -> None:
    async with listening(http(JOB, "Set-Cookie: session=1; Path=/")) as sock:
        client = make_client(f"http://localhost:{sock.port}/api/v1")  # aiohttp keeps none of an IP
        for _ in range(2):
            await client.get_job("j-1")
    assert len(sock.heard) == 2
    assert all(b"cookie" not in heard.lower() for heard in sock.heard)


async def test_cookies_are_not_kept_either() -> None:
    """Not even where an API sets ever new ones."""
    answers = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Set-Cookie": "a=1"}))
    async with new_client(transport=answers, proxied={}, timeout=1.0) as client:
        await client.get("https://api.test/")
        assert not list(client.cookies.jar)
