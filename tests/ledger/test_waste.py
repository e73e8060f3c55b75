"""Use of GPUs between two readings, and waste."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.gpu_use import GpuUse, encoded
from trainwave_exporter.ledger.billing.job_entry import IdleEstimate, Totals
from trainwave_exporter.ledger.billing.waste import (
    Stretch,
    given_up,
    judged,
    settled,
    unjudged,
    unread,
    wasted,
)
from trainwave_exporter.ledger.billing.waste_rules import WasteRules

MINUTE = 60_000
RULES = WasteRules()

IDLE: GpuUse = {"": 0}
BUSY: GpuUse = {"": 900_000}
HALF: GpuUse = {"0": 0, "1": 900_000}
UNKNOWN: GpuUse = {}


def read(use: GpuUse, at: int = 0, **known: Any) -> IdleEstimate:
    return IdleEstimate(read_at=at, use=encoded(use), **known)


def test_the_first_reading_judges_nothing() -> None:
    assert judged(IdleEstimate(), 5 * MINUTE, IDLE, 8, 0, RULES) == (
        IdleEstimate(
            read_at=5 * MINUTE,
            idle_millionths=1_000_000,
            idle_since=5 * MINUTE,
            use=encoded(IDLE),
        ),
        None,
    )


def test_time_between_two_close_readings_is_what_both_agree_on() -> None:
    after, stretch = judged(read(IDLE), MINUTE, HALF, 2, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (MINUTE, MINUTE)
    assert after.idle_since is None
    assert after.idle_millionths == 500_000
    # The busy one was idle before, so that it was used by 45 % in the mean.
    assert stretch == Stretch(0, MINUTE, 0, MINUTE, MINUTE, used=27_000)


def test_one_device_of_eight_is_an_eighth_and_the_rest_is_unknown() -> None:
    one: GpuUse = {"0": 0}
    after, _ = judged(read(one), MINUTE, one, 8, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (MINUTE, 0)
    assert (after.idle_since, after.idle_millionths) == (None, 125_000)


@pytest.mark.parametrize(("before", "now"), [(IDLE, UNKNOWN), (UNKNOWN, IDLE)])
def test_time_next_to_a_reading_that_says_nothing_is_unknown(before: GpuUse, now: GpuUse) -> None:
    after, stretch = judged(read(before), MINUTE, now, 8, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (0, 0)
    assert stretch == Stretch(0, MINUTE, 0, 0, 0, 0)
    assert after.idle_since == (None if now is UNKNOWN else MINUTE)


def test_an_older_or_repeated_reading_changes_nothing() -> None:
    known = read(BUSY, MINUTE)
    assert judged(known, MINUTE, IDLE, 1, 0, RULES) == (known, None)
    assert judged(known, 0, IDLE, 1, 0, RULES) == (known, None)


def test_readings_far_apart_judge_nothing_between_them() -> None:
    known = replace(read(IDLE), idle_since=0)
    after, stretch = judged(known, RULES.reading_gap + 1, IDLE, 1, 0, RULES)
    assert (after.owed_idle, after.owed_busy, stretch) == (0, 0, None)
    assert after.idle_since == RULES.reading_gap + 1


def test_a_job_is_busy_while_it_warms_up() -> None:
    after, stretch = judged(read(IDLE), 2 * MINUTE, IDLE, 1, MINUTE, RULES)
    assert (after.owed_idle, after.owed_busy) == (MINUTE, MINUTE)
    assert stretch == Stretch(0, 2 * MINUTE, MINUTE, MINUTE, MINUTE, used=0)


def test_without_a_number_of_gpus_one_number_for_all_judges_nothing() -> None:
    after, _ = judged(read(IDLE), MINUTE, IDLE, None, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (0, 0)
    assert after.idle_since == MINUTE


def test_idle_since_goes_on_while_every_gpu_stays_idle() -> None:
    known = replace(read(IDLE), idle_since=0)
    assert judged(known, MINUTE, IDLE, 2, 0, RULES)[0].idle_since == 0
    assert judged(known, MINUTE, HALF, 2, 0, RULES)[0].idle_since is None


def test_what_the_meter_never_reaches_is_not_owed_for_ever() -> None:
    known = read(IDLE, owed_idle=4 * MINUTE, owed_busy=MINUTE)
    after, _ = judged(known, MINUTE, IDLE, 1, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (5 * MINUTE, 0)
    again, _ = judged(after, 2 * MINUTE, IDLE, 1, 0, RULES)
    assert (again.owed_idle, again.owed_busy) == (5 * MINUTE, 0)


def test_what_a_meter_that_is_behind_may_still_reach_is_owed_until_then() -> None:
    known = read(IDLE, owed_idle=40 * MINUTE, owed_busy=10 * MINUTE)
    after, _ = judged(known, MINUTE, IDLE, 1, 0, RULES, behind=60 * MINUTE)
    assert (after.owed_idle, after.owed_busy) == (41 * MINUTE, 10 * MINUTE)
    totals, left = settled(Totals(gpu=60 * MINUTE), after)
    assert (totals.idle, totals.busy, left.owed_idle) == (41 * MINUTE, 10 * MINUTE, 0)


def test_a_reading_that_is_too_old_leaves_what_is_owed_and_not_paid() -> None:
    known = replace(read(IDLE, owed_idle=3, idle_value=7, unpriced_idle=9), idle_since=0)
    assert unread(known) == IdleEstimate(owed_idle=3, idle_value=7, unpriced_idle=9)


def test_what_is_owed_is_taken_from_the_gpu_time_there_is() -> None:
    totals, left = settled(Totals(gpu=60), IdleEstimate(owed_idle=30, owed_busy=60))
    assert (totals.idle, totals.busy) == (20, 40)
    assert (left.owed_idle, left.owed_busy) == (10, 20)
    assert settled(totals, left) == (totals, left)


def test_what_cannot_be_judged_any_more_is_unknown() -> None:
    totals = Totals(gpu=100, idle=10, busy=20)
    assert given_up(totals).unknown == 70
    assert given_up(totals, kept=30).unknown == 40
    assert given_up(totals, kept=80) is totals


def test_no_more_is_wasted_than_was_spent() -> None:
    totals = wasted(Totals(cost=100, waste_idle=30), idle=50, launching=40, after_finish=20)
    assert (totals.waste_after_finish, totals.waste_launching, totals.waste_idle) == (20, 40, 40)
    assert wasted(totals, idle=5) == totals


uses = st.sampled_from([IDLE, BUSY, HALF, UNKNOWN, {"0": 0}, {"1": 900_000}])


@given(
    st.lists(
        st.tuples(st.integers(0, 10 * MINUTE), uses, st.integers(0, 20 * MINUTE)),
        max_size=30,
    ),
    st.sampled_from([1, 2, 8, 0.5, None]),
)
def test_idle_busy_and_unknown_are_parts_of_the_gpu_time(
    steps: list[tuple[int, GpuUse, int]], gpus: float | None
) -> None:
    totals, known, at = Totals(), IdleEstimate(), 0
    for pause, use, grown in steps:
        at += pause
        before = totals
        totals = replace(totals, gpu=totals.gpu + grown)
        if known.read_at is not None and at - known.read_at > RULES.reading_gap:
            totals = given_up(totals)
        known, _ = judged(known, at, use, gpus, 0, RULES)
        totals, known = settled(totals, known)
        assert unjudged(totals) >= 0
        assert totals.idle >= before.idle
        assert totals.busy >= before.busy
        assert totals.unknown >= before.unknown
        assert min(known.owed_idle, known.owed_busy) >= 0
    finished = given_up(totals)
    assert finished.idle + finished.busy + finished.unknown == finished.gpu
