"""Every shape in which a metric may be reported, and those that are not to be guessed at."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.api.metric_answers import DEFAULT_UNITS, Found, read_reading
from trainwave_exporter.model import Metric, Point, Quantity, Reading, Unit

NOW = 1_711_011_700.0
TS = 1_711_011_600
ISO = "2024-03-21T09:00:00Z"
NEWER = "2024-03-21T09:00:30+00:00"


def found(data: Any, unit: Unit = Unit.BYTES) -> Found:
    return read_reading(data, unit, NOW)


def points(data: Any) -> list[tuple[float, str | None, str | None]]:
    """Read data that must be read without complaint."""
    result = found(data)
    assert result.problems == ()
    assert result.reading is not None
    return [(p.value, p.device, p.direction) for p in result.reading.points]


def time_of(data: Any) -> float:
    reading = found(data).reading
    assert reading is not None
    return reading.at


@pytest.mark.parametrize(
    "data",
    [
        93,
        93.0,
        "93.0",
        {"value": 93},
        {"value": "93"},
        {"metric": "cpu", "job_id": "j-1", "value": 93},
        {"timestamp": TS, "value": 93},
        {"time": ISO, "value": 93},
        {"ts": TS * 1000, "value": 93},
        [TS, 93],
        [TS + 0.5, 93.0],
        [ISO, 93],
        [str(TS), "93"],
        [[TS - 60, 1], [TS, 93], [TS - 30, 2]],
        [[ISO, 1], [NEWER, 93]],
        [{"timestamp": NEWER, "value": 93}, {"timestamp": ISO, "value": 1}],
        {"value": [[TS, 1], [TS + 1, 93]]},
        {"values": [[TS, 1], [TS + 1, 93]]},
        {"points": [{"ts": TS, "value": 93}]},
        {"data": {"value": 93}},
        {"results": [[TS, 93]]},
        [[TS, 93], [TS + 1, None]],
        [{"time": TS, "value": 93}, {"time": TS + 1, "value": None}],
    ],
)
def test_one_number_is_found_in_every_shape(data: Any) -> None:
    assert points(data) == [(93, None, None)]


@pytest.mark.parametrize(
    "data",
    [
        {"0": 93, "1": 88},
        {"0": {"value": 93}, "1": {"value": 88}},
        {"timestamp": TS, "0": 93, "1": 88},
        {"value": {"0": 93, "1": 88}},
        {"timestamp": TS, "value": [93, 88]},
        [93, 88],
        [93.0, "88"],
        [{"value": 93}, {"value": 88}],
        [{"device": "0", "value": 93}, {"device": "1", "value": 88}],
        [{"gpu": 0, "value": 93}, {"gpu": 1, "value": 88}],
        {"0": [[TS, 5], [TS + 1, 93]], "1": [[TS, 88]]},
        [[[TS, 5], [TS + 1, 93]], [[TS, 88]]],
        {"ts": TS, "value": {"0": 93, "1": 88}},
        [
            {"timestamp": TS, "gpu": 0, "value": 5},
            {"timestamp": TS + 5, "gpu": 0, "value": 93},
            {"timestamp": TS, "gpu": 1, "value": 88},
        ],
        [{"timestamp": TS, "0": 1, "1": 2}, {"timestamp": TS + 5, "0": 93, "1": 88}],
    ],
)
def test_devices_are_distinguished_in_every_shape(data: Any) -> None:
    assert points(data) == [(93, "0", None), (88, "1", None)]


@pytest.mark.parametrize("name", ["0", "gpu0", "GPU 1", "cuda:3", "device-2", "eth0", "disk1"])
def test_devices_keep_the_names_they_are_given(name: str) -> None:
    assert points({name: 7}) == [(7, name, None)]


def test_a_gpu_may_be_named_by_its_uuid() -> None:
    name = "GPU-6a1d7a7e-1111-4c1f-8a57-000000000001"
    assert points({name: 7}) == [(7, name, None)]


@pytest.mark.parametrize(
    ("data", "directions"),
    [
        ({"rx": 10, "tx": 20}, ("receive", "transmit")),
        ({"receive": 10, "transmit": 20}, ("receive", "transmit")),
        ({"read": 10, "write": 20}, ("read", "write")),
        ({"timestamp": ISO, "rx": 10, "tx": 20}, ("receive", "transmit")),
        ({"value": {"read": 10, "write": 20}}, ("read", "write")),
        ({"rx": {"value": 10}, "tx": [[TS, 1], [TS + 1, 20]]}, ("receive", "transmit")),
        (
            [{"ts": TS, "rx": 1, "tx": 2}, {"ts": TS + 1, "rx": 10, "tx": 20}],
            ("receive", "transmit"),
        ),
    ],
)
def test_directions_are_distinguished(data: Any, directions: tuple[str, str]) -> None:
    assert points(data) == [(10, None, directions[0]), (20, None, directions[1])]


def test_devices_and_directions_combine() -> None:
    by_device = {"eth0": {"rx": 1, "tx": 2}, "eth1": {"rx": 3, "tx": 4}}
    by_direction = {"rx": [1, 3], "tx": [2, 4]}
    assert points(by_device) == [
        (1, "eth0", "receive"),
        (2, "eth0", "transmit"),
        (3, "eth1", "receive"),
        (4, "eth1", "transmit"),
    ]
    assert points(by_direction) == [
        (1, "0", "receive"),
        (3, "1", "receive"),
        (2, "0", "transmit"),
        (4, "1", "transmit"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        {"timestamp": ISO, "value": 1},
        [TS, 1],
        [[TS - 9, 1], [TS, 1]],
        {"0": [TS, 1], "1": [TS - 1, 1]},
    ],
)
def test_the_time_is_the_newest_the_api_reports(data: Any) -> None:
    assert time_of(data) == TS


@pytest.mark.parametrize(
    "data", [5, {"timestamp": "yesterday", "value": 5}, [5, 6], {"ts": 1, "value": 1}]
)
def test_without_a_time_of_the_apis_the_time_of_receipt_counts(data: Any) -> None:
    assert time_of(data) == NOW


def test_a_time_in_the_future_is_taken_for_the_time_of_receipt() -> None:
    assert time_of([NOW + 3600, 5]) == NOW


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "empty"),
        ([], "empty"),
        ({}, "empty"),
        ({"value": None}, "empty"),
        ([None, None], "empty"),
        ({"0": None}, "empty"),
        ({"timestamp": ISO}, "empty"),
        ([[TS, None]], "empty"),
        (True, "not_a_number"),
        ("high", "not_a_number"),
        ("93%", "not_a_number"),
        (nan, "not_a_number"),
        (inf, "not_a_number"),
        (10**400, "not_a_number"),
        ({"value": False}, "not_a_number"),
        ({"min": 1, "max": 2, "avg": 1.5}, "unknown_shape"),
        ({"cpu": 93}, "unknown_shape"),
        ({"0": {"1": 5}}, "unknown_shape"),
        ({"rx": {"tx": 5}}, "unknown_shape"),
        ({"rx": 5, "value_of_tx": 5}, "unknown_shape"),
        ([[1, 2], [3, 4]], "unknown_shape"),
        ([[TS, 5], 6], "unknown_shape"),
        ([TS, TS + 1], "unknown_shape"),
        ([1234.5, TS], "unknown_shape"),
        ({"timestamps": [TS, TS + 60], "values": [10, 20]}, "unknown_shape"),
        ([{"timestamp": "yesterday", "value": 5}], "unknown_shape"),
        ([{"device": "0", "value": 5}, {"device": "0", "value": 6}], "unknown_shape"),
        (
            {"value": {"value": {"value": {"value": {"value": {"value": {"value": 5}}}}}}},
            "unknown_shape",
        ),
        (-1, "out_of_range"),
        (-1.0, "out_of_range"),
        ("-1", "out_of_range"),
        (1e19, "out_of_range"),
        (2**31 - 1, "out_of_range"),
        (2**32 - 1, "out_of_range"),
        (2**63 - 1, "out_of_range"),
        (2**64 - 1, "out_of_range"),
        ("N/A", "not_a_number"),
        ("NaN", "not_a_number"),
        ([-1, -1], "out_of_range"),
        ({"rx": -1, "tx": -1}, "out_of_range"),
        (list(range(2_000)), "too_many_points"),
    ],
)
def test_what_cannot_be_read_is_not_guessed(data: Any, reason: str) -> None:
    assert found(data) == Found(None, (reason,))


def test_a_long_series_is_one_point() -> None:
    assert points([[TS + i / 1000, i] for i in range(5_000)]) == [(4_999, None, None)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [({"0": 5, "1": -1}, "out_of_range"), ([5, "n/a"], "not_a_number"), ([5, None], None)],
)
def test_an_unreadable_device_does_not_spoil_the_others(data: Any, reason: str | None) -> None:
    result = found(data)
    assert result.reading is not None
    assert result.reading.points == (Point(5, "0"),)
    assert result.problems == (() if reason is None else (reason,))


@pytest.mark.parametrize(
    ("unit", "reported", "quantity", "value"),
    [
        (Unit.PERCENT, 95.2, Quantity.RATIO, 0.952),
        (Unit.PERCENT, 0, Quantity.RATIO, 0),
        (Unit.PERCENT, 100.4, Quantity.RATIO, 1),
        (Unit.PERCENT, -0.5, Quantity.RATIO, 0),
        (Unit.RATIO, 0.25, Quantity.RATIO, 0.25),
        (Unit.BYTES, 7, Quantity.BYTES, 7),
        (Unit.MEGABYTES, 1.5, Quantity.BYTES, 1.5e6),
        (Unit.GIGABYTES, 14.3, Quantity.BYTES, 14.3e9),
        (Unit.GIBIBYTES, 2, Quantity.BYTES, 2 * 2**30),
        (Unit.BYTES_PER_SECOND, 8e6, Quantity.BYTES_PER_SECOND, 8e6),
        (Unit.MEGABITS_PER_SECOND, 8, Quantity.BYTES_PER_SECOND, 1e6),
        (Unit.BYTES_TOTAL, 123, Quantity.BYTES_TOTAL, 123),
    ],
)
def test_units_turn_into_base_units(
    unit: Unit, reported: float, quantity: Quantity, value: float
) -> None:
    reading = found(reported, unit).reading
    assert reading is not None
    assert reading.quantity is quantity
    assert [p.value for p in reading.points] == [pytest.approx(value, rel=1e-12)]


@pytest.mark.parametrize(
    ("unit", "reported"),
    [
        *[(Unit.PERCENT, reported) for reported in (-1, -0.51, 100.51, 101, 255, 350, 65_535)],
        *[(Unit.RATIO, reported) for reported in (-1, -0.0051, 1.0051, 1.01, 95.2)],
        *[(unit, -1) for unit in Unit],
        *[(unit, -0.01) for unit in Unit if unit not in {Unit.PERCENT, Unit.RATIO}],
    ],
)
def test_what_is_farther_than_half_a_percent_from_a_range_is_out_of_it(
    unit: Unit, reported: float
) -> None:
    assert found(reported, unit=unit) == Found(None, ("out_of_range",))
    assert found([reported, None], unit=unit) == Found(None, ("out_of_range",))


@pytest.mark.parametrize(
    ("unit", "reported", "ratio"),
    [
        (Unit.PERCENT, -0.5, 0),
        (Unit.PERCENT, 100.5, 1),
        (Unit.RATIO, -0.005, 0),
        (Unit.RATIO, 1.005, 1),
    ],
)
def test_what_is_within_half_a_percent_of_a_range_is_rounded(
    unit: Unit, reported: float, ratio: float
) -> None:
    assert found(reported, unit=unit) == Found(Reading(Quantity.RATIO, ratio, NOW), ())


def test_a_device_with_a_sentinel_is_unknown_and_not_idle() -> None:
    result = found({"0": 93, "1": -1, "2": 255, "3": None}, Unit.PERCENT)
    assert result.problems == ("out_of_range",)
    assert result.reading is not None
    assert result.reading.points == (Point(0.93, "0"),)


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_timestamps_of_a_clock_that_is_wrong_are_set_right(skew: float) -> None:
    reading = read_reading([NOW + skew - 60, 5], Unit.BYTES, NOW, skew).reading
    assert reading is not None
    assert reading.at == NOW - 60


def test_every_unit_and_every_metric_is_provided_for() -> None:
    assert set(DEFAULT_UNITS) == set(Metric)
    for unit in Unit:
        assert found(0.5, unit=unit).reading is not None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([TS, TS * 1000, ISO, 93.1]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(
                ["value", "timestamp", "ts", "rx", "tx", "0", "1", "gpu", "device", "data"]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


REASONS = {"empty", "not_a_number", "out_of_range", "too_many_points", "unknown_shape"}


@given(data=json_values, unit=st.sampled_from(Unit))
def test_any_json_gives_sound_points_or_a_reason_of_the_closed_set(data: Any, unit: Unit) -> None:
    result = read_reading(data, unit, NOW)
    assert set(result.problems) <= REASONS
    if result.reading is None:
        assert result.problems
        return
    values = [p.value for p in result.reading.points]
    places = [(p.device, p.direction) for p in result.reading.points]
    assert values
    assert len(set(places)) == len(places)
    assert all(
        0 <= value <= (1 if result.reading.quantity is Quantity.RATIO else 1e18) for value in values
    )
    assert result.reading.at <= NOW
