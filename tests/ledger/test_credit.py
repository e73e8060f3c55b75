"""How long credit lasts and whether it falls as billed, or why that is unknown."""

from __future__ import annotations

from contextlib import closing
from math import floor
from pathlib import Path
from typing import Any

import pytest
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import Store, WatchedScope, milliseconds
from trainwave_exporter.ledger.billing.job_entry import Correction
from trainwave_exporter.ledger.billing.stored_records import Batch
from trainwave_exporter.ledger.ledger_writer import BUDGET_INTERVAL, PendingObservations
from trainwave_exporter.model import AccountStatus, Funds, Organization, Project

PRICE = 36.0
"""Dollars an hour."""
POLL = 30


def balance(world: LedgerWorld, dollars: float) -> None:
    """Report a balance as of now."""
    at = world.now
    world.directory(
        Project(account="a", id="p-1", organization_id="o-1"),
        Organization(account="a", id="o-1", credit_balance_dollars=dollars, confirmed_at=at),
    )


def job(world: LedgerWorld, cost: float, **fields: Any) -> None:
    """Report the job, which started at the start and costs 36 dollars an hour."""
    started = {"created_at": START, "started_at": START, "hourly_cost_dollars": PRICE}
    world.see(world.job(**{**started, "cost_dollars": cost, **fields}), counted=True)


def difference(world: LedgerWorld) -> float | None:
    return world.one(Funds).difference_dollars


@pytest.mark.parametrize("step", [1 / 120, 1 / 6, 1], ids=["continuously", "10 min", "hourly"])
@pytest.mark.parametrize("lag", [0, 25], ids=["together", "the balance first"])
def test_bills_in_steps_make_no_difference(step: float, lag: int) -> None:
    """Balance and cost move in the same steps; a job is looked at every half minute."""
    world = LedgerWorld()

    def billed(seconds: float) -> float:
        return PRICE * step * floor(max(0.0, seconds) / 3600 / step + 1e-9)

    for look in range(3 * 120 + 1):
        job(world, billed(world.now - START - lag))
        if look % 10 == 0:
            balance(world, 1000 - billed(world.now - START))
        world.tick(10)
        shown = world.all(Funds)
        if shown and shown[0].difference_dollars is not None:
            assert shown[0].difference_dollars == pytest.approx(0, abs=0.02)
        world.now += POLL - 10
    assert difference(world) == pytest.approx(0, abs=0.02)


def test_what_no_job_explains_is_the_difference() -> None:
    world = LedgerWorld()
    job(world, 0.0)
    balance(world, 1000)
    world.tick(BUDGET_INTERVAL / 1000)
    assert difference(world) is None
    assert world.unknown("credit_reconciliation", "o-1") == {"balances_not_settled"}
    for hour, unexplained in ((0, 0), (1, 0), (2, 10)):
        world.now = START + hour * 3600
        job(world, PRICE * hour)
        balance(world, 1000 - PRICE * hour - unexplained)
        world.tick(BUDGET_INTERVAL / 1000)
    world.tick(300)
    assert difference(world) == pytest.approx(10, abs=0.01)
    assert world.unknown("credit_reconciliation") == set()


def test_a_refund_seen_in_the_balance_before_it_is_seen_in_the_job_makes_no_difference() -> None:
    """20 dollars come back at two hours: the balance says so then, the job a minute later."""
    world = LedgerWorld()
    for minute in range(0, 181, 5):
        world.now = START + 60 * minute
        refund = 20 if minute >= 120 else 0
        cost = PRICE * minute / 60
        seen = 20 if minute > 120 else 0
        job(world, cost - seen)
        balance(world, 1000 - cost + refund)
        if minute == 120:
            world.now += 60
            job(world, PRICE * 121 / 60 - 20)
            correction = Correction(
                "j-1", at=milliseconds(world.now), since=milliseconds(START + 7200) - 1, micro=-20
            )
            store = world.writer._store
            assert store is not None
            store.write(Batch(corrected=[correction]))
        world.tick(BUDGET_INTERVAL / 1000)
    world.tick(300)
    assert difference(world) == pytest.approx(0, abs=0.02)


