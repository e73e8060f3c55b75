"""What GPUs did between two readings, and what that cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trainwave_exporter.ledger.entry import Judgement, Totals
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.waste import (
    WHOLE,
    given_up,
    idle_part,
    judged,
    settled,
    unjudged,
    wasted,
)
from trainwave_exporter.model import Point, Quantity, Reading

MINUTE = 60_000
RULES = Rules()


def reading(*values: float, quantity: Quantity = Quantity.RATIO) -> Reading:
    points = [Point(value, device=str(place)) for place, value in enumerate(values)]
    return Reading.of(quantity, points, at=0.0)


@pytest.mark.parametrize(
    ("told", "part"),
    [
        (reading(0.0), WHOLE),
        (reading(0.049), WHOLE),
        (reading(0.05), 0),
        (reading(0.9, 0.0, 0.9, 0.9), WHOLE // 4),
        (reading(), None),
        (reading(5.0, quantity=Quantity.BYTES), None),
        (None, None),
    ],
)
def test_a_gpu_below_the_threshold_is_idle(told: Reading | None, part: int | None) -> None:
    assert idle_part(told, RULES) == part


def test_the_first_reading_judges_nothing() -> None:
    after = judged(Judgement(), 5 * MINUTE, WHOLE, 8, 0, RULES)
    assert after == Judgement(read_at=5 * MINUTE, idle_millionths=WHOLE, idle_since=5 * MINUTE)


def test_time_between_two_close_readings_is_what_both_agree_on() -> None:
    after = judged(Judgement(read_at=0, idle_millionths=WHOLE), MINUTE, WHOLE // 2, 8, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (4 * MINUTE, 4 * MINUTE)
    assert after.idle_since is None


def test_an_older_or_repeated_reading_changes_nothing() -> None:
    known = Judgement(read_at=MINUTE, idle_millionths=0)
    assert judged(known, MINUTE, WHOLE, 1, 0, RULES) is known
    assert judged(known, 0, WHOLE, 1, 0, RULES) is known


def test_readings_far_apart_judge_nothing_between_them() -> None:
    known = Judgement(read_at=0, idle_millionths=WHOLE, idle_since=0)
    after = judged(known, RULES.reading_gap + 1, WHOLE, 1, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (0, 0)
    assert after.idle_since == RULES.reading_gap + 1


def test_a_job_is_busy_while_it_warms_up() -> None:
    after = judged(Judgement(read_at=0, idle_millionths=WHOLE), 2 * MINUTE, WHOLE, 1, MINUTE, RULES)
    assert (after.owed_idle, after.owed_busy) == (MINUTE, MINUTE)


def test_without_a_number_of_gpus_nothing_is_judged() -> None:
    after = judged(Judgement(read_at=0, idle_millionths=WHOLE), MINUTE, WHOLE, None, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (0, 0)


def test_idle_since_goes_on_while_every_gpu_stays_idle() -> None:
    known = Judgement(read_at=0, idle_millionths=WHOLE, idle_since=0)
    assert judged(known, MINUTE, WHOLE, 1, 0, RULES).idle_since == 0
    assert judged(known, MINUTE, WHOLE - 1, 1, 0, RULES).idle_since is None


def test_what_the_meter_never_reaches_is_not_owed_for_ever() -> None:
    known = Judgement(read_at=0, idle_millionths=WHOLE, owed_idle=4 * MINUTE, owed_busy=MINUTE)
    after = judged(known, MINUTE, WHOLE, 1, 0, RULES)
    assert (after.owed_idle, after.owed_busy) == (5 * MINUTE, 0)
    again = judged(after, 2 * MINUTE, WHOLE, 1, 0, RULES)
    assert (again.owed_idle, again.owed_busy) == (5 * MINUTE, 0)


def test_what_is_owed_is_taken_from_the_gpu_time_there_is() -> None:
    totals, left = settled(Totals(gpu=60), Judgement(owed_idle=30, owed_busy=60))
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


@given(
    st.lists(
        st.tuples(st.integers(0, 10 * MINUTE), st.integers(0, WHOLE), st.integers(0, 20 * MINUTE)),
        max_size=30,
    ),
    st.sampled_from([1, 2, 8, 0.5, None]),
)
def test_idle_busy_and_unknown_are_parts_of_the_gpu_time(
    steps: list[tuple[int, int, int]], gpus: float | None
) -> None:
    totals, known, at = Totals(), Judgement(), 0
    for pause, idle, grown in steps:
        at += pause
        before = totals
        totals = replace(totals, gpu=totals.gpu + grown)
        if known.read_at is not None and at - known.read_at > RULES.reading_gap:
            totals = given_up(totals)
        known = judged(known, at, idle, gpus, 0, RULES)
        totals, known = settled(totals, known)
        assert unjudged(totals) >= 0
        assert totals.idle >= before.idle
        assert totals.busy >= before.busy
        assert totals.unknown >= before.unknown
        assert min(known.owed_idle, known.owed_busy) >= 0
    over = given_up(totals)
    assert over.idle + over.busy + over.unknown == over.gpu
