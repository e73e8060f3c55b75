"""Bills that come late, prices that change, ids that come back: values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period, Store
from trainwave_exporter.ledger.billing.bounds import cost_before as bounds_before
from trainwave_exporter.ledger.billing.bounds import queue_bound
from trainwave_exporter.ledger.billing.job_meters import cost_before, gpu_before
from trainwave_exporter.ledger.billing.units import dollars, gpu_hours, milliseconds
from trainwave_exporter.ledger.ledger_writer import PendingObservations
from trainwave_exporter.model import AccountStatus, Activity, BudgetStatus, KnownRun

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""Where October ends."""
MINUTE = 60.0
HOUR = 3600.0


def cost(folder: Path, at: float, job_id: str = "j-1") -> float:
    """Return the dollars that a job had cost by then, as far as is known now."""
    with closing(Store.open_for_reading(folder)) as store:
        history = store.history(job_id)
    assert history is not None
    return dollars(cost_before(history, milliseconds(at)))


def gpu(folder: Path, at: float, job_id: str = "j-1") -> float:
    """Return the GPU hours that a job had used by then."""
    with closing(Store.open_for_reading(folder)) as store:
        history = store.history(job_id)
    assert history is not None
    return gpu_hours(gpu_before(history, milliseconds(at)))


def world_at(folder: Path, at: float) -> LedgerWorld:
    return LedgerWorld(folder, now=at)


def test_a_price_that_changed_before_the_first_look_leaves_bounds(tmp_path: Path) -> None:
    """$18 an hour from October 31, 12:00, $36 from November 5 on; first seen on November 10.

    216 + 96 × 18 + 120 × 36 = $6264, of which $6048 are November's. 228 hours at $36 would be
    $8208. At $72 an hour, twice the price, 12¼ hours of October would be $882.
    """
    everything = Budget(name="all", limit_dollars=9e3, period=Period.MONTH, zone=ZoneInfo("UTC"))
    world = LedgerWorld(tmp_path, now=MIDNIGHT + 9 * 24 * HOUR, budgets=(everything,))
    begun = MIDNIGHT - 12 * HOUR
    described: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": begun,
        "started_at": begun,
    }
    for minute in range(3):
        world.see(world.job(cost_dollars=6264 + 0.6 * minute, **described), counted=True)
        world.tick(60)
    shown = world.one(BudgetStatus)
    assert (shown.spent_dollars, shown.forecast_dollars) == (None, None)
    bounds = shown.spent_lower_dollars, shown.spent_upper_dollars
    assert bounds == pytest.approx((6265.2 + 0.6 - 882, 6265.2 + 0.6), abs=0.7)


@pytest.mark.parametrize("finished", [False, True], ids=["running", "over"])
def test_a_price_that_changed_twice_while_nobody_looked_leaves_bounds(
    tmp_path: Path, *, finished: bool
) -> None:
    """$36 an hour until 22:00 and again from 2:00 on, $72 in between; seen at 20:00 and at 4:00.

    $72 + $288 + $72 = $432 in these eight hours, $54 an hour in the mean. At up to $108 an hour,
    all of it may have been before midnight, or none of it: $216 of it were.
    """
    everything = Budget(name="all", limit_dollars=9e3, period=Period.MONTH, zone=ZoneInfo("UTC"))
    world = LedgerWorld(tmp_path, now=MIDNIGHT - 4 * HOUR, budgets=(everything,))
    begun = MIDNIGHT - 5 * HOUR
    described: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": begun,
        "started_at": begun,
    }
    world.open(world.job(cost_dollars=36.0, **described))
    world.now = MIDNIGHT + 4 * HOUR
    if finished:
        described |= {"state": "SUCCESS", "finished_at": world.now}
    world.see(world.job(cost_dollars=468.0, **described))
    for minute in range(1, 21):
        world.now += MINUTE
        world.see(world.job(cost_dollars=468 if finished else 468 + 0.6 * minute, **described))
    world.tick(60)
    shown = world.one(BudgetStatus)
    end = 468 if finished else 480.6
    assert shown.spent_dollars is None
    assert shown.spent_lower_dollars == pytest.approx(end - 468, abs=0.7)
    assert shown.spent_upper_dollars == pytest.approx(end - 36, abs=0.7)


def test_a_correction_while_nobody_looked_may_have_come_after_the_end(tmp_path: Path) -> None:
    """$3.60 an hour from 20:00 to 22:00, seen at 21:00 and the next day: $7.20, and a dollar more.

    So October is $7.20 to $8.20. At twice the mean of the second hour, $9.20 an hour, all of its
    $4.60 may have been spent before 21:30, or after it: until then, $3.60 are certain.
    """
    begun = MIDNIGHT - 4 * HOUR
    world = world_at(tmp_path, begun + HOUR)
    times: dict[str, Any] = {"created_at": begun, "started_at": begun}
    world.open(world.job(cost_dollars=3.6, **times))
    world.now = MIDNIGHT + 12 * HOUR
    times["finished_at"] = begun + 2 * HOUR
    for _ in range(3):
        world.see(world.job(state="SUCCESS", cost_dollars=8.2, **times))
        world.now += HOUR
    with closing(Store.open_for_reading(tmp_path)) as store:
        history = store.history("j-1")
    assert history is not None
    for at, least, most in ((MIDNIGHT, 7.2, 8.2), (begun + 1.5 * HOUR, 3.6, 8.2)):
        found = bounds_before(history, milliseconds(at), queue_bound(None))
        assert (dollars(found.lower), dollars(found.upper)) == pytest.approx((least, most))


