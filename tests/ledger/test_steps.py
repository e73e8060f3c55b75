"""Bills in steps of jobs that pause, whose price is unknown or read late, or whose answers are old.

All run from 21:00 to 01:00 at $36 an hour, $0.60 a minute; what is expected was worked out by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.test_bills import HOUR, MIDNIGHT, MINUTE, bills, cost, watched_from_its_launch, world_at
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period

START, END = -180, 60
"""Minutes after midnight."""
DIALECTS = pytest.mark.parametrize("documented", [True, False], ids=["documented", "deployed"])


def in_steps(step: int, ran: Callable[[float], float]) -> Callable[[float], float]:
    """Return what is billed at a minute, for each whole step of the minutes that a job ran."""
    return lambda minute: ran(minute) // step * step * 0.6


def throughout(minute: float) -> float:
    """Return for how many minutes a job has run that never pauses."""
    return min(max(0, minute - START), END - START)


def paused(minute: float) -> float:
    """Return the same of one that pauses from 22:00 to 23:00."""
    return min(max(0, minute - START), 60) + min(max(0, minute + 60), 120)


def watched(
    folder: Path,
    billed: Callable[[float], float],
    *,
    documented: bool,
    price: Callable[[float], float | None] = lambda _: 36.0,
) -> LedgerWorld:
    """See the job each minute until half an hour after its end."""
    return watched_from_its_launch(
        folder, START, END, billed, END + 30, documented=documented, price=price
    )


@DIALECTS
@pytest.mark.parametrize("price", [36.0, 0.0], ids=["same-price", "free"])
def test_a_pause_stays_where_it_was(tmp_path: Path, price: float, *, documented: bool) -> None:
    """$36 before the pause, nothing in it, $36 from 23:00 to midnight, $36 from then on.

    Bills come a minute late, so that after the pause a minute's worth may be on either side.
    """
    world = watched(
        tmp_path,
        lambda minute: in_steps(10, paused)(minute - 1),
        documented=documented,
        price=lambda minute: price if -120 <= minute < -60 else 36.0,
    )
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT - HOUR) == pytest.approx(36, abs=0.61)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(72, abs=0.61)
    assert cost(tmp_path, MIDNIGHT + 2 * HOUR) == pytest.approx(108)


@DIALECTS
def test_hourly_bills_without_any_price_are_spread_since_the_one_before(
    tmp_path: Path, *, documented: bool
) -> None:
    """$36 each at 22:01, 23:03, 00:03, and after the end: at midnight $72 + $36 × 57/60 = $106.20.

    The last one is no correction, as it is no more than the bills before.
    """
    world = watched(
        tmp_path,
        bills((-119, 36.0), (-57, 72.0), (3, 108.0), (63, 144.0)),
        documented=documented,
        price=lambda _: None,
    )
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(106.2, abs=0.01)
    if documented:  # from the start on: half an hour of the first 61 minutes
        assert cost(tmp_path, MIDNIGHT - 2.5 * HOUR) == pytest.approx(36 * 30 / 61, abs=0.01)


@DIALECTS
def test_without_any_price_a_bill_after_the_end_of_more_than_was_run_is_a_correction(
    tmp_path: Path, *, documented: bool
) -> None:
    """57 minutes after the last bill, twice the pace of $36 an hour comes to $68.40 at most."""
    world = watched(
        tmp_path,
        bills((-119, 36.0), (-57, 72.0), (3, 108.0), (63, 178.0)),
        documented=documented,
        price=lambda _: None,
    )
    assert world.corrections() == pytest.approx((70, 0))


@DIALECTS
def test_a_price_that_is_read_half_an_hour_late_explains_the_first_bill(
    tmp_path: Path, *, documented: bool
) -> None:
    world = watched(
        tmp_path,
        bills((-119, 36.0), (-59, 72.0), (1, 108.0), (61, 144.0)),
        documented=documented,
        price=lambda minute: None if minute < -150 else 36.0,
    )
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.01 if documented else 0.61)


@DIALECTS
@pytest.mark.parametrize("late", [1, 2, 5])
def test_bills_that_are_minutes_late(tmp_path: Path, late: int, *, documented: bool) -> None:
    """Where the start is reported, the bills' delay is known; else midnight is off by its worth."""
    world = watched(
        tmp_path,
        lambda minute: in_steps(10, throughout)(minute - late),
        documented=documented,
    )
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(
        108, abs=0.01 + (0 if documented else 0.6 * late)
    )
    assert cost(tmp_path, MIDNIGHT + 2 * HOUR) == pytest.approx(144)


