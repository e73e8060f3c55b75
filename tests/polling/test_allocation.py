"""A budget is spread by importance, within bounds, and is spent whole."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.polling.allocation import (
    CEILING,
    SPARED,
    allocate,
    longest_age,
    rank_of,
)

COUNTS = st.dictionaries(st.integers(-20, 20), st.integers(1, 500), min_size=1, max_size=12)


def test_ranks_are_powers_of_two_of_importance() -> None:
    assert [rank_of(importance) for importance in (0.25, 1, 2, 1000)] == [-2, 0, 1, 10]
    assert rank_of(0.0) == rank_of(1e-300) == -rank_of(1e300)


def test_with_more_than_enough_all_have_the_ideal_interval() -> None:
    allocation = allocate({-9: 30, 0: 10, 9: 20}, 1.0, 60.0)
    assert allocation.ample
    assert {allocation.interval(rank) for rank in (-9, 0, 9)} == {60.0}
    assert allocation.expected_age({0: 60}) == 30.0


def test_frequencies_go_by_the_square_root_of_importance() -> None:
    allocation = allocate({0: 100, 2: 100}, 1.0, 10.0)
    assert not allocation.ample
    assert allocation.interval(0) == pytest.approx(2 * allocation.interval(2))


def test_without_readings_there_is_nothing_to_spread() -> None:
    allocation = allocate(Counter(), 1.0, 60.0)
    assert allocation.ample
    assert allocation.per_second(Counter()) == 0.0
    assert allocation.expected_age(Counter()) == 0.0


@given(counts=COUNTS, per_second=st.floats(0.02, 50.0), ideal=st.floats(0.5, 300.0))
def test_a_budget_is_spent_whole_and_nobody_leaves_the_bounds(
    counts: dict[int, int], per_second: float, ideal: float
) -> None:
    allocation = allocate(counts, per_second, ideal)
    fair = sum(counts.values()) / per_second
    intervals = [allocation.interval(rank) for rank in sorted(counts)]
    assert intervals == sorted(intervals, reverse=True)
    assert all(ideal <= interval <= max(ideal, CEILING * fair) * 1.001 for interval in intervals)
    if allocation.ample:
        assert allocation.per_second(counts) <= per_second * 1.001
    else:
        assert allocation.per_second(counts) == pytest.approx(per_second, rel=0.01)


@given(counts=COUNTS, per_second=st.floats(0.02, 50.0), part=st.floats(0.01, 0.5), data=st.data())
def test_no_request_would_be_worth_more_elsewhere(
    counts: dict[int, int], per_second: float, part: float, data: st.DataObject
) -> None:
    """Taking a part of the requests of one rank and giving them to another makes the error larger.

    The error of a rank is its readings times their importance times half their interval.
    """
    allocation = allocate(counts, per_second, ideal=0.001)
    free = [
        rank
        for rank in counts
        if allocation.ideal * 1.01 < allocation.interval(rank) < allocation.ceiling * 0.99
    ]
    if len(free) < 2:
        return
    loser, winner = data.draw(st.permutations(free))[:2]
    taken = part * counts[loser] / allocation.interval(loser)

    def error(rank: int, requests: float) -> float:
        number = counts[rank]
        return float(number * 2.0**rank * (number / requests) / 2)

    had = {rank: counts[rank] / allocation.interval(rank) for rank in (loser, winner)}
    before = sum(error(rank, requests) for rank, requests in had.items())
    after = error(loser, had[loser] - taken) + error(winner, had[winner] + taken)
    assert after >= before * (1 - 1e-6)


def test_the_longest_age_is_known_beforehand() -> None:
    assert longest_age(600, 66.0, 60.0) == pytest.approx((CEILING + 1) * 600 / (SPARED * 1.1))
    assert longest_age(0, 66.0, 60.0) == 60.0
    assert longest_age(30, 60.0, 60.0) == 60.0 + 30 / SPARED
    assert longest_age(10, 0.0, 60.0) == pytest.approx((CEILING + 1) * 10 / (SPARED / 60))