# --- bills that come late ---------------------------------------------------------------------


def test_a_job_first_seen_running_whose_bill_comes_at_the_end_is_spread_over_all_its_run(
    tmp_path: Path,
) -> None:
    """$36 an hour, started 23:00, ended 01:30: $90, of which $36 are October's.

    The exporter starts at 00:30; until the end the API reports a cost of zero.
    """
    started = MIDNIGHT - HOUR
    world = world_at(tmp_path, MIDNIGHT + HOUR / 2)
    described: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "started_at": started,
        "created_at": started - 60,
    }
    world.open(world.job(cost_dollars=0.0, **described))
    for _ in range(59):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.0, **described))
    world.now += MINUTE
    world.see(world.job(state="SUCCESS", cost_dollars=90.0, finished_at=world.now, **described))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(36, abs=0.01)
    assert cost(tmp_path, MIDNIGHT + HOUR) == pytest.approx(72, abs=0.01)
    assert cost(tmp_path, world.now + 1) == 90
    assert world.corrections() == (0, 0)


def test_the_same_where_price_and_start_are_learned_a_minute_later(tmp_path: Path) -> None:
    started = MIDNIGHT - HOUR
    world = world_at(tmp_path, MIDNIGHT + HOUR / 2)
    world.open(world.job(cost_dollars=0.0, hourly_cost_dollars=None, created_at=started - 60))
    described: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "started_at": started,
        "created_at": started - 60,
    }
    for _ in range(59):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.0, **described))
    world.now += MINUTE
    world.see(world.job(state="SUCCESS", cost_dollars=90.0, finished_at=world.now, **described))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(36, abs=0.01)
    assert world.corrections() == (0, 0)


def test_without_a_start_the_bill_says_since_when_it_ran(tmp_path: Path) -> None:
    """The deployed dialect: $90 at $36 an hour are two and a half hours, ended at 01:30."""
    world = world_at(tmp_path, MIDNIGHT + HOUR / 2)
    described: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": MIDNIGHT - 2 * HOUR}
    world.open(world.job(cost_dollars=0.0, **described))
    for _ in range(59):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.0, **described))
    world.now += MINUTE
    world.see(world.job(state="SUCCESS", cost_dollars=90.0, **described))
    world.see(world.job(state="SUCCESS", cost_dollars=90.0, **described))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(36, abs=0.01)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("step", [10, 60])
def test_bills_in_steps_are_spread_from_the_start_that_nobody_saw(
    tmp_path: Path, step: int
) -> None:
    """Started 22:50 at $36 an hour, billed in steps, seen from 00:30 on: $42 are October's."""
    started = MIDNIGHT - 70 * MINUTE
    world = world_at(tmp_path, MIDNIGHT + HOUR / 2)
    described: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "started_at": started,
        "created_at": started - 60,
    }

    def billed() -> float:
        minutes = (world.now - started) / MINUTE
        return 0.6 * (minutes // step * step)

    world.open(world.job(cost_dollars=billed(), **described))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(min(42, billed()), abs=0.01)
    for _ in range(120):
        world.now += MINUTE
        world.see(world.job(cost_dollars=billed(), **described))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(42, abs=0.01)
    assert world.corrections() == (0, 0)


def test_a_bill_hours_after_the_end_counts_for_the_time_that_was_run(tmp_path: Path) -> None:
    """Ran from 22:00 to 23:00 at $12 an hour; the bill comes at 03:00 the next month."""
    started = MIDNIGHT - 2 * HOUR
    world = world_at(tmp_path, started)
    described: dict[str, Any] = {"hourly_cost_dollars": 12.0, "created_at": started}
    world.open(world.job(state="LAUNCHING", cost_dollars=0.0, **described))
    described["started_at"] = started
    for _ in range(60):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.0, **described))
    finished: dict[str, Any] = {"state": "SUCCESS", "finished_at": started + HOUR, **described}
    world.now += MINUTE
    world.see(world.job(cost_dollars=0.0, **finished))
    world.now = MIDNIGHT + 3 * HOUR
    world.see(world.job(cost_dollars=12.0, **finished))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(12, abs=0.01)
    assert cost(tmp_path, started + HOUR / 2) == pytest.approx(6, abs=0.11)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("listed_first", [True, False])
def test_a_bill_at_an_end_that_was_seen_long_after_counts_for_the_time_that_was_run(
    tmp_path: Path, listed_first: bool
) -> None:
    """Ran from 19:00 to 23:00 at $12 an hour; seen at 20:00, and at 09:00 the next month."""
    started = MIDNIGHT - 5 * HOUR
    world = world_at(tmp_path, started + HOUR)
    run: dict[str, Any] = {
        "hourly_cost_dollars": 12.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, **run))
    world.writer.close()
    after = world_at(tmp_path, MIDNIGHT + 9 * HOUR)
    after.open()
    if listed_first:
        listed = {**run, "hourly_cost_dollars": None, "started_at": None}
        after.see(after.job(state="SUCCESS", cost_dollars=48.0, **listed))
    ended = started + 4 * HOUR
    after.see(after.job(state="SUCCESS", cost_dollars=48.0, finished_at=ended, **run))
    assert cost(tmp_path, started + HOUR) == pytest.approx(12, abs=0.01)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(48, abs=0.01)
    assert after.corrections() == (0, 0)


