"""Connections: how many there may be, and how long each may take, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import resource
import socket
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession, web
from structlog.testing import capture_logs
from support.certificates import Authority
from support.metrics import appeared, make_exposition, make_job

from trainwave_exporter.config import parse_document
from trainwave_exporter.metrics import Exposition
from trainwave_exporter.web import Access, WebServer
from trainwave_exporter.web.clients import client_of
from trainwave_exporter.web.connections import KnownScrapers, connection_limit

SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n"
LAST_SCRAPE = SCRAPE.replace(b"Host: x", b"Host: x\r\nConnection: close")
HALF = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-"
PLENTY = 30.0
"""Seconds that nothing here takes."""


class Served:
    """A server, and what it told."""

    def __init__(self, make_server: Callable[..., WebServer], **details: Any) -> None:
        self.drops: Counter[str] = Counter()
        self.changed = asyncio.Event()
        self.server = make_server(dropped=self._dropped, **details)

    def _dropped(self, reason: str) -> None:
        self.drops[str(reason)] += 1
        self.changed.set()

    async def until(self, **drops: int) -> None:
        """Wait until so many connections were dropped, for these reasons and no others."""
        async with asyncio.timeout(PLENTY):
            while self.drops.total() < sum(drops.values()):
                self.changed.clear()
                await self.changed.wait()
        assert self.drops == Counter(drops)

    async def connect(self, data: bytes, client: str = "127.0.0.1") -> socket.socket:
        """Connect from an address, with a small buffer, and send something."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((client, 0))
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, self.server.addresses[0])
        await loop.sock_sendall(connection, data)
        return connection

    async def scrape(self) -> int:
        """Return the status of a scrape over a connection of its own."""
        host, port = self.server.addresses[0]
        async with (
            ClientSession(f"http://{host}:{port}") as client,
            client.get("/metrics") as response,
        ):
            await response.read()
            return response.status


@asynccontextmanager
async def served(
    make_server: Callable[..., WebServer], exposition: Exposition, **details: Any
) -> AsyncIterator[Served]:
    found = Served(lambda **more: make_server(exposition, **more), **details)
    await found.server.start("127.0.0.1:0")
    try:
        yield found
    finally:
        await found.server.stop()


