"""The deployed dialect on the wire, against what the vendor's own clients parse."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from simulator.wire import Client, Clock, serving, small_world

from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld, Simulator
from trainwave_exporter.simulator.lifecycle import SimulatedState

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REFERENCE = {"id": str, "rid": str, "name": str}
MACHINE = {
    "cpus": int,
    "memory_mb": int,
    "compliance_soc2": bool,
    "gpu_type": str,
    "gpu_memory_mb": int,
    "gpus": int,
}


def kinds(thing: Any) -> Any:
    """The types of a value's parts: objects by key, lists by their first."""
    if isinstance(thing, dict):
        return {key: kinds(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [kinds(value) for value in thing[:1]]
    return type(thing)


@asynccontextmanager
async def deployed(
    world: SimulatedWorld | None = None, **options: Any
) -> AsyncIterator[tuple[Simulator, Client]]:
    async with serving(world, dialect="deployed", **options) as pair:
        yield pair


async def test_a_list_is_a_bare_page_of_jobs_with_nested_hardware() -> None:
    async with deployed() as (_, client):
        answer = await client.ask("/jobs/?status=running")
        assert answer.status == 200
        assert answer.json.keys() == {"count", "next", "previous", "results"}
        for job in answer.json["results"]:
            assert kinds(job) == {
                "id": str,
                "rid": str,
                "state": str,
                "created_at": str,
                "project": REFERENCE,
                "config": {
                    "id": str,
                    "rid": str,
                    "name": str,
                    "expires_at": int,
                    "cpus": int,
                    "gpus": int,
                    "gpu_type": str,
                    "interactive": bool,
                },
                "cloud_offer": MACHINE,
                "total_cost": int,
                "cost_per_hour": float,
                "instances": [
                    {"id": str, "rid": str, "state": str, "provider": str, "created_at": str}
                ],
                "url": str,
                "s3_url": str,
            }
            identities = [job["id"], job["project"]["id"], job["config"]["id"]]
            assert all(UUID.fullmatch(identity) for identity in identities)
            assert len(set(identities)) == 3
            assert job["rid"].startswith(job["config"]["name"])
            assert job["state"] == "RUNNING"
            detail = await client.ask(f"/jobs/{job['id']}/")
            assert detail.json == job


async def test_costs_are_whole_cents_as_the_books_have_them() -> None:
    world = small_world()
    expected_totals = world.expected_totals()
    async with deployed(world) as (_, client):
        rows = await client.rows()
        assert len(rows) == len(expected_totals.jobs)
        for row in rows:
            entry = expected_totals.jobs[row["rid"]]
            assert row["id"] == entry.ids[SimulatedDialect.DEPLOYED]
            assert abs(row["total_cost"] - entry.total.microdollars / 10_000) <= 0.5
            assert row["project"]["rid"] == entry.project
            assert (row["config"]["gpu_type"], row["config"]["gpus"]) == (
                entry.gpu_type,
                entry.gpus,
            )


async def test_states_are_the_worlds_own_and_a_machine_is_there_from_the_launch() -> None:
    clock = Clock()
    world = small_world(clock, jobs=100)
    while {job.state for job in world.jobs} != set(SimulatedState):
        clock.now += 1
        world.advance()
    truth = {job.rid: job for job in world.jobs}
    async with deployed(world) as (_, client):
        for row in await client.rows():
            job = truth[row["rid"]]
            assert row["state"] == job.state
            launched = job.billed_from is not None
            assert (row["cloud_offer"] is not None) is launched
            assert len(row["instances"]) == launched
            assert (row["url"] is not None) is (row["state"] == "RUNNING")
            if launched:
                live = job.finished_at is None
                assert row["instances"][0]["state"] == ("RUNNING" if live else "TERMINATED")


async def test_expiry_is_reported_in_unix_seconds_or_as_minus_one() -> None:
    world = small_world()
    async with deployed(world) as (_, client):
        expiries = {row["rid"]: row["config"]["expires_at"] for row in await client.rows()}
        assert expiries == {
            job.rid: -1 if job.expires_at is None else job.expires_at for job in world.jobs
        }
        assert -1 in expiries.values()
        assert max(expiries.values()) > world.now


async def test_a_nested_order_makes_a_job() -> None:
    async with deployed() as (_, client):
        project = (await client.ask("/projects/")).json["results"][3]
        config = {"name": "mine", "gpu_type": "H100", "gpus": 2, "cpus": 8, "expires": "1h"}
        answer = await client.ask(
            "/jobs/", "POST", json={"project": project["rid"], "config": config}
        )
        assert answer.status == 201
        job = answer.json
        assert job["state"] == "SUBMIT_CODE"
        assert job["project"]["id"] == project["id"]
        assert job["cloud_offer"] is None
        assert (job["config"]["name"], job["config"]["gpu_type"]) == ("mine", "H100")
        assert (job["config"]["gpus"], job["config"]["cpus"]) == (2, 8)
        newest = (await client.ask("/jobs/?limit=1")).json["results"][0]
        assert newest["id"] == job["id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"config": {"name": "mine"}}, "project: this field is required."),
        ({"project": "project-1"}, "name: this field is required."),
        ({"project": "project-1", "config": "H100"}, "name: this field is required."),
        (
            {"project": "project-1", "config": {"name": "n", "gpu_type": "H100", "cpus": 0}},
            "cpu_cores: a whole number above zero is required.",
        ),
    ],
)
async def test_a_bad_order_is_refused_with_a_detail(body: Any, message: str) -> None:
    async with deployed() as (_, client):
        answer = await client.ask("/jobs/", "POST", json=body)
        assert (answer.status, answer.json) == (400, {"detail": message})


async def test_a_job_is_cancelled_once() -> None:
    async with deployed() as (_, client):
        job = (await client.ask("/jobs/?status=running")).json["results"][0]
        cancelled = await client.ask(f"/jobs/{job['id']}/cancel/", "POST", json={})
        assert cancelled.status == 200
        assert cancelled.json["state"] == "USER_CANCELLED"
        again = await client.ask(f"/jobs/{job['rid']}/cancel/", "POST", json={})
        assert (again.status, again.json) == (400, {"detail": "The job is already over"})


async def test_organizations_are_a_page_with_balances_in_cents() -> None:
    world = small_world()
    async with deployed(world) as (_, client):
        page = (await client.ask("/organizations/?limit=1")).json
        assert (page["count"], page["next"]) == (2, f"{client.url}/organizations/?offset=1")
        [organization] = page["results"]
        assert kinds(organization) == REFERENCE | {"computed_credit_balance": int}
        balance = world.balance(world.catalogue.organizations[0])
        assert organization["computed_credit_balance"] == pytest.approx(balance / 10_000, abs=1)


async def test_projects_report_their_organization_users_and_jobs() -> None:
    world = small_world()
    async with deployed(world) as (_, client):
        page = (await client.ask("/projects/")).json
        assert kinds(page["results"][0]) == REFERENCE | {
            "active_job_count": int,
            "total_job_count": int,
            "created_at": str,
            "updated_at": str,
            "organization": REFERENCE,
            "users": [{"id": str, "rid": str, "email": str, "first_name": str, "last_name": str}],
        }
        assert sum(project["active_job_count"] for project in page["results"]) == 12
        assert sum(project["total_job_count"] for project in page["results"]) == 36


async def test_a_key_belongs_to_somebody() -> None:
    async with deployed(keys=["key-one", "key-two"]) as (_, client):
        users = [(await client.ask("/users/me/", key=key)).json for key in ("key-one", "key-two")]
        for user in users:
            assert kinds(user) == {
                "id": str,
                "rid": str,
                "email": str,
                "first_name": str,
                "last_name": str,
            }
        assert users[0] != users[1]


async def test_offers_are_a_bare_list_with_hourly_prices_in_dollars() -> None:
    async with deployed() as (_, client):
        offers = (await client.ask("/offers/")).json
        assert len(offers) == 28
        assert kinds(offers) == [
            {"id": str, "offer": float, **MACHINE, "tflops": float, "grade": str}
        ]
        prices = {(offer["gpu_type"], offer["gpus"]): offer["offer"] for offer in offers}
        assert prices["RTX A5000", 1] == 0.396
        assert prices["H100", 8] == 22.464


async def test_readings_are_bare() -> None:
    async with deployed(metric_shape="number") as (_, client):
        job = (await client.ask("/jobs/?status=running")).json["results"][0]["id"]
        answer = await client.ask(f"/metrics/cpu/?job_id={job}")
        assert isinstance(answer.json, float)


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "detail"),
    [
        ("GET", "/jobs/", "wrong", 401, "The provided API key is invalid or expired"),
        ("GET", "/jobs/nobody-1/", "key-one", 404, "Job not found"),
        ("POST", "/jobs/nobody-1/stop/", "key-one", 404, "Not found"),
        ("DELETE", "/jobs/", "key-one", 405, "Method Not Allowed"),
        ("GET", "/metrics/cpu/", "key-one", 400, "job_id: this field is required."),
    ],
)
async def test_errors_have_a_detail(
    method: str, path: str, key: str, status: int, detail: str
) -> None:
    async with deployed() as (_, client):
        answer = await client.ask(path, method, key=key)
        assert (answer.status, answer.json) == (status, {"detail": detail})