def test_what_the_launch_cost_is_not_left_for_the_day_on_which_the_end_was_seen(
    tmp_path: Path,
) -> None:
    """Launched 18:50, started 19:00, ended 23:00 at $12 an hour: $50, all of it October's."""
    started = MIDNIGHT - 5 * HOUR
    world = world_at(tmp_path, started + HOUR)
    run: dict[str, Any] = {
        "hourly_cost_dollars": 12.0,
        "created_at": started - 12 * MINUTE,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, **run))
    world.writer.close()
    after = world_at(tmp_path, MIDNIGHT + 9 * HOUR)
    after.open(after.job(state="SUCCESS", cost_dollars=50.0, finished_at=MIDNIGHT - HOUR, **run))
    assert cost(tmp_path, started + HOUR) == pytest.approx(14, abs=0.01)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(50, abs=0.01)


def test_a_job_first_seen_finished_may_be_billed_later(tmp_path: Path) -> None:
    ended = MIDNIGHT - HOUR
    world = world_at(tmp_path, MIDNIGHT + HOUR)
    finished: dict[str, Any] = {
        "state": "SUCCESS",
        "hourly_cost_dollars": 12.0,
        "created_at": ended - 3 * HOUR,
        "started_at": ended - 2 * HOUR,
        "finished_at": ended,
    }
    world.open(world.job(cost_dollars=0.0, **finished))
    world.now += 2 * HOUR
    world.see(world.job(cost_dollars=24.0, **finished))
    assert cost(tmp_path, MIDNIGHT) == 24
    assert cost(tmp_path, ended - HOUR) == pytest.approx(12)
    assert world.corrections() == (0, 0)


# --- prices that change -----------------------------------------------------------------------


def test_a_price_that_is_read_late_explains_what_contradicted_the_old_one(tmp_path: Path) -> None:
    """$36 an hour until 23:58, then $72; the new price is read at 00:03. October: $34.8 + $2.4."""
    world = world_at(tmp_path, MIDNIGHT - HOUR)
    began, changed = world.now, MIDNIGHT - 2 * MINUTE

    def billed() -> float:
        return (36 * (min(world.now, changed) - began) + 72 * max(0, world.now - changed)) / HOUR

    world.open(world.job(cost_dollars=0.0, hourly_cost_dollars=36.0, started_at=began))
    while world.now < MIDNIGHT + 30 * MINUTE:
        world.now += MINUTE
        price = 36.0 if world.now < MIDNIGHT + 3 * MINUTE else 72.0
        world.see(world.job(cost_dollars=billed(), hourly_cost_dollars=price, started_at=began))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(37.2, abs=0.05)
    assert cost(tmp_path, world.now + 1) == pytest.approx(73.2)
    assert world.corrections() == (0, 0)


def test_one_change_of_price_within_an_outage_is_solved(tmp_path: Path) -> None:
    """Away from 20:00 to 04:00; $36 an hour became $72 at 22:00: $72 + $144 until midnight."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now - HOUR
    world.open(world.job(cost_dollars=36.0, hourly_cost_dollars=36.0, started_at=started))
    world.writer.close()
    after = world_at(tmp_path, MIDNIGHT + 4 * HOUR)
    after.open(after.job(cost_dollars=36 + 72 + 432, hourly_cost_dollars=72.0, started_at=started))
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(36 + 72 + 144, abs=0.01)
    assert after.corrections() == (0, 0)


def test_a_price_that_was_read_right_after_the_first_report_is_that_of_the_report(
    tmp_path: Path,
) -> None:
    """$36 an hour from 20:00, $72 from 22:00 to the end at 23:00: $36 + $36 + $72 in October.

    Lists have no price; the exporter is away from 20:10 to 01:00.
    """
    started = MIDNIGHT - 4 * HOUR
    world = world_at(tmp_path, started + 10 * MINUTE)
    run: dict[str, Any] = {"created_at": started, "started_at": started}
    world.open(world.job(cost_dollars=6.0, hourly_cost_dollars=None, **run))
    world.see(world.job(cost_dollars=6.0, hourly_cost_dollars=36.0, **run))
    world.writer.close()
    after = world_at(tmp_path, MIDNIGHT + HOUR)
    ended = MIDNIGHT - HOUR
    listed = after.job(state="SUCCESS", cost_dollars=144.0, hourly_cost_dollars=None)
    after.open(listed)
    described: dict[str, Any] = {**run, "hourly_cost_dollars": 72.0, "finished_at": ended}
    after.see(after.job(state="SUCCESS", cost_dollars=144.0, **described))
    assert cost(tmp_path, started + HOUR) == pytest.approx(36, abs=0.01)
    assert cost(tmp_path, started + 2.5 * HOUR) == pytest.approx(108, abs=0.01)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(144, abs=0.01)
    assert after.corrections() == (0, 0)


def test_a_price_that_fell_is_no_correction_either(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    began, changed = world.now, MIDNIGHT + 30 * MINUTE

    def billed() -> float:
        return (72 * (min(world.now, changed) - began) + 36 * max(0, world.now - changed)) / HOUR

    world.open(world.job(cost_dollars=0.0, hourly_cost_dollars=72.0, started_at=began))
    while world.now < MIDNIGHT + HOUR:
        world.now += MINUTE
        price = 72.0 if world.now < changed + 4 * MINUTE else 36.0
        world.see(world.job(cost_dollars=billed(), hourly_cost_dollars=price, started_at=began))
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, world.now + 1) == pytest.approx(54)


def test_hourly_bills_at_a_price_that_is_read_late(tmp_path: Path) -> None:
    """$36 in the first hour, $72 in the second, billed on the hour; the price is read at 02:01."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=0.0, hourly_cost_dollars=36.0, started_at=MIDNIGHT))
    for minute in range(1, 181):
        world.now += MINUTE
        billed = {0: 0.0, 1: 36.0, 2: 108.0, 3: 180.0}[minute // 60]
        price = 36.0 if minute < 121 else 72.0
        world.see(world.job(cost_dollars=billed, hourly_cost_dollars=price, started_at=MIDNIGHT))
    assert world.corrections() == (0, 0)
    # The price is read a minute after the bill, and explains it from then on: $1.20 at $72 an hour.
    assert cost(tmp_path, MIDNIGHT + 1.5 * HOUR) == pytest.approx(72, abs=1.21)


def test_growth_that_no_price_explains_is_a_correction_all_the_same(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0, hourly_cost_dollars=36.0))
    world.now += MINUTE
    world.see(world.job(cost_dollars=11.6, hourly_cost_dollars=36.0))
    assert world.corrections() == (0, 0)  # it may be another price
    seen = world.now
    world.now += MINUTE
    world.see(world.job(cost_dollars=12.2, hourly_cost_dollars=36.0))
    assert world.corrections() == pytest.approx((1.0, 0))
    with closing(Store.open_for_reading(tmp_path)) as store:
        (correction,) = store.corrections(0, milliseconds(world.now))
    assert (correction.job_id, correction.micro) == ("j-1", 1_000_000)
    assert correction.at == milliseconds(seen)
    assert correction.since == milliseconds(seen - MINUTE)