def described(minute: float, *, documented: bool) -> dict[str, Any]:
    """Return the state and the times of the job at a minute."""
    found: dict[str, Any] = {"state": "LAUNCHING" if minute < START else "RUNNING"}
    if minute >= END:
        found["state"] = "SUCCESS"
    if documented and minute >= START:
        found["started_at"] = MIDNIGHT + START * MINUTE
    if documented and minute >= END:
        found["finished_at"] = MIDNIGHT + END * MINUTE
    return found


def see(
    world: LedgerWorld, minute: float, step: int, *, documented: bool, created: float = START - 1
) -> None:
    """See the job as it is at a minute, billed in steps. The clock is the caller's."""
    job = world.job(
        cost_dollars=round(in_steps(step, throughout)(minute), 2),
        hourly_cost_dollars=36.0,
        created_at=MIDNIGHT + created * MINUTE,
        **described(minute, documented=documented),
    )
    world.see(job, counted=True)


@DIALECTS
@pytest.mark.parametrize("step", [1, 10, 60])
def test_two_servers_in_turn_of_which_one_is_two_minutes_behind(
    tmp_path: Path, step: int, *, documented: bool
) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    for now in range(START - 2, 91):
        world.now = MIDNIGHT + now * MINUTE
        minute = now - now % 2 * 2
        see(world, minute, step, documented=documented)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT - HOUR) == pytest.approx(72, abs=0.61)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.61)
    assert world.cost() == pytest.approx(144)
    assert world.wasted("billed_after_finish") == 0


@pytest.mark.usefixtures("untraced")
@DIALECTS
@pytest.mark.parametrize("step", [1, 10, 60, 240])
@pytest.mark.parametrize("behind", [1, 4])
def test_two_servers_are_asked_in_turn_every_twenty_seconds(
    tmp_path: Path, behind: int, step: int, *, documented: bool
) -> None:
    """An older answer is no other run, neither at the start nor at the end, and no correction."""
    world = world_at(tmp_path, MIDNIGHT)
    for turn in range(3 * (START - 1), 3 * (END + 30)):
        world.now = MIDNIGHT + turn * MINUTE / 3
        minute = turn / 3 - turn % 2 * behind
        see(world, minute, step, documented=documented, created=START - 6)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.01 + 0.6 * behind)
    assert world.cost() == pytest.approx(144)
    assert cost(tmp_path, world.now) == pytest.approx(144)
    assert world.wasted("billed_after_finish") == 0


@DIALECTS
@pytest.mark.parametrize("refund", [0.3, 1.5, 2.7])
def test_a_refund_of_some_minutes_worth_counts_within_three_quarters_of_an_hour(
    tmp_path: Path, refund: float, *, documented: bool
) -> None:
    """Billed by the minute, refunded at 22:00: at 22:49 it cost $65.40, less the refund."""
    budget = Budget(name="all", limit_dollars=1e6, period=Period.MONTH, zone=ZoneInfo("UTC"))
    seen: dict[float, list[float | None]] = {-71: []}
    world = watched_from_its_launch(
        tmp_path,
        START,
        END,
        lambda minute: throughout(minute) * 0.6 - (refund if minute >= -120 else 0),
        -70,
        documented=documented,
        budgets=(budget,),
        watch=seen,
    )
    assert world.corrections() == pytest.approx((0, refund), abs=0.02)
    assert seen[-71][0] == pytest.approx(109 * 0.6 - refund, abs=0.02)
    assert cost(tmp_path, MIDNIGHT - 2 * HOUR) == pytest.approx(36)
    assert cost(tmp_path, world.now) == pytest.approx(66 - refund, abs=0.61)


@DIALECTS
@pytest.mark.parametrize("late", [2, 7])
def test_a_price_that_falls_between_two_samples_and_is_read_late_is_no_correction(
    tmp_path: Path, late: int, *, documented: bool
) -> None:
    """$72 an hour until 22:30:30, $36 from then on: $108.60 and $53.70 until midnight."""
    fell = -89.5

    def billed(minute: float) -> float:
        ran = min(max(minute, START), END)
        return 1.2 * (min(ran, fell) - START) + 0.6 * max(0, ran - fell)

    world = watched(
        tmp_path,
        billed,
        documented=documented,
        price=lambda minute: 72.0 if minute < fell + late else 36.0,
    )
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108.6 + 53.7, abs=0.01)
    assert world.cost() == pytest.approx(billed(END))


