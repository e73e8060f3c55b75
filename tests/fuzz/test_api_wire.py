"""Any bytes over a connection, and any place to be sent to: nothing but the error tree."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainwave_exporter.api import Client, Priority, RateBudget, TrainwaveError
from trainwave_exporter.runtime.clock import Clock

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
JOB = b'{"id": "j-1", "state": "RUNNING"}'
PAGE = b'{"count": 1, "next": null, "results": [' + JOB + b"]}"

ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
statuses = st.sampled_from(
    [b"200 OK", b"200", b"204 No", b"206 Part", b"100 Continue", b"101 Switch", b"103 Hints",
     b"301 Moved", b"302 Found", b"304 Same", b"307 Temp", b"400 Bad", b"401 Who", b"407 Proxy",
     b"429 Slow", b"500 \xff", b"999 ?", b"0 ", b"-1 x", b"20000 x"]
)  # fmt: skip
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/0.9", b"ICY"])
places = st.sampled_from(
    [b"/", b"?", b"#", b"//", b"///x", b"/api/v1/jobs/j-1/", b"http://", b"http://[", b"http://[::1",
     b"http://%", b"http://a b/", b"\\\\x", b"http:///x", b"x:y", b"/\xff", b"/%zz", b"/\x7f",
     b"http://127.0.0.1:99999/", b"http://\xc3\xa9.test/", b"http://xn--a/", b"http://-.test/",
     b"http://127.0.0.1:/", b"http://user:p@ss@127.0.0.1/", b"/" + b"x" * 7000, b"mailto:a",
     b"http://" + b"a" * 300 + b".test/", b"http://1.2.3.4.5/", b"http://0x7f.1/", b"/\xe2\x80\xae"]
)  # fmt: skip
numbers = st.sampled_from(
    [b"0", b"5", b"33", b"75", b"-1", b"1e3", b"99999999999999999999", b"x", b"", b"5, 5", b"0x10"]
)
headers = st.one_of(
    st.tuples(st.sampled_from([b"Location", b"location"]), places | st.binary(max_size=20)),
    st.tuples(
        st.sampled_from(
            [
                b"Content-Length",
                b"Retry-After",
                b"X-RateLimit-Limit",
                b"X-RateLimit-Remaining",
                b"X-RateLimit-Reset",
                b"Age",
                b"Keep-Alive",
            ]
        ),
        numbers,
    ),
    st.tuples(
        st.just(b"Transfer-Encoding"),
        st.sampled_from([b"chunked", b"gzip, chunked", b"identity", b"chunked, chunked", b"x"]),
    ),
    st.tuples(
        st.just(b"Content-Encoding"), st.sampled_from([b"gzip", b"zstd, zstd", b"", b",", b"\xff"])
    ),
    st.tuples(
        st.just(b"Date"),
        st.sampled_from([b"Thu, 21 Mar 2024 09:00:00 GMT", b"Thu, 99 Foo 0000", b"0", b"\xff"])
        | st.binary(max_size=12),
    ),
    st.tuples(
        st.just(b"Set-Cookie"),
        st.sampled_from([b"a=b", b"=", b"a=b; Expires=x; Path=/; Max-Age=1e9", b"\xff=\x01"]),
    ),
    st.tuples(
        st.just(b"Content-Type"),
        st.sampled_from([b"application/json", b"text/html; charset=x", b"a/b; c", b";", b"\xff"]),
    ),
    st.tuples(
        st.sampled_from([b"Connection", b"Upgrade", b"Link"]),
        st.sampled_from(
            [b"close", b"keep-alive", b"upgrade", b"websocket", b"<x>; rel=", b"<http://[>"]
        ),
    ),
    st.tuples(st.binary(max_size=8), st.binary(max_size=12)),
)
bodies = st.sampled_from(
    [b"", JOB, PAGE, gzip.compress(JOB), gzip.compress(JOB)[:-9], b"5\r\nhello\r\n0\r\n\r\n",
     b"21\r\n" + JOB + b"\r\n0\r\n\r\n", b"ffffffffffffffffff\r\nx", b"-1\r\n", b"[" * 3000,
     b'{"detail": ' + b"[" * 900 + b"]" * 900 + b"}", b"<html><title>" * 9]
) | st.binary(max_size=40)  # fmt: skip
head = st.builds(
    lambda version, status, fields, end: (
        version
        + b" "
        + status
        + end
        + b"".join(name + b": " + value + end for name, value in fields)
        + end
    ),
    versions,
    statuses,
    st.lists(headers, max_size=4),
    ends,
)
whole = st.builds(
    lambda status, fields, body: (
        b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b"
        % (status, b"".join(b"%b: %b\r\n" % field for field in fields), len(body), body)
    ),
    statuses,
    st.lists(headers, max_size=2),
    bodies,
)
answers = st.lists(
    whole
    | st.builds(lambda heads, body: b"".join(heads) + body, st.lists(head, max_size=3), bodies),
    min_size=1,
    max_size=3,
)


async def ask(told: Sequence[bytes]) -> None:
    """Ask for a job and a page; each connection is answered by the next of ``told``."""
    left = list(told)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(left.pop(0) if left else b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    async def no_sleep(_: float) -> None:
        return

    clock = Clock(random=Random(1), sleep=no_sleep)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(
        account="a",
        base_url=f"http://127.0.0.1:{port}/api/v1",
        key=lambda: "key",
        budget=RateBudget(clock=clock, initial_limit=10_000),
        observe=lambda _: None,
        clock=clock,
        timeout=0.5,
    )
    try:
        for request in (client.get_job("j-1"), client.list_jobs(priority=Priority.RUNNING)):
            with suppress(TrainwaveError):
                await request
    finally:
        await client.aclose()
        server.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(told=answers)
def test_whatever_comes_over_a_connection_is_an_answer_or_an_error_of_the_tree(
    told: Sequence[bytes],
) -> None:
    asyncio.run(ask(told))
    assert told  # what else there is to see was raised


@settings(max_examples=EXAMPLES, deadline=None)
@given(place=st.text(max_size=30) | places.map(lambda place: place.decode("latin-1")))
def test_a_job_of_any_id_is_answered_or_an_error_of_the_tree(place: str) -> None:
    async def ask_for() -> bool:
        with suppress(TrainwaveError):
            client = Client(
                account="a",
                base_url="http://127.0.0.1:9/api/v1",
                key=lambda: "key",
                budget=RateBudget(clock=Clock(), initial_limit=10_000),
                observe=lambda _: None,
                clock=Clock(),
                transport=httpx.MockTransport(lambda _: httpx.Response(404)),
            )
            try:
                await client.get_job(place)
            finally:
                await client.aclose()
        return True

    assert asyncio.run(ask_for())
