"""The records of money and GPU time that are shown after observations."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.store_rig import locked
from msgspec.structs import replace
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import (
    Budget,
    Period,
    Store,
    StoreError,
    WasteRules,
    WatchedScope,
    milliseconds,
)
from trainwave_exporter.ledger.billing.catch_up import PATIENCE
from trainwave_exporter.ledger.billing.ledger_state import LEAST_REMEMBERED, OPENING, SeenJob
from trainwave_exporter.ledger.billing.meter import PRICE_PATIENCE
from trainwave_exporter.ledger.billing.stored_records import UndescribedJobs
from trainwave_exporter.ledger.ledger_writer import BUDGET_INTERVAL, PendingObservations
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.model import (
    AccountStatus,
    Activity,
    BudgetStatus,
    Burn,
    Corrections,
    Funds,
    Job,
    Organization,
    Project,
    Waste,
)

HELD = OPENING / 1000
PATIENT = PATIENCE / 1000


@pytest.fixture
def world() -> LedgerWorld:
    return LedgerWorld()


# Counters


def test_counters_open_at_the_whole_history_once_all_jobs_were_listed(world: LedgerWorld) -> None:
    world.see(world.job("j-1", cost_dollars=5.0), counted=False)
    assert world.cost() is None
    world.see(world.job("j-2", "SUCCESS", cost_dollars=7.5), shown=False)
    assert world.cost() is None
    world.open(world.job("j-3", "SUCCESS", cost_dollars=0.25))
    assert world.cost() == 12.75


def test_a_series_that_comes_later_begins_at_zero_and_stays_there_until_it_was_scraped(
    world: LedgerWorld,
) -> None:
    world.open()
    world.see(world.job(cost_dollars=2.0))
    assert world.cost() == 0
    world.tick(HELD - 1)
    assert world.cost() == 0
    world.see(world.job(cost_dollars=2.5))
    assert world.cost() == 0
    world.tick(1)
    assert world.cost() == 2.5


def test_a_series_that_is_known_grows_at_once(world: LedgerWorld) -> None:
    world.open(world.job(cost_dollars=1.0))
    world.now += 30
    world.see(world.job(cost_dollars=1.03), world.job("j-2", cost_dollars=0.5))
    assert world.cost() == pytest.approx(1.53)


def test_a_cost_corrected_downwards_lowers_no_counter(world: LedgerWorld) -> None:
    world.open(world.job(cost_dollars=10.0))
    world.now += 1
    world.see(world.job(cost_dollars=4.0))
    assert world.cost() == 10
    up, down = world.corrections()
    assert (up, down) == pytest.approx((0, 6), abs=0.01)
    world.now += 1
    world.see(world.job("j-1", "SUCCESS", cost_dollars=10.5))
    assert world.cost() == 10  # more than a second explains: wait for another report
    world.now += 1
    world.see(world.job("j-1", "SUCCESS", cost_dollars=10.5))
    assert world.cost() == 10.5
    world.now += PRICE_PATIENCE / 1000 + 1
    world.see(world.job("j-1", "SUCCESS", cost_dollars=10.5))
    assert world.corrections() == pytest.approx((6.5, 6), abs=0.01)


def test_a_job_is_counted_when_its_gpu_type_is_known(world: LedgerWorld) -> None:
    world.open()
    world.see(world.job(gpu_type=None, cost_dollars=1.0))
    world.tick(PATIENT / 2)
    assert world.cost("") is None
    world.see(world.job(cost_dollars=2.0))
    world.tick(HELD)
    assert world.cost() == 2
    assert world.cost("") is None


def test_a_job_whose_gpu_type_stays_unknown_is_counted_without_one(world: LedgerWorld) -> None:
    world.open()
    world.see(world.job(gpu_type=None, cost_dollars=1.0))
    world.tick(PATIENT)
    assert world.cost("") == 0
    world.tick(HELD)
    assert world.cost("") == 1
    world.see(world.job(cost_dollars=3.0))
    world.tick(HELD)
    assert (world.cost(""), world.cost()) == (1, 2)


def test_the_first_start_waits_for_the_details_of_the_jobs_it_found(world: LedgerWorld) -> None:
    world.open(world.job(gpu_type=None, cost_dollars=1.0), world.job("j-2", cost_dollars=5.0))
    assert world.cost() is None
    world.now += 30
    world.see(world.job("j-3", gpu_type=None, cost_dollars=0.5))
    world.now += 30
    world.see(world.job(cost_dollars=1.0))
    assert world.cost() == 6
    assert world.cost("") is None


def test_an_account_opens_for_itself() -> None:
    world = LedgerWorld(accounts=("a", "b"))
    world.open(world.job(cost_dollars=1.0))
    other = world.job("j-2", account="b", project_id="p-2", cost_dollars=2.0, owner="bo")
    world.see(other)
    assert (world.cost(), world.cost(owner="bo")) == (1, None)
    world.take(PendingObservations(accounts={"b": AccountStatus(name="b", counted=True)}))
    assert world.cost(owner="bo") == 2


def test_gpu_hours_are_counted_beside_the_cost(world: LedgerWorld) -> None:
    world.open(world.job(gpu_hours=2.5, cost_dollars=1.0))
    spend = world.spend()
    assert spend is not None
    assert spend.gpu_hours == 2.5


# Restarts


def test_after_a_restart_counters_go_on_and_count_what_was_missed(tmp_path: Path) -> None:
    before = LedgerWorld(tmp_path)
    before.open(before.job(cost_dollars=1.0), before.job("j-2", "SUCCESS", cost_dollars=2.0))
    before.writer.close()
    after = LedgerWorld(tmp_path, now=START + 3600)
    after.tick(0)
    assert after.cost() is None
    after.open(after.job(cost_dollars=4.6), after.job("j-2", "SUCCESS", cost_dollars=2.0))
    assert after.cost() == pytest.approx(6.6)
    assert after.corrections() == (0, 0)


def test_a_restart_in_the_middle_of_the_first_list_still_opens_as_a_whole(tmp_path: Path) -> None:
    before = LedgerWorld(tmp_path)
    before.see(before.job(cost_dollars=1.0), counted=False)
    before.writer.close()
    after = LedgerWorld(tmp_path)
    after.tick(0)
    assert after.cost() is None
    after.open(after.job("j-2", cost_dollars=2.0))
    assert after.cost() == 3


@pytest.mark.parametrize("pause", [0, HELD / 2, 10 * HELD])
def test_a_restart_while_a_series_opens_has_it_begin_at_zero_anew(
    tmp_path: Path, pause: float
) -> None:
    before = LedgerWorld(tmp_path)
    before.open()
    before.see(before.job(cost_dollars=1.0))
    before.writer.close()
    after = LedgerWorld(tmp_path, now=START + pause)
    after.open()
    assert after.cost() == 0
    after.tick(HELD - 1)
    assert after.cost() == 0
    after.tick(1)
    assert after.cost() == 1


def test_what_could_not_be_written_is_counted_once_when_it_can(tmp_path: Path) -> None:
    broken = True

    def opened() -> Store:
        if broken:
            raise StoreError("no space left")
        return Store.open(tmp_path)

    world = LedgerWorld(open_store=opened)
    samples = PendingObservations(accounts={"a": AccountStatus(name="a", counted=True)})
    with pytest.raises(StoreError):
        world.take(samples)
    with pytest.raises(StoreError):
        world.see(world.job(cost_dollars=1.0))
    assert world.cost() is None
    assert world.burn() == {"H100": 3.6}
    broken = False
    world.take(samples)
    world.see(world.job(cost_dollars=1.5))
    world.tick(HELD)
    assert world.cost() == 1.5


# Burn


def test_burn_falls_to_zero_and_does_not_vanish(world: LedgerWorld) -> None:
    world.open(world.job(cost_dollars=1.0))
    assert world.burn() == {"H100": 3.6}
    world.see(world.job("j-1", "SUCCESS", cost_dollars=1.0))
    assert world.burn() == {"H100": 0}


def test_labels_that_nothing_was_counted_under_burn_only_while_something_runs(
    world: LedgerWorld,
) -> None:
    world.open(world.job(gpu_type=None, cost_dollars=1.0))
    assert world.burn() == {"": 3.6}
    world.see(world.job(cost_dollars=1.0))
    assert world.burn() == {"H100": 3.6}


def test_burn_is_absent_while_not_all_jobs_are_known(world: LedgerWorld) -> None:
    world.see(world.job(cost_dollars=1.0), counted=False)
    assert world.all(Burn) == []
    world.see(counted=True)
    assert world.burn() == {"H100": 3.6}
    world.see(counted=False)
    assert world.all(Burn) == []


def test_a_job_of_an_account_that_cannot_be_read_burns_nothing_and_goes_on_later(
    world: LedgerWorld,
) -> None:
    world.open(world.job(gpu_type=None, cost_dollars=1.0, readings=world.busy(0.0)))
    expired = AccountStatus(name="a", expired=True)
    world.take(PendingObservations(hidden={"j-1"}, accounts={"a": expired}))
    assert (world.all(Burn), world.idleness(), world.cost("")) == ([], None, None)
    world.open()
    assert world.all(Burn) == []
    world.see(world.job(cost_dollars=2.0, readings=world.busy(0.0)))
    assert world.burn() == {"H100": 3.6}
    assert world.idleness() is not None
    assert (world.cost(), world.cost("")) == (2, None)


# Waste


def test_an_idle_gpu_wastes_its_price(world: LedgerWorld) -> None:
    world.open()
    started = world.now - 3600
    for minute in range(31):
        hours = 1.0 + minute / 60
        world.see(
            world.job(
                started_at=started,
                cost_dollars=3.6 * hours,
                gpu_hours=hours,
                readings=world.busy(0.01 if minute >= 10 else 0.9),
            )
        )
        world.now += 60
    world.tick(HELD)
    spend, idle = world.spend(), world.idleness()
    assert spend is not None
    assert idle is not None
    assert idle.idle_since == START + 600
    assert idle.gpu_hours == pytest.approx(20 / 60)
    assert spend.waste_dollars[Waste.GPU_IDLE] == pytest.approx(1.2, abs=1e-5)
    assert spend.activity_gpu_hours[Activity.IDLE] == pytest.approx(20 / 60)
    assert spend.activity_gpu_hours[Activity.BUSY] == pytest.approx(10 / 60)
    assert spend.activity_gpu_hours[Activity.UNKNOWN] == pytest.approx(1)
    assert sum(spend.activity_gpu_hours.values()) == pytest.approx(spend.gpu_hours)


def test_a_job_is_not_idle_while_it_warms_up(world: LedgerWorld) -> None:
    world.open()
    for minute in range(13):
        hours = minute / 60
        world.see(
            world.job(
                started_at=START, cost_dollars=hours, gpu_hours=hours, readings=world.busy(0.0)
            )
        )
        shown = world.idleness()
        assert (shown is not None and shown.idle_since is not None) == (minute > 10)
        world.now += 60
    idle = world.idleness()
    assert idle is not None
    assert idle.idle_since == START + 600
    assert idle.gpu_hours == pytest.approx(2 / 60)


def test_time_without_readings_is_unknown(world: LedgerWorld) -> None:
    world.open(world.job(started_at=START, gpu_hours=0.0, readings=world.busy(0.0)))
    world.now += 7200
    world.see(world.job(started_at=START, gpu_hours=2.0))
    world.now += 30
    world.see(world.job("j-1", "SUCCESS", started_at=START, gpu_hours=2.0))
    spend = world.spend()
    assert spend is not None
    assert spend.activity_gpu_hours[Activity.UNKNOWN] == 2
    assert world.idleness() is not None


def test_a_job_that_leaves_takes_its_idleness_along(world: LedgerWorld) -> None:
    world.open(world.job(readings=world.busy(0.0)))
    assert world.idleness() is not None
    world.see(world.job(readings=world.busy(0.0)), shown=False)
    assert world.idleness() is None


def test_a_job_that_is_billed_and_does_not_come_to_run_wastes_what_it_costs_from_the_bound_on(
    world: LedgerWorld,
) -> None:
    world.open()
    for minute in range(31):
        cost = 3.6 * minute / 60
        world.see(world.job("j-1", "LAUNCHING", created_at=START, cost_dollars=cost))
        world.now += 60
    world.tick(HELD)
    spend = world.spend()
    assert spend is not None
    assert spend.waste_dollars[Waste.STUCK_LAUNCHING] == pytest.approx(0.9, abs=1e-5)


def test_a_job_first_seen_stuck_wasted_all_beyond_the_bound(world: LedgerWorld) -> None:
    world.open(world.job("j-1", "LAUNCHING", created_at=START - 3600, cost_dollars=3.6))
    spend = world.spend()
    assert spend is not None
    assert spend.waste_dollars[Waste.STUCK_LAUNCHING] == pytest.approx(2.7, abs=1e-5)


def test_what_is_billed_after_the_finish_is_wasted_but_for_a_late_settlement(
    world: LedgerWorld,
) -> None:
    world.open(world.job(cost_dollars=1.0))
    world.now += 60
    world.see(world.job("j-1", "SUCCESS", cost_dollars=1.0))
    world.now += 60
    world.see(world.job("j-1", "SUCCESS", cost_dollars=1.05))
    spend = world.spend()
    assert spend is not None
    assert spend.waste_dollars[Waste.BILLED_AFTER_FINISH] == 0
    world.now += 600
    world.see(world.job("j-1", "SUCCESS", cost_dollars=3.05))
    spend = world.spend()
    assert spend is not None
    assert spend.waste_dollars[Waste.BILLED_AFTER_FINISH] == 2


# History


def test_history_of_which_only_lists_reported_is_named_until_its_details_are_known(
    world: LedgerWorld,
) -> None:
    def old(job_id: str, created_at: float, **fields: Any) -> Job:
        listed = {"gpu_type": None, "gpus": None, "hourly_cost_dollars": None}
        described = {
            "cost_dollars": 1.0,
            "gpu_hours": 1.0,
            "created_at": created_at,
            **listed,
            **fields,
        }
        return world.job(job_id, "SUCCESS", **described)

    world.see(old("j-1", 1.0), old("j-2", 2.0), shown=False)
    world.see(world.job("j-3", cost_dollars=1.0))
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.writer.undescribed == {"a": UndescribedJobs(others=("j-2", "j-1"))}
    world.see(old("j-2", 2.0, name="mnist", gpu_type="H100"), shown=False)
    world.see(old("j-1", 1.0, name="without a GPU"), shown=False)
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.writer.undescribed == {"a": UndescribedJobs()}


# Budgets

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""


def budget(**fields: object) -> Budget:
    defaults = {
        "name": "all",
        "limit_dollars": 100.0,
        "period": Period.DAY,
        "zone": ZoneInfo("UTC"),
    }
    return Budget(**{**defaults, **fields})  # type: ignore[arg-type]  # a mapping of mixed kinds


def test_a_budget_reports_spent_forecast_and_the_time_it_will_be_exhausted() -> None:
    world = LedgerWorld(budgets=(budget(limit_dollars=50.0),), now=NOON)
    midnight = NOON - 12 * 3600
    world.open(world.job(created_at=midnight - 12 * 3600, started_at=None, cost_dollars=86.4))
    status = world.one(BudgetStatus)
    assert status.spent_dollars == pytest.approx(43.2)
    assert status.forecast_dollars == pytest.approx(86.4)
    assert status.exhausted_at == pytest.approx(NOON + 6.8 / 3.6 * 3600, abs=0.01)
    assert (status.begins_at, status.ends_at) == (midnight, midnight + 86_400)


def test_a_budget_that_lasts_has_no_time_of_exhaustion() -> None:
    world = LedgerWorld(budgets=(budget(),), now=NOON)
    world.open(world.job(created_at=NOON - 3600, cost_dollars=3.6, expires_at=NOON + 7200))
    status = world.one(BudgetStatus)
    assert status.forecast_dollars == pytest.approx(10.8)
    assert status.exhausted_at is None


def test_a_budget_that_is_used_up_reports_since_when() -> None:
    world = LedgerWorld(budgets=(budget(limit_dollars=7.2),), now=NOON)
    world.open(world.job(created_at=NOON - 4 * 3600, cost_dollars=14.4))
    status = world.one(BudgetStatus)
    assert status.exhausted_at == pytest.approx(NOON - 2 * 3600, abs=60)
    world.now += BUDGET_INTERVAL / 1000
    world.see(world.job(created_at=NOON - 4 * 3600, cost_dollars=14.41))
    assert world.one(BudgetStatus).exhausted_at == status.exhausted_at


def test_a_new_period_begins_with_what_is_spent_in_it() -> None:
    world = LedgerWorld(budgets=(budget(),), now=NOON)
    world.open(world.job(created_at=NOON - 3600, cost_dollars=3.6))
    world.now = NOON + 11.5 * 3600
    world.see(world.job(created_at=NOON - 3600, cost_dollars=45.0))
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(45)
    world.now += 3600
    world.see(world.job(created_at=NOON - 3600, cost_dollars=48.6))
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(1.8)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({"projects": frozenset({"p-1"})}, True),
        ({"projects": frozenset({"Vision"})}, True),
        ({"projects": frozenset({"p-2"})}, False),
        ({"organizations": frozenset({"o-1"})}, True),
        ({"organizations": frozenset({"o-2"})}, False),
        ({"owners": frozenset({"ada", "bo"})}, True),
        ({"owners": frozenset({"bo"})}, False),
        ({"gpu_types": frozenset({"H100"})}, True),
        ({"gpu_types": frozenset({"L40S"})}, False),
    ],
)
def test_a_budget_counts_what_is_in_its_scope(scope: dict[str, object], covered: bool) -> None:
    world = LedgerWorld(budgets=(budget(**scope),), now=NOON)
    world.directory(
        Project(account="a", id="p-1", name="Vision", organization_id="o-1"),
        Project(account="a", id="p-2", name="Speech", organization_id="o-2"),
    )
    world.open(
        world.job(created_at=NOON - 3600, cost_dollars=3.6),
        world.job("j-2", project_id="p-2", owner="bo", gpu_type="L40S", hourly_cost_dollars=0.0),
    )
    world.tick(BUDGET_INTERVAL / 1000)
    status = world.one(BudgetStatus)
    assert status.spent_dollars == (pytest.approx(3.61) if covered else 0)
    assert status.forecast_dollars == (pytest.approx(46.8, abs=0.001) if covered else 0)


def test_a_budget_used_up_once_more_after_a_correction_reports_the_later_time() -> None:
    world = LedgerWorld(budgets=(budget(limit_dollars=7.2),), now=NOON)
    job = world.job(created_at=NOON - 3 * 3600, cost_dollars=10.8)
    world.open(job)
    first = world.one(BudgetStatus).exhausted_at
    assert first is not None
    world.now += 60
    world.see(replace(job, cost_dollars=1.0, confirmed_at=world.now))
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(1)
    world.now += 3 * 3600
    world.see(replace(job, cost_dollars=11.8, confirmed_at=world.now))
    world.tick(BUDGET_INTERVAL / 1000)
    again = world.one(BudgetStatus).exhausted_at
    assert again is not None
    assert again > first


# Credit


def test_the_runway_is_balance_over_burn_and_absent_when_the_key_sees_nothing(
    world: LedgerWorld,
) -> None:
    world.directory(
        Project(account="a", id="p-1", organization_id="o-1"),
        Organization(account="a", id="o-1", credit_balance_dollars=7.2, confirmed_at=world.now),
        Organization(account="a", id="o-2", credit_balance_dollars=5.0, confirmed_at=world.now),
        Organization(account="a", id="o-3"),
    )
    assert world.all(Funds) == []
    world.now += BUDGET_INTERVAL / 1000
    world.open(world.job(cost_dollars=1.0))
    funds = {fund.organization_id: fund.exhausted_at for fund in world.all(Funds)}
    assert funds == {"o-1": world.now + 7200, "o-2": None}
    world.take(PendingObservations(gone={"o-2"}))
    world.tick(BUDGET_INTERVAL / 1000)
    assert [fund.organization_id for fund in world.all(Funds)] == ["o-1"]


def test_reconciliation_reports_what_the_credit_lost_beyond_the_bills(world: LedgerWorld) -> None:
    def balance(dollars: float) -> Organization:
        return Organization(
            account="a", id="o-1", credit_balance_dollars=dollars, confirmed_at=world.now
        )

    world.directory(Project(account="a", id="p-1", organization_id="o-1"), balance(100))
    world.open(world.job(created_at=START, cost_dollars=0.0))
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.one(Funds).difference_dollars is None
    world.now += 3590
    world.see(world.job(created_at=START, cost_dollars=3.6))
    world.directory(balance(96.4))
    world.tick(300)
    assert world.one(Funds).difference_dollars == pytest.approx(0, abs=0.01)
    world.now += 3300
    world.see(world.job(created_at=START, cost_dollars=7.2))
    world.directory(balance(82.8))
    world.tick(300)
    assert world.one(Funds).difference_dollars == pytest.approx(10, abs=0.01)


def test_a_correction_seen_with_the_balance_is_in_both(world: LedgerWorld) -> None:
    for dollars, cost in ((100.0, 0.0), (96.4, 3.6), (88.8, 7.2 + 4)):
        at = world.now
        world.open(world.job(created_at=START, cost_dollars=cost))
        world.directory(
            Project(account="a", id="p-1", organization_id="o-1"),
            Organization(account="a", id="o-1", credit_balance_dollars=dollars, confirmed_at=at),
        )
        world.now += 3600
    world.tick(0)
    assert world.one(Funds).difference_dollars == pytest.approx(0, abs=0.01)


def test_only_organizations_that_are_watched_as_a_whole_are_compared() -> None:
    own = Organization(account="a", id="o-1", rid="own")
    other = Organization(account="a", id="o-2")
    assert WatchedScope().whole(own)
    assert WatchedScope(organization="own").whole(own)
    assert WatchedScope(organization="o-1").whole(own)
    assert not WatchedScope(organization="own").whole(other)
    assert not WatchedScope(project="p-1").whole(own)


# Trouble


def kept(folder: Path) -> None:
    """Leave a ledger of three dollars, and of 50 dollars that an organization had."""
    world = LedgerWorld(folder, now=NOON)
    world.directory(
        Project(account="a", id="p-1", organization_id="o-1"),
        Organization(account="a", id="o-1", credit_balance_dollars=50.0, confirmed_at=NOON),
    )
    world.open(world.job(created_at=NOON - 3000, cost_dollars=3.0))
    world.writer.close()


def test_what_can_only_be_read_is_shown_once_it_has_caught_up(tmp_path: Path) -> None:
    """What was seen since is in the counters; budgets wait until it is in the ledger, too."""
    kept(tmp_path)
    world = LedgerWorld(tmp_path, budgets=(budget(),), now=NOON + 60)
    with locked(tmp_path):
        with pytest.raises(StoreError, match="it can be read only"):
            world.tick(0)
        assert (world.cost(), world.all(Corrections)) == (None, [])
        assert ("spend", "a", "ledger_unavailable") in world.unknown_figures()
        assert world.unknown("budget", "all") == {"ledger_catching_up"}
        with pytest.raises(StoreError, match="it can be read only"):
            world.open(world.job(created_at=NOON - 3000, cost_dollars=3.06))
        assert world.cost() == pytest.approx(3.06)
        assert world.corrections() == (0, 0)
        assert world.unknown("spend") == set()
        world.now += 60
        with pytest.raises(StoreError, match="it can be read only"):
            world.open(world.job(created_at=NOON - 3000, cost_dollars=3.12))
        assert world.cost() == pytest.approx(3.06)
        assert world.one(BudgetStatus).spent_dollars is None
    world.see(world.job(created_at=NOON - 3000, cost_dollars=4.0))
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.cost() == 4
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(4.01)


def test_a_ledger_that_cannot_even_be_read_is_tried_again(tmp_path: Path) -> None:
    kept(tmp_path)
    world = LedgerWorld(tmp_path, now=NOON + 60)
    (tmp_path / NAME).rename(tmp_path / "away")
    (tmp_path / NAME).mkdir()
    with pytest.raises(StoreError, match="is a directory") as caught:
        world.tick(0)
    assert "read only" not in str(caught.value)
    (tmp_path / NAME).rmdir()
    (tmp_path / "away").rename(tmp_path / NAME)
    with locked(tmp_path), pytest.raises(StoreError, match="it can be read only"):
        world.open(world.job(created_at=NOON - 3000, cost_dollars=3.0))
    assert world.cost() == 3


def test_no_other_ledger_takes_the_place_of_the_one_that_is_shown(tmp_path: Path) -> None:
    """Its counters may be lower."""
    kept(tmp_path)
    world = LedgerWorld(tmp_path, now=NOON + 60)
    with locked(tmp_path), pytest.raises(StoreError):
        world.open(world.job(cost_dollars=3.0))
    (tmp_path / NAME).rename(tmp_path / "away")
    with pytest.raises(StoreError, match="was removed or replaced while in use"):
        world.see(world.job(cost_dollars=1.0), counted=True)
    assert world.cost() == 3
    assert not (tmp_path / NAME).exists()


def test_a_balance_reported_before_the_ledger_could_be_opened_is_the_last_one(
    tmp_path: Path,
) -> None:
    kept(tmp_path)
    world = LedgerWorld(tmp_path, now=NOON + 3600)
    reported = Organization(
        account="a", id="o-1", credit_balance_dollars=36.0, confirmed_at=world.now
    )
    running = world.job(organization_id="o-1", cost_dollars=3.0)
    with locked(tmp_path), pytest.raises(StoreError):
        world.directory(reported)
    world.open(running)
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.one(Funds).exhausted_at == world.now + 36_000


def test_what_waits_to_be_written_is_no_difference(tmp_path: Path) -> None:
    """Otherwise all that is spent while the disk is full would seem to be unexplained."""
    kept(tmp_path)
    world = LedgerWorld(tmp_path, now=NOON)
    job = world.job(created_at=NOON - 3000, cost_dollars=3.0)

    def report(dollars: float, cost: float) -> None:
        seen = replace(job, cost_dollars=cost, confirmed_at=world.now)
        samples = PendingObservations(jobs={job.id: SeenJob(seen, shown=True)})
        samples.organizations["o-1"] = Organization(
            account="a", id="o-1", credit_balance_dollars=dollars, confirmed_at=world.now
        )
        samples.accounts["a"] = AccountStatus(name="a", counted=True)
        world.take(samples)

    report(50.0, 3.0)
    world.now += 3600
    report(46.4, 6.6)
    world.tick(300)
    with locked(tmp_path):
        for dollars, cost in ((44.6, 8.4), (42.8, 10.2)):
            world.now += 1800
            with pytest.raises(StoreError):
                report(dollars, cost)
            assert world.one(Funds).difference_dollars == pytest.approx(0, abs=0.01)
    world.now += 300
    report(42.5, 10.5)
    world.tick(300)
    assert world.one(Funds).difference_dollars == pytest.approx(0, abs=0.01)


def test_a_clock_that_jumps_ahead_for_a_moment_drops_nothing(tmp_path: Path) -> None:
    day = 86_400
    world = LedgerWorld(tmp_path, retention=32 * day * 1000)
    world.open(world.job("j-1", "SUCCESS", cost_dollars=5.0, finished_at=START))
    world.tick(400 * day)
    world.now -= 400 * day
    world.tick(3600)
    world.tick(3600)
    with closing(Store.open_for_reading(tmp_path)) as store:
        assert store.pruned_before == milliseconds(world.now - 32 * day)


def test_history_beyond_retention_is_not_counted_again_after_a_long_pause(tmp_path: Path) -> None:
    day = 86_400
    old = {"cost_dollars": 5.0, "finished_at": START, "created_at": START - 60}
    before = LedgerWorld(tmp_path, retention=32 * day * 1000)
    before.open(before.job("j-1", "SUCCESS", **old))
    before.writer.close()
    after = LedgerWorld(tmp_path, retention=32 * day * 1000, now=START + 99 * day)
    for _ in range(3):
        after.tick(3600)
    after.see(after.job("j-1", "SUCCESS", **old), shown=False, counted=True)
    assert after.cost() == 5


def test_a_failed_reading_after_a_good_write_costs_nothing_on_show() -> None:
    store = Store.open(None)

    class Failing:
        failing = False

        def __getattr__(self, name: str) -> object:
            if name == "history" and self.failing:
                raise StoreError("disk I/O error")
            return getattr(store, name)

    failing = Failing()
    world = LedgerWorld(budgets=(budget(),), now=NOON, open_store=lambda: failing)  # type: ignore[arg-type,return-value]  # all but one call go through
    running = world.job(created_at=NOON - 2 * 86_400, cost_dollars=10.0)
    world.open(running)
    failing.failing = True
    world.now += 60
    finished = replace(running, state="SUCCESS", cost_dollars=10.06, confirmed_at=world.now)
    with pytest.raises(StoreError):
        world.see(finished)
    failing.failing = False
    world.now += 60
    world.see(finished)
    world.tick(BUDGET_INTERVAL / 1000)
    assert world.cost() == 10.06
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(10.06)


def test_a_value_that_no_job_can_have_stops_nothing(world: LedgerWorld) -> None:
    world.open(
        world.job("j-1", cost_dollars=9.99e14, gpu_hours=9e14, hourly_cost_dollars=9e14),
        world.job("j-2", cost_dollars=2.0),
    )
    assert world.cost() == 2


def test_labels_of_two_accounts_open_when_both_are_read() -> None:
    world = LedgerWorld(accounts=("a", "b"))
    world.open(world.job("j-1", cost_dollars=3.0))
    assert world.cost() == 3
    fresh = LedgerWorld(accounts=("a", "b"))
    fresh.see(
        fresh.job("j-1", cost_dollars=3.0),
        fresh.job("j-2", account="b", cost_dollars=5.0),
        counted=True,
    )
    assert fresh.cost() is None
    fresh.see(fresh.job("j-3", account="b", cost_dollars=2.0))
    fresh.take(PendingObservations(accounts={"b": AccountStatus(name="b", counted=True)}))
    assert fresh.cost() == 10


def test_a_job_that_vanishes_leaves_no_gpu_time_unjudged(world: LedgerWorld) -> None:
    world.open(world.job(gpu_hours=1.0, cost_dollars=1.0, readings=world.busy(0.9)))
    world.now += 60
    late = world.job(gpu_hours=1.05, cost_dollars=1.1, readings=world.busy(0.9, at=world.now - 30))
    world.see(late, shown=False)
    spend = world.spend()
    assert spend is not None
    assert sum(spend.activity_gpu_hours.values()) == pytest.approx(spend.gpu_hours)


def test_a_job_that_nobody_reports_any_more_is_kept_in_the_store_only(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    for _ in range(50):
        world.tick(3600)
    world.see(world.job(cost_dollars=1.5))
    assert world.cost() == 1.5


# Retention


HALF = LEAST_REMEMBERED // 2


def come_and_go(world: LedgerWorld, *names: str, **fields: Any) -> None:
    """Have jobs appear, and then neither a list nor their own details name them any more."""
    world.see(*(world.job(name, **fields) for name in names))
    world.take(PendingObservations(hidden=set(names)))


def numbered(name: str, jobs: int) -> list[str]:
    return [f"{name}-{number}" for number in range(jobs)]


def test_as_many_jobs_that_are_hidden_are_remembered_as_were_shown_and_all_are_counted_right(
    tmp_path: Path,
) -> None:
    """Ten dollars each, an hour later 3.60 more of two, one of which the store alone knows."""
    world = LedgerWorld(tmp_path)
    world.open(world.job("first", cost_dollars=10.0))
    come_and_go(world, "first", cost_dollars=10.0)
    for name in ("a", "b"):
        come_and_go(world, *numbered(name, HALF), cost_dollars=10.0)
    assert world.writer.known_run("first") is None
    assert all(world.writer.known_run(name) for name in numbered("a", HALF) + numbered("b", HALF))
    before = 10.0 * (LEAST_REMEMBERED + 1)
    assert world.cost() == pytest.approx(before)
    world.now += 3600
    world.see(*(world.job(name, cost_dollars=13.6) for name in ("first", "b-0")))
    assert world.cost() == pytest.approx(before + 2 * 3.6)
    assert world.corrections() == (0, 0)
    assert world.writer.known_run("first") is not None


def test_of_a_large_fleet_all_are_remembered_while_its_account_cannot_be_read(
    world: LedgerWorld,
) -> None:
    names = numbered("j", LEAST_REMEMBERED + 500)
    world.open()
    come_and_go(world, *names)
    assert all(world.writer.known_run(name) for name in names)
    come_and_go(world, "one-more")
    assert sum(world.writer.known_run(name) is None for name in names) == 1


def test_a_job_whose_gpu_type_is_awaited_is_counted_before_it_is_forgotten(
    world: LedgerWorld,
) -> None:
    world.open()
    come_and_go(world, "first", gpu_type=None, cost_dollars=1.0)
    for name in ("a", "b"):
        come_and_go(world, *numbered(name, HALF), gpu_type=None, cost_dollars=1.0)
    assert world.cost("") is None  # of all of them details may still report the type
    assert world.writer.known_run("first") is not None
    world.tick(1)
    world.tick(HELD)
    assert world.cost("") == 1.0
    assert world.writer.known_run("first") is None


def test_an_absurd_cost_of_a_job_that_is_forgotten_makes_nothing_unknown_for_ever(
    world: LedgerWorld,
) -> None:
    world.open()
    world.see(world.job("absurd", cost_dollars=10.0))
    world.now += 60
    come_and_go(world, "absurd", cost_dollars=1e6)
    assert world.unknown("cost") == {"implausible_amount"}
    for name in ("a", "b"):
        come_and_go(world, *numbered(name, HALF))
    assert world.unknown("cost") == set()


def test_a_start_loads_the_active_jobs_that_were_seen_last(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open()
    for number in range(5):
        world.now += 86_400
        world.see(world.job(f"j-{number}"))
    world.now += 86_400
    world.see(world.job("j-waits", gpu_type=None))
    world.writer.close()
    with closing(Store.open_for_reading(tmp_path)) as store:
        assert {entry.id for entry in store.load(most=2).live} == {"j-4", "j-waits"}
        assert {entry.id for entry in store.load(most=3).live} == {"j-3", "j-4", "j-waits"}


def test_detail_beyond_its_retention_goes_and_totals_stay(tmp_path: Path) -> None:
    day = 86_400
    world = LedgerWorld(tmp_path, retention=30 * day * 1000)
    world.open(world.job("j-1", "SUCCESS", cost_dollars=5.0, finished_at=START))
    for _ in range(2):
        world.tick(3600)
    world.now += 40 * day
    for _ in range(3):
        world.tick(3600)
    assert world.cost() == 5
    world.writer.close()
    again = LedgerWorld(tmp_path, now=world.now)
    again.open()
    assert again.cost() == 5


def test_rules_of_waste_are_the_operators(world: LedgerWorld) -> None:
    strict = LedgerWorld(rules=WasteRules(idle_threshold=0.5, warm_up=0))
    for each in (strict, world):
        each.open()
        for _ in range(3):
            job = each.job(started_at=START, readings=each.busy(0.3))
            each.see(replace(job, gpu_hours=(each.now - START) / 3600))
            each.now += 60
    assert strict.idleness() is not None
    idle = world.idleness()
    assert idle is not None
    assert idle.idle_since is None
