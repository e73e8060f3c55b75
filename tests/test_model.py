"""Records that keep what is known small, and tell it in full."""

from __future__ import annotations

import pytest

from trainwave_exporter.model import NO_READINGS, Metric, Point, Quantity, Reading, Readings

BUSY = Reading(Quantity.RATIO, 0.9, 1.0)


@pytest.mark.parametrize(
    "points",
    [(), (Point(0.5),), (Point(0.5, "0"),), (Point(0.5, None, "rx"),), (Point(0.5), Point(1, "1"))],
)
def test_a_reading_reports_the_points_it_was_made_of(points: tuple[Point, ...]) -> None:
    assert Reading.of(Quantity.RATIO, points, 1.0).points == points


def test_one_number_is_the_same_reading_however_it_was_reported() -> None:
    assert Reading.of(Quantity.RATIO, [Point(0.9)], 1.0) == BUSY


@pytest.mark.parametrize(
    ("points", "mean"), [((), None), ((Point(0.5),), 0.5), ((Point(0.5, "0"), Point(1, "1")), 0.75)]
)
def test_the_mean_is_that_of_all_points(points: tuple[Point, ...], mean: float | None) -> None:
    assert Reading.of(Quantity.RATIO, points, 1.0).mean == mean


@pytest.mark.parametrize("metric", Metric)
def test_each_metric_has_its_reading(metric: Metric) -> None:
    readings = Readings(**{metric: BUSY})
    assert readings.items() == [(metric, BUSY)]
    assert {other for other in Metric if readings.get(other) is not None} == {metric}
    assert readings
    assert not NO_READINGS
