"""Every endpoint against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random
from typing import Any

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.api_server import serving
from support.fake_time import FakeTime

from trainwave_exporter import __version__
from trainwave_exporter.api import (
    BadRequest,
    Client,
    Dialect,
    Forbidden,
    InvalidKey,
    NewJob,
    NotFound,
    Priority,
    RateBudget,
    RateLimited,
    RedirectRefused,
    ServerError,
    TrainwaveError,
    UnexpectedShape,
    pages,
)
from trainwave_exporter.model import (
    ClockSkew,
    CostUnit,
    Exchange,
    Fact,
    Metric,
    Offer,
    Point,
    Reading,
    Unit,
    UnknownState,
    Unreadable,
)
from trainwave_exporter.runtime.clock import Clock

MakeClient = Callable[..., Client]


def answers(
    *reported: Any, status: int = 200, **headers: str
) -> Callable[[web.Request], web.Response]:
    """Answer with one body after the other; the last one is repeated."""
    left = list(reported)

    def respond(_: web.Request) -> web.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(body, web.Response):
            return body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return respond


def failing(status: int) -> web.Response:
    return web.Response(status=status, text="Oops.")


def exchanges(facts: list[Fact]) -> list[tuple[str, str]]:
    return [(fact.endpoint, fact.outcome) for fact in facts if isinstance(fact, Exchange)]


BARE_JOB = {"id": "j-1", "state": "RUNNING", "project": {"id": "p-1"}}
BARE_PAGE = {"count": 1, "next": None, "results": [BARE_JOB]}
EMPTY_PAGE: dict[str, Any] = {"count": 0, "next": None, "results": []}


async def test_a_page_of_jobs_in_the_documented_dialect(
    make_client: MakeClient, fixture: Callable[[str], Any], facts: list[Fact]
) -> None:
    async with serving(answers(fixture("documented_jobs"))) as server:
        client = make_client(server.url)
        page = await client.list_jobs()
    assert [job.id for job in page.items] == ["j-789xyz"]
    assert (page.size, page.total, page.last, page.dialect) == (1, 25, False, "documented")
    assert client.dialect is Dialect.DOCUMENTED
    assert exchanges(facts) == [("jobs", "ok")]


async def test_before_the_first_answer_no_dialect_is_known(make_client: MakeClient) -> None:
    assert make_client().dialect is None


async def test_a_page_of_jobs_in_the_deployed_dialect(
    make_client: MakeClient, fixture: Callable[[str], Any]
) -> None:
    async with serving(answers(fixture("deployed_jobs"))) as server:
        client = make_client(server.url)
        page = await client.list_jobs()
    assert (page.items[0].cost_dollars, page.last, client.dialect) == (0.07, True, "deployed")


async def test_a_request_says_who_asks_for_what(make_client: MakeClient) -> None:
    async with serving(answers(EMPTY_PAGE)) as server:
        client = make_client(server.url + "/", key=lambda: "the-key")
        await client.list_jobs(org="o-1", project="p 1", status="running", limit=50, offset=100)
        await client.list_projects(org="o-1")
        await client.list_organizations(offset=5)
    jobs, projects, organizations = server.asked
    assert (jobs.method, jobs.path) == ("GET", "/api/v1/jobs/")
    assert jobs.query == {
        "org": "o-1",
        "org_id": "o-1",
        "project": "p 1",
        "status": "running",
        "limit": "50",
        "offset": "100",
    }
    assert jobs.headers["x-api-key"] == "the-key"
    assert jobs.headers["accept"] == "application/json"
    assert jobs.headers["user-agent"] == f"trainwave-exporter/{__version__}"
    assert projects.path == "/api/v1/projects/"
    assert projects.query == {"org": "o-1", "org_id": "o-1", "limit": "100", "offset": "0"}
    assert organizations.path == "/api/v1/organizations/"
    assert organizations.query == {"limit": "100", "offset": "5"}


async def test_projects_and_organizations_are_read(
    make_client: MakeClient, fixture: Callable[[str], Any]
) -> None:
    projects, organizations = fixture("deployed_projects"), fixture("deployed_organizations")
    async with serving(answers(projects, organizations)) as server:
        client = make_client(server.url)
        assert [p.name for p in (await client.list_projects()).items] == ["Vision"]
        (acme,) = (await client.list_organizations()).items
        assert acme.credit_balance_dollars == 1234.56


async def test_prices_on_offer_are_read(make_client: MakeClient) -> None:
    offers = [{"id": "o-1", "offer": 1.5, "gpus": 1}, {"id": "o-2", "offer": "dear"}, 7]
    async with serving(answers(offers)) as server:
        page = await make_client(server.url).list_offers()
    assert page.items == (Offer("o-1", 1.5),)
    assert server.asked[0].path == "/api/v1/offers/"


async def test_the_detail_of_a_job(make_client: MakeClient, fixture: Callable[[str], Any]) -> None:
    async with serving(answers(fixture("documented_job"))) as server:
        job = await make_client(server.url).get_job("j-789xyz")
    assert (job.name, job.hourly_cost_dollars) == ("mnist-training", 2.5)
    assert server.asked[0].path == "/api/v1/jobs/j-789xyz/"


async def test_an_id_stays_in_its_place_in_the_path(make_client: MakeClient) -> None:
    async with serving(answers(BARE_JOB)) as server:
        client = make_client(server.url)
        await client.get_job("a/../b?c#d %2F é")
        for job_id in ("", ".", ".."):
            with pytest.raises(NotFound):
                await client.get_job(job_id)
    assert [asked.path for asked in server.asked] == [
        "/api/v1/jobs/a%2F..%2Fb%3Fc%23d%20%252F%20%C3%A9/"
    ]


@pytest.mark.parametrize("data", [[], 5, "text", {"id": "j-1"}, {"state": "RUNNING"}])
async def test_a_detail_without_a_job_in_it_has_an_unexpected_shape(
    make_client: MakeClient, data: Any, facts: list[Fact]
) -> None:
    async with serving(answers({"success": True, "data": data})) as server:
        with pytest.raises(UnexpectedShape):
            await make_client(server.url).get_job("j-1")
    assert exchanges(facts) == [("job", "unexpected_shape")]
    assert len(server.asked) == 1


async def test_a_job_is_created_and_stopped_in_the_documented_way_until_more_is_known(
    make_client: MakeClient, fixture: Callable[[str], Any], facts: list[Fact]
) -> None:
    created = web.json_response(fixture("documented_job"), status=201)
    async with serving(answers(created, {"success": True, "data": None})) as server:
        client = make_client(server.url)
        job = await client.create_job(NewJob(name="n", project="p-1", expires_after=3600))
        await client.stop_job(job.id)
    create, stop = server.asked
    assert (create.method, create.path) == ("POST", "/api/v1/jobs/")
    assert create.headers["content-type"] == "application/json"
    assert create.body == {"name": "n", "project": "p-1", "expires": "1h"}
    assert (stop.method, stop.path, stop.body) == ("POST", "/api/v1/jobs/j-789xyz/stop/", None)
    assert exchanges(facts) == [("create", "ok"), ("stop", "ok")]


async def test_a_job_is_created_and_stopped_in_the_deployed_way_where_that_is_met(
    make_client: MakeClient,
) -> None:
    async with serving(answers(BARE_PAGE, BARE_JOB, web.Response(status=204))) as server:
        client = make_client(server.url)
        await client.list_jobs()
        await client.create_job(NewJob(name="n", project="p-1"))
        await client.stop_job("j/1")
    _, create, stop = server.asked
    assert create.body == {"project": "p-1", "config": {"name": "n"}}
    assert (stop.path, stop.body) == ("/api/v1/jobs/j%2F1/cancel/", {})


async def test_stopping_may_be_refused(make_client: MakeClient) -> None:
    refusal = {"success": False, "error": {"code": "job_finished", "message": "Too late."}}
    async with serving(answers(refusal)) as server:
        with pytest.raises(BadRequest, match=r"Too late\. \(200 job_finished\)"):
            await make_client(server.url).stop_job("j-1")


@pytest.mark.parametrize("metric", Metric)
async def test_each_metric_is_asked_for_and_counted_by_name(
    make_client: MakeClient, metric: Metric, facts: list[Fact]
) -> None:
    async with serving(answers({"success": True, "data": {"value": 1}})) as server:
        reading = await make_client(server.url).get_metric("j&1", metric)
    assert isinstance(reading, Reading)
    assert server.asked[0].path == f"/api/v1/metrics/{metric.value}/"
    assert server.asked[0].query == {"job_id": "j&1"}
    assert exchanges(facts) == [(f"metrics/{metric.value}", "ok")]


async def test_readings_use_the_units_of_the_operator_and_the_defaults_for_the_rest(
    make_client: MakeClient,
) -> None:
    async with serving(answers(1)) as server:
        client = make_client(server.url, units={Metric.MEMORY: Unit.MEGABYTES})
        memory = await client.get_metric("j-1", Metric.MEMORY)
        gpu_memory = await client.get_metric("j-1", Metric.GPU_MEMORY)
    assert memory is not None
    assert gpu_memory is not None
    assert (memory.points, gpu_memory.points) == ((Point(1e6),), (Point(1e9),))


@pytest.mark.parametrize(
    ("ahead", "age"),
    [
        (3600, 90),
        (-3600, 90),
        (3, 87),  # no more than an answer may be on its way: the clocks are taken for the same
    ],
)
async def test_timestamps_are_read_by_the_clock_that_the_date_header_shows(
    make_client: MakeClient, ahead: int, age: int
) -> None:
    """A point that the API took 90 s ago, by its own clock."""
    date = datetime(2026, 11, 30, 12, tzinfo=UTC)
    ours = date.timestamp() - ahead
    point = {"timestamp": date.timestamp() - 90, "value": 40}
    metrics = {"gpu_utilization": point}
    page = {"success": True, "data": {"results": [BARE_JOB | {"metrics": metrics}]}}
    reported = answers(point, page, Date=format_datetime(date, usegmt=True))
    async with serving(reported) as server:
        client = make_client(server.url, clock=Clock(time=lambda: ours))
        reading = await client.get_metric("j-1", Metric.GPU_UTILIZATION)
        listed = (await client.list_jobs()).items[0].readings.gpu_utilization
    assert reading is not None
    assert listed is not None
    assert (ours - reading.at, ours - listed.at) == (age, age)


async def test_a_metric_that_cannot_be_read_is_reported_by_reason(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    async with serving(answers({"p50": 1, "p99": 2})) as server:
        assert await make_client(server.url).get_metric("j-1", Metric.CPU) is None
    assert Unreadable(account="research", subject="cpu", reason="unknown_shape") in facts
    assert exchanges(facts) == [("metrics/cpu", "ok")]


async def test_what_is_odd_about_the_jobs_of_a_list_is_reported_once_each(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    odd = [BARE_JOB | {"state": "DREAMING"}, 5, BARE_JOB | {"project": "p-1", "total_cost": 5}]
    async with serving(answers({"count": 3, "results": odd})) as server:
        page = await make_client(server.url).list_jobs()
    assert (len(page.items), page.size) == (2, 3)
    assert [fact for fact in facts if isinstance(fact, Unreadable | UnknownState)] == [
        UnknownState("research", "DREAMING"),
        Unreadable(account="research", subject="job", reason="not_an_object"),
        Unreadable(account="research", subject="cost", reason="ambiguous_unit"),
    ]


async def test_the_operator_may_say_what_a_cost_is_in(make_client: MakeClient) -> None:
    page = {"count": 1, "results": [BARE_JOB | {"total_cost": 250}]}
    async with serving(answers(page)) as server:
        client = make_client(server.url, cost_unit=CostUnit.DOLLARS)
        assert (await client.list_jobs()).items[0].cost_dollars == 250


async def test_a_list_is_walked_by_own_arithmetic_not_by_its_links(
    make_client: MakeClient,
) -> None:
    def respond(request: web.Request) -> web.Response:
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        ids = [f"j-{i}" for i in range(25)][offset : offset + min(limit, 10)]
        results = [BARE_JOB | {"id": job_id} for job_id in ids]
        elsewhere = "https://evil.test/api/v1/jobs/?offset=20"
        return web.json_response({"count": 25, "next": elsewhere, "results": results})

    async with serving(respond) as server:
        client = make_client(server.url)
        walk = pages(lambda offset: client.list_jobs(project="p-1", offset=offset))
        seen = [job.id async for page in walk for job in page.items]
    assert seen == [f"j-{i}" for i in range(25)]
    assert [asked.query["offset"] for asked in server.asked] == ["0", "10", "20"]
    assert all(asked.query["project"] == "p-1" for asked in server.asked)


@pytest.mark.parametrize(
    "hiccup",
    [
        failing(500),
        failing(503),
        web.Response(text="<html>"),
        web.json_response({"success": True, "data": None}),
        web.json_response({"success": True}, headers={"Content-Encoding": "gzip"}),
    ],
)
async def test_a_list_is_asked_for_again_after_a_passing_failure(
    make_client: MakeClient, hiccup: web.Response, facts: list[Fact]
) -> None:
    body, status, headers = hiccup.body, hiccup.status, hiccup.headers.copy()
    headers.pop("Content-Length", None)

    def again(_: web.Request) -> web.Response:
        if len(server.asked) < 3:
            return web.Response(body=body, status=status, headers=headers)
        return web.json_response(BARE_PAGE)

    async with serving(again) as server:
        page = await make_client(server.url).list_jobs()
    assert page.size == 1
    assert len(server.asked) == 3
    assert [outcome == "ok" for _, outcome in exchanges(facts)] == [False, False, True]


async def test_a_list_is_given_up_after_the_third_failure(make_client: MakeClient) -> None:
    async with serving(lambda _: failing(502)) as server:
        with pytest.raises(ServerError):
            await make_client(server.url).list_projects()
    assert len(server.asked) == 3


async def test_pauses_between_attempts_grow_and_are_random(make_client: MakeClient) -> None:
    class Highest(Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with serving(lambda _: failing(502)) as server:
        with pytest.raises(ServerError):
            await make_client(server.url, clock=Clock(random=Highest(), sleep=sleep)).list_jobs()
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, InvalidKey), (404, NotFound), (400, BadRequest), (429, RateLimited)]
)
async def test_a_refusal_is_not_asked_for_again(
    make_client: MakeClient, status: int, kind: type[TrainwaveError]
) -> None:
    async with serving(lambda _: failing(status)) as server:
        with pytest.raises(kind):
            await make_client(server.url).list_jobs()
    assert len(server.asked) == 1


async def test_a_detail_or_reading_is_not_asked_for_again(make_client: MakeClient) -> None:
    async with serving(lambda _: failing(500)) as server:
        client = make_client(server.url)
        for request in (client.get_job("j-1"), client.get_metric("j-1", Metric.CPU)):
            with pytest.raises(ServerError):
                await request
    assert len(server.asked) == 2


async def test_after_a_429_nobody_sends_until_the_api_allows_it(
    make_client: MakeClient, fake_time: FakeTime
) -> None:
    budget = RateBudget(
        clock=fake_time.as_clock(),
    )
    limited = web.json_response(
        {"success": False, "error": {"code": "rate_limit_exceeded", "message": "Slow down."}},
        status=429,
        headers={"Retry-After": "30", "X-RateLimit-Limit": "50"},
    )
    served = web.json_response(BARE_PAGE, headers={"X-RateLimit-Limit": "50"})
    async with serving(answers(limited, served)) as server:
        client = make_client(server.url, budget=budget, clock=fake_time.as_clock())
        with pytest.raises(RateLimited) as refused:
            await client.list_jobs()
        assert refused.value.retry_after == 30
        waiting = asyncio.create_task(client.list_jobs())
        await fake_time.advance(29)
        assert len(server.asked) == 1
        await fake_time.advance(3)
        assert (await waiting).size == 1
        assert budget.snapshot(fake_time.now).allowance == 40


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_the_retry_after_of_a_failure_is_obeyed_as_that_of_a_429(
    make_client: MakeClient, fake_time: FakeTime, status: int
) -> None:
    budget = RateBudget(clock=fake_time.as_clock())
    failed = web.Response(status=status, text="Maintenance.", headers={"Retry-After": "1800"})
    async with serving(answers(failed, BARE_PAGE)) as server:
        client = make_client(server.url, budget=budget, clock=fake_time.as_clock())
        with capture_logs() as logged, pytest.raises(ServerError) as refused:
            await client.list_jobs()
        assert refused.value.retry_after == 1_800
        assert len(server.asked) == 1  # no second and third try
        assert [line for line in logged if line["event"] == "api_requests_blocked"] == [
            {
                "event": "api_requests_blocked",
                "log_level": "warning",
                "account": "research",
                "seconds": 1_800,
                "reason": "unavailable",
            }
        ]
        await fake_time.advance(1_739)
        with pytest.raises(RateLimited, match=r"unavailable and asked to wait; .* in 61 s"):
            await client.list_jobs()
        assert len(server.asked) == 1
        await fake_time.advance(1)
        waiting = asyncio.create_task(client.list_jobs())
        await fake_time.advance(62)
        assert (await waiting).size == 1


async def test_a_short_retry_after_of_a_failure_is_waited_out_within_the_request(
    make_client: MakeClient, fake_time: FakeTime
) -> None:
    failed = web.Response(status=503, headers={"Retry-After": "5"})
    respond, asked_once = answers(failed, BARE_PAGE), asyncio.Event()

    def answer(request: web.Request) -> web.Response:
        asked_once.set()
        return respond(request)

    async with serving(answer) as server:
        clock = fake_time.as_clock()
        client = make_client(server.url, budget=RateBudget(clock=clock), clock=clock)
        with capture_logs() as logged:
            waiting = asyncio.create_task(client.list_jobs())
            await asked_once.wait()
            await fake_time.advance(4.9)
            assert len(server.asked) == 1
            await fake_time.advance(2)
            assert (await waiting).size == 1
    assert [line["event"] for line in logged if "block" in line["event"]] == []


@pytest.mark.parametrize("header", ["0", "-5", "soon", "Thu, 21 Mar 2024 08:59:00 GMT"])
async def test_a_failure_that_does_not_say_when_to_come_back_is_tried_again_as_any_other(
    make_client: MakeClient, fake_time: FakeTime, header: str
) -> None:
    failed = web.Response(
        status=503, headers={"Retry-After": header, "Date": "Thu, 21 Mar 2024 09:00:00 GMT"}
    )
    async with serving(answers(failed, BARE_PAGE)) as server:
        budget = RateBudget(clock=fake_time.as_clock())
        client = make_client(server.url, budget=budget)
        assert (await client.list_jobs()).size == 1
        assert budget.blocked_seconds == 0


async def test_no_requests_left_for_long_is_logged_once_and_fails_who_asks(
    make_client: MakeClient, fake_time: FakeTime, facts: list[Fact]
) -> None:
    budget = RateBudget(clock=fake_time.as_clock())
    respond = answers(
        BARE_JOB,
        X_RateLimit_Remaining="0",
        X_RateLimit_Reset=str(int(fake_time.now) + 7_200),
        Date="Thu, 21 Mar 2024 09:00:00 GMT",
    )
    async with serving(respond) as server:
        client = make_client(server.url, budget=budget, clock=fake_time.as_clock())
        with capture_logs() as logged:
            assert (await client.get_job("j-1")).id == "j-1"
            for _ in range(3):
                with pytest.raises(RateLimited, match="no requests are left"):
                    await client.get_job("j-1")
        assert len(server.asked) == 1
    reported = [line for line in logged if line["event"] == "api_requests_blocked"]
    assert [(line["seconds"], line["reason"]) for line in reported] == [(3_600, "used_up")]
    assert exchanges(facts) == [("job", "ok")]  # what was not sent is not counted


async def test_a_page_of_a_proxy_is_not_taken_for_a_refused_key(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    page = web.Response(
        status=403, text="<html><title>Access denied</title></html>", content_type="text/html"
    )
    async with serving(answers(page)) as server:
        with pytest.raises(Forbidden, match=r"^Access denied \(403\)$"):
            await make_client(server.url).list_jobs()
    assert exchanges(facts) == [("jobs", "forbidden")]


async def test_after_a_success_a_429_is_waited_out_as_if_it_were_the_first(
    make_client: MakeClient, fake_time: FakeTime
) -> None:
    class Highest(Random):
        def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - as Random's
            return b

    budget = RateBudget(
        clock=fake_time.as_clock(Highest()),
    )
    reported = (web.Response(status=429), BARE_JOB, web.Response(status=429))
    async with serving(answers(*reported)) as server:
        client = make_client(server.url, budget=budget, clock=fake_time.as_clock())
        with pytest.raises(RateLimited):
            await client.get_job("j-1")
        await fake_time.advance(10)
        await client.get_job("j-1")
        await fake_time.advance(10)
        with pytest.raises(RateLimited):
            await client.get_job("j-1")
    assert budget.snapshot(fake_time.now).blocked_until == fake_time.now + 2


async def test_the_headers_of_every_answer_teach_the_budget(
    make_client: MakeClient, fake_time: FakeTime, facts: list[Fact]
) -> None:
    budget = RateBudget(
        clock=fake_time.as_clock(),
    )
    headers = {
        "X-RateLimit-Limit": "1000",
        "X-RateLimit-Remaining": "900",
        "X-RateLimit-Reset": str(int(fake_time.now) + 120 + 30),
        "Date": "Thu, 21 Mar 2024 09:02:00 GMT",
    }
    refusal = web.Response(status=404, headers=headers)
    async with serving(lambda _: refusal) as server:
        client = make_client(server.url, budget=budget, clock=fake_time.as_clock())
        with pytest.raises(NotFound):
            await client.get_job("j-1")
    snapshot = budget.snapshot(fake_time.now)
    assert (snapshot.limit, snapshot.allowance, snapshot.remaining) == (1000, 800, 900)
    fake_time.hold(31)
    assert budget.snapshot(fake_time.now).remaining is None
    assert ClockSkew("research", 120) in facts


async def test_requests_wait_for_their_turn_by_urgency(make_client: MakeClient) -> None:
    budget = RateBudget(clock=Clock(random=Random(1)), initial_limit=10_000, max_in_flight=1)
    await budget.acquire(Priority.RUNNING)
    async with serving(answers(BARE_PAGE)) as server:
        client = make_client(server.url, budget=budget)
        sweep = asyncio.create_task(client.list_jobs(priority=Priority.SWEEP))
        directory = asyncio.create_task(client.list_projects())
        running = asyncio.create_task(client.list_jobs(status="running"))
        await asyncio.sleep(0)
        budget.release()
        await asyncio.gather(sweep, directory, running)
    assert [(asked.path, asked.query.get("status")) for asked in server.asked] == [
        ("/api/v1/jobs/", "running"),
        ("/api/v1/projects/", None),
        ("/api/v1/jobs/", None),
    ]


async def test_an_exchange_that_is_cancelled_gives_its_turn_back_and_is_not_counted(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    arrived = asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    budget = RateBudget(clock=Clock(random=Random(1)), max_in_flight=1)
    async with serving(never) as server:
        client = make_client(server.url, budget=budget)
        task = asyncio.create_task(client.list_jobs())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.wait_for(budget.acquire(Priority.READINGS), 5)
    assert facts == []


async def test_a_redirect_to_a_missing_slash_is_followed_through_the_budget(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    def respond(request: web.Request) -> web.Response:
        if "moved" not in request.query:
            location = f"{request.rel_url.update_query(moved='1')}"
            return web.Response(status=301, headers={"Location": location})
        return web.json_response(BARE_PAGE)

    async with serving(respond) as server:
        page = await make_client(server.url).list_jobs(status="running")
    assert page.size == 1
    assert server.asked[1].query["status"] == "running"
    assert server.asked[1].headers["x-api-key"]
    assert exchanges(facts) == [("jobs", "redirect"), ("jobs", "ok")]


async def test_a_redirect_to_another_origin_is_refused_and_gets_no_key(
    make_client: MakeClient,
) -> None:
    async with serving(answers(BARE_PAGE)) as elsewhere:

        def respond(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{elsewhere.url}/jobs/"})

        async with serving(respond) as server:
            with pytest.raises(RedirectRefused, match="another origin"):
                await make_client(server.url).list_jobs()
            assert len(server.asked) == 1
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "location", ["http://[", "http://api.test:port/", "/" + "x" * 70_000, "http://\x7f/"]
)
async def test_a_redirect_to_what_is_no_url_is_refused(
    make_client: MakeClient, facts: list[Fact], location: str
) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": location}, stream=httpx.ByteStream(b""))

    with pytest.raises(RedirectRefused, match=r"^redirected to ") as refused:
        await make_client(transport=httpx.MockTransport(respond)).get_job("j-1")
    assert refused.value.__context__ is None
    assert exchanges(facts) == [("job", "redirect")]


@pytest.mark.parametrize("job_id", ["x" * 70_000, "\ud800", "", ".."])
async def test_a_job_whose_id_fits_in_no_url_is_not_asked_for(
    make_client: MakeClient, job_id: str
) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    client = make_client(transport=httpx.MockTransport(respond))
    with pytest.raises((NotFound, BadRequest), match="not sent"):
        await client.get_job(job_id)
    with pytest.raises((NotFound, BadRequest), match="not sent"):
        await client.stop_job(job_id)
    if len(job_id) > 2 or not job_id.isascii():
        with pytest.raises(BadRequest, match="not sent"):
            await client.get_metric(job_id, Metric.CPU)


async def test_a_redirect_in_circles_ends(make_client: MakeClient) -> None:
    def respond(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/api/v1/jobs/"})

    async with serving(respond) as server:
        with pytest.raises(RedirectRefused, match="too often"):
            await make_client(server.url).list_jobs()
    assert len(server.asked) == 3


async def test_what_changes_something_is_not_sent_again_elsewhere(make_client: MakeClient) -> None:
    def respond(_: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "/api/v2/jobs/"})

    async with serving(respond) as server:
        with pytest.raises(RedirectRefused, match="POST"):
            await make_client(server.url).stop_job("j-1")
    assert len(server.asked) == 1


async def test_the_key_is_fetched_for_each_request(make_client: MakeClient) -> None:
    keys = ["old"]
    async with serving(answers(BARE_PAGE)) as server:
        client = make_client(server.url, key=lambda: keys[-1])
        await client.list_jobs()
        keys.append("new")
        await client.list_jobs()
    assert [asked.headers["x-api-key"] for asked in server.asked] == ["old", "new"]


async def test_a_key_that_cannot_be_sent_is_an_invalid_key(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    async with serving(answers(BARE_PAGE)) as server:
        with pytest.raises(InvalidKey):
            await make_client(server.url, key=lambda: "two words").list_jobs()
    assert server.asked == []
    assert exchanges(facts) == [("jobs", "invalid_key")]


async def test_each_dialect_is_logged_once_however_often_it_changes(
    make_client: MakeClient, fixture: Callable[[str], Any]
) -> None:
    documented = fixture("documented_jobs")
    reported = (documented, documented, EMPTY_PAGE, BARE_PAGE, documented, BARE_PAGE)
    async with serving(answers(*reported)) as server:
        client = make_client(server.url)
        with capture_logs() as logs:
            for _ in reported:
                await client.list_jobs()
    assert [(log["event"], log["dialect"]) for log in logs] == [
        ("api_dialect_recognized", "documented"),
        ("api_dialect_recognized", "deployed"),
    ]
    assert client.dialect is Dialect.DEPLOYED


async def test_exchanges_are_timed_without_the_wait_for_their_turn(
    make_client: MakeClient, facts: list[Fact]
) -> None:
    ticks = iter([100.0, 100.25])
    async with serving(answers(BARE_PAGE)) as server:
        await make_client(server.url, clock=Clock(monotonic=lambda: next(ticks))).list_jobs()
    assert [fact.seconds for fact in facts if isinstance(fact, Exchange)] == [0.25]


async def test_a_base_url_with_a_password_is_no_base_url(make_client: MakeClient) -> None:
    with pytest.raises(ValueError):
        make_client("https://user:secret@api.test/")