# --- ids that come back -----------------------------------------------------------------------


def test_a_job_that_failed_and_runs_again_is_not_billed_after_its_finish(tmp_path: Path) -> None:
    """$36 an hour; failed at 21:00 at $36; away until it had run anew for 95 minutes, at 23:35."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now
    first: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, **first))
    world.now += HOUR
    world.see(world.job(state="FAILED", cost_dollars=36.0, finished_at=world.now, **first))
    world.writer.close()
    again = MIDNIGHT - 2 * HOUR
    after = world_at(tmp_path, again + 95 * MINUTE)
    second: dict[str, Any] = {**first, "started_at": again}
    after.open(after.job(cost_dollars=36.0 + 57.0, **second))
    after.now += MINUTE
    after.see(after.job(cost_dollars=36.0 + 57.6, **second))
    assert after.wasted("billed_after_finish") == 0
    assert after.corrections() == (0, 0)
    assert cost(tmp_path, started + HOUR / 2) == pytest.approx(18)
    assert cost(tmp_path, again) == pytest.approx(36)
    assert cost(tmp_path, again + HOUR) == pytest.approx(72, abs=0.01)
    assert after.cost() == pytest.approx(93.6)


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
def test_a_run_whose_cost_begins_anew_adds_up(tmp_path: Path, state: str) -> None:
    """$36 for the first run, $18 for the first half hour of the second: $54."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now
    first: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, gpu_hours=0.0, **first))
    world.now += HOUR
    ended: dict[str, Any] = {"finished_at": world.now} if state == "FAILED" else {}
    world.see(world.job(state=state, cost_dollars=36.0, gpu_hours=1.0, **first, **ended))
    again = world.now + HOUR
    second: dict[str, Any] = {**first, "started_at": again}
    world.now = again + HOUR / 2
    world.see(world.job(cost_dollars=18.0, gpu_hours=0.5, **second))
    assert world.cost() == pytest.approx(54)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, started + HOUR / 2) == pytest.approx(18)
    assert cost(tmp_path, again) == pytest.approx(36)
    assert cost(tmp_path, again + HOUR / 4) == pytest.approx(45)
    assert gpu(tmp_path, again) == pytest.approx(1)
    assert gpu(tmp_path, again + HOUR / 4) == pytest.approx(1.25)
    assert world.wasted("billed_after_finish") == 0


def test_a_run_that_was_over_before_anyone_looked_adds_up_too(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now
    first: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, **first))
    world.now += HOUR
    world.see(world.job(state="FAILED", cost_dollars=36.0, finished_at=world.now, **first))
    again = world.now + HOUR
    second: dict[str, Any] = {**first, "started_at": again, "finished_at": again + HOUR / 2}
    world.now = again + 2 * HOUR
    world.see(world.job(state="SUCCESS", cost_dollars=18.0, **second))
    assert world.cost() == pytest.approx(54)
    assert cost(tmp_path, again + HOUR / 4) == pytest.approx(45)
    assert world.wasted("billed_after_finish") == 0


def test_a_third_run_goes_on_where_the_bill_of_the_second_began_anew(tmp_path: Path) -> None:
    """$36, then anew $18, then $18 and $9 more: $63."""
    world = world_at(tmp_path, MIDNIGHT - 9 * HOUR)
    price: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": world.now}
    world.open(world.job(cost_dollars=0.0, started_at=world.now, **price))
    for reported, hours in ((36.0, 1.0), (18.0, 0.5), (27.0, 0.25)):
        started = world.now
        world.now += hours * HOUR
        ended: dict[str, Any] = {"started_at": started, "finished_at": world.now}
        world.see(world.job(state="FAILED", cost_dollars=reported, **ended, **price))
        world.now += HOUR
    assert world.cost() == pytest.approx(63)
    assert world.corrections() == (0, 0)


