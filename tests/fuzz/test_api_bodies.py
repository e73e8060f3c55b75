"""Any JSON and any bytes for a body, all the way to the scrape: nothing but the error tree."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.answer_pipeline import OUTCOMES, WAYS, Pipeline, readable, run

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FIELDS = (
    "success", "data", "error", "code", "message", "detail", "count", "next", "results", "id",
    "rid", "state", "name", "project", "organization", "organization_id", "owner", "username",
    "config", "cloud_offer", "metrics", "gpu_type", "gpus", "cpus", "cpu_cores", "memory_gb",
    "memory_mb", "hdd_size_mb", "gpu_memory_mb", "gpu_utilization", "memory_usage", "gpu_hours",
    "total_cost", "cost_per_hour", "computed_credit_balance", "created_at", "started_at",
    "finished_at", "expires_at", "value", "values", "points", "timestamp", "device", "gpu", "rx",
    "tx", "read", "write", "0", "1",
)  # fmt: skip
"""Every key that means something to the decoders."""

moments = st.sampled_from(
    [0, -1, 1e9, 1_711_011_000, 1_711_011_000_000, 4e9, 1e300, "2024-03-21T09:00:00Z", "now",
     "2024-03-21T09:00:00+14:00", "0001-01-01", "9999-12-31T23:59:59-23:59"]
)  # fmt: skip
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -0.0, 1e15, 5e-324, math.inf, -math.inf, math.nan, 10**400])
    | st.sampled_from(["1", "-1e999", "0x10", "1_000", "٣", "1e5", " 2 ", "Infinity", "nan"])
)
texts = st.text(max_size=8) | st.sampled_from(
    ["", "..", "/", "\0", '"}\n# TYPE x counter', "\ud800", "\u2028", "a" * 300, "j-1", "RUNNING",
     "SUCCESS", "x@example.org", "{}", "\\"]
)  # fmt: skip
scalars = st.none() | st.booleans() | numbers | moments | texts
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(FIELDS) | texts, inner, max_size=8)
    ),
    max_leaves=10,
)


identities = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["j-1", "j-2", 3]),
        "state": st.sampled_from(["RUNNING", "SUCCESS", "ERROR", "LAUNCHING", "running", "ODD"]),
    }
)
job = st.builds(
    lambda fields, identity: {**fields, **identity},
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=10),
    identities,
)
"""Jobs that are good enough to be read, with any of their fields being anything."""


def enveloped(data: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return data | st.builds(lambda d: {"success": True, "data": d}, data)


jobs = st.lists(job | anything, max_size=4)
pages = jobs | st.builds(
    lambda results, count, follows: {"results": results, "count": count, "next": follows},
    jobs,
    scalars,
    scalars,
)
plausible = enveloped(anything | job | pages).map(lambda value: json.dumps(value).encode())
cut = st.builds(lambda body, at: body[: at % (len(body) + 1)], plausible, st.integers(0, 10_000))
bodies = plausible | cut | st.binary(max_size=80)
statuses = st.sampled_from([200, 200, 200, 200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 599])
answers = st.lists(st.tuples(st.sampled_from(WAYS), bodies, statuses), min_size=1, max_size=4)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(answers=answers)
def test_whatever_the_api_says_is_an_error_of_the_tree_or_a_scrape_that_can_be_read(
    answers: Sequence[tuple[str, bytes, int]],
) -> None:
    async def scenario(pipeline: Pipeline) -> None:
        for way, body, status in answers:
            assert await pipeline.answer(way, body, status) in OUTCOMES
            assert readable(await pipeline.publish()) > 0

    asyncio.run(run(scenario))
