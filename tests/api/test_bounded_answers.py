"""Whatever an answer holds, it takes no more memory and no more of the event loop than it may.

Held are at most 100 ms of CPU time in a turn of the loop, on a machine of half the speed.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import json
import logging
import ssl
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from support.loop_hold import LONGEST_HOLD, watching
from support.raw_server import raw_server

from trainwave_exporter.api import (
    BodyTooLarge,
    Client,
    ConnectionFailed,
    TrainwaveError,
    UnsupportedEncoding,
)
from trainwave_exporter.model import Exchange, Fact, Metric, Unreadable

MakeClient = Callable[..., Client]

PAGE_BYTES = 32 * 1024 * 1024
JOB = {
    "id": "00000000-0000-0000-0000-000000000000",
    "rid": "quiet-otter-training",
    "state": "RUNNING",
    "project": {"id": "p-1", "rid": "vision", "name": "Vision"},
    "config": {"id": "c-1", "rid": "c", "name": "train, from [scratch]", "expires_at": -1},
    "cloud_offer": {"cpus": 16, "memory_mb": 128_000, "gpu_type": "H100", "gpus": 8},
    "total_cost": 1234,
    "cost_per_hour": 2.5,
    "created_at": "2024-03-21T09:00:00Z",
}
SPELLED = json.dumps(JOB).encode()


def packed(pieces: Iterable[bytes]) -> bytes:
    """Return a whole answer whose body is compressed; the body itself is never in memory."""
    deflate = zlib.compressobj(wbits=31)
    body = b"".join([*map(deflate.compress, pieces), deflate.flush()])
    return http(body, "gzip")


def http(body: bytes, encoding: str = "identity") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def repeated(start: bytes, piece: bytes, times: int, end: bytes) -> Iterator[bytes]:
    at_once = 1000
    yield start
    for _ in range(times // at_once):
        yield piece * at_once
    yield piece * (times % at_once) + end


def read_page(client: Client) -> Awaitable[Any]:
    return client.list_jobs(limit=10)


def read_reading(client: Client) -> Awaitable[Any]:
    return client.get_metric("j-1", Metric.GPU_UTILIZATION)


def read_job(client: Client) -> Awaitable[Any]:
    return client.get_job("j-1")


Ask = Callable[[Client], Awaitable[Any]]
TINY_JOB = b'{"id":"1","state":"R"},'
TOO_MUCH: dict[str, tuple[Ask, Callable[[], Iterator[bytes]], str]] = {
    "spaces": (read_page, lambda: repeated(b"", b" " * 1000, 100_000, b"[]"), "33554432 bytes"),
    "a reading of 16 million zeros": (
        read_reading,
        lambda: repeated(b"[", b"0,", 16_000_000, b"0]"),
        "longer than 2000000 bytes",
    ),
    "a reading of as many zeros as there is room for": (
        read_reading,
        lambda: repeated(b"[", b"0,", 900_000, b"0]"),
        "more than 100000 values",
    ),
    "a job of lists": (
        read_job,
        lambda: repeated(b'{"id": [', b"[],", 600_000, b"0]}"),
        "more than 100000 values",
    ),
    "a page of tiny jobs": (
        read_page,
        lambda: repeated(b'{"results":[', TINY_JOB, 1_200_000, b"0]}"),
        "more than 1000000 values",
    ),
    "a page of zeros": (
        read_page,
        lambda: repeated(b"[", b"0,", 16_000_000, b"0]"),
        "more than 1000000 values",
    ),
    "a page of too many jobs": (
        read_page,
        lambda: repeated(b'{"data":[', TINY_JOB, 50_000, b'0],"success":true}'),
        "more than 50000 items",
    ),
    "a page of a few hundred thousand zeros": (
        read_page,
        lambda: repeated(b"[", b"0,", 400_000, b"0]"),
        "more than 100000 values",
    ),
    "a huge job in a page": (
        read_page,
        lambda: repeated(b'[{"id":"', b"x" * 1000, 5000, b'"}]'),
        "an item of more than 4194304 bytes",
    ),
    "a huge nested job in a page": (
        read_page,
        lambda: repeated(b'[{"id":[', b"[],", 400_000, b'0]},{"id":1}]'),
        "an item of more than 100000 values",
    ),
    "a page with much beside its list": (
        read_page,
        lambda: repeated(b'{"next":"', b"x" * 1000, 2001, b'","results":[]}'),
        "more than 2000000 bytes outside its list",
    ),
    "a page without a list": (
        read_page,
        lambda: repeated(b'{"a":[', b'{"results":0},', 300_000, b"0]}"),
        "more than 2000000 bytes outside its list",
    ),
}


async def test_names_of_a_megabyte_cost_neither_their_jobs_nor_the_list(
    make_client: MakeClient,
) -> None:
    """As they are, and as escaped control characters of six bytes each."""
    job = b'{"id":"j-%d","state":"RUNNING","name":"%b"},'
    names = (b"x" * 2**20, rb"\u0001" * (2**20 // 6))
    jobs = b"".join(job % (number, name) for number, name in enumerate(names))
    pieces = [b'{"results":[', jobs, b'{"id":"j-2","state":"RUNNING"}]}']
    with raw_server([packed(iter(pieces))]) as url:
        async with watching() as hold:
            page = await make_client(url).list_jobs()
    assert [found.id for found in page.items] == ["j-0", "j-1", "j-2"]
    assert all(len(found.name or "") <= 256 for found in page.items)
    assert hold.longest < LONGEST_HOLD


@pytest.mark.parametrize("name", TOO_MUCH)
async def test_what_is_too_much_is_refused_by_its_name_without_holding_the_loop(
    make_client: MakeClient, facts: list[Fact], name: str
) -> None:
    ask, pieces, reported = TOO_MUCH[name]
    answer = packed(pieces())
    with raw_server([answer]) as url:
        client = make_client(url, timeout=60)
        async with watching() as hold:
            with pytest.raises(BodyTooLarge, match=reported):
                await ask(client)
    assert hold.longest < LONGEST_HOLD
    assert {fact.outcome for fact in facts if isinstance(fact, Exchange)} == {"too_large"}


@pytest.mark.parametrize(
    "name",
    [
        "spaces",
        "a reading of 16 million zeros",
        "a reading of as many zeros as there is room for",
        "a page of tiny jobs",
        "a page of zeros",
        "a huge job in a page",
    ],
)
async def test_what_is_too_much_takes_twice_the_bound_of_memory_at_most(
    make_client: MakeClient, name: str
) -> None:
    ask, pieces, reported = TOO_MUCH[name]
    answer = packed(pieces())
    with raw_server([answer]) as url:
        client = make_client(url, timeout=60)
        tracemalloc.start()
        try:
            with pytest.raises(BodyTooLarge, match=reported):
                await ask(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    bound = PAGE_BYTES if ask is read_page else 2_000_000
    assert peak < 2.1 * bound + 2_000_000


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"[", b"]"), (b'{"success":true,"data":{"results":[', b'],"count":40000}}')],
)
async def test_a_page_as_long_as_may_be_is_read_without_holding_the_loop(
    make_client: MakeClient, before: bytes, after: bytes
) -> None:
    jobs = b",".join(SPELLED.replace(b"00000000-", b"%08d-" % n) for n in range(40_000))
    answer = http(before + jobs + after)
    assert 0.4 * PAGE_BYTES < len(answer) < PAGE_BYTES
    with raw_server([answer]) as url:
        client = make_client(url, timeout=60)
        async with watching() as hold:
            page = await read_page(client)
    assert hold.longest < LONGEST_HOLD
    assert (page.size, page.last) == (40_000, True)
    assert [job.id[:8] for job in page.items] == [f"{n:08d}" for n in range(40_000)]
    assert {job.name for job in page.items} == {"train, from [scratch]"}


async def test_a_page_of_what_cannot_be_read_is_reported_item_by_item_without_holding_the_loop(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    answer = packed(repeated(b"[", b"{},", 49_999, b"{}]"))
    with raw_server([answer]) as url:
        client = make_client(url, timeout=60)
        async with watching() as hold:
            page = await read_page(client)
    assert hold.longest < LONGEST_HOLD
    assert (page.items, page.size) == ((), 50_000)
    assert sum(isinstance(fact, Unreadable) for fact in facts) == 50_000


@pytest.mark.parametrize(
    "point",
    ['{"timestamp":"2024-03-21T%02d:%02d:%02dZ","value":%d}', '["2024-03-21T%02d:%02d:%02dZ",%d]'],
)
async def test_a_reading_of_many_points_is_read_without_holding_the_loop(
    make_client: MakeClient, point: str
) -> None:
    moments = itertools.islice(itertools.product(range(24), range(60), range(60)), 30_000)
    points = ",".join(point % (*moment, at % 100) for at, moment in enumerate(moments))
    with raw_server([http(f"[{points}]".encode())]) as url:
        client = make_client(url, timeout=60)
        async with watching() as hold:
            reading = await read_reading(client)
    assert hold.longest < LONGEST_HOLD
    # The newest is the 30,000th second of the day, 08:19:59, whose value is 99 %.
    assert [found.value for found in reading.points] == [0.99]
    assert reading.at == 1_710_979_200 + 29_999


@pytest.mark.parametrize(
    "encoding",
    [
        "zstd, zstd",
        "gzip, gzip",
        "gzip,gzip",
        "gzip, identity",
        "zstd",
        "br",
        "deflate",
        "x",
        "GZIP, x",
    ],
)
async def test_an_encoding_that_was_not_asked_for_is_refused_unread(
    make_client: MakeClient, facts: list[Fact], encoding: str
) -> None:
    refused = pytest.raises(UnsupportedEncoding, match="other means than gzip, once")
    with raw_server([http(gzip.compress(gzip.compress(SPELLED)), encoding)]) as url, refused:
        await read_job(make_client(url))
    assert [fact.outcome for fact in facts if isinstance(fact, Exchange)] == [
        "unsupported_encoding"
    ]


async def test_encodings_reported_by_several_headers_are_several(make_client: MakeClient) -> None:
    answer = http(SPELLED, "gzip\r\nContent-Encoding: gzip")
    with raw_server([answer]) as url, pytest.raises(UnsupportedEncoding):
        await read_job(make_client(url))


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "x-gzip"])
async def test_what_is_compressed_as_asked_is_read(make_client: MakeClient, encoding: str) -> None:
    with raw_server([http(gzip.compress(SPELLED), encoding)]) as url:
        assert (await read_job(make_client(url))).id == JOB["id"]


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def endlessly() -> Iterator[bytes]:
    return itertools.repeat(CONTINUE * 40_000)


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return context


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("kept_alive", [False, True])
async def test_answers_before_the_answer_without_end_are_cut_off(
    make_client: MakeClient, tls: ssl.SSLContext, encrypted: bool, kept_alive: bool
) -> None:
    good = [[http(SPELLED)]] if kept_alive else []
    with raw_server(*good, endlessly(), tls=tls if encrypted else None) as url:
        client = make_client(url, timeout=60)
        if kept_alive:
            await read_job(client)
        async with watching() as hold:
            with pytest.raises(ConnectionFailed, match="more than 16 answers to one request"):
                await read_job(client)
    assert hold.longest < LONGEST_HOLD


async def test_some_answers_before_the_answer_are_passed_over(make_client: MakeClient) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    with raw_server([CONTINUE * 3 + hint * 12, http(SPELLED)]) as url:
        assert (await read_job(make_client(url))).id == JOB["id"]


LEAVING: dict[str, list[bytes]] = {
    "one as it should be": [http(b"50.0")],
    "one that is too long": [packed(repeated(b"[", b"0,", 1_900_000, b"0]"))],
    "one of an encoding that was not asked for": [http(SPELLED, "zstd, zstd")],
    "a refusal": [b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"],
    "one that is cut short": [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"],
}


@pytest.mark.parametrize("name", LEAVING)
async def test_answers_leave_nothing_that_only_a_full_collection_finds(
    make_client: MakeClient, name: str
) -> None:
    """Those are an hour apart, and what takes long to read is old by the time that it is read."""
    with raw_server(LEAVING[name]) as url:
        client = make_client(url, timeout=60)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                with suppress(TrainwaveError):
                    await read_reading(client)
            kept = [each for each in gc.get_objects() if isinstance(each, httpx.Request)]
            assert len(kept) < 5
        finally:
            gc.enable()


async def test_tags_of_answers_are_not_kept(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # pytest keeps what is logged
    asked: list[httpx.Request] = []
    tags = itertools.count()

    def tagged(request: httpx.Request) -> httpx.Response:
        asked[:] = [request]
        stream = httpx.ByteStream(SPELLED + b" " * 1000)
        return httpx.Response(200, headers={"ETag": f'"{next(tags)}"'}, stream=stream)

    client = make_client(transport=httpx.MockTransport(tagged), observe=lambda _: None)

    async def ask(times: int) -> int:
        for _ in range(times):
            await client.get_job(f"j-{next(tags)}")
            assert "if-none-match" not in asked[0].headers
            await asyncio.sleep(0)  # the loop lets go of timers that are not needed any more
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        sizes = [await ask(times) for times in (100, 500, 500, 500)]
    finally:
        tracemalloc.stop()
    # A table of the interpreter may grow once. Kept bodies would take 700,000 bytes each time.
    assert min(after - before for before, after in itertools.pairwise(sizes)) < 100_000