def test_a_job_taken_for_finished_by_mistake_goes_on_in_the_same_run(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    run: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": world.now,
        "started_at": world.now,
    }
    world.open(world.job(cost_dollars=0.0, **run))
    for minute, state in ((1, "RUNNING"), (2, "SUCCESS"), (3, "RUNNING"), (4, "RUNNING")):
        world.now += MINUTE
        world.see(world.job(state=state, cost_dollars=0.6 * minute, **run))
    with closing(Store.open_for_reading(tmp_path)) as store:
        assert store.jobs(["j-1"])["j-1"].run == 0
    assert world.cost() == pytest.approx(2.4)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
@pytest.mark.parametrize("again", ["RUNNING", "SUCCESS"])
def test_a_run_whose_cost_is_reported_before_its_start_adds_up_too(
    tmp_path: Path, state: str, again: str
) -> None:
    """$36 for the first run, $18 for the second, which a list reports without its start."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now
    first: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, gpu_hours=0.0, **first))
    world.now += HOUR
    ended: dict[str, Any] = {"finished_at": world.now} if state == "FAILED" else {}
    world.see(world.job(state=state, cost_dollars=36.0, gpu_hours=1.0, **first, **ended))
    second = {**first, "started_at": world.now + HOUR}
    world.now += HOUR * 1.5
    # The fleet keeps the times that it knows, unless a finished job is alive again.
    listed = first | ended
    if (state, again) == ("FAILED", "RUNNING"):
        listed = {**first, "started_at": None}
    world.see(world.job(state=again, cost_dollars=18.0, gpu_hours=0.5, **listed))
    world.now += 1
    if again == "SUCCESS":
        second["finished_at"] = world.now - 1
    world.see(world.job(state=again, cost_dollars=18.0, gpu_hours=0.5, **second))
    assert world.cost() == pytest.approx(54)
    assert world.corrections() == (0, 0)
    assert world.wasted("billed_after_finish") == 0
    assert cost(tmp_path, started + HOUR / 2) == pytest.approx(18)
    assert cost(tmp_path, started + 2 * HOUR) == pytest.approx(36)
    assert cost(tmp_path, started + 2.25 * HOUR) == pytest.approx(45, abs=0.02)
    assert gpu(tmp_path, started + 2.25 * HOUR) == pytest.approx(1.25, abs=0.01)


@pytest.mark.parametrize("reported", [3.0, 39.0], ids=["anew", "goes-on"])
def test_a_run_that_ends_in_its_launch_adds_up_though_it_has_no_start(
    tmp_path: Path, reported: float
) -> None:
    """$36 for the first run; five minutes of launch, $3, for the second, which a list reports."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    started = world.now
    run: dict[str, Any] = {
        "hourly_cost_dollars": 36.0,
        "created_at": started,
        "started_at": started,
    }
    world.open(world.job(cost_dollars=0.0, **run))
    world.now += HOUR
    world.see(world.job(state="FAILED", cost_dollars=36.0, finished_at=world.now, **run))
    ended = world.now
    world.now += 2 * HOUR
    # The fleet keeps the times that it knows until the details report others.
    world.see(world.job(state="ERROR", cost_dollars=reported, finished_at=ended, **run))
    world.now += 1
    again = ended + HOUR
    second = {**run, "finished_at": again + 5 * MINUTE}
    world.see(world.job(state="ERROR", cost_dollars=reported, **second))
    assert world.cost() == pytest.approx(39)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, ended) == pytest.approx(36)
    assert cost(tmp_path, again - MINUTE) == pytest.approx(36, abs=0.02)
    assert cost(tmp_path, again + 5 * MINUTE) == pytest.approx(39, abs=0.02)


def test_a_run_again_within_minutes_loses_no_more_than_its_last_ones(tmp_path: Path) -> None:
    """Seen each minute at $36 an hour up to $6; over and running again between two looks."""
    world = world_at(tmp_path, MIDNIGHT)
    run: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": MIDNIGHT}
    first = {**run, "started_at": MIDNIGHT}
    world.open(world.job(cost_dollars=0.0, **first))
    for minute in range(1, 11):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.6 * minute, **first))
    world.now += MINUTE
    world.see(world.job(cost_dollars=0.3, **first))  # a list, which reports no start
    world.see(world.job(cost_dollars=0.3, **{**run, "started_at": world.now - 30}))
    world.now += MINUTE
    world.see(world.job(cost_dollars=0.9, **{**run, "started_at": world.now - 90}))
    assert world.cost() == pytest.approx(6.9)
    assert cost(tmp_path, world.now + 1) == pytest.approx(6.9)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("listed_first", [True, False])
@pytest.mark.parametrize(("anew", "whole"), [(True, 43.2), (False, 36.0)])
def test_a_cost_that_did_not_fall_is_reported_anew_by_what_the_price_comes_to(
    tmp_path: Path, anew: bool, whole: float, listed_first: bool
) -> None:
    """$7.20 for twelve minutes; then $36, an hour after the new start, or 48 minutes after it.

    In an hour the second run costs $36 of its own: $43.20. In 48 minutes it costs $28.80: $36.
    """
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    began = world.now
    first: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": began, "started_at": began}
    world.open(world.job(cost_dollars=0.0, gpu_hours=0.0, **first))
    world.now += 12 * MINUTE
    finished: dict[str, Any] = {"state": "FAILED", "finished_at": world.now}
    world.see(world.job(cost_dollars=7.2, gpu_hours=0.2, **first, **finished))
    world.now += 2 * HOUR
    if listed_first:
        world.see(world.job(cost_dollars=36.0, gpu_hours=1.0, **{**first, "started_at": None}))
    second = {**first, "started_at": world.now - (60 if anew else 48) * MINUTE}
    world.see(world.job(cost_dollars=36.0, gpu_hours=1.0, **second))
    assert world.cost() == pytest.approx(whole)
    assert cost(tmp_path, second["started_at"]) == pytest.approx(7.2, abs=0.02)
    assert cost(tmp_path, world.now + 1) == pytest.approx(whole)
    assert gpu(tmp_path, world.now + 1) == pytest.approx(1.2 if anew else 1.0)
    assert world.corrections() == (0, 0)


