"""Spend grows evenly, however bills come. A job costs 3.60 dollars an hour, a cent in 10 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import floor
from zoneinfo import ZoneInfo

import pytest
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period
from trainwave_exporter.model import BudgetStatus, UnknownFigure

MIDNIGHT = 1_700_006_400.0
"""2023-11-15 0:00 UTC."""
PRICE = 3.6
DAY = Budget(name="all", limit_dollars=1000.0, period=Period.DAY, zone=ZoneInfo("UTC"))
POLL = 30


def new_world(hour: float) -> LedgerWorld:
    """Return a ledger at an hour of the day."""
    world = LedgerWorld(budgets=(DAY,), now=MIDNIGHT + hour * 3600)
    world.open()
    return world


def watch(
    world: LedgerWorld, started: float, until: float, billed: Callable[[float], float]
) -> Iterator[tuple[float, BudgetStatus]]:
    """Yield the budget at each look, and for how many hours the job had run by then."""
    began = MIDNIGHT + started * 3600
    while world.now <= MIDNIGHT + until * 3600:
        hours = (world.now - began) / 3600
        world.see(world.job(created_at=began, started_at=began, cost_dollars=billed(hours)))
        world.tick(10)
        yield (world.now - began) / 3600, world.one(BudgetStatus)
        world.now += POLL - 10


@pytest.mark.parametrize(
    "billed",
    [
        pytest.param(lambda hours: PRICE * hours, id="continuously"),
        pytest.param(lambda hours: floor(100 * PRICE * hours) / 100, id="in cents"),
        pytest.param(lambda hours: PRICE * floor(6 * hours) / 6, id="every ten minutes"),
        pytest.param(lambda hours: PRICE * floor(hours), id="hourly"),
        pytest.param(lambda _: 0.0, id="at the end"),
    ],
)
def test_spend_and_forecast_show_no_steps(billed: Callable[[float], float]) -> None:
    """It starts at 6:00: 18 hours of this day cost 64.80 dollars."""
    for hours, shown in watch(new_world(6), 6, 9.2, billed):
        assert shown.spent_dollars == pytest.approx(PRICE * hours, abs=0.04)
        assert shown.forecast_dollars == pytest.approx(64.8, abs=0.04)
        assert shown.accrued_dollars == pytest.approx(PRICE * hours - billed(hours), abs=0.04)


def test_a_job_that_runs_already_when_it_is_first_seen_has_accrued_since_it_started() -> None:
    """First seen at 8:30, billed at the end only: 2.5 hours are 9 dollars."""
    looks = watch(new_world(8.5), 6, 9, lambda _: 0.0)
    next(looks)
    for hours, shown in looks:
        assert shown.spent_dollars == pytest.approx(PRICE * hours, abs=0.04)


@pytest.mark.parametrize(
    ("billed", "least", "most"),
    [(0.0, 1.8, 10.8), (7.2, 9.0, 10.8)],
    ids=["at the end", "hourly"],
)
def test_a_job_that_ran_before_the_first_look_without_a_start_has_accrued_between_two_bounds(
    billed: float, least: float, most: float
) -> None:
    """Created at 6:00, first seen at 8:30, no bill until 9:00: 0.5 to 3 hours at $3.60 an hour.

    Of these three hours two may be in a bill that is there already: then half an hour is certain
    on top of it. What it costs in the end, $10.80 at 9:00, says when it began.
    """
    world = new_world(8.5)
    for minute in range(31):
        job = world.job(created_at=MIDNIGHT + 6 * 3600, cost_dollars=billed)
        world.see(job)
        world.tick(0 if minute == 30 else 60)
    shown = world.one(BudgetStatus)
    assert (shown.spent_dollars, shown.accrued_dollars, shown.exhausted_at) == (None, None, None)
    assert shown.forecast_dollars is None
    assert shown.spent_lower_dollars == pytest.approx(least, abs=0.02)
    assert shown.spent_upper_dollars == pytest.approx(most, abs=0.02)
    assert shown.forecast_lower_dollars == pytest.approx(least + 54, abs=0.02)
    assert shown.forecast_upper_dollars == pytest.approx(most + 54, abs=0.02)
    reasons = {(each.figure, each.name): each.reason for each in world.all(UnknownFigure)}
    assert reasons["budget", "all"] == "history_incomplete"
    world.see(world.job("j-1", "SUCCESS", created_at=MIDNIGHT + 6 * 3600, cost_dollars=10.8))
    world.tick(60)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(10.8, abs=0.02)


def test_a_job_that_is_billed_as_it_runs_is_exact_from_the_first_look_on() -> None:
    """Created at 6:00 without a reported start, first seen at 8:30 with two hours billed."""
    world = new_world(8.5)
    for minute in range(10):
        world.see(world.job(created_at=MIDNIGHT + 6 * 3600, cost_dollars=7.2 + 0.06 * minute))
        world.tick(10)
        assert world.one(BudgetStatus).spent_dollars == pytest.approx(7.2 + 0.06 * minute, abs=0.02)
        world.tick(50)


def test_what_was_accrued_before_the_period_is_not_in_it() -> None:
    """It started at 22:00 the day before and is billed at the end: at 1:00 one hour is of today."""
    world = LedgerWorld(budgets=(DAY,), now=MIDNIGHT - 2 * 3600)
    world.open()
    *_, (hours, shown) = watch(world, -2, 1, lambda _: 0.0)
    assert shown.spent_dollars == pytest.approx(PRICE * (hours - 2), abs=0.04)


def test_a_bill_that_comes_after_the_end_takes_the_place_of_what_was_accrued() -> None:
    """It runs from 6:00 to 8:00; the bill of 7.20 dollars comes a minute and a half later."""
    world = new_world(6)
    list(watch(world, 6, 7.99, lambda _: 0.0))
    began = MIDNIGHT + 6 * 3600
    world.now = MIDNIGHT + 8 * 3600
    times = {"created_at": began, "started_at": began, "finished_at": world.now}
    for cost in (0.0, 0.0, 0.0, 7.2, 7.2):
        world.see(world.job("j-1", "SUCCESS", cost_dollars=cost, **times))
        world.tick(30)
        shown = world.one(BudgetStatus)
        assert shown.spent_dollars == pytest.approx(7.2, abs=0.04)
        assert shown.accrued_dollars == pytest.approx(7.2 - cost, abs=0.04)


def test_a_bill_that_never_comes_is_given_up_after_two_hours() -> None:
    world = new_world(6)
    list(watch(world, 6, 6.99, lambda _: 0.0))
    began = MIDNIGHT + 6 * 3600
    times = {"created_at": began, "started_at": began, "finished_at": MIDNIGHT + 7 * 3600}
    world.now = MIDNIGHT + 7 * 3600
    world.see(world.job("j-1", "SUCCESS", cost_dollars=0.0, **times))
    world.tick(7190)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(3.6, abs=0.04)
    world.tick(30)
    assert world.one(BudgetStatus).spent_dollars == 0


def test_a_job_without_a_price_accrues_nothing() -> None:
    world = new_world(6)
    for _ in range(5):
        world.see(world.job(cost_dollars=1.0, hourly_cost_dollars=None, created_at=world.now - 60))
        world.tick(30)
    assert world.one(BudgetStatus).accrued_dollars == 0


def test_a_job_that_is_not_seen_any_more_accrues_for_five_minutes_only() -> None:
    world = new_world(6)
    *_, (hours, _) = watch(world, 6, 7, lambda hours: PRICE * hours)
    world.tick(3600)
    shown = world.one(BudgetStatus)
    assert shown.accrued_dollars == pytest.approx(0.30, abs=0.01)
    assert shown.spent_dollars == pytest.approx(PRICE * hours + 0.30, abs=0.04)


def test_no_more_accrues_than_the_price_explains() -> None:
    """Four hours were billed in advance: what the price explains is paid for."""
    looks = watch(new_world(6), 6, 8, lambda _: 4 * PRICE)
    next(looks)  # so much at once waits for a second report
    for _, shown in looks:
        assert shown.accrued_dollars == 0
        assert shown.spent_dollars == pytest.approx(4 * PRICE)
