"""What both dialects have in common: lists, paths, keys, the rate limit, and the statistics."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any

import pytest
from simulator.wire import KEY, START, Answer, Clock, Sleep, served, serving, small_world

from trainwave_exporter.simulator import SimulatedDialect, Simulator, parse_faults

BOTH = pytest.mark.parametrize("dialect", list(SimulatedDialect))


def page_of(answer: Answer) -> Any:
    return answer.json.get("data", answer.json)


@BOTH
async def test_a_walk_by_offset_meets_every_job_once_newest_first(
    dialect: SimulatedDialect,
) -> None:
    world = small_world(jobs=30)
    async with serving(world, dialect=dialect) as (_, client):
        rows = await client.rows("/jobs/?limit=7")
        assert [row["rid"] for row in rows] == [job.rid for job in reversed(world.jobs)]


@BOTH
async def test_links_keep_the_offset_and_drop_the_rest_of_the_query(
    dialect: SimulatedDialect,
) -> None:
    async with serving(small_world(jobs=20, history=5), dialect=dialect) as (_, client):
        jobs = f"{client.url}/jobs/"
        for query, following, previous in (
            ("limit=10&org=northwind-labs", f"{jobs}?offset=10", None),
            ("limit=10&offset=5", f"{jobs}?offset=15", f"{jobs}?offset=0"),
            ("limit=10&offset=15", None, f"{jobs}?offset=5"),
            ("offset=999", None, f"{jobs}?offset=979"),
        ):
            page = page_of(await client.ask(f"/jobs/?{query}"))
            assert (page["next"], page["previous"]) == (following, previous)


@BOTH
@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("", 20),
        ("?limit=5", 5),
        ("?limit=500", 50),
        ("?limit=0", 20),
        ("?limit=-1", 20),
        ("?limit=many", 20),
        ("?limit=99999999999999", 20),
        ("?limit=50&offset=85", 5),
        ("?offset=-5", 20),
        ("?offset=90", 0),
    ],
)
async def test_a_page_has_twenty_rows_unless_reported_and_never_more_than_the_cap(
    dialect: SimulatedDialect, query: str, size: int
) -> None:
    world = small_world(jobs=30)
    async with serving(world, dialect=dialect, page_cap=50) as (_, client):
        page = page_of(await client.ask(f"/jobs/{query}"))
        assert (page["count"], len(page["results"])) == (90, size)


@BOTH
async def test_jobs_are_filtered_by_organization_and_project_by_id_or_rid(
    dialect: SimulatedDialect,
) -> None:
    world = small_world(jobs=40)
    northwind, kestrel = world.catalogue.organizations
    async with serving(world, dialect=dialect) as (_, client):
        projects = await client.rows("/projects/")
        organizations = page_of(await client.ask("/organizations/"))
        first = organizations[0] if dialect == "documented" else organizations["results"][0]

        async def found(query: str) -> set[str]:
            return {row["rid"] for row in await client.rows(f"/jobs/?{query}")}

        of_northwind = {j.rid for j in world.jobs if j.order.project.organization is northwind}
        assert await found(f"org={first['id']}") == of_northwind
        assert await found(f"org_id={northwind.rid}") == of_northwind
        of_project = {j.rid for j in world.jobs if j.order.project.rid == projects[1]["rid"]}
        assert of_project
        assert await found(f"project={projects[1]['id']}") == of_project
        assert await found(f"project={projects[1]['rid']}&org={northwind.rid}") == of_project
        assert await found(f"project={projects[1]['rid']}&org={kestrel.rid}") == set()
        assert await found("project=nobodys") == set()
        assert await found("org=nobodys") == set()


@BOTH
async def test_projects_are_filtered_by_organization(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect) as (_, client):
        projects = await client.rows("/projects/?limit=1&org=kestrel-robotics")
        assert [project["name"] for project in projects] == ["Grasping", "Fleet autonomy"]
        assert await client.rows("/projects/?org=nobodys") == []


@BOTH
async def test_a_server_that_ignores_filters_answers_with_everything(
    dialect: SimulatedDialect,
) -> None:
    async with serving(dialect=dialect, filter_ignored=True) as (simulator, client):
        query = "status=running&org=nobodys&project=nobodys"
        page = page_of(await client.ask(f"/jobs/?{query}"))
        assert page["count"] == len(simulator.world.jobs)
        assert len(await client.rows("/projects/?org=nobodys")) == 6


@BOTH
async def test_a_server_whose_filter_is_broken_knows_no_job_of_any_status(
    dialect: SimulatedDialect,
) -> None:
    async with serving(dialect=dialect, filter_empty=True) as (simulator, client):
        assert page_of(await client.ask("/jobs/?status=running"))["count"] == 0
        assert page_of(await client.ask("/jobs/"))["count"] == len(simulator.world.jobs)


@BOTH
async def test_a_status_that_does_not_exist_is_refused(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect) as (_, client):
        answer = await client.ask("/jobs/?status=asleep")
        assert answer.status == 400
        assert b"status: choose one of running, completed, failed." in answer.body


@BOTH
async def test_a_job_is_found_by_its_rid_too(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect) as (_, client):
        row = page_of(await client.ask("/jobs/?status=running"))["results"][0]
        for identity in (row["id"], row["rid"]):
            assert page_of(await client.ask(f"/jobs/{identity}/"))["id"] == row["id"]
            answer = await client.ask(f"/metrics/cpu/?job_id={identity}")
            assert answer.status == 200


@BOTH
async def test_a_job_that_never_ran_has_no_readings(dialect: SimulatedDialect) -> None:
    async with serving(small_world(jobs=4), dialect=dialect) as (simulator, client):
        hanging = next(job for job in simulator.world.jobs if job.draft.life is None)
        answer = await client.ask(f"/metrics/cpu/?job_id={hanging.rid}")
        assert answer.status == 200
        assert answer.json == ({"success": True, "data": []} if dialect == "documented" else [])


async def test_readings_with_a_history_have_six_points() -> None:
    async with serving(metric_shape="points") as (_, client):
        rows = await client.rows("/jobs/?status=running")
        answer = await client.ask(f"/metrics/cpu/?job_id={rows[-1]['id']}")
        instants = [at for at, _ in answer.data]
        assert len(instants) == 6
        assert [later - instants[0] for later in instants] == [0, 10, 20, 30, 40, 50]


@BOTH
@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/jobs", "/api/v1/jobs/"),
        ("/jobs?limit=3&org=a%20b", "/api/v1/jobs/?limit=3&org=a%20b"),
        ("/jobs/some-1", "/api/v1/jobs/some-1/"),
    ],
)
async def test_a_path_without_its_slash_is_redirected_to_the_one_with_it(
    dialect: SimulatedDialect, path: str, location: str
) -> None:
    async with serving(dialect=dialect) as (_, client):
        for method in ("GET", "PUT"):
            answer = await client.ask(path, method)
            assert (answer.status, answer.headers["Location"]) == (301, location)


@BOTH
@pytest.mark.parametrize("path", ["/nowhere", "/nowhere/", "/jobs/a/b/", "/"])
async def test_a_path_that_leads_nowhere_is_not_found(dialect: SimulatedDialect, path: str) -> None:
    async with serving(dialect=dialect) as (_, client):
        assert (await client.ask(path)).status == 404


@BOTH
async def test_a_method_that_makes_no_sense_is_not_allowed(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect) as (_, client):
        for method, path, allowed in (
            ("DELETE", "/jobs/", "GET,POST"),
            ("POST", "/projects/", "GET"),
            ("PUT", "/metrics/cpu/", "GET"),
        ):
            answer = await client.ask(path, method)
            assert (answer.status, answer.headers["Allow"]) == (405, allowed)


@BOTH
async def test_a_body_without_end_is_refused(dialect: SimulatedDialect) -> None:
    async with serving(dialect=dialect) as (_, client):
        answer = await client.ask("/jobs/", "POST", data=BytesIO(b" " * 2_000_000))
        assert answer.status == 413
        assert answer.json is not None


async def test_keys_come_and_go_while_it_serves() -> None:
    async with serving() as (simulator, client):
        assert (await client.ask("/jobs/", key="new")).status == 401
        simulator.add_key("new", "another")
        assert (await client.ask("/jobs/", key="new")).status == 200
        simulator.revoke_key(KEY)
        assert (await client.ask("/jobs/")).status == 401
        assert simulator.stats.by_key == {"": 2, "another": 1}
        with pytest.raises(KeyError):
            simulator.revoke_key(KEY)


@BOTH
async def test_every_answer_reports_what_is_left_of_the_limit(dialect: SimulatedDialect) -> None:
    wall = Clock(START + 20.5)
    async with serving(dialect=dialect, rate_limit=7, wall=wall) as (_, client):
        for left, (method, path) in enumerate(
            (
                ("GET", "/jobs/"),
                ("GET", "/jobs"),
                ("GET", "/nowhere/"),
                ("PUT", "/jobs/"),
                ("POST", "/jobs/"),
                ("GET", "/metrics/cpu/"),
                ("GET", "/organizations/"),
            )
        ):
            answer = await client.ask(path, method)
            assert answer.headers["X-RateLimit-Limit"] == "7"
            assert answer.headers["X-RateLimit-Remaining"] == str(6 - left)
            assert answer.headers["X-RateLimit-Reset"] == str(START + 60)
        refused = await client.ask("/jobs/")
        assert refused.status == 429
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.headers["Retry-After"] == "40"
        assert parsedate_to_datetime(refused.headers["Date"]).timestamp() == START + 20
        wall.now = START + 60
        assert (await client.ask("/jobs/")).status == 200


async def test_the_limit_is_of_each_key_and_strangers_share_one() -> None:
    async with serving(keys=["a", "b"], rate_limit=1) as (_, client):
        statuses = [
            (await client.ask("/jobs/", key=key)).status for key in ("a", "b", "c", "d", "a")
        ]
        assert statuses == [200, 200, 401, 429, 429]


async def test_the_limit_may_slide_and_be_silent_about_when_to_come_again() -> None:
    wall = Clock(START + 50)
    options: dict[str, Any] = {
        "rate_limit": 1,
        "window": "sliding",
        "retry_after": False,
        "wall": wall,
    }
    async with serving(**options) as (_, client):
        assert (await client.ask("/jobs/")).status == 200
        wall.now = START + 109
        refused = await client.ask("/jobs/")
        assert refused.status == 429
        assert "Retry-After" not in refused.headers
        wall.now = START + 110
        assert (await client.ask("/jobs/")).status == 200


async def test_the_limit_can_be_changed_while_it_serves() -> None:
    async with serving(rate_limit=1) as (simulator, client):
        await client.ask("/jobs/")
        assert (await client.ask("/jobs/")).status == 429
        simulator.rate_limit = None
        free = await client.ask("/jobs/")
        assert free.status == 200
        assert "X-RateLimit-Limit" not in free.headers
        assert simulator.rate_limit is None


async def test_the_limit_is_in_real_time_however_fast_the_world_goes() -> None:
    clock = Clock()
    world = small_world(clock, speed=3600)
    async with serving(world, rate_limit=1, wall=Clock(START)) as (_, client):
        await client.ask("/jobs/")
        clock.now = 10
        assert (await client.ask("/jobs/")).status == 429


async def test_what_was_asked_is_counted() -> None:
    monotonic = Clock(100.0)
    async with serving(rate_limit=4, wall=Clock(START), monotonic=monotonic) as (
        simulator,
        client,
    ):
        job = (await client.ask("/jobs/")).data["results"][0]["id"]
        monotonic.now = 130.0
        await client.ask(f"/jobs/{job}/")
        await client.ask(f"/metrics/gpu_memory/?job_id={job}")
        await client.ask("/nowhere/")
        monotonic.now = 160.0
        await client.ask("/jobs/", "POST", data=b"")
        stats = simulator.stats
        assert stats.by_endpoint == {
            "jobs": 1,
            "job": 1,
            "metrics/gpu_memory": 1,
            "other": 1,
            "create": 1,
        }
        assert stats.by_status == {200: 3, 404: 1, 429: 1}
        assert stats.by_key == {"one": 5}
        assert list(stats.times) == [100.0, 130.0, 130.0, 130.0, 160.0]
        assert list(stats.refused_times) == [160.0]
        assert stats.busiest_minute == 4
        assert (stats.requests, stats.refusals) == (5, 1)


async def test_the_world_moves_on_between_requests() -> None:
    clock = Clock()
    world = small_world(clock)
    async with serving(world) as (_, client):
        path = f"/jobs/{world.jobs[world.select(None)[-1]].rid}/"
        before = (await client.ask(path)).data
        clock.now = 3 * 24 * 3600
        after = (await client.ask(path)).data
        assert after["total_cost"] > before["total_cost"]
        assert after["finished_at"] is not None


async def test_both_dialects_can_serve_one_world_at_once() -> None:
    world = small_world()
    async with serving(world) as (_, one), serving(world, dialect="deployed") as (_, other):
        rows = zip(await one.rows(), await other.rows(), strict=True)
        assert all(documented["rid"] == deployed["rid"] for documented, deployed in rows)


async def test_it_answers_with_nothing_but_defaults() -> None:
    async with served(Simulator(small_world())) as client:
        assert client.url.startswith("http://127.0.0.1:")
        assert client.url.endswith("/api/v1")
        answer = await client.ask("/jobs/", key="demo-key")
        assert answer.status == 200
        assert answer.headers["X-RateLimit-Limit"] == "100"


async def test_a_port_that_is_taken_is_said_to_be_so() -> None:
    async with serving() as (_, client):
        port = int(client.url.removesuffix("/api/v1").rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            async with Simulator(small_world()).serve(port=port):
                pass


async def test_it_stops_at_once_though_an_answer_is_under_way() -> None:
    loop = asyncio.get_running_loop()
    slow = Sleep()
    async with serving(faults=parse_faults("slow"), sleep=slow) as (_, client):
        reader, writer = await client.send("GET", "/jobs/")
        await slow.begun.wait()
        begin = loop.time()
    assert loop.time() - begin < 2
    assert await reader.read() == b""
    writer.close()


async def test_it_listens_on_other_addresses_too() -> None:
    async with Simulator(small_world()).serve(host="::1") as url:
        assert url.startswith("http://[::1]:")
