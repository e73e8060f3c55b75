from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator.wire import START, Clock, small_world

from trainwave_exporter.simulator import SimulatedWorld
from trainwave_exporter.simulator.lifecycle import (
    LEGAL,
    Behavior,
    SimulatedState,
    Status,
    status_of,
)
from trainwave_exporter.simulator.orders import Order
from trainwave_exporter.simulator.world import AlreadyOverError

DAY = 24 * 3600


def story(world: SimulatedWorld) -> list[Any]:
    """All that can be told of a world's jobs."""
    return [
        (
            job.rid,
            job.code,
            job.order.project.rid,
            job.timeline,
            job.corrections,
            job.cost(world.now),
        )
        for job in world.jobs
    ]


def living(world: SimulatedWorld) -> int:
    return sum(job.state in LEGAL for job in world.jobs)


def order(world: SimulatedWorld, **changes: Any) -> Order:
    catalogue = world.catalogue
    plain: dict[str, Any] = {
        "name": "mine",
        "project": catalogue.projects[0],
        "owner": catalogue.owners[0],
        "offer": catalogue.offers[0],
        "cpus": 4,
        "memory_mb": 16_000,
        "disk_mb": 51_200,
        "expires_after": None,
    }
    return Order(**plain | changes)


def test_a_world_begins_with_the_jobs_and_the_history_asked_for() -> None:
    world = small_world(jobs=40, history=25)
    assert living(world) == 40
    assert len(world.jobs) == 65
    assert world.now == START


def test_the_history_is_twice_as_many_jobs_unless_reported() -> None:
    assert len(small_world(jobs=10).jobs) == 30


def test_a_world_may_be_empty() -> None:
    clock = Clock()
    world = small_world(clock, jobs=0)
    clock.now = DAY
    world.advance()
    assert world.jobs == []
    assert world.expected_totals().total.microdollars == 0


def test_a_world_begins_now_unless_reported() -> None:
    early, late = SimulatedWorld(jobs=0).start, SimulatedWorld(jobs=0).start
    assert START < early <= late


@settings(max_examples=15)
@given(st.lists(st.integers(1, DAY), max_size=12))
def test_what_happens_does_not_depend_on_how_often_anybody_looks(looks: list[int]) -> None:
    clock_of_one, clock_of_other = Clock(), Clock()
    one, other = small_world(clock_of_one), small_world(clock_of_other)
    for seconds in looks:
        clock_of_one.now += seconds
        one.advance()
    clock_of_other.now = clock_of_one.now
    other.advance()
    assert story(one) == story(other)
    assert one.expected_totals() == other.expected_totals()


def test_another_seed_is_another_world() -> None:
    assert story(small_world(seed=1)) != story(small_world(seed=2))


def test_simulated_time_runs_at_the_speed_asked_for() -> None:
    clock = Clock(500.0)
    world = small_world(clock, speed=60)
    clock.now = 501.5
    assert world.advance() == START + 90


def test_a_clock_that_goes_back_does_not_take_the_world_with_it() -> None:
    clock = Clock()
    world = small_world(clock)
    clock.now = 100
    world.advance()
    clock.now = 50
    assert world.advance() == START + 100


def test_the_fleet_stays_about_as_large_as_it_began() -> None:
    clock = Clock()
    world = small_world(clock, jobs=50)
    for _ in range(48):
        clock.now += 1800
        world.advance()
        assert 45 <= living(world) <= 50
    assert len(world.jobs) > 250


@settings(max_examples=10)
@given(st.integers(0, 10_000))
def test_every_job_takes_legal_steps_only(seed: int) -> None:
    clock = Clock()
    world = small_world(clock, seed=seed)
    clock.now = DAY
    world.advance()
    for job in world.jobs:
        assert job.timeline[0] == (job.created_at, SimulatedState.SUBMIT_CODE)
        for (earlier, before), (later, after) in pairwise(job.timeline):
            assert after in LEGAL[before]
            assert earlier <= later <= world.now
        assert job.state is job.timeline[-1][1]
        assert (job.finished_at is None) is (job.state in LEGAL)
        since = {state: at for at, state in job.timeline}
        assert job.billed_from == since.get(SimulatedState.LAUNCHING)
        assert job.started_at == since.get(SimulatedState.RUNNING)


@settings(max_examples=10)
@given(st.integers(0, 10_000), st.integers(0, DAY))
def test_a_selection_holds_the_jobs_of_its_scope_and_status_oldest_first(
    seed: int, seconds: int
) -> None:
    clock = Clock()
    world = small_world(clock, seed=seed)
    clock.now = seconds
    world.advance()
    projects = world.catalogue.projects
    for scope in (None, *world.catalogue.organizations, *projects):
        for status in (None, *Status):
            assert list(world.select(scope, status)) == [
                job.ordinal
                for job in world.jobs
                if scope in {None, job.order.project, job.order.project.organization}
                and status in {None, status_of(job.state)}
            ]
    assert sum(world.active_jobs(project) for project in projects) == living(world)


def test_jobs_stand_in_the_order_of_their_creation() -> None:
    clock = Clock()
    world = small_world(clock)
    clock.now = DAY
    world.advance()
    created = [job.created_at for job in world.jobs]
    assert created == sorted(created)