def test_an_outage_while_a_job_began_to_run_is_not_launching(tmp_path: Path) -> None:
    """The deployed dialect: last seen launching at 21:00, running at 01:00 at $36 an hour: $144."""
    world = world_at(tmp_path, MIDNIGHT + START * MINUTE)
    run: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": world.now - MINUTE}
    world.open(world.job(state="LAUNCHING", cost_dollars=0.0, **run))
    world.now = MIDNIGHT + END * MINUTE
    world.see(world.job(cost_dollars=143.5, **run))
    world.now += MINUTE
    world.see(world.job(state="SUCCESS", cost_dollars=144.1, **run))
    assert world.wasted("stuck_launching") == 0
    assert world.cost() == pytest.approx(144.1)


@DIALECTS
@pytest.mark.parametrize("step", [1, 10, 60, 240])
def test_a_clock_set_back_loses_no_bill(tmp_path: Path, step: int, *, documented: bool) -> None:
    """Until 22:20 the clock is an hour fast."""
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(START - 2, 91):
        world.now = MIDNIGHT + (minute + 60 if minute < -100 else minute) * MINUTE
        see(world, minute, step, documented=documented)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.61)
    assert world.cost() == pytest.approx(144)


@DIALECTS
@pytest.mark.parametrize("seconds", [90, -90, 3600, -3600])
def test_a_clock_that_is_seen_to_be_set_corrects_nothing(
    tmp_path: Path, seconds: int, *, documented: bool
) -> None:
    """Billed by the minute, at $36 an hour: $144 for four hours, whatever the clock says.

    Set three times from 22:00 to 22:20, and right again from 23:00 on.
    """
    world = world_at(tmp_path, MIDNIGHT + (START - 2) * MINUTE)
    for minute in range(START - 2, 91):
        see(world, minute, 1, documented=documented)
        world.now += MINUTE
        if minute in {-120, -110, -100}:
            world.set_clock(seconds)
        if minute == -60:
            world.set_clock(-3 * seconds)
    assert world.corrections() == (0, 0)
    assert world.cost() == pytest.approx(144)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.61)
    assert cost(tmp_path, world.now) == pytest.approx(144)


def test_a_suspended_machine_looks_like_a_clock_set_ahead_and_its_jobs_are_billed_meanwhile(
    tmp_path: Path,
) -> None:
    """$36 an hour for an hour before and an hour while suspended, all of it spent in that time."""
    world = world_at(tmp_path, MIDNIGHT - 2 * HOUR)
    run: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": world.now}
    world.open(world.job(cost_dollars=0.0, **run))
    for minute in range(1, 61):
        world.now += MINUTE
        world.see(world.job(cost_dollars=0.6 * minute, **run))
    world.set_clock(HOUR)
    world.now += MINUTE
    world.see(world.job(cost_dollars=72.6, **run))
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT - HOUR / 2) == pytest.approx(54, abs=0.01)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(72, abs=0.01)


@pytest.mark.parametrize(
    ("reported", "whole"),
    [(3.0, 147.0), (108.0, 144.0), (150.0, 150.0)],
    ids=["begins-at-zero", "refunded", "goes-on"],
)
def test_a_job_that_is_alive_again_costs_more_only_by_what_its_new_run_can_have_cost(
    tmp_path: Path, reported: float, whole: float
) -> None:
    """It was over at $144. In half an hour a new run costs $18, which $108 cannot be."""
    world = world_at(tmp_path, MIDNIGHT)
    world.open(world.job(state="SUCCESS", cost_dollars=144.0, hourly_cost_dollars=36.0))
    world.now += HOUR / 2
    world.see(world.job(cost_dollars=reported, hourly_cost_dollars=36.0))
    world.now += MINUTE
    world.see(world.job(cost_dollars=reported, hourly_cost_dollars=36.0))
    assert world.cost() == pytest.approx(whole)