def test_what_a_deleted_job_cost_while_nobody_looked_is_compared_from_the_last_balance(
    tmp_path: Path,
) -> None:
    """The exporter is away for five days, in which a job costs 50 dollars and is deleted."""
    before = LedgerWorld(tmp_path)
    job(before, 0.0)
    balance(before, 1000)
    before.tick(300)
    job(before, 3.0)
    before.writer.close()
    away = 5 * 86_400
    world = LedgerWorld(tmp_path, now=START + away)
    job(world, 100.0, state="SUCCESS", finished_at=START + 10_000)
    balance(world, 1000 - 100 - 50)
    world.tick(300)
    assert difference(world) == pytest.approx(50, abs=0.01)
    with closing(Store.open_for_reading(tmp_path)) as store:
        assert len(store.load().balances) == 2


def test_an_organization_seen_through_one_project_has_neither_runway_nor_comparison() -> None:
    world = LedgerWorld(watched={"a": WatchedScope(project="p-1")})
    balance(world, 100)
    job(world, 1.0)
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.all(Funds) == []
    assert world.unknown("credit_runway", "o-1") == {"partial_view"}
    assert world.unknown("credit_reconciliation", "o-1") == {"partial_view"}


def test_another_account_may_see_the_organization_as_a_whole() -> None:
    watched = {"a": WatchedScope(project="p-1"), "b": WatchedScope(organization="o-1")}
    world = LedgerWorld(watched=watched)
    balance(world, 36)
    job(world, 1.0)
    world.take(PendingObservations(accounts={"b": AccountStatus(name="b", counted=True)}))
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.one(Funds).exhausted_at == world.now + 3600
    assert world.unknown("credit_runway") == set()


def test_without_its_account_credit_is_unknown() -> None:
    world = LedgerWorld()
    job(world, 1.0)
    balance(world, 100)
    world.take(PendingObservations(accounts={"a": AccountStatus(name="a", expired=True)}))
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.all(Funds) == []
    assert world.unknown("credit_runway", "o-1") == {"account_down"}


def test_a_running_job_without_a_price_leaves_no_runway() -> None:
    world = LedgerWorld()
    for minutes in range(6):
        world.now = START + 60 * minutes
        job(world, 1.0, hourly_cost_dollars=None)
        balance(world, 100)
        world.tick(BUDGET_INTERVAL / 1000)
    assert world.one(Funds).exhausted_at is None
    assert world.unknown("credit_runway", "o-1") == {"price_unknown"}


def test_a_balance_that_falls_without_a_bill_waits_for_a_second_one() -> None:
    world = LedgerWorld()
    for minute in range(0, 16, 5):
        world.now = START + 60 * minute
        job(world, PRICE * minute / 60)
        fallen = 500 if minute >= 10 else 0
        balance(world, 1000 - PRICE * minute / 60 - fallen)
        world.tick(BUDGET_INTERVAL / 1000)
        expected = {"balance_unconfirmed"} if minute == 10 else set()
        assert world.unknown("credit_runway") == expected
        assert (world.one(Funds).exhausted_at is None) == (minute == 10)


def test_a_balance_that_no_organization_can_have_stops_nothing() -> None:
    world = LedgerWorld()
    balance(world, 1e30)
    job(world, 1.0)
    assert world.cost() == 1


def test_a_payer_who_becomes_known_later_makes_no_difference() -> None:
    """Which organization pays for a project is reported after its jobs."""
    world = LedgerWorld()
    world.see(world.job("j-old", "SUCCESS", project_id="p-2", cost_dollars=700.0), counted=True)
    for minute in range(0, 31, 5):
        world.now = START + 60 * minute
        job(world, PRICE * minute / 60)
        balance(world, 1000 - PRICE * minute / 60)
        if minute == 15:
            world.directory(Project(account="a", id="p-2", organization_id="o-1"))
        world.tick(BUDGET_INTERVAL / 1000)
    world.tick(300)
    assert difference(world) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("reported", ["started_at", "created_at"])
def test_credit_that_falls_before_the_bill_comes_makes_no_difference(reported: str) -> None:
    """The job ran for an hour when it was first seen; its bill of 72 dollars comes at its end."""
    world = LedgerWorld()
    began = START - 3600
    for minute in range(0, 91, 5):
        world.now = START + 60 * minute
        finished = minute >= 60
        described: dict[str, Any] = {"created_at": began, "started_at": None, reported: began}
        if finished:
            described |= {"state": "SUCCESS"}
        job(world, 72.0 if finished else 0.0, **described)
        balance(world, 1000 - PRICE * min(minute, 60) / 60)
        world.tick(30)
        if not finished:
            world.now += 30
            job(world, 0.0, **described)
    world.tick(300)
    assert difference(world) == pytest.approx(0, abs=0.6)
