"""Bills of jobs whose start or end nobody reports, though it may have been seen.

All cost $36 an hour, $0.60 a minute, where nothing else is said; values were worked out by hand.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.test_bills import MIDNIGHT, MINUTE, cost, world_at
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period, Store
from trainwave_exporter.ledger.billing.bounds import cost_before, queue_bound
from trainwave_exporter.ledger.billing.units import dollars, milliseconds
from trainwave_exporter.model import BudgetStatus

DIALECTS = pytest.mark.parametrize("documented", [True, False], ids=["documented", "deployed"])
DAY = Budget(name="all", limit_dollars=9e3, period=Period.DAY, zone=ZoneInfo("UTC"))


class Run:
    """A job that is created, starts and ends, minutes after midnight."""

    def __init__(self, created: float, started: float, ended: float, *, documented: bool) -> None:
        self.created, self.started, self.ended = created, started, ended
        self.documented = documented

    def see(self, world: LedgerWorld, minute: float, billed: float, price: float = 36.0) -> None:
        """See it at a minute."""
        world.now = MIDNIGHT + minute * MINUTE
        times: dict[str, Any] = {"created_at": MIDNIGHT + self.created * MINUTE}
        state = "LAUNCHING" if minute < self.started else "RUNNING"
        if minute >= self.ended:
            state = "SUCCESS"
        if self.documented and minute >= self.started:
            times["started_at"] = MIDNIGHT + self.started * MINUTE
        if self.documented and minute >= self.ended:
            times["finished_at"] = MIDNIGHT + self.ended * MINUTE
        described = {"cost_dollars": billed, "hourly_cost_dollars": price, **times}
        world.see(world.job(state=state, **described), counted=True)


def bounds(folder: Path, minute: float) -> tuple[float, float]:
    """Return between which amounts it had cost by a minute."""
    with closing(Store.open_for_reading(folder)) as store:
        history = store.history("j-1")
    assert history is not None
    found = cost_before(history, milliseconds(MIDNIGHT + minute * MINUTE), queue_bound(None))
    return dollars(found.lower), dollars(found.upper)


@DIALECTS
@pytest.mark.parametrize("step", [10, 60, 1000])
def test_what_a_job_waits_is_not_accrued(tmp_path: Path, step: int, *, documented: bool) -> None:
    """It is launched for an hour, and runs from 2:00 on: at 3:25, 85 minutes cost $51."""
    run = Run(60, 120, 500, documented=documented)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in range(60, 206):
        run.see(world, minute, max(0, minute - 120) // step * step * 0.6)
        world.tick(15)
        if minute >= 122:
            shown = world.one(BudgetStatus)
            assert shown.spent_dollars == pytest.approx(0.6 * (minute - 119.75), abs=0.61)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(51.15, abs=0.61)
    assert world.corrections() == (0, 0)


@DIALECTS
@pytest.mark.parametrize("late", [0, 10, 100])
def test_a_bill_after_the_end_is_also_for_the_time_before_the_first_look(
    tmp_path: Path, late: int, *, documented: bool
) -> None:
    """It runs from 22:30 to 1:30 and is first seen at 0:30: of $108, $54 are October's."""
    run = Run(-120, -90, 90, documented=documented)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(30, 91 + late + 5):
        run.see(world, minute, 108.0 if minute >= 90 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((54, 54), abs=0.01)
    assert cost(tmp_path, world.now + 1) == pytest.approx(108)
    assert world.corrections() == (0, 0)


@DIALECTS
@pytest.mark.parametrize("first", [28, 29])
def test_a_bill_right_after_the_first_look_is_for_the_hour_before_it(
    tmp_path: Path, first: int, *, documented: bool
) -> None:
    """It starts at 21:30 and is billed hourly, also at 0:30: $90 are October's."""
    run = Run(-160, -150, 500, documented=documented)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(first, 160):
        run.see(world, minute, (minute + 150) // 60 * 36.0)
    assert bounds(tmp_path, 0) == pytest.approx((90, 90), abs=0.01)
    assert world.corrections() == (0, 0)


@DIALECTS
@pytest.mark.parametrize("late", [0, 10])
@pytest.mark.parametrize("waited", [0, 60])
def test_a_price_that_falls_before_the_first_bill_takes_nothing_from_what_was_run(
    tmp_path: Path, waited: int, late: int, *, documented: bool
) -> None:
    """$72 an hour from 22:00, $36 from 23:00 to 1:00: $72 + $36 are October's, of $144."""
    run = Run(-120 - waited, -120, 60, documented=documented)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in range(-120 - waited, 61 + late + 5):
        price = 72.0 if minute < -60 else 36.0
        run.see(world, minute, 144.0 if minute >= 60 + late else 0.0, price)
        if minute == -30:
            world.tick(15)
            shown = world.one(BudgetStatus)
            assert shown.spent_dollars == pytest.approx(90.15, abs=1.21)
    assert bounds(tmp_path, 0) == pytest.approx((108, 108), abs=1.21)
    assert cost(tmp_path, world.now + 1) == pytest.approx(144)
    assert world.corrections() == (0, 0)


@DIALECTS
@pytest.mark.parametrize("late", [0, 700])
def test_a_job_that_was_seen_to_start_is_billed_from_then_on(
    tmp_path: Path, late: int, *, documented: bool
) -> None:
    """It starts at 22:00 and costs $54 by 23:30; away from 22:10 to 12:00."""
    run = Run(-180, -120, -30, documented=documented)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in (*range(-180, -110), *range(720, 720 + late + 5)):
        run.see(world, minute, 54.0 if minute >= 720 + late else 0.0)
    assert bounds(tmp_path, -60) == pytest.approx((36, 36), abs=0.01)
    assert bounds(tmp_path, 0) == pytest.approx((54, 54), abs=0.01)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("looks", [1, 10])
@pytest.mark.parametrize("late", [0, 100])
def test_a_run_of_which_neither_end_was_seen_has_bounds(
    tmp_path: Path, late: int, looks: int
) -> None:
    """Created at 21:00, seen to run from 22:00 on; over at 12:00 at $126, which are 3½ hours.

    So it ended between 0:30 and 1:30: 2 to 3 hours are October's.
    """
    run = Run(-180, -150, 60, documented=False)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in (*range(-120, -120 + looks), *range(720, 720 + late + 5)):
        run.see(world, minute, 126.0 if minute >= 720 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((72, 108), abs=0.01)
    assert bounds(tmp_path, -130) == pytest.approx((0, 30), abs=0.01)
    assert bounds(tmp_path, 100) == pytest.approx((126, 126), abs=0.01)


@pytest.mark.parametrize("late", [0, 10])
def test_a_bill_that_comes_at_the_end_may_be_for_the_launch_as_well(
    tmp_path: Path, late: int
) -> None:
    """Launched at 22:30, running from 23:30 to 1:00: $90 at $36 an hour are for 2½ hours."""
    run = Run(-90, -30, 60, documented=False)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(-90, 61 + late + 5):
        run.see(world, minute, 90.0 if minute >= 60 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((54, 54), abs=0.61)
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("late", [0, 100])
@pytest.mark.parametrize("looks", [1, 10, 60])
def test_a_run_that_nobody_saw_of_a_job_that_was_seen_to_wait_has_bounds(
    tmp_path: Path, late: int, looks: int
) -> None:
    """Seen to wait until 22:00; over at 12:00, at $126, which are 3½ hours.

    It began after 22:00, and ended before 12:00: at most two hours are October's.
    """
    run = Run(-180, -110, 100, documented=False)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in (*range(-119 - looks, -119), *range(720, 720 + late + 5)):
        run.see(world, minute, 126.0 if minute >= 720 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((0, 72), abs=0.01)
    assert bounds(tmp_path, 90) == pytest.approx((0, 126), abs=0.01)
    assert bounds(tmp_path, 660) == pytest.approx((90, 126), abs=0.01)
    assert bounds(tmp_path, 721) == pytest.approx((126, 126), abs=0.01)


@pytest.mark.parametrize("late", [0, 100])
def test_a_run_between_two_looks_is_exact(tmp_path: Path, late: int) -> None:
    """It waits until midnight and runs for two minutes at $36 an hour: $1.20."""
    run = Run(-180, 0, 2, documented=False)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in (*range(-180, 0), *range(3, 10 + late)):
        run.see(world, minute, 1.2 if minute >= 3 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((0, 0), abs=0.01)
    assert bounds(tmp_path, 4) == pytest.approx((1.2, 1.2))
    assert world.corrections() == (0, 0)


def test_a_start_that_nobody_saw_leaves_bounds_of_what_is_accrued(tmp_path: Path) -> None:
    """Seen to wait at 1:00 and to run from 2:00 on, without a bill: at 3:00 $36 to $72."""
    run = Run(0, 90, 600, documented=False)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in (*range(61), *range(120, 181)):
        run.see(world, minute, 0.0)
    world.tick(15)
    shown = world.one(BudgetStatus)
    assert shown.spent_dollars is None
    found = shown.spent_lower_dollars, shown.spent_upper_dollars
    assert found == pytest.approx((36.15, 72.15), abs=0.01)


def test_a_job_first_seen_after_its_end_accrues_until_its_bill_comes(tmp_path: Path) -> None:
    """It ran from 23:00 to 1:00 and is first seen at 1:30: $36 of its $72 are of this day."""
    run = Run(-70, -60, 60, documented=True)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute, billed, spent in ((90, 0, 36), (170, 0, 36), (175, 72, 36)):
        run.see(world, minute, billed)
        world.tick(15)
        assert world.one(BudgetStatus).spent_dollars == pytest.approx(spent, abs=0.01)
    without = LedgerWorld(tmp_path / "other", now=MIDNIGHT, budgets=(DAY,))
    run.see(without, 181, 0)
    without.tick(15)
    assert without.one(BudgetStatus).spent_dollars == 0


@DIALECTS
@pytest.mark.parametrize("late", [5, 90])
def test_a_last_bill_after_midnight_is_of_the_day_before_in_a_budget_as_well(
    tmp_path: Path, late: int, *, documented: bool
) -> None:
    """It runs from 23:00 to 23:50; the last half minute, $0.30, is billed after midnight."""
    run = Run(-65, -60, -10, documented=documented)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in range(-65, late + 5):
        run.see(world, minute, 30.0 if minute >= late else 0.6 * min(49.5, max(0, minute + 60)))
        world.tick(15)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(0, abs=0.01)
    assert bounds(tmp_path, 0) == pytest.approx((30, 30), abs=0.01)


@DIALECTS
def test_a_refund_between_two_bills_leaves_what_is_not_billed_yet(
    tmp_path: Path, *, documented: bool
) -> None:
    """Billed hourly from 22:00 on; at 0:30, $20 of $72 are refunded, and $18 are not billed yet.

    So this day, $18 less $20 by then, and $36 less $20 with the bill of 1:00.
    """
    run = Run(-125, -120, 500, documented=documented)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    shown = {}
    for minute in range(-125, 100):
        refunded = 20.0 if minute >= 30 else 0.0
        run.see(world, minute, max(0, minute + 120) // 60 * 36.0 - refunded)
        world.tick(15)
        shown[minute] = world.one(BudgetStatus).spent_dollars
    assert (shown[32], shown[58], shown[62]) == pytest.approx((-0.65, 14.95, 17.35), abs=0.61)
    assert world.corrections() == pytest.approx((0, 20))


def test_what_was_taken_back_of_a_job_that_ended_unseen_has_bounds(tmp_path: Path) -> None:
    """It runs from 1:00 to 3:00, $72, is seen at 2:00 with $36 and a day later with $70.

    The $2 were taken back before 2:30, before 3:00, or after that: $54 and $72 are the most, and $2
    less the least. Once it was seen, $70 is what it cost.
    """
    world = world_at(tmp_path, MIDNIGHT)
    run = Run(60, 60, 180, documented=True)
    for minute, billed in ((61, 0.6), (120, 36.0), (1620, 70.0)):
        run.see(world, minute, billed)
    for minute, most in ((150, 54.0), (180, 72.0), (1440, 72.0)):
        assert bounds(tmp_path, minute) == pytest.approx((most - 2, most), abs=0.02)
    assert bounds(tmp_path, 1621) == pytest.approx((70, 70))
    assert bounds(tmp_path, 120) == pytest.approx((36, 36), abs=0.02)


@pytest.mark.parametrize("look", [-20, -5])
def test_a_price_that_was_cheaper_before_the_first_look_leaves_bounds_before_it(
    tmp_path: Path, look: int
) -> None:
    """$18 an hour from 21:30, $36 from 23:00, billed hourly until 1:00: $108.

    The bill of 0:30, $90, is not what 3 hours cost at $36. So $60 or $69 are of the time before the
    first look, at no more than $72 an hour, and $72 of the time before midnight.
    """
    run = Run(-160, -150, 60, documented=True)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in range(look, 70):
        hours = (min(minute, 60) + 150) // 60
        run.see(world, minute, 108.0 if minute >= 60 else 36.0 * hours - 18)
        world.tick(15)
        if minute > 30:
            assert bounds(tmp_path, 0) == pytest.approx((72, 72), abs=0.61)
            spent = 0.6 * (min(minute, 60) + 0.25 * (minute < 60))
            assert world.one(BudgetStatus).spent_dollars == pytest.approx(spent, abs=0.61)
    cost = 72 + 0.6 * look
    assert bounds(tmp_path, -90) == pytest.approx(
        (max(0, cost - 1.2 * (look + 90)), cost), abs=0.61
    )
    assert world.corrections() == (0, 0)


@pytest.mark.parametrize("late", [0, 5])
def test_a_bill_at_the_end_that_falls_short_has_bounds_before_the_first_look(
    tmp_path: Path, late: int
) -> None:
    """$18 an hour from 21:00, $36 from 23:00, billed when it ends at 1:00: $108 of 4 hours.

    First seen at 23:30: $54 are of the time since, and $54 of the time before, if it was cheaper
    then; or $36 were taken back at any time.
    """
    run = Run(-190, -180, 60, documented=True)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(-30, 70 + late):
        run.see(world, minute, 108.0 if minute >= 60 + late else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((72, 108), abs=0.01)
    assert bounds(tmp_path, -90) == pytest.approx((0, 54), abs=0.01)
    assert bounds(tmp_path, -45) == pytest.approx((36, 81), abs=0.01)
    assert bounds(tmp_path, 61) == pytest.approx((108, 108), abs=0.01)
    assert world.corrections() == (0, 0)


def test_a_price_that_was_dearer_before_the_first_look_is_no_correction(tmp_path: Path) -> None:
    """$72 an hour from 21:30, $36 from 22:30, billed hourly until 1:00: $162; first seen at 23:40.

    $108 are billed then, more than 130 minutes cost; the bill of 0:30 makes that $114.
    """
    run = Run(-160, -150, 60, documented=True)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(-20, 70):
        hours = (min(minute, 60) + 150) // 60
        run.see(world, minute, 162.0 if minute >= 60 else 36.0 * hours + 36)
    assert bounds(tmp_path, 0) == pytest.approx((126, 126), abs=0.61)
    assert bounds(tmp_path, -20) == pytest.approx((114, 114), abs=0.61)
    assert world.corrections() == (0, 0)


def test_a_late_bill_of_a_job_that_was_dearer_before_anybody_saw_it_is_no_correction(
    tmp_path: Path,
) -> None:
    """It ran from 21:00 to 1:00, $144 at $36 an hour, and is billed $198 an hour after it ended.

    That is $49.50 an hour: no more than twice as much, $99, are of the hour after midnight.
    """
    run = Run(-190, -180, 60, documented=True)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(70, 130):
        run.see(world, minute, 198.0 if minute >= 120 else 0.0)
    assert bounds(tmp_path, 0) == pytest.approx((99, 198))
    assert bounds(tmp_path, 61) == pytest.approx((198, 198))
    assert world.corrections() == (0, 0)


def test_an_end_that_nobody_saw_leaves_bounds_of_what_is_accrued(tmp_path: Path) -> None:
    """Seen to start at 22:00 and to run until 1:00, and over at 3:00, without a bill so far.

    So one to three hours of this day are to be billed.
    """
    run = Run(-130, -120, 90, documented=False)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in (*range(-130, 61), *range(180, 185)):
        run.see(world, minute, 0.0)
    world.tick(15)
    shown = world.one(BudgetStatus)
    found = shown.spent_lower_dollars, shown.spent_upper_dollars
    assert found == pytest.approx((36, 108), abs=0.61)
    for minute in range(185, 190):
        run.see(world, minute, 126.0)
    world.tick(15)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(54, abs=0.61)


def test_a_run_that_nobody_saw_may_have_had_two_prices(tmp_path: Path) -> None:
    """Seen to wait until 23:30; it ran from 23:54 at $36, and from 0:13 to 0:22 at $72: $22.20."""
    run = Run(-60, -6, 22, documented=True)
    world = world_at(tmp_path, MIDNIGHT)
    for minute in (*range(-60, -29), *range(720, 725)):
        run.see(world, minute, 22.2 if minute > 0 else 0.0, 72.0 if minute > 0 else 36.0)
    for minute, billed in ((-6, 0.0), (0, 3.6), (15, 13.8), (22, 22.2)):
        assert bounds(tmp_path, minute) == pytest.approx((billed, billed), abs=0.01)
    assert world.corrections() == (0, 0)


def test_of_a_job_that_may_be_behind_the_bill_counts_and_the_rest_is_accrued(
    tmp_path: Path,
) -> None:
    """It runs at $36 from 22:00 on, and shows $36 from 23:30 to 0:30.

    The bill is for an hour, or for 90 minutes in which it was cheaper. In the half hour of this
    day it owes $18 in any case.
    """
    run = Run(-130, -120, 600, documented=True)
    world = LedgerWorld(tmp_path, now=MIDNIGHT, budgets=(DAY,))
    for minute in range(-30, 31):
        run.see(world, minute, 36.0)
    assert bounds(tmp_path, -60) == pytest.approx((0, 36), abs=0.01)
    assert bounds(tmp_path, 0) == pytest.approx((36, 36), abs=0.01)
    world.tick(15)
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(18.15, abs=0.01)
