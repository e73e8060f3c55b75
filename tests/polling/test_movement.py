"""How far readings are apart, and how fast such a reading changes."""

from __future__ import annotations

import pytest

from trainwave_exporter.model import Point, Quantity, Reading
from trainwave_exporter.polling.movement import NOISE, Movement, differs, distance


def ratio(*values: float) -> Reading:
    points = [Point(value, str(n)) for n, value in enumerate(values)]
    return Reading.of(Quantity.RATIO, points, 1.0)


def rate(value: float, direction: str = "rx") -> Reading:
    return Reading.of(Quantity.BYTES_PER_SECOND, [Point(value, direction=direction)], 1.0)


def total(per_second: float | None) -> Reading:
    rates = () if per_second is None else (Point(per_second),)
    return Reading(Quantity.BYTES_TOTAL, 5e9, 1.0, rates)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ratio(0.9), ratio(0.2), 0.7),
        (ratio(0.9, 0.9), ratio(0.9, 0.1), 0.4),
        (ratio(0.9), ratio(0.9 + NOISE / 2), 0.0),
        (ratio(0.1), ratio(50.0), 1.0),
        (rate(1e6), rate(4e6), 0.75),
        (rate(4e6), rate(1e6), 0.75),
        (rate(0.0), rate(0.0), 0.0),
        (total(100.0), total(50.0), 0.5),
    ],
)
def test_a_distance_is_from_0_to_1_whatever_the_quantity(
    before: Reading, after: Reading, expected: float
) -> None:
    assert distance(before, after) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ratio(0.9), rate(0.1)),
        (rate(1e6, "rx"), rate(9e6, "tx")),
        (total(None), total(50.0)),
    ],
)
def test_what_cannot_be_compared_did_not_move(before: Reading, after: Reading) -> None:
    assert distance(before, after) == 0.0


def test_one_number_contradicts_the_devices_if_it_is_not_their_mean() -> None:
    devices = ratio(1.0, 0.6)
    assert not differs(devices, ratio(0.8))
    assert not differs(devices, ratio(0.8 - 1.9 * NOISE))
    assert differs(devices, ratio(0.8 - 2.1 * NOISE))
    assert differs(devices, ratio(0.0))
    assert not differs(ratio(), ratio(0.0))


def test_what_nobody_watched_moves_as_its_like_do() -> None:
    assert Movement().rate(prior=0.01) == pytest.approx(0.01)


def test_a_rate_comes_from_what_was_seen_the_more_of_it_the_more() -> None:
    movement = Movement()
    seen = []
    for _ in range(50):
        movement.add(0.5, 100.0)
        seen.append(movement.rate(prior=0.0))
    assert seen == sorted(seen)
    assert 0.0005 < seen[0] < 0.001
    assert seen[-1] == pytest.approx(0.005, rel=0.2)


def test_what_was_learned_long_ago_is_forgotten() -> None:
    movement = Movement()
    for _ in range(100):
        movement.add(1.0, 10.0)
    wild = movement.rate()
    for _ in range(100):
        movement.add(0.0, 360.0)
    assert movement.rate() < wild / 100


def test_a_clock_that_was_set_back_teaches_no_negative_time() -> None:
    movement = Movement()
    movement.add(0.5, -1e6)
    assert 0 < movement.rate() < 1
