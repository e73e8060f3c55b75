"""Budgets are exact, or absent with a reason that is shown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.store_rig import locked
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, LedgerOptions, Period, StoreError, WatchedScope
from trainwave_exporter.ledger.billing.stored_records import UndescribedJobs
from trainwave_exporter.ledger.ledger_writer import BUDGET_INTERVAL, PendingObservations
from trainwave_exporter.model import AccountStatus, BudgetStatus, Burn, Project, Spend

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""
MIDNIGHT = NOON - 43_200
HOUR = 3600.0
LISTED: dict[str, Any] = {"gpu_type": None, "gpus": None, "hourly_cost_dollars": None}
"""Fields that a list of the documented dialect does not report."""


def budget(**fields: Any) -> Budget:
    defaults: dict[str, Any] = {
        "name": "all",
        "limit_dollars": 100.0,
        "period": Period.DAY,
        "zone": ZoneInfo("UTC"),
    }
    return Budget(**{**defaults, **fields})


def new_world(*budgets: Budget, **options: Any) -> LedgerWorld:
    return LedgerWorld(budgets=budgets or (budget(),), now=NOON, **options)


def look(world: LedgerWorld) -> None:
    world.tick(BUDGET_INTERVAL / 1000)


def bounds(world: LedgerWorld) -> tuple[float | None, float | None]:
    shown = world.one(BudgetStatus)
    assert shown.spent_dollars is None
    assert shown.forecast_dollars is None
    return shown.spent_lower_dollars, shown.spent_upper_dollars


# History


def test_a_job_that_may_have_run_before_the_period_leaves_bounds_until_its_times_come() -> None:
    """Created at 22:00 and over at noon: all of its 50 dollars may be of either day.

    It ran from 23:00 to 3:00 at 12.50 an hour: three hours, 37.50 dollars, are of this day.
    """
    world = new_world()
    old = {"created_at": MIDNIGHT - 2 * HOUR, "gpu_hours": 8.0, "cost_dollars": 50.0}
    world.see(world.job("j-1", "SUCCESS", **old, **LISTED), shown=False, counted=True)
    assert bounds(world) == (0, 50)
    assert world.unknown("budget", "all") == {"history_incomplete"}
    assert world.unknown("budget_forecast", "all") == {"history_incomplete"}
    assert world.writer.undescribed == {"a": UndescribedJobs(urgent=("j-1",))}
    times = {"started_at": MIDNIGHT - HOUR, "finished_at": MIDNIGHT + 3 * HOUR}
    details = {"gpu_type": "H100", "gpus": 2.0, "hourly_cost_dollars": 12.5}
    world.see(world.job("j-1", "SUCCESS", **old, **times, **details), shown=False)
    look(world)
    shown = world.one(BudgetStatus)
    assert (shown.spent_dollars, shown.spent_lower_dollars) == (37.5, None)
    assert world.unknown("budget") == world.unknown("budget_forecast") == set()
    assert world.writer.undescribed == {"a": UndescribedJobs()}


def test_jobs_are_asked_for_in_the_order_of_what_periods_need() -> None:
    """The nearest to a begin of a period first; those that cannot straddle one come last."""
    world = new_world(budget(), budget(name="month", period=Period.MONTH))
    month = MIDNIGHT - 14 * 86_400
    created = {
        "far": MIDNIGHT - 5 * HOUR,
        "near": MIDNIGHT - 1 * HOUR,
        "month": month - 3 * HOUR,
        "within": MIDNIGHT + 1 * HOUR,
        "before": month - 26 * HOUR,
        "long": month - 30 * HOUR,
    }
    hours = {"long": 7.0, "before": 1.0}
    jobs = []
    for job_id, at in created.items():
        fields: dict[str, Any] = {"created_at": at, "cost_dollars": 1.0}
        fields["gpu_hours"] = hours.get(job_id, 2.0)
        jobs.append(world.job(job_id, "SUCCESS", **{**fields, **LISTED}))
    world.see(*jobs, shown=False, counted=True)
    assert world.writer.undescribed["a"] == UndescribedJobs(
        urgent=("near", "month", "far", "long"), others=("within", "before")
    )


def test_a_queue_longer_than_a_day_was_seen_so_older_jobs_may_straddle_a_begin() -> None:
    """A queue of 30 hours makes 60 plausible."""
    world = new_world()
    old = {"created_at": MIDNIGHT - 50 * HOUR, "gpu_hours": 1.0, "cost_dollars": 5.0}
    world.see(world.job("j-1", "SUCCESS", **old, **LISTED), shown=False, counted=True)
    assert world.one(BudgetStatus).spent_dollars == 0
    queued: dict[str, Any] = {
        "created_at": NOON - 31 * HOUR,
        "started_at": NOON - HOUR,
        "cost_dollars": 3.6,
    }
    world.see(world.job("j-2", **queued))
    look(world)
    assert bounds(world) == pytest.approx((3.61, 8.61))
    assert world.writer.undescribed["a"].urgent == ("j-1",)


def test_a_budget_for_a_gpu_type_waits_for_the_types_of_history_within_its_period() -> None:
    world = new_world(budget(gpu_types=frozenset({"H100"})))
    old = {"created_at": NOON - 5 * HOUR, "gpu_hours": 1.0, "cost_dollars": 5.0}
    world.see(world.job("j-1", "SUCCESS", **old, **LISTED), shown=False, counted=True)
    assert bounds(world) == (0, 5)
    assert world.writer.undescribed["a"].urgent == ("j-1",)
    world.see(world.job("j-1", "SUCCESS", **old, gpu_type="L40S"), shown=False)
    world.see(world.job("j-2", created_at=NOON, cost_dollars=0.0))
    look(world)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(0.01)


def test_what_is_used_up_for_certain_is_exhausted_whatever_else_is_unknown() -> None:
    """120 dollars an hour since 2:00 of this day: 100 were reached at 2:50."""
    world = new_world()
    sure: dict[str, Any] = {"created_at": MIDNIGHT + 2 * HOUR, "hourly_cost_dollars": 120.0}
    world.open(
        world.job("j-1", "SUCCESS", cost_dollars=50.0, created_at=MIDNIGHT - HOUR, **LISTED),
        world.job("j-2", cost_dollars=1200.0, started_at=MIDNIGHT + 2 * HOUR, **sure),
    )
    assert bounds(world) == (1200, 1250)
    at = world.one(BudgetStatus).exhausted_at
    assert at == pytest.approx(MIDNIGHT + 2 * HOUR + 3000, abs=60)


# Accounts


def test_until_all_jobs_were_listed_only_the_lower_bound_is_known() -> None:
    world = new_world()
    world.see(world.job(created_at=NOON - HOUR, cost_dollars=3.6), counted=False)
    assert bounds(world) == (3.6, None)
    assert world.unknown("budget") == {"history_incomplete"}
    world.tick(20 * 60)  # however long that takes
    assert bounds(world) == (3.6, None)
    world.open()
    look(world)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(3.6 + 0.30)
    assert world.unknown("budget") == set()


def test_an_account_that_cannot_be_read_leaves_the_lower_bound() -> None:
    world = new_world()
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(3.6)
    world.take(
        PendingObservations(hidden={"j-1"}, accounts={"a": AccountStatus(name="a", expired=True)})
    )
    look(world)
    assert bounds(world) == (3.6, None)
    assert world.one(BudgetStatus).exhausted_at is None
    assert world.unknown("budget") == world.unknown("budget_forecast") == {"account_down"}


def test_after_a_restart_the_first_list_has_to_catch_up(tmp_path: Path) -> None:
    before = new_world(folder=tmp_path)
    before.open(before.job(created_at=NOON - HOUR, cost_dollars=3.6))
    before.writer.close()
    world = LedgerWorld(tmp_path, budgets=(budget(),), now=NOON + HOUR)
    world.tick(0)
    assert bounds(world) == (3.6, None)
    assert world.unknown("budget") == {"ledger_catching_up"}
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=7.2))
    look(world)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(7.21)


def test_what_was_not_written_for_minutes_is_not_known(tmp_path: Path) -> None:
    world = new_world(folder=tmp_path)
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    with locked(tmp_path):
        for seconds, reasons in ((290, set()), (20, {"ledger_failing"})):
            world.now += seconds
            with pytest.raises(StoreError):
                world.see(world.job(created_at=NOON - HOUR, cost_dollars=3.9))
            assert world.unknown("budget") == reasons
    look(world)
    assert world.unknown("budget") == set()


def test_a_period_of_which_the_detail_was_dropped_is_not_known() -> None:
    world = new_world(budget(), budget(name="month", period=Period.MONTH))
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    store = world.writer._store
    assert store is not None
    store.prune(round(MIDNIGHT * 1000))
    look(world)
    assert world.unknown("budget", "all") == set()
    assert world.unknown("budget", "month") == {"history_incomplete"}


def test_what_is_seen_while_the_ledger_can_only_be_read_is_not_known(tmp_path: Path) -> None:
    before = new_world(folder=tmp_path)
    before.open(before.job(created_at=NOON - HOUR, cost_dollars=3.6))
    before.writer.close()
    world = LedgerWorld(tmp_path, budgets=(budget(),), now=NOON + HOUR)
    with locked(tmp_path), pytest.raises(StoreError, match="it can be read only"):
        world.open(world.job(created_at=NOON - HOUR, cost_dollars=7.2))
    assert bounds(world) == (3.6, None)
    assert world.unknown("budget") == {"ledger_catching_up"}


def test_other_budgets_take_the_place_of_those_that_are_dropped() -> None:
    world = new_world(budget(name="old"))
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    options = LedgerOptions(
        budgets=(budget(name="new", limit_dollars=2.0),), accounts={"a": WatchedScope()}
    )
    world.writer.reconfigure(options)
    world.tick(1)
    shown = world.one(BudgetStatus)
    assert shown.name == "new"
    assert shown.spent_dollars == pytest.approx(3.6, abs=0.01)
    assert shown.exhausted_at == pytest.approx(NOON - HOUR + 2000, abs=60)


def seen_by(world: LedgerWorld, **accounts: str) -> None:
    """Have accounts report a project each."""
    world.directory(
        *(Project(account=name, id=p, name=p, organization_id="o") for name, p in accounts.items())
    )


@pytest.mark.parametrize(
    ("scope", "watched", "reasons"),
    [
        ({"projects": frozenset({"p-1"})}, WatchedScope(), set()),
        ({"projects": frozenset({"p-1"})}, WatchedScope(project="p-9"), {"history_incomplete"}),
        ({"projects": frozenset({"p-1", "p-2"})}, WatchedScope(), {"history_incomplete"}),
        ({}, WatchedScope(), {"history_incomplete"}),
    ],
    ids=["all seen by another", "another sees a part", "seen by both", "everything"],
)
def test_an_account_that_is_down_hides_no_budget_that_another_sees_as_a_whole(
    scope: dict[str, Any], watched: WatchedScope, reasons: set[str]
) -> None:
    world = new_world(budget(**scope), watched={"a": watched, "b": WatchedScope()})
    seen_by(world, a="p-1", b="p-2")
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    look(world)
    assert world.unknown("budget") == reasons


def test_a_price_that_is_not_reported_leaves_no_forecast_after_five_minutes() -> None:
    world = new_world()
    for minutes in range(6):
        world.now = NOON + 60 * minutes
        world.see(
            world.job(created_at=NOON, cost_dollars=0.1, hourly_cost_dollars=None), counted=True
        )
        look(world)
        shown = world.one(BudgetStatus)
        assert shown.spent_dollars == pytest.approx(0.1)
        assert (shown.forecast_dollars is None) == (minutes >= 5)
    assert world.unknown("budget") == set()
    assert world.unknown("budget_forecast") == {"price_unknown"}
    assert world.one(BudgetStatus).forecast_lower_dollars == pytest.approx(0.1)
    assert world.one(BudgetStatus).forecast_upper_dollars is None


def test_without_a_price_spend_rate_and_idle_waste_are_unknown_after_five_minutes() -> None:
    """Two jobs alike, one of which reports no price and does nothing."""
    world = new_world()
    for minutes in range(30):
        world.now = NOON + 60 * minutes
        cost = 0.06 * minutes
        world.see(
            world.job("j-1", created_at=NOON, cost_dollars=cost, gpu_hours=minutes / 60),
            world.job(
                "j-2",
                created_at=NOON,
                cost_dollars=cost,
                gpu_hours=minutes / 60,
                hourly_cost_dollars=None,
                readings=world.busy(0.0),
            ),
            counted=True,
        )
        look(world)
        late = minutes >= 5
        assert [each.dollars_per_hour for each in world.all(Burn)] == ([] if late else [3.6])
        assert world.unknown("burn", "a") == ({"price_unknown"} if late else set())
        assert late or world.unknown("waste", "a") == set()
    assert world.unknown("waste", "a") == {"price_unknown"}
    world.see(world.job("j-2", "SUCCESS", created_at=NOON, cost_dollars=0.4, gpu_hours=0.11))
    look(world)
    assert [each.dollars_per_hour for each in world.all(Burn)] == [3.6]
    assert world.unknown("burn", "a") == world.unknown("waste", "a") == set()


# Names


def spent(world: LedgerWorld) -> dict[str, float | None]:
    return {shown.name: shown.spent_dollars for shown in world.all(BudgetStatus)}


def named(world: LedgerWorld) -> Iterable[str]:
    return sorted(str(each) for each in world.writer.unmatched)


def test_a_budget_whose_names_match_nothing_is_absent_and_named_with_the_nearest() -> None:
    world = new_world(
        budget(name="typo", projects=frozenset({"Visoin"})),
        budget(name="half", projects=frozenset({"Vision", "Speech"})),
        budget(name="nobody", owners=frozenset({"adda"})),
    )
    world.directory(Project(account="a", id="p-1", name="Vision", organization_id="o-1"))
    world.open(world.job(created_at=NOON - HOUR, cost_dollars=3.6))
    look(world)
    assert spent(world) == {"half": pytest.approx(3.61)}
    for name in ("typo", "nobody"):
        assert world.unknown("budget", name) == {"scope_matches_nothing"}
    assert world.unknown("budget", "half") == set()
    assert world.unknown("scope", "budgets[half].projects: Speech") == {"scope_matches_nothing"}
    assert named(world) == [
        "budgets[half].projects: Speech matches nothing",
        "budgets[nobody].owners: adda matches nothing; did you mean ada?",
        "budgets[typo].projects: Visoin matches nothing; did you mean Vision?",
    ]
    world.directory(Project(account="a", id="p-2", name="Visoin"))
    world.tick(60)
    assert "typo" in spent(world)
    assert world.unknown("budget", "typo") == set()


def test_names_are_not_judged_before_all_jobs_are_listed() -> None:
    world = new_world(budget(projects=frozenset({"Visoin"})))
    world.see(world.job(cost_dollars=1.0), counted=False)
    world.tick(100)
    assert world.unknown("scope") == set()
    assert world.unknown("budget") == {"history_incomplete"}


LISTS: tuple[tuple[dict[str, Any], str, dict[str, Any]], ...] = (
    (
        {"projects": frozenset({"Visoin"})},
        "budgets[all].projects: Visoin",
        {"projects_listed": True},
    ),
    (
        {"organizations": frozenset({"o-l"})},
        "budgets[all].organizations: o-l",
        {"organizations_listed": True},
    ),
)


@pytest.mark.parametrize(("scope", "place", "listed"), LISTS, ids=["projects", "organizations"])
def test_a_name_is_not_judged_and_its_budget_unknown_before_the_list_it_may_be_in(
    scope: dict[str, Any], place: str, listed: dict[str, Any]
) -> None:
    world = new_world(budget(**scope))
    world.take(PendingObservations(accounts={"a": AccountStatus(name="a", counted=True)}))
    look(world)
    assert bounds(world) == (0, None)
    assert world.unknown("budget") == {"ledger_catching_up"}
    assert world.unknown("scope") == set()
    assert named(world) == []
    world.take(PendingObservations(accounts={"a": AccountStatus(name="a", counted=True, **listed)}))
    look(world)
    assert world.all(BudgetStatus) == []
    assert world.unknown("budget") == {"scope_matches_nothing"}
    assert world.unknown("scope", place) == {"scope_matches_nothing"}


def test_a_budget_is_unknown_while_nothing_reports_whether_its_accounts_project_is_there() -> None:
    world = new_world(watched={"a": WatchedScope(project="p-nope")})
    world.directory(Project(account="a", id="p-1"))
    world.take(PendingObservations(accounts={"a": AccountStatus(name="a", counted=True)}))
    look(world)
    assert bounds(world) == (0, None)
    assert world.unknown("budget") == {"ledger_catching_up"}


def test_a_wrong_gpu_type_is_found_where_nothing_ever_reports_when_jobs_ended() -> None:
    world = new_world(budget(gpu_types=frozenset({"H10"})))
    # It may have run past midnight, so that its details stay wanted, which are all reported.
    world.open(world.job(state="SUCCESS", created_at=MIDNIGHT - HOUR, cost_dollars=3.6))
    look(world)
    assert world.writer.undescribed["a"] == UndescribedJobs(urgent=("j-1",))
    assert world.all(BudgetStatus) == []
    assert world.unknown("budget") == {"scope_matches_nothing"}
    assert world.unknown("scope", "budgets[all].gpu_types: H10") == {"scope_matches_nothing"}
    assert named(world) == ["budgets[all].gpu_types: H10 matches nothing; did you mean H100?"]


@pytest.mark.parametrize(
    ("job", "upper", "reason"),
    [
        # Nothing bounds what it will have cost once its GPU type is known.
        ({"state": "RUNNING"}, None, "ledger_catching_up"),
        # It may have run past midnight: all of its 5 dollars may be of this day.
        ({"state": "COMPLETED", "created_at": MIDNIGHT - HOUR}, 5, "history_incomplete"),
        ({"state": "COMPLETED", "created_at": MIDNIGHT - 500 * HOUR}, 0, "history_incomplete"),
    ],
    ids=["running", "at the begin of the period", "before it"],
)
def test_a_gpu_type_is_not_judged_and_its_budget_unknown_while_that_of_a_job_is(
    job: dict[str, Any], upper: float | None, reason: str
) -> None:
    world = new_world(
        budget(name="wrong", gpu_types=frozenset({"H10"})),
        budget(name="half", gpu_types=frozenset({"H100", "H1"})),
    )
    job = {"cost_dollars": 5.0, "gpu_hours": 1.0, **job}
    known = world.job("j-0", cost_dollars=1.0, created_at=NOON, name="known")
    world.open(known, world.job(**{**job, **LISTED}))
    look(world)
    (wrong,) = [shown for shown in world.all(BudgetStatus) if shown.name == "wrong"]
    assert wrong.spent_dollars is None
    assert (wrong.spent_lower_dollars, wrong.spent_upper_dollars) == (0, upper)
    assert world.unknown("budget", "wrong") == {reason}
    assert world.unknown("scope") == set()
    world.see(world.job(**{**job, "gpu_type": "A100", "name": "late"}))
    look(world)
    assert world.unknown("budget", "wrong") == {"scope_matches_nothing"}
    assert named(world) == [
        "budgets[half].gpu_types: H1 matches nothing; did you mean H100?",
        "budgets[wrong].gpu_types: H10 matches nothing; did you mean H100?",
    ]


def test_a_gpu_type_that_only_history_had_is_right_also_after_a_restart(tmp_path: Path) -> None:
    """Its job is counted without one, as the details that report it come after the list."""
    scope = budget(gpu_types=frozenset({"A100"}))
    world = new_world(scope, folder=tmp_path)
    old: dict[str, Any] = {"created_at": MIDNIGHT - 500 * HOUR, "cost_dollars": 5.0}
    world.see(world.job(state="COMPLETED", **old, **LISTED), shown=False, counted=True)
    look(world)
    assert world.unknown("budget") == {"history_incomplete"}
    details: dict[str, Any] = {**old, "gpu_type": "A100", "name": "described"}
    world.see(world.job(state="COMPLETED", **details), shown=False)
    look(world)
    assert spent(world) == {"all": 0}
    world.writer.close()
    again = LedgerWorld(tmp_path, budgets=(scope,), now=NOON + 60)
    again.open()
    look(again)
    assert spent(again) == {"all": 0}
    assert again.unknown("budget") == set()
    assert {labels.gpu_type for labels in again.all(Spend)} == {""}


def test_a_job_that_comes_later_does_not_put_in_doubt_that_a_gpu_type_matches_nothing() -> None:
    world = new_world(budget(gpu_types=frozenset({"A100"})))
    world.open(world.job(cost_dollars=1.0, created_at=NOON))
    look(world)
    assert world.unknown("budget") == {"scope_matches_nothing"}
    new: dict[str, Any] = {"job_id": "j-2", "cost_dollars": 0.0, "created_at": NOON}
    world.see(world.job(**new, **LISTED))
    look(world)
    assert world.unknown("budget") == {"scope_matches_nothing"}
    world.see(world.job(**new, gpu_type="A100", name="first of its kind"))
    look(world)
    assert world.unknown("budget") == world.unknown("scope") == set()
    assert spent(world) == {"all": pytest.approx(0.03, abs=0.011)}  # half a minute


@pytest.mark.parametrize(
    ("watched", "place"),
    [
        (WatchedScope(project="p-nope"), "accounts[a].project: p-nope"),
        (WatchedScope(organization="o-nope"), "accounts[a].organization: o-nope"),
    ],
)
def test_an_account_limited_to_what_is_not_there_has_no_budgets_of_zero(
    watched: WatchedScope, place: str
) -> None:
    world = new_world(watched={"a": watched})
    world.directory(Project(account="a", id="p-1", rid="vision", organization_id="o-1"))
    world.open()
    look(world)
    assert world.all(BudgetStatus) == []
    assert world.unknown("budget") == {"scope_matches_nothing"}
    assert world.unknown("scope", place) == {"scope_matches_nothing"}


def test_an_account_may_name_its_project_by_its_readable_id() -> None:
    world = new_world(watched={"a": WatchedScope(project="vision")})
    world.directory(Project(account="a", id="p-1", rid="vision"))
    world.open()
    look(world)
    assert world.unknown("scope") == set()
    assert spent(world) == {"all": 0}


def test_a_budget_by_name_goes_on_covering_a_project_that_is_renamed(tmp_path: Path) -> None:
    scope = budget(projects=frozenset({"Vision"}))
    world = new_world(scope, folder=tmp_path)
    job: dict[str, Any] = {"created_at": NOON - HOUR, "cost_dollars": 3.6}
    world.directory(Project(account="a", id="p-1", name="Vision"))
    world.open(world.job(**job))
    world.directory(Project(account="a", id="p-1", name="Seeing"))
    look(world)
    assert spent(world) == {"all": pytest.approx(3.61)}
    world.writer.close()
    again = LedgerWorld(tmp_path, budgets=(scope,), now=NOON + 60)
    again.directory(Project(account="a", id="p-1", name="Seeing"))
    again.open(again.job(**job))
    look(again)
    assert spent(again) == {"all": pytest.approx(3.67)}  # 70 seconds more
    assert again.unknown("scope") == set()
