"""Every fault, as it is met on the wire."""

from __future__ import annotations

import asyncio
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from simulator.wire import KEY, START, Answer, Clock, Sleep, serving, small_world

from trainwave_exporter.simulator import Fault, Faults, SimulatedDialect, parse_faults

BOTH = pytest.mark.parametrize("dialect", list(SimulatedDialect))


async def answers(
    dialect: SimulatedDialect, faults: str, *, path: str = "/jobs/", times: int = 40
) -> list[Answer]:
    """What comes when a path is asked for again and again."""
    async with serving(dialect=dialect, faults=parse_faults(faults), rate_limit=1000) as (
        _,
        client,
    ):
        return [await client.ask(path) for _ in range(times)]


@BOTH
async def test_429_comes_without_warning_with_and_without_retry_after(
    dialect: SimulatedDialect,
) -> None:
    seen = await answers(dialect, "429")
    assert {answer.status for answer in seen} == {429}
    waits = {answer.headers.get("Retry-After") for answer in seen}
    assert None in waits
    assert waits - {None} <= {"1", "2", "3", "4", "5"}
    assert len(waits) > 1
    assert all(int(answer.headers["X-RateLimit-Remaining"]) > 900 for answer in seen)
    assert all(b"Too many requests" in answer.body for answer in seen)


@BOTH
async def test_5xx_comes_in_every_status_as_json_text_and_html(dialect: SimulatedDialect) -> None:
    seen = await answers(dialect, "5xx", times=80)
    assert {answer.status for answer in seen} == {500, 502, 503, 504}
    types = {answer.headers["Content-Type"].partition(";")[0] for answer in seen}
    assert types == {"application/json", "text/plain", "text/html"}
    for answer in seen:
        if answer.headers["Content-Type"].startswith("application/json"):
            assert ("error" in answer.json) is (dialect == "documented")


@BOTH
async def test_html_comes_with_status_200(dialect: SimulatedDialect) -> None:
    for answer in await answers(dialect, "html", times=3):
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.body.startswith(b"<!DOCTYPE html>")


@BOTH
async def test_data_is_null(dialect: SimulatedDialect) -> None:
    for answer in await answers(dialect, "null_data", times=3):
        assert answer.status == 200
        assert answer.body == (
            b'{"success": true, "data": null}' if dialect == "documented" else b"null"
        )


@BOTH
async def test_success_is_false_with_status_200(dialect: SimulatedDialect) -> None:
    message = "Something went wrong"
    for answer in await answers(dialect, "success_false", times=3):
        assert answer.status == 200
        assert answer.json == (
            {"success": False, "error": {"code": "internal_error", "message": message}}
            if dialect == "documented"
            else {"detail": message}
        )


@BOTH
async def test_wrong_json_is_json_and_nobody_can_take_it_for_a_list(
    dialect: SimulatedDialect,
) -> None:
    seen = await answers(dialect, "wrong_json")
    assert {answer.status for answer in seen} == {200}
    for answer in seen:
        data: Any = answer.json
        if isinstance(data, dict) and "success" in data:
            data = data["data"]
        assert data in ("ok", True, {"unexpected": True}, {"count": 3, "results": "many"})
    assert len({answer.body for answer in seen}) > 3


@BOTH
async def test_a_redirect_leads_to_another_origin_that_knows_who_brought_a_key(
    dialect: SimulatedDialect,
) -> None:
    async with serving(dialect=dialect, faults=parse_faults("redirect")) as (simulator, client):
        seen = [await client.ask("/jobs/") for _ in range(40)]
        assert {answer.status for answer in seen} == {301, 302, 307, 308}
        location = seen[0].headers["Location"]
        assert location == f"{simulator.foreign_origin.url}/api/v1/jobs/"
        assert not location.startswith(client.url.removesuffix("/api/v1"))
        async with client.session.get(location) as response:
            assert response.status == 404
        assert (simulator.foreign_origin.requests, simulator.foreign_origin.keys) == (1, [])
        async with client.session.get(location, headers={"X-API-KEY": KEY}):
            assert simulator.foreign_origin.keys == [KEY]


@BOTH
async def test_half_a_body_is_a_torn_connection_or_json_cut_in_the_middle(
    dialect: SimulatedDialect,
) -> None:
    async with serving(dialect=dialect, faults=parse_faults("half_body")) as (simulator, client):
        kinds = Counter[str]()
        for _ in range(40):
            try:
                answer = await client.ask("/jobs/")
            except aiohttp.ClientPayloadError:
                kinds["torn"] += 1
            else:
                assert (answer.status, answer.json) == (200, None)
                assert answer.body
                kinds["cut"] += 1
        assert set(kinds) == {"torn", "cut"}
        assert simulator.stats.by_status == {0: kinds["torn"], 200: kinds["cut"]}


async def test_a_bare_number_is_never_cut_to_another_number() -> None:
    faults = parse_faults("half_body")
    async with serving(dialect="deployed", metric_shape="number", faults=faults) as (
        simulator,
        client,
    ):
        job = simulator.world.jobs[simulator.world.select()[0]]
        for _ in range(20):
            with pytest.raises(aiohttp.ClientPayloadError):
                await client.ask(f"/metrics/gpu_memory/?job_id={job.rid}")


@BOTH
async def test_a_reset_comes_when_half_of_the_answer_is_sent(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect, faults=parse_faults("reset")) as (simulator, client):
        reader, writer = await client.send("GET", "/jobs/")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert simulator.stats.by_status == {0: 1}