def test_a_run_that_failed_before_its_start_is_followed_by_one_that_was_over_unseen(
    tmp_path: Path,
) -> None:
    """$2 for a launch that failed at 20:00, and $18 for half an hour from 21:00 on: $20."""
    failed = MIDNIGHT - 4 * HOUR
    world = world_at(tmp_path, failed)
    run: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": failed - 200}
    first = {**run, "finished_at": failed}
    world.open(world.job(state="FAILED", cost_dollars=2.0, **first))
    world.now = MIDNIGHT + 9 * HOUR
    world.see(world.job(state="SUCCESS", cost_dollars=20.0, **first))  # a list
    again = failed + HOUR
    ended = again + HOUR / 2
    second = {**run, "started_at": again, "finished_at": ended}
    world.see(world.job(state="SUCCESS", cost_dollars=20.0, **second))
    assert cost(tmp_path, again) == pytest.approx(2)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(20)
    assert world.cost() == pytest.approx(20)
    assert world.corrections() == (0, 0)


def test_a_job_that_ran_and_is_launched_is_in_another_run(tmp_path: Path) -> None:
    """Nobody saw that it failed: $36 for the first run, and $1 so far for the second."""
    world = world_at(tmp_path, MIDNIGHT - 4 * HOUR)
    first: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": world.now}
    world.open(world.job(cost_dollars=0.0, **first))
    world.now += HOUR
    world.see(world.job(cost_dollars=36.0, **first))
    world.now += HOUR
    world.see(world.job(state="LAUNCHING", cost_dollars=1.0, **first))
    assert world.cost() == pytest.approx(37)
    assert world.corrections() == (0, 0)


def test_a_fall_that_no_start_explains_is_a_correction_a_quarter_of_an_hour_later(
    tmp_path: Path,
) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    run: dict[str, Any] = {"hourly_cost_dollars": 3.6, "started_at": MIDNIGHT - HOUR}
    world.open(world.job(cost_dollars=3.6, **run))
    for minute in range(1, 21):
        world.now += MINUTE
        world.see(world.job(cost_dollars=2.6 + 0.06 * minute, **run))
    assert world.corrections() == pytest.approx((0, 1.06), abs=0.07)


# --- implausible amounts -----------------------------------------------------------------------


def test_one_absurd_amount_freezes_nothing(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0, created_at=MIDNIGHT - 3 * HOUR))
    for reported in (2_147_483.0, 10.5, 10.56):
        world.now += MINUTE
        world.see(world.job(cost_dollars=reported, created_at=MIDNIGHT - 3 * HOUR))
    assert world.cost() == pytest.approx(10.56)
    assert cost(tmp_path, world.now + 1) == pytest.approx(10.56)


def test_two_absurd_amounts_that_do_not_agree_freeze_nothing_either(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0))
    for reported in (5_000.0, 2_147_483.0, 10.5, 10.56):
        world.now += MINUTE
        world.see(world.job(cost_dollars=reported))
    assert world.cost() == pytest.approx(10.56)


def test_what_is_reported_twice_is_believed(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0))
    world.now += MINUTE
    world.see(world.job(cost_dollars=500.0))
    assert world.cost() == 10
    world.now += MINUTE
    world.see(world.job(cost_dollars=500.06))
    assert world.cost() == pytest.approx(500.06)


def test_twice_the_price_and_a_dollar_need_no_second_report() -> None:
    """$3.60 an hour, an hour later: up to 2 × 3.60 + 1 = $8.20 more."""
    for rise, seen in ((8.2, 18.2), (8.21, 10.0)):
        world = LedgerWorld(now=MIDNIGHT)
        world.open(world.job(cost_dollars=10.0))
        world.now += HOUR
        world.see(world.job(cost_dollars=10.0 + rise))
        assert world.cost() == pytest.approx(seen)


def test_without_a_price_of_its_own_the_dearest_of_any_job_counts(tmp_path: Path) -> None:
    """Another job costs $36 an hour: up to $73 more within an hour."""
    world = LedgerWorld(tmp_path, now=MIDNIGHT)
    dear = world.job("j-2", hourly_cost_dollars=36.0, cost_dollars=1.0)
    world.open(world.job(cost_dollars=10.0, hourly_cost_dollars=None, gpu_type="A100"), dear)
    world.writer.close()
    for rise, seen in ((74.0, 10.0), (72.0, 82.0)):
        world = LedgerWorld(tmp_path, now=MIDNIGHT + HOUR)
        world.open()
        world.see(world.job(cost_dollars=10.0 + rise, hourly_cost_dollars=None, gpu_type="A100"))
        assert world.cost(gpu_type="A100") == pytest.approx(seen)
        world.writer.close()


