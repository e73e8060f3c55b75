"""What is told now goes together with what was known before."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.fleet.merge import merge_jobs, merge_readings
from trainwave_exporter.model import NO_READINGS, Job, Metric, Point, Quantity, Reading, Readings


def job(**fields: Any) -> Job:
    return Job(**{"account": "a", "id": "j", "state": "RUNNING", "confirmed_at": 1.0, **fields})


def ratio(value: float, at: float, *, device: str | None = None) -> Reading:
    return Reading.of(Quantity.RATIO, [Point(value, device)], at)


def total(at: float, **directions: float) -> Reading:
    points = [Point(value, None, name) for name, value in directions.items()]
    return Reading.of(Quantity.BYTES_TOTAL, points, at)


def rates(*readings: Reading) -> dict[str | None, float]:
    known = NO_READINGS
    for reading in readings:
        known = merge_readings(known, Readings(disk=reading), ())
    assert known.disk is not None
    return {point.direction: point.value for point in known.disk.rates}


def merged(known: Reading, told: Reading, overdue: Container[Metric] = ()) -> Reading | None:
    readings = Readings(gpu_utilization=known), Readings(gpu_utilization=told)
    return merge_readings(*readings, overdue).gpu_utilization


def test_what_is_not_reported_stays_as_it_was() -> None:
    known = job(name="mnist", cost_dollars=1.0, project_id="p", gpus=4.0)
    told = job(cost_dollars=2.0, state="SUCCESS", finished_at=9.0, confirmed_at=2.0)
    assert merge_jobs(known, told) == job(
        name="mnist",
        cost_dollars=2.0,
        project_id="p",
        gpus=4.0,
        state="SUCCESS",
        finished_at=9.0,
        confirmed_at=2.0,
    )


def test_a_cost_reported_lower_is_taken_over() -> None:
    assert merge_jobs(job(cost_dollars=2.0), job(cost_dollars=1.5)).cost_dollars == 1.5


def test_a_job_that_lives_again_has_not_finished() -> None:
    ended = job(state="ERROR", finished_at=5.0)
    assert merge_jobs(ended, job(state="RUNNING")).finished_at is None
    assert merge_jobs(ended, job(state="ERROR")).finished_at == 5.0


def test_the_newer_reading_counts() -> None:
    old, new = ratio(0.1, 10), ratio(0.9, 20)
    assert merged(old, new) == new
    assert merged(new, old) == new


def test_one_number_does_not_replace_devices() -> None:
    devices = ratio(0.1, 10, device="0")
    assert merged(devices, ratio(0.5, 20)) == devices
    newer = ratio(0.2, 30, device="0")
    assert merged(devices, newer) == newer


def test_anything_replaces_what_came_too_long_ago() -> None:
    devices, number = ratio(0.1, 1e9, device="0"), ratio(0.5, 20)
    assert merged(devices, number, {Metric.GPU_UTILIZATION}) == number


def test_other_metrics_are_left_alone() -> None:
    cpu, gpu = ratio(0.5, 1), ratio(0.1, 2)
    both = merge_readings(Readings(cpu=cpu), Readings(gpu_utilization=gpu), ())
    assert both == Readings(cpu=cpu, gpu_utilization=gpu)


def test_two_totals_make_a_rate_in_each_direction() -> None:
    assert rates(total(10, read=100, write=0), total(20, read=600, write=5)) == {
        "read": 50.0,
        "write": 0.5,
    }


def test_one_total_makes_no_rate() -> None:
    assert rates(total(10, read=100)) == {}


def test_a_total_that_fell_makes_no_rate_until_the_next() -> None:
    assert rates(total(10, read=100), total(20, read=7)) == {}
    assert rates(total(10, read=100), total(20, read=7), total(30, read=17)) == {"read": 1.0}


def test_the_same_total_again_keeps_the_rate() -> None:
    assert rates(total(10, read=0), total(20, read=50), total(20, read=50)) == {"read": 5.0}


def test_a_total_after_another_quantity_makes_no_rate() -> None:
    speed = Reading.of(Quantity.BYTES_PER_SECOND, [Point(3.0, None, "read")], 5)
    assert rates(speed, total(20, read=50)) == {}


@given(
    st.lists(
        st.tuples(st.floats(0, 1e15), st.floats(0.001, 1e6)),
        min_size=2,
        max_size=20,
    )
)
def test_rates_are_never_negative(steps: list[tuple[float, float]]) -> None:
    at = 0.0
    seen = []
    for value, seconds in steps:
        at += seconds
        seen.append(total(at, read=value))
        assert all(rate >= 0 for rate in rates(*seen).values())
