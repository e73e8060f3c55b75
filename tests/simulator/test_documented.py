"""The documented dialect on the wire, against the text of the vendor's reference."""

from __future__ import annotations

import re
from typing import Any

import pytest
from simulator.wire import Clock, serving, small_world

from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld
from trainwave_exporter.simulator.lifecycle import SimulatedState

ORDER = {
    "name": "mnist-training",
    "description": "Training MNIST classifier",
    "gpu_type": "RTX A5000",
    "gpus": 1,
    "cpu_cores": 4,
    "memory_gb": 16,
    "hdd_size_mb": 51200,
    "image": "trainwave/pytorch:2.3.1",
    "setup_command": "pip install -r requirements.txt",
    "run_command": "python train.py",
    "env_vars": {"WANDB_API_KEY": "xxx"},
    "expires": "4h",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STATES = {"SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING", "COMPLETED", "FAILED"}


def kinds(thing: dict[str, Any]) -> dict[str, Any]:
    """The keys of an object with the types of their values, objects likewise."""
    return {k: kinds(v) if isinstance(v, dict) else type(v) for k, v in thing.items()}


def lively_world() -> SimulatedWorld:
    """A world with jobs in every state that the documented dialect shows."""
    clock = Clock()
    world = small_world(clock, jobs=100)
    while {job.state for job in world.jobs} != set(SimulatedState):
        clock.now += 1
        world.advance()
    return world


async def test_a_list_holds_pages_of_jobs_with_the_keys_of_the_reference() -> None:
    async with serving() as (_, client):
        answer = await client.ask("/jobs/?status=running")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json.keys() == {"success", "data"}
        assert answer.json["success"] is True
        assert answer.data.keys() == {"count", "next", "previous", "results"}
        for job in answer.data["results"]:
            assert kinds(job) == {
                "id": str,
                "rid": str,
                "created_at": str,
                "state": str,
                "project": str,
                "owner": {"id": str, "email": str, "username": str},
                "total_cost": float,
                "gpu_hours": float,
                "metrics": {"gpu_utilization": float, "memory_usage": float},
            }
            assert re.fullmatch(r"j-[0-9a-z]+", job["id"])
            assert re.fullmatch(r"p-[0-9a-z]+", job["project"])
            assert re.fullmatch(r"u-[0-9a-z]+", job["owner"]["id"])
            assert TIME.fullmatch(job["created_at"])
            assert job["state"] == "RUNNING"
            assert 0 <= job["metrics"]["gpu_utilization"] <= 100


async def test_a_jobs_detail_has_the_keys_of_the_reference() -> None:
    async with serving() as (_, client):
        row = (await client.ask("/jobs/?status=running")).data["results"][0]
        job = (await client.ask(f"/jobs/{row['id']}/")).data
        assert kinds(job) == {
            "id": str,
            "name": str,
            "state": str,
            "created_at": str,
            "started_at": str,
            "finished_at": type(None),
            "project": str,
            "gpu_type": str,
            "gpus": int,
            "cpu_cores": int,
            "memory_gb": int,
            "cost_per_hour": float,
            "total_cost": float,
            "metrics": {"gpu_utilization": float, "memory_usage": float},
        }
        assert row["rid"].startswith(job["name"])
        shared = row.keys() & job.keys()
        assert {key: row[key] for key in shared} == {key: job[key] for key in shared}


async def test_costs_are_dollars_and_gpu_hours_hours_as_the_books_have_them() -> None:
    world = small_world()
    expected_totals = world.expected_totals()
    async with serving(world) as (_, client):
        rows = await client.rows()
        assert len(rows) == len(expected_totals.jobs)
        for row in rows:
            entry = expected_totals.jobs[row["rid"]]
            assert row["id"] == entry.ids[SimulatedDialect.DOCUMENTED]
            assert row["total_cost"] == entry.total.microdollars / 1e6
            assert row["gpu_hours"] == pytest.approx(entry.total.gpu_seconds / 3600, abs=1e-4)
            assert row["owner"]["username"] == entry.owner


async def test_states_have_the_documented_names_where_there_are_any() -> None:
    world = lively_world()
    truth = {job.rid: job.state for job in world.jobs}
    names = {"SUCCESS": "COMPLETED"} | dict.fromkeys(
        ("ERROR", "USER_PROCESS_FAILED", "SYSTEM_TERMINATED", "USER_CANCELLED"), "FAILED"
    )
    async with serving(world) as (_, client):
        rows = await client.rows()
        assert {row["state"] for row in rows} == STATES
        for row in rows:
            state = truth[row["rid"]]
            assert row["state"] == names.get(state, state)
            assert (row["metrics"] is None) is (row["state"] != "RUNNING")


@pytest.mark.parametrize(
    ("status", "state"), [("running", "RUNNING"), ("completed", "COMPLETED"), ("failed", "FAILED")]
)
async def test_the_status_filter_finds_all_jobs_of_the_state_of_its_name(
    status: str, state: str
) -> None:
    async with serving(lively_world()) as (_, client):
        everything = await client.rows()
        found = await client.rows(f"/jobs/?status={status}")
        assert found == [row for row in everything if row["state"] == state]


async def test_times_are_null_until_they_have_come() -> None:
    world = lively_world()
    async with serving(world) as (_, client):
        for state, started, finished in (
            ("SUBMIT_CODE", False, False),
            ("LAUNCHING", False, False),
            ("RUNNING", True, False),
            ("SUCCESS", True, True),
        ):
            rid = next(job.rid for job in world.jobs if job.state == state)
            job = (await client.ask(f"/jobs/{rid}/")).data
            assert bool(job["started_at"] and TIME.fullmatch(job["started_at"])) is started
            assert bool(job["finished_at"] and TIME.fullmatch(job["finished_at"])) is finished


async def test_the_order_of_the_reference_makes_a_job() -> None:
    async with serving() as (simulator, client):
        project = (await client.ask("/projects/")).data["results"][0]["id"]
        answer = await client.ask("/jobs/", "POST", json=ORDER | {"project": project})
        assert answer.status == 201
        job = answer.data
        assert (job["name"], job["state"]) == ("mnist-training", "SUBMIT_CODE")
        assert (job["gpu_type"], job["gpus"]) == ("RTX A5000", 1)
        assert (job["cpu_cores"], job["memory_gb"]) == (4, 16)
        assert (job["project"], job["total_cost"]) == (project, 0.0)
        newest = (await client.ask("/jobs/?limit=1")).data["results"][0]
        assert newest["id"] == job["id"]
        created = simulator.world.jobs[-1]
        assert created.expires_at == created.created_at + 4 * 3600
        assert created.order.disk_mb == 51_200
        assert newest["owner"]["username"] == created.order.owner.username


async def test_a_bad_order_is_refused_and_makes_no_job() -> None:
    async with serving() as (simulator, client):
        before = len(simulator.world.jobs)
        for body, message in (
            (b"{", "The body is not JSON"),
            (b"\xff", "The body is not JSON"),
            (b"[]", "The body is not an object"),
            (b"{}", "name: this field is required."),
        ):
            answer = await client.ask("/jobs/", "POST", data=body)
            assert answer.status == 400
            assert answer.json == {
                "success": False,
                "error": {"code": "validation_error", "message": message},
            }
        assert len(simulator.world.jobs) == before


async def test_a_job_is_stopped_once() -> None:
    async with serving() as (_, client):
        job = (await client.ask("/jobs/?status=running")).data["results"][0]
        stopped = await client.ask(f"/jobs/{job['id']}/stop/", "POST")
        assert stopped.status == 200
        assert stopped.data["id"] == job["id"]
        assert stopped.data["state"] == "FAILED"
        assert stopped.data["finished_at"] is not None
        assert (await client.ask(f"/jobs/{job['id']}/")).data == stopped.data
        again = await client.ask(f"/jobs/{job['id']}/stop/", "POST")
        assert again.status == 400
        assert again.json["error"]["code"] == "invalid_state"


async def test_projects_and_organizations_are_listed() -> None:
    world = small_world()
    async with serving(world) as (_, client):
        organizations = (await client.ask("/organizations/")).data
        assert [organization["name"] for organization in organizations] == [
            "Northwind Labs",
            "Kestrel Robotics",
        ]
        for shown, truth in zip(organizations, world.catalogue.organizations, strict=True):
            assert kinds(shown) == {
                "id": str,
                "rid": str,
                "name": str,
                "computed_credit_balance": int,
            }
            cents = shown["computed_credit_balance"]
            assert cents == pytest.approx(world.balance(truth) / 10_000, abs=1)
        projects = (await client.ask("/projects/")).data
        assert projects["count"] == len(projects["results"]) == 6
        assert {project["organization"] for project in projects["results"]} == {
            organization["id"] for organization in organizations
        }
        assert kinds(projects["results"][0]) == {
            "id": str,
            "rid": str,
            "name": str,
            "organization": str,
            "total_job_count": int,
            "created_at": str,
        }


@pytest.mark.parametrize(
    "metric", ["cpu", "memory", "network", "gpu_utilization", "gpu_memory", "disk"]
)
async def test_every_metric_of_the_reference_can_be_asked_for(metric: str) -> None:
    async with serving(metric_shape="value") as (_, client):
        job = (await client.ask("/jobs/?status=running")).data["results"][0]["id"]
        answer = await client.ask(f"/metrics/{metric}/?job_id={job}")
        assert answer.status == 200
        assert kinds(answer.data) == {"value": float}


async def test_a_job_and_its_metrics_report_the_same() -> None:
    async with serving(metric_shape="number") as (_, client):
        for job in (await client.ask("/jobs/?status=running")).data["results"]:
            metric = f"/metrics/%s/?job_id={job['id']}"
            gpu, memory = job["metrics"]["gpu_utilization"], job["metrics"]["memory_usage"]
            assert (await client.ask(metric % "gpu_utilization")).data == gpu
            assert (await client.ask(metric % "memory")).data == memory


@pytest.mark.parametrize(
    "path", ["/users/me/", "/offers/", "/metrics/entropy/?job_id=x", "/jobs/j-789xyz/cancel/"]
)
async def test_what_the_reference_does_not_know_is_not_found(path: str) -> None:
    async with serving() as (_, client):
        answer = await client.ask(path)
        assert answer.status == 404
        assert answer.json == {
            "success": False,
            "error": {"code": "not_found", "message": "Not found"},
        }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/j-789xyz/"),
        ("POST", "/jobs/j-789xyz/stop/"),
        ("GET", "/metrics/cpu/?job_id=j-789xyz"),
        ("GET", "/jobs/eb5b2c0d-82b5-4eea-abe5-abe556bac3d9/"),
    ],
)
async def test_a_job_that_does_not_exist_is_not_found(method: str, path: str) -> None:
    async with serving() as (_, client):
        answer = await client.ask(path, method)
        assert answer.status == 404
        assert answer.json == {
            "success": False,
            "error": {"code": "not_found", "message": "Job not found"},
        }


@pytest.mark.parametrize("key", [None, "", "wrong"])
async def test_without_a_valid_key_there_is_nothing_to_see(key: str | None) -> None:
    async with serving() as (_, client):
        for path in ("/jobs/", "/organizations/", "/nowhere/"):
            answer = await client.ask(path, key=key)
            assert answer.status == 401
            assert answer.json == {
                "success": False,
                "error": {
                    "code": "invalid_api_key",
                    "message": "The provided API key is invalid or expired",
                },
            }


async def test_who_asks_too_often_is_reported_so() -> None:
    async with serving(rate_limit=1) as (_, client):
        await client.ask("/jobs/")
        answer = await client.ask("/jobs/")
        assert answer.status == 429
        assert answer.json["success"] is False
        assert answer.json["error"]["code"] == "rate_limit_exceeded"
