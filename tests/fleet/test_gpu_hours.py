"""GPU hours that the API does not report, in a dialect that reports no start either."""

from __future__ import annotations

from typing import Any

import pytest
from support.fleet_world import POLICY, START, World

from trainwave_exporter.fleet import Fleet, JobsSeen
from trainwave_exporter.model import Job, KnownRun

HOUR = 3600.0


def hours(world: World) -> float | None:
    job = world.fleet.job("j-1")
    assert job is not None
    return job.gpu_hours


def billed(world: World, cost: float, price: float, state: str = "RUNNING", **fields: Any) -> Job:
    """Return a job of eight GPUs as a list of the deployed dialect reports it."""
    return world.job(state=state, gpus=8.0, cost_dollars=cost, hourly_cost_dollars=price, **fields)


def test_cost_over_price_is_how_long_a_job_has_run() -> None:
    world = World()
    world.see(billed(world, 36.0, 36.0))
    assert hours(world) == 8


def test_gpu_hours_survive_a_change_of_price() -> None:
    """Two hours at $36, one at $72: three hours on eight GPUs, not $144 / $72 = 2."""
    world = World()
    world.see(billed(world, 36.0, 36.0))
    world.now += HOUR
    world.see(billed(world, 72.0, 36.0))
    assert hours(world) == 16
    world.now += HOUR
    world.see(billed(world, 144.0, 72.0))
    assert hours(world) == pytest.approx(24)
    world.now += HOUR
    world.see(billed(world, 216.0, 72.0, "SUCCESS"))
    assert hours(world) == pytest.approx(32)


def test_bills_in_steps_are_counted_from_the_highest() -> None:
    """First seen half an hour after a bill, whose next step shows when the job began."""
    world = World()
    world.see(billed(world, 36.0, 36.0))
    world.now += HOUR / 2
    world.see(billed(world, 72.0, 36.0))
    world.now += HOUR
    world.see(billed(world, 144.0, 72.0))
    assert hours(world) == pytest.approx(24)


def test_a_job_that_runs_again_begins_anew() -> None:
    world = World()
    world.see(billed(world, 36.0, 36.0))
    world.see(billed(world, 36.0, 36.0, "FAILED"))
    world.now += HOUR
    world.see(billed(world, 9.0, 36.0))
    assert hours(world) == pytest.approx(2)


def test_what_was_known_before_the_start_of_the_exporter_survives_a_price_change() -> None:
    """It ran for two hours at $36 before, and the price is $72 now."""
    fleet = Fleet(
        accounts=("a",),
        policy=POLICY,
        observe=lambda _: None,
        now=START,
        known_run=lambda job_id: KnownRun(START - 2 * HOUR, 36.0) if job_id == "j-1" else None,
    )
    world = World()
    for job_id, expected in (("j-1", 16), ("j-2", 8)):
        job = billed(world, 72.0, 72.0, job_id=job_id)
        fleet.apply(JobsSeen("a", (job,), START), START)
        known = fleet.job(job_id)
        assert known is not None
        assert known.gpu_hours == expected