def test_where_no_job_reports_a_price_the_dearest_offer_counts(tmp_path: Path) -> None:
    """Machines are on offer for up to $40 an hour: up to $81 more within an hour."""
    world = LedgerWorld(tmp_path, now=MIDNIGHT)
    world.open(world.job(cost_dollars=10.0, hourly_cost_dollars=None))
    offers = AccountStatus(name="a", counted=True, dearest_offer_dollars=40.0)
    world.take(PendingObservations(accounts={"a": offers}))
    for rise, seen in ((2_147_483.0, 10.0), (80.0, 90.0)):
        world.now += HOUR / 2
        world.see(world.job(cost_dollars=10.0 + rise, hourly_cost_dollars=None))
        assert world.cost() == pytest.approx(seen)


def test_an_absurd_first_report_waits_for_a_second(tmp_path: Path) -> None:
    """Created an hour ago at $3.60: no more than 2 × (3.60 + 1) dollars are believed at once."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open()
    for reported in (2_147_483.0, 3.0, 3.06):
        world.see(world.job(cost_dollars=reported, created_at=MIDNIGHT - HOUR))
        world.now += MINUTE
    world.tick(300)
    assert world.cost() == pytest.approx(3.06)


def test_absurd_gpu_hours_wait_likewise(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(gpu_hours=1.0, cost_dollars=1.0))
    for reported in (1e6, 1.0, 1.02):
        world.now += MINUTE
        world.see(world.job(gpu_hours=reported, cost_dollars=1.0))
    assert gpu(tmp_path, world.now + 1) == pytest.approx(1.02)


def test_since_when_a_job_runs_is_read_off_its_bill_and_outlives_the_exporter(
    tmp_path: Path,
) -> None:
    """$72 at $36 an hour are two hours; the price of $72 that it has later says nothing."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=72.0, hourly_cost_dollars=36.0, created_at=MIDNIGHT - 9e4))
    world.writer.close()
    after = world_at(tmp_path, MIDNIGHT + HOUR)
    after.open()
    assert after.writer.known_run("j-1") == KnownRun(MIDNIGHT - 2 * HOUR, 36.0)
    after.see(after.job(cost_dollars=144.0, hourly_cost_dollars=72.0))
    # With the price of then, so that the fleet knows that it changed.
    assert after.writer.known_run("j-1") == KnownRun(MIDNIGHT - 2 * HOUR, 36.0)
    after.see(after.job(state="SUCCESS", cost_dollars=144.0, hourly_cost_dollars=72.0))
    assert after.writer.known_run("j-1") is None


def test_a_price_that_is_learned_later_says_since_when_a_job_runs(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=72.0, hourly_cost_dollars=None))
    world.see(world.job(cost_dollars=72.0, hourly_cost_dollars=36.0))
    assert world.writer.known_run("j-1") == KnownRun(MIDNIGHT - 2 * HOUR, 36.0)


def test_an_hourly_bill_of_a_job_that_ran_before_it_was_seen_loses_no_idle_time(
    tmp_path: Path,
) -> None:
    """The deployed dialect: eight GPUs at $36, since 23:00, first seen at 23:34, billed hourly.

    Idle from 23:50 to the last reading at 00:19: 29 minutes, $17.40, 3.8667 GPU hours. Busy since
    the first reading: 16 minutes, 2.1333 GPU hours. Nothing was launching, as far as is known.
    """
    started = MIDNIGHT - HOUR
    world = world_at(tmp_path, started + 34 * MINUTE)
    for minute in range(34, 81):
        world.now = started + minute * MINUTE
        billed = 0.0 if minute < 60 else 36.0 if minute < 80 else 48.0
        described: dict[str, Any] = {
            "gpus": 8.0,
            "hourly_cost_dollars": 36.0,
            "created_at": started,
            "cost_dollars": billed,
            "gpu_hours": 8 * billed / 36,
        }
        if minute < 80:
            described["readings"] = world.busy(0.0 if minute >= 50 else 0.9)
        world.see(
            world.job(state="RUNNING" if minute < 80 else "SUCCESS", **described), counted=True
        )
    world.tick(300)
    spend = world.spend()
    assert spend is not None
    assert spend.activity_gpu_hours[Activity.IDLE] == pytest.approx(8 * 29 / 60)
    assert spend.activity_gpu_hours[Activity.BUSY] == pytest.approx(8 * 16 / 60)
    assert world.wasted("gpu_idle") == pytest.approx(17.4)
    assert world.wasted("stuck_launching") == 0
    assert world.corrections() == (0, 0)


def test_one_report_that_comes_again_with_a_reading_is_no_second_one(tmp_path: Path) -> None:
    """Readings bring the job as it was last reported; so does a page that reports less."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0))
    world.now += MINUTE
    absurd = world.job(cost_dollars=2_147_483.0)
    world.see(absurd)
    world.see(replace(absurd, readings=world.busy(0.5)))
    later = replace(absurd, confirmed_at=world.now + 9, cost_reported_at=world.now)
    world.now += 9
    world.see(later)
    assert world.cost() == 10
    world.now += MINUTE
    world.see(world.job(cost_dollars=10.12))
    assert world.cost() == pytest.approx(10.12)


def test_gpu_hours_that_an_answer_does_not_repeat_wait_for_one_that_does(tmp_path: Path) -> None:
    """Eight GPUs for a minute: 8/60 of a GPU hour more, and never nine million."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(gpus=8.0, gpu_hours=2.0))
    world.now += MINUTE
    absurd = world.job(gpus=8.0, gpu_hours=9_000_000.0)
    world.see(absurd)
    reported_at, world.now = world.now, world.now + 9
    world.see(replace(absurd, confirmed_at=world.now, gpu_hours_reported_at=reported_at))
    world.now = reported_at + MINUTE
    world.see(world.job(gpus=8.0, gpu_hours=2.0 + 16 / 60))
    world.tick(300)
    spend = world.spend()
    assert spend is not None
    assert spend.gpu_hours == pytest.approx(2 + 16 / 60)