def test_one_job_hangs_in_launching_and_is_billed_and_so_does_the_one_after_it() -> None:
    clock = Clock()
    world = small_world(clock)
    for _ in range(2):
        clock.now += DAY
        world.advance()
        [hanging] = [
            job
            for job in world.jobs
            if job.state is SimulatedState.LAUNCHING and world.now - job.created_at > 3600
        ]
        assert hanging.cost(world.now) - hanging.cost(world.now - 3600) == (
            3600 * hanging.order.offer.price
        )
        assert hanging.gpu_seconds(world.now) == 0
        world.stop(hanging)


def test_there_is_always_a_job_of_several_gpus_with_one_idle() -> None:
    clock = Clock()
    world = small_world(clock)
    seen = Counter[int]()
    for _ in range(24):
        clock.now += 3600
        world.advance()
        lame = [j for j in world.jobs if j.draft.behavior is Behavior.LAME and j.state in LEGAL]
        seen[len(lame)] += 1
        assert all(job.order.offer.gpus >= 4 for job in lame)
    assert seen[1] >= 23  # one may just have ended


def test_costs_are_corrected_upward_and_downward_and_never_below_zero() -> None:
    clock = Clock()
    world = small_world(clock, jobs=100)
    clock.now = 3 * DAY
    world.advance()
    amounts = [amount for job in world.jobs for _, amount in job.corrections]
    assert min(amounts) < 0 < max(amounts)
    assert all(job.cost(world.now) >= 0 for job in world.jobs)


def test_a_job_that_is_ordered_is_there_at_once_and_comes_to_its_end() -> None:
    clock = Clock()
    world = small_world(clock)
    clock.now = 5
    job = world.submit(order(world))
    assert job.created_at == START + 5
    assert world.jobs[-1] is job
    clock.now = 3 * DAY
    world.advance()
    assert job.state not in LEGAL


def test_a_job_that_is_ordered_is_not_followed_by_another() -> None:
    clock = Clock()
    world = small_world(clock, jobs=0)
    world.submit(order(world))
    clock.now = 3 * DAY
    world.advance()
    assert len(world.jobs) == 1


def test_a_job_ends_when_it_expires() -> None:
    clock = Clock()
    world = small_world(clock)
    job = world.submit(order(world, expires_after=3))
    clock.now = 60
    world.advance()
    assert job.timeline[1:] == [(START + 3, SimulatedState.SYSTEM_TERMINATED)]
    assert job.expires_at == START + 3


def test_a_stopped_job_is_cancelled_at_once_costs_no_more_and_stays_so() -> None:
    clock = Clock()
    world = small_world(clock)
    job = world.jobs[world.select(None, Status.RUNNING)[-1]]
    clock.now = 30
    world.stop(job)
    assert job.timeline[-1] == (START + 30, SimulatedState.USER_CANCELLED)
    timeline, cost = list(job.timeline), job.cost(world.now) - job.corrected
    clock.now = DAY
    world.advance()
    assert job.timeline == timeline
    assert job.cost(world.now) - job.corrected == cost
    with pytest.raises(AlreadyOverError):
        world.stop(job)


def test_a_job_stopped_before_its_launch_has_cost_nothing() -> None:
    clock = Clock()
    world = small_world(clock)
    before = world.expected_totals().total
    job = world.submit(order(world))
    world.stop(job)
    assert job.cost(world.now) == 0
    assert world.expected_totals().total == before


def test_a_job_is_found_by_its_code_and_by_its_rid() -> None:
    world = small_world()
    for job in world.jobs:
        assert world.job_of_code(job.code) is job
        assert world.job_of_rid(job.rid) is job


@pytest.mark.parametrize(
    ("name", "rid"),
    [("ViT / L-16 (a\u0301)", "vit-l-16-a-37"), ("../..", "job-37"), ("日本", "job-37")],
)
def test_a_rid_fits_into_a_path_whatever_the_name_is(name: str, rid: str) -> None:
    world = small_world()
    job = world.submit(order(world, name=name))
    assert job.rid == rid
    assert world.job_of_rid(rid) is job


@pytest.mark.parametrize("rid", ["", "-", "x", "x-1", "x-0", "x-99999", "x-²", "x-" + "9" * 50])
def test_nothing_is_found_by_a_rid_that_is_nobodys(rid: str) -> None:
    assert small_world().job_of_rid(rid) is None


def test_nothing_is_found_by_a_code_that_is_nobodys() -> None:
    world = small_world()
    codes = {job.code for job in world.jobs}
    assert all(world.job_of_code(code) is None for code in range(1000) if code not in codes)


def test_what_is_over_for_long_is_reported_no_more_and_stays_in_the_totals() -> None:
    clock = Clock()
    world = SimulatedWorld(seed=2, jobs=20, history=10, forget_after=DAY, start=START, clock=clock)
    clock.now += 3 * DAY
    world.advance()
    reported = {world.jobs[place].rid for place in world.select()}
    for job in world.jobs:
        forgotten = job.finished_at is not None and world.now - job.finished_at >= DAY
        assert (job.rid in reported) is not forgotten
        assert world.job_of_code(job.code) is (None if forgotten else job)
        assert world.job_of_rid(job.rid) is (None if forgotten else job)
    assert len(reported) < len(world.jobs) == len(world.expected_totals().jobs)
    for status in Status:
        assert {world.jobs[place].rid for place in world.select(None, status)} <= reported