async def ends(connection: socket.socket) -> bytes:
    """Return what a connection still gives until the server ends it."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    try:
        async with asyncio.timeout(PLENTY):
            while data := await loop.sock_recv(connection, 65536):
                got += data
    except ConnectionError:
        pass
    return bytes(got)


def large(name: int | str) -> Exposition:
    """Return an exposition with a name, or one of so many characters."""
    exposition = make_exposition()
    exposition.apply(appeared(make_job(name="x" * name if isinstance(name, int) else name)))
    exposition.publish()
    return exposition


@pytest.mark.parametrize("data", [b"", HALF, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET /"])
async def test_who_sends_no_complete_request_in_time_is_dropped(
    exposition: Exposition, make_server: Callable[..., WebServer], data: bytes
) -> None:
    async with served(make_server, exposition, request_timeout=0.05) as site:
        with closing(await site.connect(data)) as connection:
            if data.endswith(b"GET /"):  # the beginning of a second one may come with the first
                assert b"ok\n" in await asyncio.get_running_loop().sock_recv(connection, 65536)
                await asyncio.get_running_loop().sock_sendall(connection, b"metrics")
            await site.until(request_timeout=1)
            await ends(connection)


async def test_who_sends_a_request_bit_by_bit_has_no_more_time(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    async with served(make_server, exposition, request_timeout=0.3) as site:
        loop = asyncio.get_running_loop()
        with closing(await site.connect(HALF)) as connection:
            for _ in range(1000):  # which take 20 s, in which nothing would be dropped
                with suppress(ConnectionError):
                    await loop.sock_sendall(connection, b"x")
                with suppress(TimeoutError):
                    await asyncio.wait_for(site.changed.wait(), 0.02)
                    break
            assert site.drops == Counter(request_timeout=1)


async def test_a_handshake_that_does_not_end_is_dropped_likewise(
    exposition: Exposition,
    make_server: Callable[..., WebServer],
    authority: Authority,
    tmp_path: Path,
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n")
    access = Access(file, parse_document)
    async with served(make_server, exposition, access=access, request_timeout=0.1) as site:
        with closing(await site.connect(b"")) as silent:
            await site.until(request_timeout=1)
            assert await ends(silent) == b""
        with closing(await site.connect(b"no TLS")) as other:
            await ends(other)
        host, port = site.server.addresses[0]
        async with (
            ClientSession() as client,
            client.get(f"https://localhost:{port}/metrics", ssl=authority.client()) as response,
        ):
            assert response.status == 200
        assert host == "127.0.0.1"
        await site.until(request_timeout=1)


async def test_connections_in_a_handshake_make_room_too(
    exposition: Exposition,
    make_server: Callable[..., WebServer],
    authority: Authority,
    tmp_path: Path,
) -> None:
    file = tmp_path / "web.yml"
    file.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n")
    access = Access(file, parse_document)
    async with (
        served(make_server, exposition, access=access, most_connections=4) as site,
        AsyncExitStack() as stack,
    ):
        silent = [stack.enter_context(closing(await site.connect(b""))) for _ in range(10)]
        await site.until(displaced=7)  # one of four places is kept
        assert [await ends(client) for client in silent[:7]] == [b""] * 7
        _, port = site.server.addresses[0]
        async with (
            ClientSession() as client,
            client.get(f"https://localhost:{port}/metrics", ssl=authority.client()) as response,
        ):
            assert response.status == 200
        await site.until(displaced=8)


async def test_a_newcomer_takes_the_place_of_who_has_waited_longest(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    with capture_logs() as logs:
        async with (
            served(make_server, exposition, most_connections=4, request_timeout=PLENTY) as site,
            AsyncExitStack() as stack,
        ):
            clients = [stack.enter_context(closing(await site.connect(HALF))) for _ in range(20)]
            # One of four places is kept for known scrapers: 17 of the 20 made room for others.
            await site.until(displaced=17)
            assert [await ends(client) for client in clients[:17]] == [b""] * 17
            assert await site.scrape() == 200
            await site.until(displaced=18)
            assert await site.scrape() == 200  # of which there are four for it by now
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("connections_dropped", "displaced")
    ]


async def test_a_crowd_makes_room_for_itself_and_not_for_it_who_has_but_one_place(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    async with (
        served(make_server, exposition, most_connections=8, request_timeout=PLENTY) as site,
        AsyncExitStack() as stack,
    ):
        alone = stack.enter_context(closing(await site.connect(HALF, "127.0.0.3")))
        for _ in range(20):
            stack.enter_context(closing(await site.connect(HALF, "127.0.0.2")))
        # Two of eight places are kept for known scrapers: 15 of the 21 made room for others.
        await site.until(displaced=15)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(alone, b": x\r\n\r\n")
        assert await loop.sock_recv(alone, 12) == b"HTTP/1.1 200"


@contextmanager
def no_more_files() -> Iterator[None]:
    """Have the process open no more files than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_file_descriptor_it_says_so_and_accepts_as_soon_as_there_is_one(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    with capture_logs() as logs:
        async with served(make_server, exposition) as site:
            assert await site.scrape() == 200
            with closing(socket.create_connection(site.server.addresses[0])) as client:
                client.setblocking(False)
                with no_more_files():  # it is in the kernel's queue, and nobody took it yet
                    async with asyncio.timeout(PLENTY):
                        await site.changed.wait()
                assert set(site.drops) == {"accept_failed"}
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(client, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(PLENTY):
                    assert await loop.sock_recv(client, 12) == b"HTTP/1.1 200"
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("connections_dropped", "accept_failed")
    ]


async def test_places_are_kept_for_known_scrapers_even_where_others_do_not_let_go(
    make_server: Callable[..., WebServer],
) -> None:
    async with (
        served(make_server, large(50_000_000), most_connections=4) as site,
        AsyncExitStack() as stack,
    ):
        assert await site.scrape() == 200
        for _ in range(3):  # each has an answer under way, that it does not take
            stranger = stack.enter_context(closing(await site.connect(SCRAPE, "127.0.0.2")))
            assert await asyncio.get_running_loop().sock_recv(stranger, 12) == b"HTTP/1.1 200"
        refused = stack.enter_context(closing(await site.connect(b"", "127.0.0.3")))
        assert await ends(refused) == b""
        await site.until(limit=1)
        assert await site.scrape() == 200
        await site.until(limit=1)


async def test_a_known_scraper_does_not_keep_out_another_however_many_answers_it_leaves(
    make_server: Callable[..., WebServer],
) -> None:
    """Whoever asks for little, and reads none of it, is known as well."""
    small = SCRAPE.replace(b"/metrics", b"/metrics?name[]=trainwave_up")
    async with (
        served(make_server, large(50_000_000), most_connections=4) as site,
        AsyncExitStack() as stack,
    ):
        loop = asyncio.get_running_loop()
        assert await site.scrape() == 200
        crowd = [stack.enter_context(closing(await site.connect(small, "127.0.0.2")))]
        assert await loop.sock_recv(crowd[0], 12) == b"HTTP/1.1 200"
        await loop.sock_sendall(crowd[0], SCRAPE)
        for _ in range(3):  # one more would be refused
            crowd.append(stack.enter_context(closing(await site.connect(SCRAPE, "127.0.0.2"))))
            assert await loop.sock_recv(crowd[-1], 12) == b"HTTP/1.1 200"
        refused = stack.enter_context(closing(await site.connect(b"", "127.0.0.2")))
        assert await ends(refused) == b""
        await site.until(limit=1)
        assert await site.scrape() == 200
        await site.until(limit=1, displaced=1)


async def test_headers_alone_are_no_scrape(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    scrapes: list[object] = []
    async with served(make_server, exposition, scrapes=scrapes, most_connections=4) as site:
        host, port = site.server.addresses[0]
        async with ClientSession() as client, client.head(f"http://{host}:{port}/metrics") as head:
            assert head.status == 200
        assert scrapes == []


@pytest.mark.parametrize("characters", [30_000, 300_000, 20_000_000])
async def test_an_answer_counts_until_its_last_byte_is_taken(
    make_server: Callable[..., WebServer], characters: int
) -> None:
    """Whether the kernel holds it, the transport, or the server is still at it."""
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            async with served(make_server, large(characters), send_timeout=0.2) as site:
                clients = [
                    stack.enter_context(closing(await site.connect(SCRAPE))) for _ in range(5)
                ]
                await site.until(answer_timeout=5)
        for client in clients:
            assert len(await ends(client)) < characters
    assert [(entry["event"], entry["reason"]) for entry in logs] == [
        ("scrape_aborted", "TimeoutError")
    ] * 5


@pytest.mark.parametrize(
    ("accepted", "coding"), [("zstd, gzip;q=0.5", "gzip"), ("zstd, identity;q=0.5", None)]
)
async def test_a_crowd_that_wants_packed_answers_and_takes_none_costs_the_others_nothing(
    make_server: Callable[..., WebServer], accepted: str, coding: str | None
) -> None:
    packed = SCRAPE.replace(b"identity", b"zstd")
    noise = "".join(Random(1).choices("abcdefghijklmnop", k=20_000_000))  # packs to half of it
    async with served(make_server, large(noise)) as site, AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        heads = []
        for _ in range(10):
            client = stack.enter_context(closing(await site.connect(packed)))
            heads.append(await loop.sock_recv(client, 400))
        assert [b"Content-Encoding: zstd" in head for head in heads] == [True] * 8 + [False] * 2
        host, port = site.server.addresses[0]
        async with (
            ClientSession(f"http://{host}:{port}") as client_session,
            client_session.get("/metrics", headers={"Accept-Encoding": accepted}) as response,
        ):
            assert response.headers.get("Content-Encoding") == coding


async def test_who_takes_every_answer_may_go_on_for_longer_than_one_may_take(
    make_server: Callable[..., WebServer],
) -> None:
    async with served(make_server, large(300_000), send_timeout=0.2) as site:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(*site.server.addresses[0])
        until = loop.time() + 0.7
        while loop.time() < until:  # on one connection
            writer.write(SCRAPE)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"Content-Length: (\d+)", head)
            assert length is not None
            assert len(await reader.readexactly(int(length[1]))) > 300_000
        writer.close()
        assert site.drops == Counter()


async def test_any_number_that_take_no_plain_answer_hold_one_copy_of_it(
    make_server: Callable[..., WebServer],
) -> None:
    """But on asyncio's own event loop, whose transports copy what they have not sent."""
    size, clients = 5_000_000, 10
    copies = 1 if type(asyncio.get_running_loop()) is uvloop.Loop else clients
    async with served(make_server, large(size)) as site, AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(clients):
            client = stack.enter_context(closing(await site.connect(SCRAPE)))
            assert await loop.sock_recv(client, 12) == b"HTTP/1.1 200"
        for _ in range(1000):
            await asyncio.sleep(0)
        assert size < tracemalloc.get_traced_memory()[0] < (copies + 1) * size


def in_kernel(port: int) -> int:
    """Return how many bytes the kernel keeps that were sent from a port and not taken."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4][:8], 16) for line in lines if line[1].endswith(f":{port:04X}"))


async def test_the_kernel_keeps_little_for_a_stranger_who_takes_nothing(
    make_server: Callable[..., WebServer],
) -> None:
    async with served(make_server, large(20_000_000)) as site, AsyncExitStack() as stack:
        for _ in range(5):
            stack.enter_context(closing(await site.connect(SCRAPE, "127.0.0.2")))
        port = site.server.addresses[0][1]
        async with asyncio.timeout(PLENTY):
            while in_kernel(port) < 5 * 64 * 1024:  # noqa: ASYNC110 - nothing notifies
                await asyncio.sleep(0)
        assert await site.scrape() == 200  # for which the others have the time to be sent more
        assert in_kernel(port) < 5 * 200_000


async def test_who_goes_away_leaves_nothing_that_only_a_full_collection_finds(
    make_server: Callable[..., WebServer],
) -> None:
    def handlers() -> int:
        return sum(type(each) is web.RequestHandler for each in gc.get_objects())

    async with served(make_server, large(5_000_000)) as site:
        loop = asyncio.get_running_loop()
        gc.collect()
        gc.disable()
        try:
            with capture_logs() as logs:
                for _ in range(10):
                    with closing(await site.connect(SCRAPE)) as client:
                        assert await loop.sock_recv(client, 12) == b"HTTP/1.1 200"
                async with asyncio.timeout(PLENTY):
                    while len(logs) < 10 or handlers():  # noqa: ASYNC110 - nothing notifies
                        await asyncio.sleep(0.01)
        finally:
            gc.enable()
    assert {entry["event"] for entry in logs} == {"scrape_aborted"}


async def test_a_crowd_is_accepted_in_a_few_turns_of_the_event_loop(
    exposition: Exposition, make_server: Callable[..., WebServer]
) -> None:
    async with (
        served(make_server, exposition, most_connections=4) as site,
        AsyncExitStack() as stack,
    ):
        for _ in range(100):  # meanwhile the event loop has no turn
            client = socket.create_connection(site.server.addresses[0])
            stack.enter_context(closing(client))
        turns = 0
        while site.drops["displaced"] < 97:  # one of four places is kept
            await asyncio.sleep(0)
            turns += 1
        assert turns < 20


async def test_known_scrapers_do_not_wait_for_a_crowd_of_strangers(
    make_server: Callable[..., WebServer],
) -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*(make_job(id=f"j-{number:04}") for number in range(2000))))
    exposition.publish()
    async with served(make_server, exposition) as site, AsyncExitStack() as stack:
        assert await site.scrape() == 200

        async def scrape(client: str) -> None:
            connection = stack.enter_context(closing(await site.connect(LAST_SCRAPE, client)))
            assert b"trainwave_exporter_build_info{" in await ends(connection)

        strangers = [asyncio.create_task(scrape("127.0.0.2")) for _ in range(40)]
        await asyncio.sleep(0)
        await scrape("127.0.0.1")
        assert sum(stranger.done() for stranger in strangers) < 5
        await asyncio.gather(*strangers)


@pytest.mark.parametrize(
    ("descriptors", "connections"), [(1024, 256), (256, 128), (3, 1), (1 << 30, 256), (-1, 256)]
)
def test_half_of_the_file_descriptors_are_for_connections_up_to_a_bound(
    descriptors: int, connections: int
) -> None:
    assert connection_limit(descriptors) == connections


def test_known_scrapers_are_forgotten_after_an_hour_and_not_pushed_out() -> None:
    now = [0.0]
    known = KnownScrapers(lambda: now[0], most=2)
    known.add("192.0.2.1")
    known.add("192.0.2.2")
    known.add("192.0.2.3")  # there is no room for one more
    assert [f"192.0.2.{n}" in known for n in (1, 2, 3)] == [True, True, False]
    now[0] = 3000.0
    known.add("192.0.2.1")
    now[0] = 3700.0
    known.add("192.0.2.3")
    assert [f"192.0.2.{n}" in known for n in (1, 2, 3)] == [True, False, True]


def test_who_has_one_address_of_version_six_has_its_network() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert client_of("::ffff:192.0.2.1") == client_of("192.0.2.1") == "192.0.2.1"
    assert client_of("") == ""