def test_a_cost_that_waits_for_a_second_report_is_said_to_be_unknown(tmp_path: Path) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(cost_dollars=10.0))
    assert world.unknown("cost") == set()
    world.now += MINUTE
    world.see(world.job(cost_dollars=5_000.0))
    assert world.unknown("cost", "a") == {"implausible_amount"}
    world.now += MINUTE
    world.see(world.job(cost_dollars=10.12))
    assert world.unknown("cost") == set()


def bills(*steps: tuple[float, float]) -> Callable[[float], float]:
    """Return what is billed at a minute after midnight, by steps of (minute, dollars)."""
    return lambda minute: max([0.0, *(dollars for at, dollars in steps if minute >= at)])


def watched_from_its_launch(
    folder: Path,
    start: float,
    end: float,
    cost: Callable[[float], float],
    until: float,
    *,
    documented: bool,
    price: Callable[[float], float | None] = lambda _: 36.0,
    budgets: tuple[Budget, ...] = (),
    watch: dict[float, list[float | None]] | None = None,
) -> LedgerWorld:
    """See a job every minute from two before its start on; minutes count from midnight."""
    world = LedgerWorld(folder, now=MIDNIGHT, budgets=budgets)
    for minute in range(round(start) - 2, round(until) + 1):
        world.now = MIDNIGHT + minute * MINUTE
        finished = minute >= end
        times: dict[str, Any] = {}
        if documented and minute >= start:
            times["started_at"] = MIDNIGHT + start * MINUTE
        if documented and finished:
            times["finished_at"] = MIDNIGHT + end * MINUTE
        state = "LAUNCHING" if minute < start else "SUCCESS" if finished else "RUNNING"
        job = world.job(
            state=state,
            cost_dollars=cost(minute),
            hourly_cost_dollars=price(minute),
            created_at=MIDNIGHT + (start - 1) * MINUTE,
            **times,
        )
        world.see(job, counted=True)
        if watch is not None and minute in watch:
            budget = world.one(BudgetStatus)
            watch[minute] = [budget.spent_dollars, budget.forecast_dollars]
    return world


@pytest.mark.parametrize(
    ("start", "end", "steps", "documented", "october"),
    [
        pytest.param(-210, -30, ((-146, 36.0), (-86, 72.0), (5, 108.0)), False, 108, id="no-times"),
        pytest.param(-210, -60, ((-146, 36.0), (-86, 72.0), (5, 90.0)), False, 90, id="part-hour"),
        pytest.param(
            -305,
            -5,
            ((-241, 36.0), (-184, 72.0), (-125, 108.0), (-64, 144.0), (4, 180.0)),
            True,
            180,
            id="lag-varies",
        ),
    ],
)
def test_the_last_of_several_late_bills_comes_after_the_end_and_the_month(
    tmp_path: Path,
    start: float,
    end: float,
    steps: tuple[tuple[float, float], ...],
    documented: bool,
    october: float,
) -> None:
    """Hourly bills at $36, minutes late; all of it was run in October."""
    world = watched_from_its_launch(tmp_path, start, end, bills(*steps), 60, documented=documented)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(october, abs=0.01)
    assert world.corrections() == (0, 0)


def test_a_price_that_fell_leaves_what_was_accrued_before(tmp_path: Path) -> None:
    """From 21:00 at $36, from 22:30 at $12, billed hourly: $54 at 22:30, $60 at 23:00.

    The forecast for October is 36 × 1.5 + 12 × 1.5 = $72 from then on. At 00:59 November has cost
    59 minutes at $12.
    """
    zone = ZoneInfo("UTC")
    budget = Budget(name="all", limit_dollars=1e6, period=Period.MONTH, zone=zone)
    seen: dict[float, list[float | None]] = {-90: [], -60: [], 59: []}
    watched_from_its_launch(
        tmp_path,
        -180,
        60,
        bills((-119, 36.0), (-59, 60.0), (1, 72.0)),
        59,
        documented=True,
        price=lambda minute: 36.0 if minute < -90 else 12.0,
        budgets=(budget,),
        watch=seen,
    )
    assert seen[-90] == pytest.approx([54, 72], abs=0.7)
    assert seen[-60] == pytest.approx([60, 72], abs=0.7)
    assert seen[59][0] == pytest.approx(11.8, abs=0.7)


@pytest.mark.parametrize("documented", [True, False])
def test_ten_minute_bills_of_a_job_seen_from_its_launch_lose_nothing_at_midnight(
    tmp_path: Path, *, documented: bool
) -> None:
    """From 21:00 to 01:00 at $36, billed every ten minutes of running, on the minute: $108, $36."""
    world = watched_from_its_launch(
        tmp_path,
        -180,
        60,
        lambda minute: min(max(0, minute + 180), 240) // 10 * 6.0,
        90,
        documented=documented,
    )
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.01)
    assert cost(tmp_path, MIDNIGHT + 2 * HOUR) == 144
    assert world.corrections() == (0, 0)
