"""Whatever bytes come back, the client returns records or raises an error of its tree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_time import START

from trainwave_exporter.api import Client, NewJob, RateBudget, TrainwaveError
from trainwave_exporter.model import Exchange, Fact, Metric
from trainwave_exporter.runtime.clock import Clock

OUTCOMES = {
    "ok",
    "timeout",
    "connection",
    "not_json",
    "unexpected_shape",
    "too_large",
    "unsupported_encoding",
    "redirect",
    "invalid_key",
    "forbidden",
    "rate_limited",
    "not_found",
    "bad_request",
    "server_error",
}

keys = st.sampled_from(
    ["success", "data", "error", "code", "message", "detail", "count", "next", "results", "id",
     "state", "project", "config", "metrics", "total_cost", "value", "timestamp", "0"]
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=15,
)
bodies = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())
statuses = st.sampled_from(
    [200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 407, 429, 500, 503, 599]
)
headers = st.dictionaries(
    st.sampled_from(["location", "retry-after", "date", "x-ratelimit-limit",
                     "x-ratelimit-remaining", "x-ratelimit-reset", "content-encoding"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
    | st.sampled_from(["/", "//x", "http://[", "gzip", "0", "-1", "NaN", "http://api.test/a"]),
    max_size=4,
)  # fmt: skip


class SkippedTime:
    """A clock on which every wait is over at once."""

    now = START

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def attempt(respond: Callable[[httpx.Request], httpx.Response], which: int) -> None:
    facts: list[Fact] = []
    time = SkippedTime()
    clock = Clock(time=time.clock, monotonic=time.clock, sleep=time.sleep, random=Random(1))
    client = Client(
        account="a",
        base_url="http://api.test/api/v1",
        key=lambda: "key",
        budget=RateBudget(clock=clock),
        observe=facts.append,
        clock=clock,
        transport=httpx.MockTransport(respond),
    )
    requests: list[Callable[[], Awaitable[Any]]] = [
        client.list_jobs,
        client.list_projects,
        client.list_organizations,
        lambda: client.get_job("j-1"),
        lambda: client.get_metric("j-1", Metric.GPU_UTILIZATION),
        lambda: client.stop_job("j-1"),
        lambda: client.create_job(NewJob(name="n", project="p-1")),
    ]
    with suppress(TrainwaveError):
        await requests[which]()
    await client.aclose()
    assert {fact.outcome for fact in facts if isinstance(fact, Exchange)} <= OUTCOMES
    assert facts


@settings(max_examples=150, deadline=None)
@given(body=bodies, status=statuses, headers=headers, which=st.integers(0, 6))
def test_nothing_but_the_tree_comes_out(
    body: bytes, status: int, headers: dict[str, str], which: int
) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    asyncio.run(attempt(respond, which))