def test_a_job_that_is_launched_minutes_after_it_failed_is_in_another_run(tmp_path: Path) -> None:
    """$12 for twenty minutes. A minute later it is launched again, and fails with a cost of $1.20.

    It had run for longer than any answer is old, so that no older answer shows it launching.
    """
    world = world_at(tmp_path, MIDNIGHT)
    run: dict[str, Any] = {"hourly_cost_dollars": 36.0, "created_at": MIDNIGHT}
    for minute in range(27):
        world.now = MIDNIGHT + minute * MINUTE
        state = "FAILED" if minute in {20, 26} else "LAUNCHING" if minute > 20 else "RUNNING"
        state = "RUNNING" if minute in {24, 25} else state
        dollars = 0.6 * min(minute, 20) if minute <= 20 else 0.6 * max(0, minute - 24)
        world.see(world.job(state=state, cost_dollars=dollars, **run), counted=True)
    assert world.cost() == pytest.approx(13.2)
    assert world.corrections() == (0, 0)


def test_an_amount_that_a_second_report_confirms_counts_from_when_it_was_first_reported(
    tmp_path: Path,
) -> None:
    """$3.60 an hour when seen at 15:00, ten times that from then to 21:00, over at 09:00.

    $216 more at 21:00 are too much to be believed at once. When $217.80 bear it out, all but what
    half an hour at $3.60 came to after 21:00 was October's, and half an hour was all it ran then.
    """
    world = world_at(tmp_path, MIDNIGHT - 9 * HOUR)
    created: dict[str, Any] = {"hourly_cost_dollars": 3.6, "created_at": world.now - HOUR}
    world.open(world.job(cost_dollars=3.6, **created))
    world.now += 6 * HOUR
    world.see(world.job(cost_dollars=219.6, **created))
    assert world.cost() == pytest.approx(3.6)
    world.now += 12 * HOUR
    world.see(world.job(state="SUCCESS", cost_dollars=221.4, **created))
    assert world.cost() == pytest.approx(221.4)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(221.4)


@DIALECTS
@pytest.mark.parametrize("step", [10, 60])
@pytest.mark.parametrize("away", [(-17, 17), (-35, 25), (-65, 5), (-5, 50), (-90, 40)])
def test_bills_in_steps_while_the_exporter_was_away_around_midnight(
    tmp_path: Path, away: tuple[int, int], step: int, *, documented: bool
) -> None:
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(START - 2, 91):
        if away[0] < minute < away[1]:
            continue
        world.now = MIDNIGHT + minute * MINUTE
        see(world, minute, step, documented=documented)
    assert world.corrections() == (0, 0)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.61)
    assert cost(tmp_path, world.now) == pytest.approx(144)


@DIALECTS
@pytest.mark.parametrize("offset", [0, 4, 14])
@pytest.mark.parametrize("step", [10, 20, 60])
def test_bills_that_come_between_looks_are_off_by_no_more_than_one(
    tmp_path: Path, step: int, offset: int, *, documented: bool
) -> None:
    """Looked at every quarter of an hour: when a bill came is known to a quarter of an hour."""
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(START - 15 + offset, 91, 15):
        world.now = MIDNIGHT + minute * MINUTE
        see(world, minute, step, documented=documented, created=START - 20)
    assert sum(world.corrections()) == pytest.approx(0, abs=0 if step > 15 else 0.3 * step)
    assert cost(tmp_path, MIDNIGHT) == pytest.approx(108, abs=0.6 * min(step, 15))
    assert cost(tmp_path, world.now) == pytest.approx(144)


@pytest.mark.parametrize("ran", [2, 4, 5, 8])
def test_a_crash_loop_counts_each_of_its_runs(tmp_path: Path, ran: int) -> None:
    """Twenty runs, each billed from zero by the minute, none of whose starts is reported."""
    world = world_at(tmp_path, MIDNIGHT)
    for minute in range(20 * (ran + 2)):
        world.now = MIDNIGHT + minute * MINUTE
        passed = minute % (ran + 2)
        job = world.job(
            state="RUNNING" if passed < ran else "FAILED",
            cost_dollars=0.6 * min(passed, ran),
            hourly_cost_dollars=36.0,
            created_at=MIDNIGHT,
        )
        world.see(job, counted=True)
    assert world.cost() == pytest.approx(20 * 0.6 * ran)
    assert cost(tmp_path, world.now) == pytest.approx(20 * 0.6 * ran)
    assert world.corrections() == (0, 0)
