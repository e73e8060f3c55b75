"""A budget is divided by importance, within bounds, and is spent whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.model import Metric
from trainwave_exporter.polling.allocation import (
    CEILING,
    GPU_SECONDS,
    GPU_SHARE,
    SPARED,
    Allocation,
    Counts,
    allocate,
    longest_age,
    rank_of,
)

GPU, CPU = Metric.GPU_UTILIZATION, Metric.CPU
RANKS = st.dictionaries(st.integers(-20, 20), st.integers(1, 500), min_size=1, max_size=6)
COUNTS = st.dictionaries(st.sampled_from(Metric), RANKS, min_size=1)


def readings(counts: Counts) -> int:
    return sum(sum(ranks.values()) for ranks in counts.values())


def intervals(allocation: Allocation, counts: Counts) -> dict[tuple[Metric, int], float]:
    return {
        (metric, rank): allocation.interval(metric, rank)
        for metric, ranks in counts.items()
        for rank in sorted(ranks)
    }


def test_ranks_are_powers_of_two_of_importance() -> None:
    """A reading of weight 1 at $1 has rank 0; CPU weighs 2 to the power of 6, a GPU 9."""
    assert [rank_of(metric, 1.0) for metric in (Metric.DISK, CPU, GPU)] == [0, 6, 9]
    assert [rank_of(Metric.DISK, price) for price in (2.0, 4.0, 1000.0)] == [1, 2, 10]
    assert rank_of(GPU, 1e300) == rank_of(Metric.DISK, 2.0**60)


def test_jobs_without_a_price_rank_with_the_cheapest() -> None:
    """Ten cents are 2 to the power of -3.3."""
    assert [rank_of(Metric.DISK, price) for price in (0.1, 0.01, 0.0, None)] == [-3] * 4


def test_with_more_than_enough_all_have_the_ideal_interval() -> None:
    counts = {GPU: {-9: 30, 0: 10}, CPU: {9: 20}}
    allocation = allocate(counts, 1.0, 60.0)
    assert allocation.ample
    assert set(intervals(allocation, counts).values()) == {60.0}
    assert allocation.expected_age(counts) == 30.0


def test_frequencies_go_by_the_square_root_of_importance() -> None:
    allocation = allocate({CPU: {0: 100, 2: 100}}, 1.0, 10.0)
    assert not allocation.ample
    assert allocation.interval(CPU, 0) == pytest.approx(2 * allocation.interval(CPU, 2))


def test_without_readings_there_is_nothing_to_divide() -> None:
    allocation = allocate({GPU: {}}, 1.0, 60.0)
    assert allocation.ample
    assert allocation.per_second({GPU: {}}) == 0.0
    assert allocation.expected_age({GPU: {}}) == 0.0


@pytest.mark.parametrize("rank", [-30, 0, 30])
def test_gpu_utilization_waits_no_longer_than_can_be_kept(rank: int) -> None:
    """60 of 360 readings take 48 of 76 requests a minute, 63 %, whatever anything weighs."""
    counts = {GPU: {rank: 30, rank - 9: 30}} | {m: {0: 60} for m in Metric if m is not GPU}
    allocation = allocate(counts, 76 / 60, 60.0)
    assert allocation.interval(GPU, rank - 9) <= GPU_SECONDS


def test_the_scarcer_requests_are_the_more_may_cheap_jobs_wait_for_dear_ones() -> None:
    """At 75 requests a minute, three quarters of them are one for each of 70 GPUs in 75 s.

    140 GPUs, alike, would each wait 150 s: the cheap ones wait twice that at most. 560 would each
    wait 600 s: there the cheap ones wait four times that, and no factor is higher.
    """

    def longest(gpus: int) -> float:
        counts = {GPU: {20: gpus // 2, -20: gpus // 2}, CPU: {0: 10 * gpus}}
        return allocate(counts, 75 / 60, 60.0).interval(GPU, -20)

    assert longest(70) == pytest.approx(GPU_SECONDS, rel=0.01)
    assert longest(140) == pytest.approx(300, rel=0.01)
    assert longest(560) == pytest.approx(2400, rel=0.01)


@given(counts=COUNTS, per_second=st.floats(0.02, 50.0), ideal=st.floats(0.5, 300.0))
def test_a_budget_is_spent_whole_and_nobody_leaves_the_bounds(
    counts: Counts, per_second: float, ideal: float
) -> None:
    allocation = allocate(counts, per_second, ideal)
    ceiling = max(ideal, CEILING * readings(counts) / per_second)
    waits = intervals(allocation, counts)
    assert all(ideal <= interval <= ceiling * 1.001 for interval in waits.values())
    for metric, ranks in counts.items():
        by_rank = [waits[metric, rank] for rank in sorted(ranks)]
        assert by_rank == sorted(by_rank, reverse=True)
    gpus = sum(counts.get(GPU, {}).values())
    if gpus / GPU_SECONDS <= GPU_SHARE * per_second:
        bound = max(ideal, GPU_SECONDS)
        assert all(wait <= bound for (metric, _), wait in waits.items() if metric is GPU)
    if allocation.ample:
        assert allocation.per_second(counts) <= per_second * 1.001
    else:
        assert allocation.per_second(counts) == pytest.approx(per_second, rel=0.01)


@given(counts=COUNTS, per_second=st.floats(0.02, 50.0), part=st.floats(0.01, 0.5), data=st.data())
def test_no_request_would_be_worth_more_elsewhere(
    counts: Counts, per_second: float, part: float, data: st.DataObject
) -> None:
    """Taking a part of the requests of one rank and giving them to another makes the error larger.

    The error of a rank is its readings times their importance times half their interval. Ranks at
    a bound have no say.
    """
    allocation = allocate(counts, per_second, ideal=0.001)
    free = [
        (metric, rank)
        for (metric, rank), interval in intervals(allocation, counts).items()
        if interval == pytest.approx(allocation.price / 2.0 ** (rank / 2))
    ]
    if len(free) < 2:
        return
    loser, winner = data.draw(st.permutations(free))[:2]

    def number(which: tuple[Metric, int]) -> int:
        return counts[which[0]][which[1]]

    def error(which: tuple[Metric, int], requests: float) -> float:
        return float(number(which) * 2.0 ** which[1] * (number(which) / requests) / 2)

    had = {which: number(which) / allocation.interval(*which) for which in (loser, winner)}
    taken = part * had[loser]
    before = sum(error(which, requests) for which, requests in had.items())
    after = error(loser, had[loser] - taken) + error(winner, had[winner] + taken)
    assert after >= before * (1 - 1e-6)


def test_the_longest_age_is_known_beforehand() -> None:
    assert longest_age(600, 66.0, 60.0) == pytest.approx((CEILING + 1) * 600 / (SPARED * 1.1))
    assert longest_age(0, 66.0, 60.0) == 60.0
    assert longest_age(30, 60.0, 60.0) == 60.0 + 30 / SPARED
    assert longest_age(10, 0.0, 60.0) == pytest.approx((CEILING + 1) * 10 / (SPARED / 60))
