"""The proxies of the environment, as httpx reads them: real ones, with an API behind them."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from trainwave_exporter.api import Client, ConnectionFailed

MakeClient = Callable[..., Client]

JOB = b'{"id": "j-1", "state": "RUNNING"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(JOB) + JOB
PASSWORD = "pr0xy-pass"
LOGIN = b"Proxy-Authorization: Basic %b" % base64.b64encode(f"someone:{PASSWORD}".encode())


class Proxy:
    """Answers what is asked in plain itself, and joins who asks for it to where they want."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with talk(writer):
            asked = await reader.readuntil(b"\r\n\r\n")
            self.heard.append(asked)
            if self.refuses:
                writer.write(b"HTTP/1.1 407 Say Who\r\nContent-Length: 0\r\n\r\n")
            elif asked.startswith(b"CONNECT "):
                host, port = asked.split()[1].decode().split(":")
                there, away = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                await asyncio.gather(_pass_on(reader, away), _pass_on(there, writer))
            else:
                writer.write(ANSWER)


@asynccontextmanager
async def talk(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Send all that was written in the end, and hang up; the other side may do so first."""
    try:
        yield
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(*, refuses: bool = False) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy; yields it and the part of its URL after the scheme."""
    running = Proxy(refuses=refuses)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    async with server:
        yield running, f"127.0.0.1:{_port(server)}"


@asynccontextmanager
async def api(authority: trustme.CA) -> AsyncIterator[str]:
    """Serve one job by TLS; yields the URL of the API."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with talk(writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{_port(server)}/api/v1"


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def no_other_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """Return whom the environment has clients trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


async def test_what_is_plain_is_asked_of_the_proxy(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxy() as (running, address):
        monkeypatch.setenv("HTTP_PROXY", f"http://someone:{PASSWORD}@{address}")
        await make_client("http://api.test/api/v1").get_job("j-1")
    [asked] = running.heard
    assert asked.startswith(b"GET http://api.test/api/v1/jobs/j-1/ HTTP/1.1\r\n")
    assert LOGIN.lower() in asked.lower()


async def test_tls_goes_through_the_proxy_to_the_api_and_the_proxy_never_sees_the_key(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    async with proxy() as (running, address), api(authority) as url:
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:{PASSWORD}@{address}")
        assert (await make_client(url).get_job("j-1")).id == "j-1"
    [asked] = running.heard
    assert asked.startswith(b"CONNECT 127.0.0.1:")
    assert LOGIN.lower() in asked.lower()
    assert b"tw_k3y" not in asked


async def test_hosts_that_are_excepted_are_asked_without_a_proxy(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    async with proxy() as (running, address), api(authority) as url:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert (await make_client(url).get_job("j-1")).id == "j-1"
    assert running.heard == []


async def test_a_proxy_that_refuses_or_is_gone_is_reported_without_its_password(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failure() -> str:
        with pytest.raises(ConnectionFailed) as reported:
            await make_client("https://api.test/api/v1").get_job("j-1")
        return f"{reported.value} {reported.value!r}"

    async with proxy(refuses=True) as (_, address):
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:{PASSWORD}@{address}")
        refused = await failure()
    gone = await failure()
    assert "407" in refused
    assert "127.0.0.1" in gone
    assert PASSWORD not in refused + gone
