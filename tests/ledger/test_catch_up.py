"""After a start no counter is shown before what the API reports now is in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import Budget, LedgerOptions, Period, WatchedScope
from trainwave_exporter.ledger.billing.catch_up import PATIENCE
from trainwave_exporter.ledger.billing.ledger_state import OPENING, SeenJob
from trainwave_exporter.ledger.ledger_writer import BUDGET_INTERVAL, PendingObservations
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.model import AccountStatus, BudgetStatus, Corrections, Job

HELD = OPENING / 1000
PATIENT = PATIENCE / 1000
DAY = 86_400.0


def counted(*accounts: str, jobs: tuple[Job, ...] = (), shown: bool = True) -> PendingObservations:
    """Return that all jobs of these accounts are listed."""
    return PendingObservations(
        accounts={name: AccountStatus(name=name, counted=True) for name in accounts},
        jobs={job.id: SeenJob(job, shown) for job in jobs},
    )


def back_up(folder: Path) -> None:
    """Copy a ledger as it is now."""
    shutil.copyfile(folder / NAME, folder / "backup")


def restored(world: LedgerWorld, folder: Path, **fields: object) -> LedgerWorld:
    """Stop, put the copy in the place of the ledger, and start again a minute later."""
    world.writer.close()
    shutil.copyfile(folder / "backup", folder / NAME)
    return LedgerWorld(folder, now=world.now + 60, **fields)  # type: ignore[arg-type]  # of mixed kinds


def test_a_restored_ledger_shows_no_counter_that_is_a_day_old(tmp_path: Path) -> None:
    """A day at 36 dollars an hour after 435.91: 1299.91. Some 8 dollars more later: 1308."""
    world = LedgerWorld(tmp_path)
    price: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "gpus": 10.0,
        "created_at": START - 43_591.0,
    }
    world.open(world.job(cost_dollars=435.91, **price))
    back_up(tmp_path)
    world.now += DAY
    world.see(world.job(cost_dollars=1299.91, **price))
    assert world.cost() == 1299.91
    after = restored(world, tmp_path)
    for _ in range(3):
        after.tick(250)
        assert after.cost() is None
        assert after.all(Corrections) == []
        assert after.unknown_figures() == {("spend", "a", "ledger_catching_up")}
    after.see(after.job(cost_dollars=1308.0, **price))  # one page of the list
    assert after.cost() is None
    after.see(counted=True)
    assert after.cost() == 1308
    assert after.corrections() == (0, 0)
    assert after.unknown_figures() == set()


def test_labels_of_the_lost_time_open_as_they_were(tmp_path: Path) -> None:
    """At zero first, all of it would seem to be spent once more."""
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    back_up(tmp_path)
    world.see(world.job("j-2", gpu_type="L40S", cost_dollars=300.0))
    world.tick(HELD)
    assert world.cost("L40S") == 300
    after = restored(world, tmp_path)
    listed = after.job("j-2", gpu_type=None, cost_dollars=301.0)
    after.open(after.job(cost_dollars=1.0), listed)
    assert (after.cost(), after.cost("L40S")) == (None, None)  # its details come later
    after.see(after.job("j-2", gpu_type="L40S", cost_dollars=301.0))
    assert (after.cost(), after.cost("L40S"), after.cost("")) == (1, 301, None)
    after.see(after.job("j-3", gpu_type="A100", cost_dollars=2.0))
    assert after.cost("A100") == 0  # it is new


def test_jobs_of_the_lost_time_that_are_not_shown_wait_for_their_gpu_type(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    back_up(tmp_path)
    world.see(world.job("j-2", cost_dollars=300.0))
    assert world.cost() == 301
    after = restored(world, tmp_path)
    finished = after.job("j-2", "SUCCESS", gpu_type=None, cost_dollars=300.0)
    after.take(counted("a", jobs=(finished,), shown=False))
    after.see(after.job(cost_dollars=1.0))
    assert (after.cost(), after.cost("")) == (None, None)
    after.tick(BUDGET_INTERVAL / 1000)
    assert after.writer.undescribed["a"].others == ("j-2",)
    after.see(replace(finished, gpu_type="H100", name="run"), shown=False)
    assert (after.cost(), after.cost("")) == (301, None)


def test_they_are_not_waited_for_longer_than_a_quarter_of_an_hour(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    back_up(tmp_path)
    world.see(world.job(cost_dollars=1.1))
    after = restored(world, tmp_path)
    finished = after.job("j-2", "SUCCESS", gpu_type=None, cost_dollars=300.0)
    after.take(counted("a", jobs=(finished,), shown=False))
    after.tick(PATIENT - 1)
    assert (after.cost(), after.cost("")) == (None, None)
    after.tick(1)
    assert (after.cost(), after.cost("")) == (1.0, 300)


def test_after_an_ordinary_restart_new_labels_open_at_zero(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    world.writer.close()
    after = LedgerWorld(tmp_path, now=START + 3600)
    after.open(after.job(cost_dollars=1.5), after.job("j-2", gpu_type="L40S", cost_dollars=3.0))
    assert (after.cost(), after.cost("L40S")) == (1.5, 0)
    after.tick(HELD)
    assert (after.cost(), after.cost("L40S")) == (1.5, 3)


def test_labels_that_come_up_while_counters_are_hidden_begin_at_zero(tmp_path: Path) -> None:
    """The list of running jobs names them long before the whole list is read."""
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    world.writer.close()
    after = LedgerWorld(tmp_path, now=START + 3600)
    after.see(after.job(cost_dollars=1.5), after.job("j-2", gpu_type="L40S", cost_dollars=3.0))
    after.tick(10 * HELD)
    assert (after.cost(), after.cost("L40S")) == (None, None)
    after.see(after.job("j-2", gpu_type="L40S", cost_dollars=4.5), counted=True)
    assert (after.cost(), after.cost("L40S")) == (1.5, 0)
    after.tick(HELD - 1)
    assert after.cost("L40S") == 0
    after.tick(1)
    assert after.cost("L40S") == 4.5


def test_they_begin_at_zero_however_long_another_jobs_gpu_type_is_waited_for(
    tmp_path: Path,
) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    world.writer.close()
    after = LedgerWorld(tmp_path, now=START + 3600)
    after.open(
        after.job(cost_dollars=1.5),
        after.job("j-2", gpu_type="L40S", cost_dollars=3.0),
        after.job("j-3", gpu_type=None, cost_dollars=2.0),
    )
    after.tick(2 * HELD)
    assert (after.cost(), after.cost("L40S")) == (None, None)
    after.see(after.job("j-3", gpu_type="A100", cost_dollars=2.0))
    assert [after.cost(gpu_type) for gpu_type in ("H100", "L40S", "A100")] == [1.5, 0, 0]
    after.tick(HELD)
    assert [after.cost(gpu_type) for gpu_type in ("H100", "L40S", "A100")] == [1.5, 3, 2]


def test_they_begin_at_zero_after_yet_another_restart(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open()
    world.writer.close()
    hidden = LedgerWorld(tmp_path, now=START + 3600)
    hidden.see(hidden.job(cost_dollars=3.0))
    hidden.tick(2 * HELD)
    hidden.writer.close()
    after = LedgerWorld(tmp_path, now=hidden.now + 3600)
    after.tick(2 * HELD)
    assert after.cost() is None
    after.open()
    assert after.cost() == 0
    after.tick(HELD)
    assert after.cost() == 3


def test_labels_that_were_at_zero_when_it_stopped_are_so_again_when_counters_are_shown(
    tmp_path: Path,
) -> None:
    world = LedgerWorld(tmp_path)
    world.open()
    world.see(world.job(cost_dollars=3.0))
    assert world.cost() == 0
    world.writer.close()
    after = LedgerWorld(tmp_path, now=START + 3600)
    after.see(after.job(cost_dollars=6.6))
    after.tick(2 * HELD)
    assert after.cost() is None
    after.open()
    assert after.cost() == 0
    after.tick(HELD)
    assert after.cost() == 6.6


def test_labels_of_the_lost_time_open_as_they_were_after_yet_another_restart(
    tmp_path: Path,
) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=1.0))
    back_up(tmp_path)
    world.see(world.job("j-2", gpu_type="L40S", cost_dollars=300.0))
    world.tick(HELD)
    assert world.cost("L40S") == 300
    hidden = restored(world, tmp_path)
    hidden.see(hidden.job("j-2", gpu_type="L40S", cost_dollars=301.0))
    hidden.writer.close()
    after = LedgerWorld(tmp_path, now=hidden.now + 60)
    after.see(after.job("j-2", gpu_type="L40S", cost_dollars=302.0))
    assert after.cost("L40S") is None
    after.open(after.job(cost_dollars=1.0))
    assert (after.cost(), after.cost("L40S")) == (1, 302)
    after.see(after.job("j-3", gpu_type="A100", cost_dollars=2.0))
    assert after.cost("A100") == 0


def test_labels_that_were_at_zero_in_the_copy_open_as_they_were(tmp_path: Path) -> None:
    """Since the copy was made they most likely were shown in full."""
    world = LedgerWorld(tmp_path)
    world.open()
    world.see(world.job(cost_dollars=3.0))
    back_up(tmp_path)
    world.tick(HELD)
    world.see(world.job(cost_dollars=3.5))
    assert world.cost() == 3.5
    after = restored(world, tmp_path)
    after.open(after.job(cost_dollars=3.6))
    assert after.cost() == 3.6


def test_of_two_accounts_each_has_its_labels_begin_when_it_catches_up(tmp_path: Path) -> None:
    two_accounts(tmp_path)
    after = LedgerWorld(tmp_path, accounts=("a", "b"), now=START + 60)
    new = (
        after.job("j-5", gpu_type="L40S", owner="ada", cost_dollars=5.0),
        after.job("j-6", gpu_type="L40S", owner="bo", account="b", cost_dollars=6.0),
        after.job("j-7", gpu_type="L40S", owner="cy", cost_dollars=7.0),
        after.job("j-8", gpu_type="L40S", owner="cy", account="b", cost_dollars=8.0),
    )

    def costs() -> list[float | None]:
        return [after.cost("L40S", owner) for owner in ("ada", "bo", "cy")]

    after.take(counted("a", jobs=new))
    assert costs() == [0, None, None]
    after.tick(DAY)
    assert costs() == [5, None, None]
    after.take(counted("b"))
    assert costs() == [5, 0, 0]
    after.tick(HELD)
    assert costs() == [5, 6, 15]


def two_accounts(folder: Path) -> LedgerWorld:
    """Return a world of two accounts, each with an owner, and one that both have in common."""
    world = LedgerWorld(folder, accounts=("a", "b"))
    jobs = (
        world.job("j-1", owner="ada", cost_dollars=1.0),
        world.job("j-2", account="b", owner="bo", cost_dollars=2.0),
        world.job("j-3", owner="cy", cost_dollars=3.0),
        world.job("j-4", account="b", owner="cy", cost_dollars=4.0),
    )
    world.take(counted("a", "b", jobs=jobs))
    assert [world.cost(owner=owner) for owner in ("ada", "bo", "cy")] == [1, 2, 7]
    world.writer.close()
    return world


def test_an_account_that_is_down_hides_its_own_counters_only(tmp_path: Path) -> None:
    two_accounts(tmp_path)
    after = LedgerWorld(tmp_path, accounts=("a", "b"), now=START + 60)
    after.take(counted("a"))
    for _ in range(3):
        assert [after.cost(owner=owner) for owner in ("ada", "bo", "cy")] == [1, None, None]
        assert after.unknown_figures() == {("spend", "b", "ledger_catching_up")}
        after.tick(DAY)
    after.take(counted("b"))
    assert [after.cost(owner=owner) for owner in ("ada", "bo", "cy")] == [1, 2, 7]
    assert after.unknown_figures() == set()


def test_an_account_that_is_watched_no_more_is_not_waited_for(tmp_path: Path) -> None:
    two_accounts(tmp_path)
    after = LedgerWorld(tmp_path, accounts=("a", "b"), now=START + 60)
    after.take(counted("a"))
    after.writer.reconfigure(LedgerOptions(accounts={"a": WatchedScope()}))
    after.tick(5)
    assert [after.cost(owner=owner) for owner in ("ada", "bo", "cy")] == [1, 2, 7]
    assert after.unknown_figures() == set()


def test_what_nobody_watches_any_more_waits_for_all_but_not_for_ever(tmp_path: Path) -> None:
    """Another account may report it now; one that is down is not waited for."""
    two_accounts(tmp_path)
    after = LedgerWorld(tmp_path, accounts=("a", "c"), now=START + 60)
    after.take(counted("a"))
    assert [after.cost(owner=owner) for owner in ("ada", "bo", "cy")] == [1, None, 7]
    assert after.all(Corrections) == []
    after.tick(PATIENT)
    assert after.cost(owner="bo") == 2
    assert after.corrections() == (0, 0)
    assert after.unknown_figures() == {("spend", "c", "ledger_catching_up")}


def test_the_first_start_names_what_is_not_shown_yet(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.see(world.job(gpu_type=None, cost_dollars=1.0), counted=True)
    assert world.unknown_figures() == {("spend", "a", "ledger_catching_up")}
    world.see(world.job(cost_dollars=1.0))
    assert (world.cost(), world.unknown_figures()) == (1, set())


def test_a_budget_is_not_computed_from_what_is_a_day_old(tmp_path: Path) -> None:
    everything = Budget(name="all", limit_dollars=9.0, period=Period.MONTH, zone=ZoneInfo("UTC"))
    world = LedgerWorld(tmp_path)
    world.open(world.job(created_at=START - 3600, cost_dollars=3.6))
    back_up(tmp_path)
    world.now += 3600
    world.see(world.job(created_at=START - 3600, cost_dollars=7.2))
    after = restored(world, tmp_path, budgets=(everything,))
    for _ in range(3):
        after.tick(BUDGET_INTERVAL / 1000)
        assert after.one(BudgetStatus).spent_dollars is None
    after.open(after.job(created_at=START - 3600, cost_dollars=7.26))
    after.tick(BUDGET_INTERVAL / 1000)
    # Ten seconds later, a cent of $3.60 an hour is accrued.
    assert after.one(BudgetStatus).spent_dollars == pytest.approx(7.27)
