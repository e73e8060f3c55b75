"""Dollars of waste, worked out by hand: partial answers, late bills, prices that change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import Store, WasteRules, milliseconds
from trainwave_exporter.ledger.billing.idleness import assess
from trainwave_exporter.ledger.billing.job_entry import (
    IdleInterval,
    JobEntry,
    Peaks,
    UtilizationBucket,
)
from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.model import (
    Activity,
    Job,
    Point,
    Quantity,
    Reading,
    Readings,
    Spend,
    Waste,
)

MINUTE = 60.0
MINUTES = 60_000
AT = milliseconds(START)
Billing = Callable[[float], float]
"""Returns the dollars billed to a job by a minute of its life."""


def devices(world: LedgerWorld, **used: float) -> Readings:
    points = [Point(value, name.removeprefix("gpu")) for name, value in used.items()]
    return Readings(gpu_utilization=Reading.of(Quantity.RATIO, points, world.now))


class WatchedJob:
    """One job on eight GPUs at $36 an hour, seen every minute from its start on."""

    def __init__(self, folder: Path | None = None, **fields: Any) -> None:
        self.world = LedgerWorld(folder)
        self.world.open()
        self.fields = {"gpus": 8.0, "hourly_cost_dollars": 36.0, "started_at": START} | fields

    @property
    def minute(self) -> float:
        return (self.world.now - START) / MINUTE

    def see(self, state: str = "RUNNING", /, **fields: Any) -> None:
        self.world.see(self.world.job("j-1", state, **(self.fields | fields)))

    def run(self, until: float, billing: Billing, used: float = 0.0, **fields: Any) -> None:
        """Let the job run, idle or ``used``, with a reading a minute, until before a minute."""
        while self.minute < until:
            known: dict[str, Any] = {
                "cost_dollars": billing(self.minute),
                "gpu_hours": 8 * self.minute / 60,
                "readings": self.world.busy(used),
            }
            self.see(**(known | fields))
            self.world.now += MINUTE

    def spend(self) -> Spend:
        self.world.tick(OPENING / 1000)
        return self.world.one(Spend)

    def waste(self) -> dict[Waste, float]:
        return {reason: round(dollars, 6) for reason, dollars in self.spend().waste_dollars.items()}

    def entry(self) -> JobEntry:
        ledger_state = self.world.writer._state
        assert ledger_state is not None
        entry = ledger_state.entry("j-1")
        assert entry is not None
        return entry


def only(idle: float = 0.0, stuck: float = 0.0, late: float = 0.0) -> dict[Waste, float]:
    return {
        Waste.GPU_IDLE: idle,
        Waste.STUCK_LAUNCHING: stuck,
        Waste.BILLED_AFTER_FINISH: late,
    }


# Late bills. A job runs for 30 minutes and is idle all the time. Of these, 10 are its warm-up and
# one lies after its last reading: 19 minutes at $36 an hour are $11.40 of $18.00.


def at_once(minute: float) -> float:
    return 0.6 * min(minute, 30)


def in_steps(length: float) -> Billing:
    return lambda minute: 0.6 * min(minute // length * length, 30)


def after(end: float) -> Billing:
    return lambda minute: 18.0 if minute >= end else 0.0


def in_cents(billing: Billing) -> Billing:
    """Round to cents, as the API does."""
    return lambda minute: round(billing(minute), 2)


def test_gpu_time_of_a_job_that_uploads_is_unknown_at_once() -> None:
    """Busy for 9 minutes (1.2 GPU hours), and 11 minutes later it uploads: nothing is read then."""
    watched = WatchedJob()
    watched.run(10, at_once, used=0.9)
    last = watched.world.busy(0.9, at=watched.world.now - MINUTE)
    watched.world.now = START + 20 * MINUTE
    watched.see("UPLOADING", cost_dollars=12.0, gpu_hours=8 / 3, readings=last)
    activity = watched.spend().activity_gpu_hours
    assert activity == pytest.approx(
        {Activity.IDLE: 0, Activity.BUSY: 1.2, Activity.UNKNOWN: 8 / 3 - 1.2}
    )


@pytest.mark.parametrize("finished_at", [START + 30 * MINUTE, None])
@pytest.mark.parametrize("gpu_hours_late", [False, True])
@pytest.mark.parametrize(
    "billing",
    [
        pytest.param(at_once, id="at-once"),
        pytest.param(in_steps(10), id="every-ten-minutes"),
        pytest.param(lambda m: in_steps(10)(max(0, m - 4)), id="every-ten-minutes-four-late"),
        pytest.param(in_steps(30), id="with-the-end"),
        pytest.param(after(31), id="a-minute-after-the-end"),
        pytest.param(after(60), id="at-the-full-hour"),
        pytest.param(after(90), id="an-hour-after-the-end"),
        pytest.param(lambda m: 12.0 if 20 <= m < 60 else after(60)(m), id="in-two-parts"),
    ],
)
def test_idle_time_becomes_waste_in_full_however_late_it_is_billed(
    billing: Billing, gpu_hours_late: bool, finished_at: float | None
) -> None:
    watched = WatchedJob()
    fields = {"gpu_hours": 0.0} if gpu_hours_late else {}
    watched.run(30, in_cents(billing), **fields)
    while watched.minute < 120:
        cost = in_cents(billing)(watched.minute)
        watched.see("SUCCESS", cost_dollars=cost, gpu_hours=4.0, finished_at=finished_at)
        assert watched.entry().totals.waste_idle <= watched.entry().totals.cost
        watched.world.now += MINUTE
    assert watched.waste() == only(idle=11.4)
    hours = watched.spend().activity_gpu_hours
    assert hours[Activity.IDLE] == pytest.approx(8 * 19 / 60, abs=1e-6)
    assert hours[Activity.BUSY] == pytest.approx(8 * 10 / 60, abs=1e-6)
    assert hours[Activity.UNKNOWN] == pytest.approx(8 * 1 / 60, abs=1e-6)


def test_idle_time_waits_for_its_own_bill() -> None:
    """Twelve minutes of work are billed; what is idle after them is not, before it is."""
    watched = WatchedJob(started_at=START - 30 * MINUTE)
    fields: dict[str, Any] = {"gpu_hours": 4.0}
    watched.see(cost_dollars=18.0, readings=watched.world.busy(0.9), **fields)
    watched.world.now += MINUTE
    while watched.minute < 10:
        watched.see(cost_dollars=18.0, readings=watched.world.busy(0.0), **fields)
        watched.world.now += MINUTE
    assert watched.waste() == only()
    assert watched.entry().idle_estimate.idle_value == pytest.approx(8 * 600_000, abs=1)
    watched.see(cost_dollars=24.0, readings=watched.world.busy(0.0), gpu_hours=4 + 8 * 12.5 / 60)
    assert watched.waste() == only(idle=5.4)


def test_what_no_bill_covers_is_no_waste() -> None:
    """The last ten minutes are never billed: ten idle ones at $36 an hour are."""
    watched = WatchedJob()
    watched.run(30, in_cents(in_steps(10)))
    for _ in range(60):
        watched.see("SUCCESS", cost_dollars=12.0, gpu_hours=4.0, finished_at=START + 30 * MINUTE)
        watched.world.now += MINUTE
    assert watched.waste() == only(idle=6.0)


def test_a_job_that_was_already_running_is_billed_for_what_it_ran_before() -> None:
    """It ran for an hour before the exporter started, idle or not, and is billed at its end."""
    watched = WatchedJob(started_at=START - 60 * MINUTE)
    watched.run(20, lambda _: 0.0, gpu_hours=0.0)
    watched.see("SUCCESS", cost_dollars=0.0, gpu_hours=8 * 80 / 60)
    watched.world.now += 10 * MINUTE
    watched.see("SUCCESS", cost_dollars=48.0, gpu_hours=8 * 80 / 60)
    assert watched.waste() == only(idle=19 * 0.6)


# Prices


@pytest.mark.parametrize(
    ("changed", "reported", "idle"),
    [
        (20, 20, 6.0 + 10.8),  # ten idle minutes at $36 an hour and nine at $72
        (20, 21, 6.0 + 10.8),
        (20.5, 21, 6.3 + 10.2),
        # Only after the cost has grown twice as fast for some minutes.
        (20, 23, 6.0 + 10.8),
        (15.5, 26, 3.3 + 16.2),
    ],
)
def test_waste_of_an_hour_is_valued_at_the_price_of_that_hour(
    changed: float, reported: float, idle: float
) -> None:
    def cost(minute: float) -> float:
        return 0.6 * minute + 0.6 * max(0, minute - changed)

    watched = WatchedJob()
    watched.run(reported, cost)
    watched.fields["hourly_cost_dollars"] = 72.0
    watched.run(30, cost)
    finished = {"gpu_hours": 4.0, "finished_at": START + 30 * MINUTE}
    watched.see("SUCCESS", cost_dollars=cost(30), **finished)
    assert watched.waste() == only(idle=idle)


def test_a_price_that_doubles_halves_nothing_that_is_billed_at_the_end() -> None:
    watched = WatchedJob()
    watched.run(20, lambda _: 0.0)
    watched.fields["hourly_cost_dollars"] = 72.0
    watched.run(30, lambda _: 0.0)
    watched.see("SUCCESS", cost_dollars=24.0, gpu_hours=4.0, finished_at=START + 30 * MINUTE)
    assert watched.waste() == only(idle=16.8)


def test_a_price_that_falls_is_known_from_the_bill_as_well() -> None:
    """Ten idle minutes at $36 an hour and nine at $18."""

    def cost(minute: float) -> float:
        return 0.6 * minute - 0.3 * max(0, minute - 20)

    watched = WatchedJob()
    watched.run(21, cost)
    watched.fields["hourly_cost_dollars"] = 18.0
    watched.run(30, cost)
    finished = {"gpu_hours": 4.0, "finished_at": START + 30 * MINUTE}
    watched.see("SUCCESS", cost_dollars=cost(30), **finished)
    assert watched.waste() == only(idle=6.0 + 2.7)


def test_idle_time_that_is_billed_in_advance_is_covered_at_once() -> None:
    """Half an hour is billed at its begin; the price doubles after 20 minutes."""
    watched = WatchedJob(started_at=None)
    watched.see("LAUNCHING", cost_dollars=0.0, gpu_hours=0.0)
    watched.world.now += MINUTE
    watched.fields["started_at"] = START + MINUTE
    watched.run(21, lambda _: 18.0)
    # From the end of the warm-up at minute 11 to the last reading at 20.
    assert watched.waste() == only(idle=5.4)
    watched.world.now = START + 21 * MINUTE
    watched.fields["hourly_cost_dollars"] = 72.0
    watched.run(31, lambda _: 24.0)
    watched.see("SUCCESS", cost_dollars=24.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=6.0 + 10.8)


def test_a_reading_that_comes_after_a_price_change_is_valued_at_both_prices() -> None:
    """Idle readings at minutes 15 and 19, the new price at 17: two minutes at each."""
    watched = WatchedJob()
    watched.run(15, lambda _: 0.0, readings=Readings())
    for minute in (15, 17, 19):
        watched.world.now = START + minute * MINUTE
        if minute == 17:
            watched.fields["hourly_cost_dollars"] = 72.0
        readings = watched.world.busy(0.0) if minute != 17 else Readings()
        watched.see(cost_dollars=0.0, gpu_hours=0.0, readings=readings)
    assert watched.entry().idle_estimate.idle_value == 1_200_000 + 2_400_000


def test_idle_time_without_a_price_is_valued_as_soon_as_there_is_one() -> None:
    watched = WatchedJob(hourly_cost_dollars=None)
    watched.run(25, lambda minute: 0.6 * minute)
    assert watched.waste() == only()
    assert watched.entry().idle_estimate.unpriced_idle == 8 * 14 * MINUTES
    watched.world.now = START + 25 * MINUTE
    watched.fields["hourly_cost_dollars"] = 36.0
    watched.run(30, lambda minute: 0.6 * minute)
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0, finished_at=START + 30 * MINUTE)
    assert watched.waste() == only(idle=11.4)
    assert watched.entry().idle_estimate.unpriced_idle == 0


@pytest.mark.parametrize(
    "bills",
    [
        pytest.param([(30, 18.0, 4.0)], id="all-at-the-end"),
        pytest.param([(30, 0.0, 4.0), (60, 18.0, 4.0)], id="the-bill-later"),
        pytest.param([(30, 18.0, 0.0), (60, 18.0, 4.0)], id="the-gpu-hours-later"),
        pytest.param([(30, 6.0, 4.0), (31, 18.0, 4.0)], id="the-bill-in-parts"),
    ],
)
def test_idle_time_that_never_had_a_price_is_valued_at_the_mean_price(
    bills: list[tuple[float, float, float]],
) -> None:
    """$18.00 for four GPU hours are $4.50 each: for 19 minutes on eight GPUs $11.40."""
    watched = WatchedJob(hourly_cost_dollars=None)
    watched.run(30, lambda _: 0.0, gpu_hours=0.0)
    for minute, cost, hours in bills:
        watched.world.now = START + minute * MINUTE
        watched.see("SUCCESS", cost_dollars=cost, gpu_hours=hours)
    assert watched.waste() == only(idle=11.4)


# Partial answers


def test_one_idle_device_of_eight_is_an_eighth_of_the_waste() -> None:
    """The rest is unknown, and nobody can say that the job is idle."""
    watched = WatchedJob()
    while watched.minute < 30:
        minute = watched.minute
        watched.see(
            cost_dollars=0.6 * minute,
            gpu_hours=8 * minute / 60,
            readings=devices(watched.world, gpu0=0.0),
        )
        idleness = watched.world.idleness()
        assert idleness is None or idleness.idle_since is None
        watched.world.now += MINUTE
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0, finished_at=START + 30 * MINUTE)
    assert watched.waste() == only(idle=round(11.4 / 8, 6))
    hours = watched.spend().activity_gpu_hours
    assert hours[Activity.IDLE] == pytest.approx(19 / 60, abs=1e-6)
    assert hours[Activity.BUSY] == pytest.approx(10 / 60, abs=1e-6)
    assert hours[Activity.UNKNOWN] == pytest.approx(4 - 29 / 60, abs=1e-6)


def test_what_the_sources_contradict_each_other_about_is_unknown() -> None:
    watched = WatchedJob()
    while watched.minute < 30:
        nothing = Readings(gpu_utilization=Reading(Quantity.RATIO, (), watched.world.now))
        watched.see(
            cost_dollars=0.6 * watched.minute,
            gpu_hours=8 * watched.minute / 60,
            readings=watched.world.busy(0.0) if watched.minute < 2 else nothing,
        )
        watched.world.now += MINUTE
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
    assert watched.waste() == only()
    hours = watched.spend().activity_gpu_hours
    assert hours[Activity.IDLE] == 0
    assert hours[Activity.BUSY] == pytest.approx(8 * 1 / 60)
    assert hours[Activity.UNKNOWN] == pytest.approx(8 * 29 / 60)


def test_a_point_that_is_served_for_hours_is_not_idle_time() -> None:
    """The last one of a job that is idle since minute 10 is taken at minute 15."""
    watched = WatchedJob()
    watched.run(15, lambda minute: 0.6 * minute)
    old = watched.world.busy(0.0)
    watched.run(120, lambda minute: 0.6 * minute, readings=old)
    idleness = watched.world.idleness()
    assert idleness is not None
    assert idleness.idle_since is None
    watched.see("SUCCESS", cost_dollars=72.0, gpu_hours=16.0)
    assert watched.waste() == only(idle=5 * 0.6)


# The other reasons


@pytest.mark.parametrize("end", [60, 75])
def test_a_late_bill_parts_launching_from_running(end: float) -> None:
    """It launches for 30 minutes and runs for 30, billed for the whole hour at its end.

    $36.00 in all: $18.00 for running, of which $11.40 are idle; $18.00 for launching, of which a
    quarter of an hour is allowed.
    """
    watched = WatchedJob(started_at=None, created_at=START)
    while watched.minute < 30:
        watched.see("LAUNCHING", cost_dollars=0.0, gpu_hours=0.0)
        watched.world.now += MINUTE
    watched.fields["started_at"] = START + 30 * MINUTE
    watched.run(60, lambda _: 0.0, gpu_hours=0.0)
    watched.see("SUCCESS", cost_dollars=0.0 if end > 60 else 36.0, gpu_hours=4.0)
    watched.world.now = START + end * MINUTE
    watched.see("SUCCESS", cost_dollars=36.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=11.4, stuck=9.0)


def test_launching_that_is_not_billed_is_no_waste() -> None:
    watched = WatchedJob(started_at=None, created_at=START)
    while watched.minute < 30:
        watched.see("LAUNCHING", cost_dollars=0.0, gpu_hours=0.0)
        watched.world.now += MINUTE
    watched.fields["started_at"] = START + 30 * MINUTE
    watched.run(60, lambda _: 0.0, gpu_hours=0.0)
    watched.see("SUCCESS", cost_dollars=0.0, gpu_hours=4.0)
    watched.world.now = START + 75 * MINUTE
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=11.4)


def test_a_job_that_never_ran_is_billed_late_for_launching() -> None:
    """An hour at $36, a quarter of it allowed."""
    watched = WatchedJob(started_at=None, created_at=START)
    while watched.minute < 60:
        watched.see("LAUNCHING", cost_dollars=0.0, gpu_hours=0.0)
        watched.world.now += MINUTE
    watched.see("ERROR", cost_dollars=0.0, gpu_hours=0.0)
    watched.world.now += 10 * MINUTE
    watched.see("ERROR", cost_dollars=36.0, gpu_hours=0.0)
    assert watched.waste() == only(stuck=27.0)


def test_launching_without_a_price_is_waste_from_the_bound_on() -> None:
    """$0.60 a minute from minute 0 to 30, a quarter of an hour allowed."""
    watched = WatchedJob(started_at=None, created_at=START, hourly_cost_dollars=None)
    while watched.minute <= 30:
        watched.see("LAUNCHING", cost_dollars=0.6 * watched.minute, gpu_hours=0.0)
        watched.world.now += MINUTE
    assert watched.waste() == only(stuck=9.0)


@pytest.mark.parametrize(("price", "late"), [(36.0, 5.0), (None, 5.0)])
def test_what_comes_after_a_late_bill_is_billed_after_the_finish(
    price: float | None, late: float
) -> None:
    watched = WatchedJob(hourly_cost_dollars=price)
    while watched.minute < 30:
        watched.see(cost_dollars=0.0, gpu_hours=4.0, readings=watched.world.busy(0.9))
        watched.world.now += MINUTE
    finished = {"gpu_hours": 4.0, "finished_at": START + 30 * MINUTE}
    for cost in (0.0, 18.0, 18.0, 18.0 + late):
        watched.see("SUCCESS", cost_dollars=cost, **finished)
        watched.world.now += 10 * MINUTE
    assert watched.waste() == only(late=late)


def test_a_late_bill_that_is_too_high_is_billed_after_the_finish_in_part() -> None:
    watched = WatchedJob()
    watched.run(30, lambda _: 0.0)
    finished = {"gpu_hours": 4.0, "finished_at": START + 30 * MINUTE}
    watched.see("SUCCESS", cost_dollars=0.0, **finished)
    watched.world.now += 10 * MINUTE
    watched.see("SUCCESS", cost_dollars=25.0, **finished)
    assert watched.waste() == only(idle=11.4, late=7.0)


# Refunds


def test_a_refund_takes_no_waste_back_and_adds_none() -> None:
    watched = WatchedJob()
    watched.run(30, lambda minute: 0.6 * minute)
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=11.4)
    watched.world.now += MINUTE
    watched.see("SUCCESS", cost_dollars=2.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=11.4)
    watched.world.now += 10 * MINUTE
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
    assert watched.waste() == only(idle=11.4)


def test_a_job_that_goes_on_after_it_seemed_over_keeps_what_is_not_billed() -> None:
    """It runs for 30 minutes, seems failed for one, and runs until minute 40."""
    watched = WatchedJob()
    watched.run(30, lambda _: 0.0)
    watched.see("FAILED", cost_dollars=0.0, gpu_hours=4.0)
    assert watched.entry().idle_estimate.idle_value == 11_400_000
    watched.world.now += MINUTE
    watched.run(40, lambda _: 0.0)
    watched.see("SUCCESS", cost_dollars=24.0, gpu_hours=8 * 40 / 60)
    assert watched.waste() == only(idle=11.4 + 8 * 0.6)


def test_another_run_begins_with_nothing_to_be_billed() -> None:
    watched = WatchedJob()
    watched.run(30, lambda _: 0.0)
    known = watched.entry()
    assert known.idle_estimate.idle_value == 11_400_000
    again = watched.world.job(**watched.fields, cost_dollars=0.0, readings=watched.world.busy(0.0))
    found = assess(known, replace(known, run=1), again, WasteRules())
    assert (found.idle_estimate.idle_value, found.idle_estimate.unbilled) == (0, 0)
    assert found.idle_estimate.read_at == milliseconds(watched.world.now)
    assert (found.used, found.idled) == ((), ())


def test_the_launching_of_an_earlier_run_is_not_that_of_the_next() -> None:
    """The next run launches for a minute, and is billed too much: that is not for launching."""
    watched = WatchedJob(started_at=START, created_at=START - 60 * MINUTE)
    watched.run(30, at_once)
    watched.see("FAILED", cost_dollars=18.0, gpu_hours=4.0)
    watched.world.now += 10 * MINUTE
    watched.fields["started_at"] = None
    watched.see("LAUNCHING", cost_dollars=0.0, gpu_hours=0.0)
    assert watched.entry().run == 1
    watched.world.now += MINUTE
    watched.fields["started_at"] = watched.world.now
    watched.see(cost_dollars=0.0, gpu_hours=0.0)
    watched.world.now += 30 * MINUTE
    watched.see("SUCCESS", cost_dollars=32.0, gpu_hours=4.0)
    assert watched.entry().totals.cost == 50_000_000
    assert watched.waste() == only(idle=11.4)


def test_numbers_that_no_job_can_have_are_not_believed() -> None:
    """Nor could a database hold them."""
    watched = WatchedJob(
        hourly_cost_dollars=1e14, memory_limit_bytes=1e24, gpu_memory_limit_bytes=1e24
    )
    watched.run(15, lambda _: 0.0)
    memory = Reading.of(Quantity.BYTES, [Point(1e18, str(n)) for n in range(1000)], 0.0)
    watched.run(20, lambda _: 0.0, readings=Readings(memory=memory))
    assert watched.entry().idle_estimate.unbilled is None
    assert watched.entry().peaks == Peaks()


# Per job


def shown(watched: WatchedJob) -> dict[Waste, float]:
    idleness = watched.world.idleness()
    assert idleness is not None
    return dict(idleness.waste_dollars)


def test_a_job_shows_idle_time_that_is_not_billed_yet() -> None:
    """What is never billed is taken back when the bill is complete."""
    watched = WatchedJob()
    watched.run(30, in_cents(in_steps(20)))
    assert watched.waste() == only(idle=6.0)
    assert shown(watched) == {Waste.GPU_IDLE: 11.4}
    for _ in range(5):
        watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
        watched.world.now += MINUTE
    assert shown(watched) == {Waste.GPU_IDLE: 11.4}


def test_what_was_never_billed_is_taken_back_a_day_after_the_end() -> None:
    """Readings until minute 31, of a job that ended at 30: the last minute is not billed."""
    watched = WatchedJob()
    watched.run(32, at_once)
    finished = {"cost_dollars": 18.0, "gpu_hours": 4.0, "finished_at": START + 30 * MINUTE}
    watched.see("SUCCESS", **finished)
    assert watched.waste() == only(idle=12.0)
    assert shown(watched) == {Waste.GPU_IDLE: 12.6}
    watched.world.now += 86_400
    watched.see("SUCCESS", **finished)
    assert watched.waste() == only(idle=12.0)
    assert shown(watched) == {Waste.GPU_IDLE: 12.0}


def test_idle_gpus_whose_price_is_unknown_show_no_dollars() -> None:
    watched = WatchedJob(hourly_cost_dollars=None)
    watched.run(30, lambda _: 0.0)
    assert shown(watched) == {}
    watched.see("SUCCESS", cost_dollars=0.0, gpu_hours=4.0)
    assert shown(watched) == {}
    watched.world.now += MINUTE
    watched.see("SUCCESS", cost_dollars=18.0, gpu_hours=4.0)
    assert shown(watched) == {Waste.GPU_IDLE: 11.4}


def test_a_job_that_never_ran_shows_what_it_wasted() -> None:
    watched = WatchedJob(started_at=None, created_at=START - 60 * MINUTE)
    watched.see("LAUNCHING", cost_dollars=36.0)
    assert shown(watched) == {Waste.STUCK_LAUNCHING: 27.0}
    idleness = watched.world.idleness()
    assert idleness is not None
    assert (idleness.gpu_hours, idleness.idle_since) == (None, None)


def test_a_job_of_which_nothing_is_known_shows_nothing() -> None:
    watched = WatchedJob()
    watched.see(cost_dollars=1.0)
    assert watched.world.idleness() is None


# Intervals, buckets and peaks


def test_idle_intervals_and_utilization_are_kept(tmp_path: Path) -> None:
    """Idle from minute 10 to 14, busy at 15 and 16, idle from 17 on to 19."""
    watched = WatchedJob(tmp_path)
    while watched.minute < 20:
        busy = 15 <= watched.minute < 17
        watched.see(
            cost_dollars=0.6 * watched.minute,
            gpu_hours=8 * watched.minute / 60,
            readings=watched.world.busy(0.5 if busy else 0.01),
        )
        watched.world.now += MINUTE
    watched.world.writer.close()
    store = Store.open_for_reading(tmp_path)
    first = IdleInterval(AT + 10 * MINUTES, AT + 14 * MINUTES, 32 * MINUTES, 2_400_000)
    second = IdleInterval(AT + 17 * MINUTES, AT + 19 * MINUTES, 16 * MINUTES, 1_200_000)
    assert store.idle_intervals("j-1") == [first, second]
    buckets = store.utilization("j-1")
    # All but the minute after the last reading is known, and it was used by 1 %, but for minutes
    # 14 and 16 (25.5 % in the mean) and 15 (50 %).
    assert sum(bucket.observed for bucket in buckets) == 8 * 19 * MINUTES
    used = 8 * MINUTES * (16 * 0.01 + 2 * 0.255 + 0.5)
    assert sum(bucket.used for bucket in buckets) == pytest.approx(used, abs=20)
    assert [bucket.begin for bucket in buckets] == [
        begin
        for begin in range(AT // 300_000 * 300_000, AT + 20 * MINUTES, 300_000)
        if begin < AT + 19 * MINUTES
    ]
    assert buckets[1] == UtilizationBucket(buckets[1].begin, 8 * 300_000, 8 * 3_000)
    store.close()


def test_an_idle_interval_goes_on_after_a_restart(tmp_path: Path) -> None:
    watched = WatchedJob(tmp_path)
    watched.run(15, lambda minute: 0.6 * minute)
    watched.world.writer.close()
    again = WatchedJob.__new__(WatchedJob)
    again.world, again.fields = LedgerWorld(tmp_path, now=watched.world.now), watched.fields
    again.run(20, lambda minute: 0.6 * minute)
    again.world.writer.close()
    store = Store.open_for_reading(tmp_path)
    assert store.idle_intervals("j-1") == [
        IdleInterval(AT + 10 * MINUTES, AT + 19 * MINUTES, 72 * MINUTES, 5_400_000)
    ]
    store.close()


def test_peaks_of_memory_are_kept() -> None:
    watched = WatchedJob(memory_limit_bytes=64e9, gpu_memory_limit_bytes=80e9)

    def see(memory: Reading | None, gpu_memory: Reading | None) -> Peaks:
        watched.world.now += MINUTE
        watched.see(readings=Readings(memory=memory, gpu_memory=gpu_memory))
        return watched.entry().peaks

    def bytes_of(*used: float) -> Reading:
        points = [Point(value, str(place)) for place, value in enumerate(used)]
        return Reading.of(Quantity.BYTES, points, watched.world.now)

    limits = {"memory_limit": 64 * 10**9, "gpu_memory_limit": 80 * 10**9}
    assert see(None, None) == Peaks(**limits)
    one = Reading(Quantity.BYTES, 14.3e9, 0.0)
    assert see(one, bytes_of(10e9, 70e9)) == Peaks(
        memory=14_300_000_000, gpu_memory=70 * 10**9, **limits
    )
    lower = see(Reading(Quantity.BYTES, 1e9, 0.0), bytes_of(1e9))
    assert (lower.memory, lower.gpu_memory) == (14_300_000_000, 70 * 10**9)
    # One number for all eight GPUs: each has an eighth of it.
    of_all = see(None, Reading(Quantity.BYTES, 600e9, 0.0))
    assert of_all.gpu_memory == 75 * 10**9
    # A ratio is a part of the limit.
    ratio = see(Reading(Quantity.RATIO, 0.5, 0.0), Reading(Quantity.RATIO, 0.95, 0.0))
    assert (ratio.memory, ratio.gpu_memory) == (32 * 10**9, 76 * 10**9)
    stale = see(Reading(Quantity.BYTES, (), 0.0), Reading(Quantity.BYTES, (), 0.0))
    assert stale == ratio


# Whatever comes


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["LAUNCHING", "RUNNING", "RUNNING", "RUNNING", "UPLOADING"]),
            st.sampled_from([1, 5, 60, 60, 299, 301, 3600]),
            st.sampled_from([None, "idle", "busy", "one", "nothing"]),
            st.sampled_from([0.0, 0.0, 0.01, 0.6, 6.0, -1.0]),
            st.sampled_from([0.0, 0.5, 1.0]),
            st.sampled_from([36.0, 36.0, 72.0, None]),
        ),
        max_size=25,
    ),
    st.lists(st.tuples(st.sampled_from([60, 600]), st.floats(0, 20)), min_size=1, max_size=3),
    st.sampled_from([8.0, 1.0, None]),
)
def test_parts_add_up_and_no_waste_exceeds_the_cost(
    steps: Iterable[tuple[str, int, str | None, float, float, float | None]],
    bills: list[tuple[int, float]],
    gpus: float | None,
) -> None:
    """Whatever is read and billed in whichever order; bills and GPU hours may come at the end."""
    watched = WatchedJob(gpus=gpus, started_at=None, created_at=START)
    world, cost, hours, before = watched.world, 0.0, 0.0, None
    readings: dict[str | None, Callable[[], Readings]] = {
        None: Readings,
        "idle": lambda: world.busy(0.0),
        "busy": lambda: world.busy(0.9),
        "one": lambda: devices(world, gpu0=0.0),
        "nothing": lambda: Readings(gpu_utilization=Reading(Quantity.RATIO, (), world.now)),
    }
    jobs: list[Job] = []
    for state, seconds, reading, rise, pace, price in steps:
        world.now += seconds
        cost = max(0.0, cost + rise)
        hours += pace * (gpus or 1) * seconds / 3600
        described = watched.fields | {"hourly_cost_dollars": price}
        known = {"cost_dollars": cost, "gpu_hours": hours, "readings": readings[reading]()}
        jobs.append(world.job("j-1", state, **described, **known))
        world.see(jobs[-1])
        before = _checked(watched, before)
    for seconds, rise in bills:
        world.now += seconds
        cost += rise
        hours += rise / 20
        watched.see("SUCCESS", cost_dollars=cost, gpu_hours=hours)
        before = _checked(watched, before)
    totals = watched.entry().totals
    assert totals.idle + totals.busy + totals.unknown == totals.gpu


def _checked(watched: WatchedJob, before: JobEntry | None) -> JobEntry:
    """Check what holds at every moment: what is counted never falls, and is within the whole."""
    entry = watched.entry()
    now, idle_estimate = entry.totals, entry.idle_estimate
    if before is not None:
        grown = now - before.totals
        assert min(
            grown.cost, grown.gpu, grown.idle, grown.busy, grown.unknown,
            grown.waste_idle, grown.waste_launching, grown.waste_after_finish,
        ) >= 0  # fmt: skip
    assert now.waste_idle + now.waste_launching + now.waste_after_finish <= now.cost
    assert now.idle + now.busy + now.unknown <= now.gpu
    owed = (
        idle_estimate.owed_idle,
        idle_estimate.owed_busy,
        idle_estimate.idle_value,
        idle_estimate.unpriced_idle,
    )
    assert min(owed) >= 0
    assert idle_estimate.unbilled is None or idle_estimate.unbilled >= -72_000_000
    assert idle_estimate.unbilled_launching >= 0
    return entry
