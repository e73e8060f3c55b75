"""The service by itself: what the vendor's texts say of envelopes, pages, units and limits."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.scenario import (
    HOUR,
    Dialect,
    End,
    Job,
    Project,
    Run,
    Scenario,
    always,
    billed_at_end,
    billed_in_steps,
    metered,
    steps,
    utc,
)
from oracle.service import KEY, ROOT, Service

NOON = utc("2026-11-15 12:00")
RUN = Run(NOON, NOON + 4 * HOUR, End.FAILED)
PRICE = steps(2.5, (NOON + 2 * HOUR, 10.0))
SCENARIO = Scenario(
    jobs=tuple(
        Job(f"j-{number}", "p-1", (RUN,), price=PRICE, gpus=2, listed_utilization=always(95.2))
        for number in range(25)
    ),
    projects=(Project("p-1", steps("old", (NOON + HOUR, "new"))),),
    absurd_once={"j-3": (NOON + HOUR, 2_147_483.0)},
)


class Clock:
    def __init__(self) -> None:
        self.now = NOON + 3 * HOUR

    def __call__(self) -> float:
        return self.now


def ask(service: Service, path: str, key: str | None = KEY, **query: str) -> tuple[int, Any]:
    status, _, body = service.answer(f"{ROOT}/{path}/", query, key)
    return status, body


def test_documented_answers_have_an_envelope_flat_jobs_and_dollars() -> None:
    service = Service(SCENARIO, Dialect.DOCUMENTED, Clock())
    status, body = ask(service, "jobs", limit="1")
    assert status == 200
    assert body["success"] is True
    assert body["data"]["count"] == 25
    assert body["data"]["next"] == "https://backend.trainwave.ai/api/v1/jobs/?offset=1"
    (job,) = body["data"]["results"]
    assert job["state"] == "RUNNING"
    assert job["project"] == "p-1"
    assert job["total_cost"] == 15.0  # two hours at $2.50 and one at $10
    assert job["gpu_hours"] == 6.0
    assert job["metrics"]["gpu_utilization"] == 95.2
    assert "cost_per_hour" not in job
    detail = ask(service, f"jobs/{job['id']}")[1]["data"]
    assert detail["cost_per_hour"] == 10.0
    assert detail["started_at"] == "2026-11-15T12:00:00Z"
    assert detail["finished_at"] is None
    assert ask(service, "jobs/j-none") == (
        404,
        {"success": False, "error": {"code": "not_found", "message": "No such job"}},
    )


def test_deployed_answers_are_bare_and_nested_with_cents() -> None:
    service = Service(SCENARIO, Dialect.DEPLOYED, Clock())
    _, body = ask(service, "jobs", limit="1")
    (job,) = body["results"]
    assert job["project"] == {"id": "p-1", "rid": "rid-p-1", "name": "new"}
    assert job["total_cost"] == 1500
    assert job["cost_per_hour"] == 10.0
    assert job["config"]["gpus"] == 2
    assert "started_at" not in job
    assert ask(service, "organizations")[1]["results"][0]["computed_credit_balance"] == 1_000_000
    assert ask(service, "jobs/j-none") == (404, {"detail": "No such job"})


def test_lists_come_in_pages_of_twenty_and_by_status() -> None:
    clock = Clock()
    service = Service(SCENARIO, Dialect.DEPLOYED, clock)
    assert len(ask(service, "jobs")[1]["results"]) == 20
    rest = ask(service, "jobs", offset="20")[1]
    assert len(rest["results"]) == 5
    assert rest["next"] is None
    assert ask(service, "jobs", status="running")[1]["count"] == 25
    clock.now = NOON + 5 * HOUR
    assert ask(service, "jobs", status="running")[1]["count"] == 0
    assert ask(service, "jobs", status="failed")[1]["count"] == 25
    assert ask(service, "jobs")[1]["results"][0]["state"] == "USER_PROCESS_FAILED"
    assert ask(service, "jobs", project="p-2")[1]["count"] == 0


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_hundred_requests_a_minute_are_granted(dialect: Dialect) -> None:
    clock = Clock()
    service = Service(SCENARIO, dialect, clock)
    for left in range(99, -1, -1):
        status, headers, _ = service.answer(f"{ROOT}/projects/", {}, KEY)
        assert status == 200
        assert headers["X-RateLimit-Limit"] == "100"
        assert headers["X-RateLimit-Remaining"] == str(left)
        assert headers["X-RateLimit-Reset"] == str(int(clock.now) + 60)
    assert ask(service, "projects")[0] == 429
    clock.now += 60
    assert ask(service, "projects")[0] == 200
    assert ask(service, "projects", key="wrong")[0] == 401


def test_an_absurd_amount_is_shown_once() -> None:
    clock = Clock()
    service = Service(SCENARIO, Dialect.DOCUMENTED, clock)
    shown = [ask(service, "jobs/j-3")[1]["data"]["total_cost"] for _ in range(3)]
    assert shown == [2_147_483.0, 15.0, 15.0]


def test_bills_come_as_the_scenario_says() -> None:
    cost = metered(steps(36.0), RUN)
    at_end, hourly = billed_at_end(cost, RUN), billed_in_steps(cost, RUN, HOUR)
    assert [at_end(NOON + hours * HOUR) for hours in (0, 3.9, 4, 5)] == [0, 0, 144, 144]
    assert [hourly(NOON + hours * HOUR) for hours in (0.9, 1, 3.9, 4)] == [0, 36, 108, 144]