@BOTH
async def test_a_service_that_is_down_sends_nothing_and_is_back_at_once(
    dialect: SimulatedDialect,
) -> None:
    async with serving(dialect=dialect, faults=parse_faults("down")) as (simulator, client):
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await client.ask("/jobs/", "POST")
        assert simulator.stats.by_fault[Fault.DOWN] >= 1
        simulator.faults = Faults()
        assert (await client.ask("/jobs/")).status == 200


@BOTH
async def test_a_slow_answer_is_late_and_right(dialect: SimulatedDialect) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    faults = parse_faults("slow,slow_for=45")
    world = small_world()
    async with serving(world, dialect=dialect, faults=faults, sleep=sleep) as (_, client):
        rows = await client.rows()
    assert [row["rid"] for row in rows] == [job.rid for job in reversed(world.jobs)]
    assert set(slept) == {45.0}


@BOTH
async def test_who_does_not_wait_for_a_slow_answer_leaves_nothing_behind(
    dialect: SimulatedDialect,
) -> None:
    slow = Sleep()
    async with serving(dialect=dialect, faults=parse_faults("slow"), sleep=slow) as (
        simulator,
        client,
    ):
        asked = asyncio.create_task(client.ask("/jobs/"))
        await slow.begun.wait()
        asked.cancel()
        await slow.over.wait()
        assert simulator.stats.by_status == {0: 1}


@BOTH
async def test_lists_shift_by_a_few_places_but_never_their_first_page(
    dialect: SimulatedDialect,
) -> None:
    world = small_world()
    order = [job.rid for job in reversed(world.jobs)]
    async with serving(world, dialect=dialect, faults=parse_faults("shift")) as (_, client):

        async def seen(offset: int) -> list[str]:
            answer = await client.ask(f"/jobs/?limit=5&offset={offset}")
            page = answer.json.get("data", answer.json)
            assert page["count"] == len(order)
            return [row["rid"] for row in page["results"]]

        assert await seen(0) == order[:5]
        begins = {order.index((await seen(10))[0]) for _ in range(60)}
        assert begins == {7, 8, 9, 11, 12, 13}
        last = [await seen(len(order) - 1) for _ in range(30)]
        assert [] in last


@BOTH
async def test_one_job_in_an_answer_has_a_state_that_nobody_knows(
    dialect: SimulatedDialect,
) -> None:
    world = small_world()
    async with serving(world, dialect=dialect, faults=parse_faults("unknown_state")) as (
        simulator,
        client,
    ):
        path = "/jobs/?status=running"
        rows = await client.rows(path)
        strange = [row for row in rows if row["state"] != "RUNNING"]
        assert len(strange) == 1
        assert strange[0]["state"] in {"HIBERNATING", "PREEMPTED", "MIGRATING"}
        detail = await client.ask(f"/jobs/{rows[0]['rid']}/")
        job = detail.json.get("data", detail.json)
        assert job["state"] in {"HIBERNATING", "PREEMPTED", "MIGRATING"}
        simulator.faults = Faults()
        assert {row["state"] for row in await client.rows(path)} == {"RUNNING"}


async def test_the_clock_in_the_headers_is_skewed_and_nothing_else_is() -> None:
    wall = Clock(START + 10)
    faults = parse_faults("skew=-120s")
    async with serving(faults=faults, rate_limit=5, wall=wall) as (simulator, client):
        answer = await client.ask("/jobs/?status=running")
        assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == START - 110
        assert answer.headers["X-RateLimit-Reset"] == str(START - 60)
        rids = {row["rid"]: row["created_at"] for row in answer.data["results"]}
        simulator.faults = Faults()
        after = await client.ask("/jobs/?status=running")
        assert {row["rid"]: row["created_at"] for row in after.data["results"]} == rids


@BOTH
async def test_faults_never_change_the_truth(dialect: SimulatedDialect) -> None:
    faults = parse_faults("all=1,slow=0")
    world = small_world()
    before = world.expected_totals()
    async with serving(world, dialect=dialect, faults=faults) as (simulator, client):
        for path in ("/jobs/", "/jobs/?offset=3", "/projects/", f"/jobs/{world.jobs[0].rid}/"):
            for _ in range(50):
                try:
                    await client.ask(path)
                except aiohttp.ClientError:
                    continue
        assert set(simulator.stats.by_fault) == set(Fault) - {Fault.DOWN, Fault.SLOW}
        assert world.expected_totals() == before
        simulator.faults = Faults()
        rows = await client.rows()
        assert [row["rid"] for row in rows] == [job.rid for job in reversed(world.jobs)]


@pytest.mark.parametrize("fault", ["429", "5xx", "html", "redirect", "wrong_json"])
async def test_an_order_that_is_not_answered_right_is_not_carried_out(fault: str) -> None:
    async with serving(faults=parse_faults(fault)) as (simulator, client):
        before = len(simulator.world.jobs)
        body = {"name": "n", "project": "project-1", "gpu_type": "H100"}
        await client.ask("/jobs/", "POST", json=body)
        assert len(simulator.world.jobs) == before


async def test_errors_that_are_deserved_come_before_any_fault() -> None:
    async with serving(faults=parse_faults("html"), rate_limit=1) as (simulator, client):
        assert (await client.ask("/jobs/", key="wrong")).status == 401
        assert (await client.ask("/jobs/")).status == 200
        assert (await client.ask("/jobs/")).status == 429
        assert simulator.stats.by_fault == {Fault.HTML: 1}


async def test_the_same_seed_makes_the_same_faults() -> None:
    seen = []
    for _ in range(2):
        async with serving(faults=parse_faults("5xx=0.3,html=0.3")) as (_, client):
            seen.append([(await client.ask("/organizations/")).body for _ in range(30)])
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 3
