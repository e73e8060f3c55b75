from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from simulator.wire import START, Clock, small_world

from trainwave_exporter.simulator.expected_totals import ExpectedTotal
from trainwave_exporter.simulator.ids import IdKind, SimulatedDialect, write_id
from trainwave_exporter.simulator.lifecycle import SimulatedState

DAY = 24 * 3600


def added(totals: Mapping[str, ExpectedTotal]) -> ExpectedTotal:
    return ExpectedTotal(
        sum(total.microdollars for total in totals.values()),
        sum(total.gpu_seconds for total in totals.values()),
    )


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(0, 3 * DAY))
def test_no_cent_and_no_second_is_lost_between_the_books(seed: int, seconds: int) -> None:
    clock = Clock()
    world = small_world(clock, seed=seed)
    clock.now = seconds
    expected_totals = world.expected_totals()
    assert expected_totals.at == START + seconds
    assert (
        added({rid: entry.total for rid, entry in expected_totals.jobs.items()})
        == expected_totals.total
    )
    assert added(expected_totals.by_project) == expected_totals.total
    assert added(expected_totals.by_owner) == expected_totals.total
    assert added(expected_totals.by_gpu_type) == expected_totals.total
    assert added(expected_totals.by_day) == expected_totals.total
    organizations = expected_totals.organizations.values()
    assert sum(entry.spent for entry in organizations) == expected_totals.total.microdollars
    assert all(entry.balance == entry.deposited - entry.spent for entry in organizations)


def test_an_organizations_spending_is_that_of_its_projects() -> None:
    world = small_world(jobs=60)
    expected_totals = world.expected_totals()
    for organization in world.catalogue.organizations:
        projects = [p.rid for p in world.catalogue.projects if p.organization is organization]
        spent = sum(expected_totals.by_project[rid].microdollars for rid in projects)
        assert expected_totals.organizations[organization.rid].spent == spent


def test_a_job_costs_its_price_for_each_second_since_its_launch() -> None:
    clock = Clock()
    world = small_world(clock)
    clock.now = 3600
    expected_totals = world.expected_totals()
    for job in world.jobs:
        entry = expected_totals.jobs[job.rid]
        since = {state: at for at, state in entry.timeline}
        end = expected_totals.at if job.finished_at is None else job.finished_at
        billed = end - since.get(SimulatedState.LAUNCHING, end)
        run = end - since.get(SimulatedState.RUNNING, end)
        corrected = sum(amount for _, amount in entry.corrections)
        assert entry.total.microdollars == billed * job.order.offer.price + corrected
        assert entry.total.gpu_seconds == run * job.order.offer.gpus


def test_an_entry_names_the_job_in_both_dialects() -> None:
    world = small_world()
    job = world.jobs[3]
    entry = world.expected_totals().jobs[job.rid]
    assert entry.ids == {
        dialect: write_id(dialect, IdKind.JOB, job.code) for dialect in SimulatedDialect
    }
    assert entry.project == job.order.project.rid
    assert entry.owner == job.order.owner.username
    assert (entry.gpu_type, entry.gpus) == (job.order.offer.gpu_type, job.order.offer.gpus)
    assert entry.state is job.state


def test_the_time_of_a_job_that_runs_over_midnight_is_cut_there() -> None:
    clock = Clock()
    world = small_world(clock, jobs=4, history=0)
    clock.now = 3 * DAY
    days = world.expected_totals().by_day
    hanging = next(job for job in world.jobs if job.draft.life is None)
    assert list(days)[-4:] == ["2024-03-21", "2024-03-22", "2024-03-23", "2024-03-24"]
    assert days["2024-03-22"].microdollars >= DAY * hanging.order.offer.price


def test_a_balance_falls_by_what_is_spent_and_is_topped_up_before_it_is_gone() -> None:
    clock = Clock()
    world = small_world(clock, jobs=60)
    organization = world.catalogue.organizations[0]
    balances = []
    for _ in range(24 * 21):
        clock.now += 3600
        world.advance()
        balances.append(world.balance(organization))
    assert min(balances) > 0
    rises = sum(before < after for before, after in pairwise(balances))
    assert 1 < rises < 21
    assert world.expected_totals().organizations[organization.rid].balance == balances[-1]


def test_totals_are_reported_in_dollars_and_hours_too() -> None:
    total = ExpectedTotal(2_500_000, 5400)
    assert (total.dollars, total.gpu_hours) == (2.5, 1.5)


def test_a_fee_and_a_deposit_move_the_balance_and_no_cost() -> None:
    world = small_world()
    organization = world.catalogue.organizations[0]
    before = world.expected_totals()
    world.pay_in(organization, 5_000_000)
    world.pay_in(organization, -7_000_000)
    after = world.expected_totals()
    rid = organization.rid
    assert after.organizations[rid].balance == before.organizations[rid].balance - 2_000_000
    assert after.organizations[rid].spent == before.organizations[rid].spent
    assert after.total == before.total


def test_a_correction_is_paid_by_the_jobs_organization() -> None:
    world = small_world()
    job = world.jobs[-1]
    rid = job.order.project.organization.rid
    before = world.expected_totals()
    world.correct(job, -3_000_000)
    after = world.expected_totals()
    assert after.jobs[job.rid].total.microdollars == (
        before.jobs[job.rid].total.microdollars - 3_000_000
    )
    assert after.organizations[rid].balance == before.organizations[rid].balance + 3_000_000
