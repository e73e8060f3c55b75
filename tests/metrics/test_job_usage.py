from __future__ import annotations

from typing import Any

import pytest
from support.metrics import IDENTITY, make_job, make_reading, series_of_record

from trainwave_exporter.model import (
    Point,
    Quantity,
    Reading,
    Readings,
)

RATIO, BYTES = Quantity.RATIO, Quantity.BYTES
METRICS = {
    "gpu_utilization_ratio": "gpu_utilization",
    "cpu_utilization_ratio": "cpu",
    "memory_used_bytes": "memory",
    "memory_utilization_ratio": "memory",
    "gpu_memory_used_bytes": "gpu_memory",
    "gpu_memory_utilization_ratio": "gpu_memory",
    "network_io_bytes_per_second": "network",
    "disk_io_bytes_per_second": "disk",
}
"""What the families are made of."""
GIB = 2.0**30


def series_of_reading(name: str, reading: Reading, **known: Any) -> dict[str, str]:
    """Return the values of one family by the labels beyond the job's identity."""
    job = make_job(readings=Readings(**{METRICS[name]: reading}), **known)
    prefix = f"trainwave_job_{name}{{{IDENTITY}"
    return {
        series.removeprefix(prefix).strip(",}"): value
        for series, value in series_of_record(job, f"trainwave_job_{name}{{").items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "gpu_utilization_ratio",
        "cpu_utilization_ratio",
        "memory_utilization_ratio",
        "gpu_memory_utilization_ratio",
    ],
)
class TestAReadingInRatios:
    def test_of_the_whole_job_has_no_further_label(self, name: str) -> None:
        assert series_of_reading(name, make_reading(RATIO, Point(0.25))) == {"": "0.25"}

    def test_of_several_devices_has_one_series_for_each(self, name: str) -> None:
        points = Point(0.25, device="0"), Point(0.75, device="1")
        assert series_of_reading(name, make_reading(RATIO, *points)) == {
            'gpu="0"': "0.25",
            'gpu="1"': "0.75",
        }

    @pytest.mark.parametrize("quantity", [Quantity.BYTES_PER_SECOND, Quantity.BYTES_TOTAL])
    def test_is_not_to_be_had_from_another_quantity(self, name: str, quantity: Quantity) -> None:
        known = {"memory_limit_bytes": 1.0, "gpu_memory_limit_bytes": 1.0, "gpus": 1.0}
        reading = make_reading(quantity, Point(1.0), rates=(Point(1.0),))
        assert series_of_reading(name, reading, **known) == {}


@pytest.mark.parametrize("quantity", Quantity)
@pytest.mark.parametrize("name", METRICS)
def test_a_reading_without_a_value_shows_its_time_alone(name: str, quantity: Quantity) -> None:
    reading = Reading(quantity, (), 1234.0)
    known = {"gpus": 2.0, "memory_limit_bytes": GIB, "gpu_memory_limit_bytes": GIB}
    assert series_of_reading(name, reading, **known) == {}
    job = make_job(readings=Readings(**{METRICS[name]: reading}))
    times = "trainwave_job_readings_timestamp_seconds"
    series = f'{times}{{{IDENTITY},metric="{METRICS[name]}"}}'
    assert series_of_record(job, times)[series] == "1234"


def test_utilization_in_bytes_makes_no_sense_and_gives_no_series() -> None:
    reading = make_reading(BYTES, Point(1.0))
    assert series_of_reading("cpu_utilization_ratio", reading) == {}


def test_memory_in_bytes_is_also_a_ratio_where_the_limit_is_known() -> None:
    reading = make_reading(BYTES, Point(4 * GIB))
    limit = {"memory_limit_bytes": 16 * GIB}
    assert series_of_reading("memory_used_bytes", reading, **limit) == {"": "4294967296"}
    assert series_of_reading("memory_utilization_ratio", reading, **limit) == {"": "0.25"}


def test_memory_as_a_ratio_is_also_in_bytes_where_the_limit_is_known() -> None:
    reading = make_reading(RATIO, Point(0.25))
    limit = {"memory_limit_bytes": 16 * GIB}
    assert series_of_reading("memory_used_bytes", reading, **limit) == {"": "4294967296"}
    assert series_of_reading("memory_utilization_ratio", reading, **limit) == {"": "0.25"}


