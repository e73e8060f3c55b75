"""Unusual bills: what a job truly costs, and what each dialect reports of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator.wire import START, Clock, serving, small_world

from trainwave_exporter.simulator import BillingMix, SimulatedDialect, SimulatedWorld
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import LEGAL, SimulatedState, Status

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
BILLED = {SimulatedState.LAUNCHING, SimulatedState.RUNNING, SimulatedState.UPLOADING}
MIX = BillingMix(hourly=0.25, at_end=0.25, repriced=0.25, rerun=1.0, restarted=0.5)


def world_of(mix: BillingMix, **options: object) -> tuple[SimulatedWorld, Clock]:
    clock = Clock()
    return small_world(clock, billing=mix, **options), clock


def moments(world: SimulatedWorld, clock: Clock, seconds: int = 2 * DAY) -> Iterator[int]:
    """Let time pass by ten minutes at once; yield each time."""
    while clock.now < seconds:
        clock.now += 10 * MINUTE
        yield world.advance()


def first(
    world: SimulatedWorld, clock: Clock, wanted: Callable[[SimulatedJob], bool]
) -> SimulatedJob:
    """Let time pass until there is such a job."""
    for _ in moments(world, clock, 20 * DAY):
        for job in world.jobs:
            if wanted(job):
                return job
    raise AssertionError


def billed_since(job: SimulatedJob) -> int:
    assert job.billed_from is not None
    return job.billed_from


def test_bills_in_steps_grow_when_an_hour_is_complete_and_at_the_end() -> None:
    world, clock = world_of(BillingMix(hourly=1.0), history=0)
    for now in moments(world, clock):
        for job in world.jobs:
            if job.billed_from is None:
                continue
            hours = (now - job.billed_from) // HOUR
            until = job.billed_from + hours * HOUR if job.finished_at is None else job.finished_at
            price = job.order.offer.price
            assert job.reported_cost(now) == price * (until - job.billed_from)
            assert job.billed_until(now) == until
    assert any(job.finished_at for job in world.jobs)


def test_a_bill_at_the_end_comes_whole_and_not_before() -> None:
    world, clock = world_of(BillingMix(at_end=1.0))
    for now in moments(world, clock):
        for job in world.jobs:
            over = job.finished_at is not None
            assert job.reported_cost(now) == (job.cost(now) if over else 0)
    assert any(job.finished_at and job.cost(world.now) for job in world.jobs)


def test_each_second_costs_the_price_of_its_time() -> None:
    world, clock = world_of(BillingMix(repriced=1.0))
    job = first(world, clock, lambda job: len(job.prices) > 2 and job.finished_at is not None)
    (_, launched), *changes = job.prices
    assert launched == job.order.offer.price
    assert all(before != after for (_, before), (_, after) in pairwise(job.prices))
    assert job.finished_at is not None
    begins = [billed_since(job), *(at for at, _ in changes)]
    ends = [*(at for at, _ in changes), job.finished_at]
    prices = [price for _, price in job.prices]
    parts = zip(begins, ends, prices, strict=True)
    whole = sum((end - begin) * price for begin, end, price in parts)
    assert job.cost(world.now) == job.reported_cost(world.now) == whole
    assert job.cost(begins[1]) == (begins[1] - begins[0]) * launched


@pytest.mark.parametrize("restarted", [True, False])
def test_a_failed_job_runs_again_and_its_bill_begins_anew_or_goes_on(restarted: bool) -> None:
    world, clock = world_of(BillingMix(rerun=1.0, restarted=float(restarted)))
    job = first(
        world, clock, lambda job: job.state is SimulatedState.RUNNING and len(job.timeline) > 5
    )
    (failed_at, failed), (launched_at, launched), *_ = [
        step for step in job.timeline if step[0] >= billed_since(job) or step[1] not in LEGAL
    ]
    assert failed not in LEGAL
    assert launched is SimulatedState.LAUNCHING
    assert launched_at == job.billed_from
    price, now = job.order.offer.price, world.now
    before = next(at for at, state in job.timeline if state is SimulatedState.LAUNCHING)
    earlier, present = (failed_at - before) * price, (now - launched_at) * price
    assert job.cost(now) == earlier + present
    assert job.reported_cost(now) == present + (0 if restarted else earlier)
    assert job.meters_since == (launched_at if restarted else None)
    assert job.reported_gpu_seconds(now) <= job.gpu_seconds(now)
    assert job.ordinal in world.select(None, Status.RUNNING)


def test_a_job_runs_again_once_and_is_followed_by_one_other() -> None:
    world, clock = world_of(BillingMix(rerun=1.0), jobs=20)
    clock.now = 10 * DAY
    world.advance()
    again = [job for job in world.jobs if job.earlier_runs]
    assert {job.earlier_runs for job in again} == {1}
    assert sum(job.state in LEGAL for job in world.jobs) <= 20 + len(again)
    assert any(job.state not in LEGAL for job in again)


def test_what_runs_again_is_not_forgotten_meanwhile() -> None:
    world, clock = world_of(BillingMix(rerun=1.0), forget_after=HOUR)
    for now in moments(world, clock, 6 * DAY):
        listed = set(world.select())
        for job in world.jobs:
            over = job.finished_at is not None and now - job.finished_at >= HOUR
            assert (job.ordinal in listed) is not over
    assert any(job.earlier_runs for job in world.jobs)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.lists(st.integers(1, DAY), max_size=8))
def test_the_books_agree_and_nobody_who_looks_changes_anything(seed: int, looks: list[int]) -> None:
    one, clock_of_one = world_of(MIX, seed=seed)
    other, clock_of_other = world_of(MIX, seed=seed)
    for seconds in looks:
        clock_of_one.now += seconds
        one.advance()
    clock_of_other.now = clock_of_one.now
    expected_totals = other.expected_totals()
    assert one.expected_totals() == expected_totals
    assert (
        sum(day.microdollars for day in expected_totals.by_day.values())
        == expected_totals.total.microdollars
    )
    assert (
        sum(day.gpu_seconds for day in expected_totals.by_day.values())
        == expected_totals.total.gpu_seconds
    )
    spent = sum(organization.spent for organization in expected_totals.organizations.values())
    assert spent == expected_totals.total.microdollars
    assert expected_totals.at == START + clock_of_one.now


def test_unusual_bills_change_nothing_else_in_a_world() -> None:
    plain, unusual = small_world(), small_world(billing=MIX)
    assert [job.order for job in plain.jobs] != []
    assert [job.draft.course for job in plain.jobs] == [job.draft.course for job in unusual.jobs]
    assert not any(job.earlier_runs or len(job.prices) > 1 for job in plain.jobs)
    assert all(plain.corrigible(job) for job in plain.jobs)
    for job in unusual.jobs:
        assert unusual.corrigible(job) or not job.corrections


async def test_the_documented_list_has_no_price_and_its_details_have_the_present_one() -> None:
    world, clock = world_of(BillingMix(repriced=1.0))
    job = first(
        world, clock, lambda job: len(job.prices) > 1 and job.state is SimulatedState.RUNNING
    )
    async with serving(world) as (_, client):
        rows = {row["rid"]: row for row in await client.rows()}
        row = rows[job.rid]
        assert "cost_per_hour" not in row
        details = (await client.ask(f"/jobs/{row['id']}/")).data
        assert details["cost_per_hour"] == pytest.approx(job.price * 3600 / 1e6)
        assert details["total_cost"] == row["total_cost"] == job.cost(world.now) / 1e6


async def test_the_documented_details_have_the_start_of_the_present_run_alone() -> None:
    world, clock = world_of(BillingMix(rerun=1.0, restarted=1.0))
    job = first(
        world, clock, lambda job: job.earlier_runs > 0 and job.state is SimulatedState.RUNNING
    )
    assert job.started_at is not None
    async with serving(world) as (_, client):
        rows = {row["rid"]: row for row in await client.rows()}
        row = rows[job.rid]
        assert row["state"] == "RUNNING"
        assert row["total_cost"] == (world.now - billed_since(job)) * job.price / 1e6
        hours = (world.now - job.started_at) * job.order.offer.gpus / HOUR
        assert row["gpu_hours"] == pytest.approx(hours, abs=1e-4)
        details = (await client.ask(f"/jobs/{row['id']}/")).data
        assert details["finished_at"] is None
        assert details["started_at"] > details["created_at"]


async def test_the_deployed_list_has_the_present_price_and_the_cents_that_are_billed() -> None:
    world, clock = world_of(MIX)
    job = first(world, clock, lambda job: len(job.prices) > 1 and job.finished_at is None)
    async with serving(world, dialect=SimulatedDialect.DEPLOYED) as (_, client):
        for row in await client.rows():
            told = world.job_of_rid(row["rid"])
            assert told is not None
            assert row["cost_per_hour"] == pytest.approx(told.price * 3600 / 1e6)
            assert row["total_cost"] == (told.reported_cost(world.now) + 5_000) // 10_000
    assert job.price != job.order.offer.price or len(job.prices) > 2
    assert {job.state} <= BILLED