@pytest.mark.parametrize("limit", [None, 0.0])
def test_without_a_limit_memory_is_only_what_was_reported(limit: float | None) -> None:
    known = {"memory_limit_bytes": limit}
    in_bytes = make_reading(BYTES, Point(4.0))
    assert series_of_reading("memory_used_bytes", in_bytes, **known) == {"": "4"}
    assert series_of_reading("memory_utilization_ratio", in_bytes, **known) == {}
    as_ratio = make_reading(RATIO, Point(0.25))
    assert series_of_reading("memory_used_bytes", as_ratio, **known) == {}
    assert series_of_reading("memory_utilization_ratio", as_ratio, **known) == {"": "0.25"}


def test_gpu_memory_of_one_device_is_measured_by_the_limit_of_one_device() -> None:
    known = {"gpu_memory_limit_bytes": 80 * GIB, "gpus": 8.0}
    reading = make_reading(BYTES, Point(20 * GIB, device="3"))
    assert series_of_reading("gpu_memory_utilization_ratio", reading, **known) == {
        'gpu="3"': "0.25"
    }
    assert series_of_reading("gpu_memory_used_bytes", reading, **known) == {
        'gpu="3"': "21474836480"
    }


def test_gpu_memory_of_a_job_is_measured_by_the_limit_of_all_its_devices() -> None:
    known = {"gpu_memory_limit_bytes": 80 * GIB, "gpus": 8.0}
    in_bytes = make_reading(BYTES, Point(160 * GIB))
    assert series_of_reading("gpu_memory_utilization_ratio", in_bytes, **known) == {"": "0.25"}
    as_ratio = make_reading(RATIO, Point(0.25))
    assert series_of_reading("gpu_memory_used_bytes", as_ratio, **known) == {"": "171798691840"}


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"gpus": 8.0},
        {"gpu_memory_limit_bytes": 80 * GIB},
        {"gpu_memory_limit_bytes": 80 * GIB, "gpus": 0.0},
        {"gpu_memory_limit_bytes": 0.0, "gpus": 8.0},
    ],
)
def test_gpu_memory_of_a_job_is_no_ratio_where_the_size_or_number_of_devices_is_not_known(
    known: dict[str, float],
) -> None:
    reading = make_reading(BYTES, Point(GIB))
    assert series_of_reading("gpu_memory_utilization_ratio", reading, **known) == {}


@pytest.mark.parametrize(
    "name",
    [
        "network_io_bytes_per_second",
        "disk_io_bytes_per_second",
    ],
)
class TestTraffic:
    def test_has_a_direction_where_reported(self, name: str) -> None:
        points = Point(10.0, direction="read"), Point(20.0, direction="write")
        assert series_of_reading(name, make_reading(Quantity.BYTES_PER_SECOND, *points)) == {
            'direction="read"': "10",
            'direction="write"': "20",
        }

    def test_of_several_devices_is_their_sum(self, name: str) -> None:
        points = Point(10.0, device="0"), Point(20.0, device="1")
        assert series_of_reading(name, make_reading(Quantity.BYTES_PER_SECOND, *points)) == {
            "": "30"
        }

    def test_from_a_running_total_is_its_rate(self, name: str) -> None:
        first = make_reading(Quantity.BYTES_TOTAL, Point(1e9))
        assert series_of_reading(name, first) == {}
        second = make_reading(Quantity.BYTES_TOTAL, Point(2e9), rates=(Point(7.5),))
        assert series_of_reading(name, second) == {"": "7.5"}

    @pytest.mark.parametrize("quantity", [RATIO, BYTES])
    def test_is_not_to_be_had_from_another_quantity(self, name: str, quantity: Quantity) -> None:
        assert series_of_reading(name, make_reading(quantity, Point(0.5))) == {}


def test_each_reading_reports_when_it_was_confirmed_and_so_does_the_job() -> None:
    readings = Readings(
        cpu=make_reading(RATIO, Point(0.5), at=2000.0), disk=make_reading(RATIO, at=3000.5)
    )
    name = "trainwave_job_readings_timestamp_seconds"
    job = make_job(confirmed_at=1000.0, readings=readings)
    assert series_of_record(job, name) == {
        f'{name}{{{IDENTITY},metric="job"}}': "1000",
        f'{name}{{{IDENTITY},metric="cpu"}}': "2000",
        f'{name}{{{IDENTITY},metric="disk"}}': "3000.5",
    }
