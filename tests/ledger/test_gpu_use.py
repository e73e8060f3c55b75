"""Use of a job's GPUs by readings of some, all or none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.ledger.billing.gpu_use import (
    GpuUse,
    Shares,
    all_idle,
    decoded,
    encoded,
    gpu_use,
    shares,
)
from trainwave_exporter.model import Point, Quantity, Reading

THRESHOLD = 0.05


def use(**devices: float) -> GpuUse:
    points = [Point(value, name.removeprefix("gpu")) for name, value in devices.items()]
    return gpu_use(Reading.of(Quantity.RATIO, points, 0.0))


def whole(value: float) -> GpuUse:
    return gpu_use(Reading(Quantity.RATIO, value, 0.0))


EIGHT_IDLE = use(**{f"gpu{n}": 0.0 for n in range(8)})
NINE = use(**{f"gpu{n}": 0.9 * (n == 8) for n in range(9)})
NOTHING: GpuUse = {}


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (None, NOTHING),
        (Reading(Quantity.RATIO, (), 0.0), NOTHING),
        (Reading(Quantity.BYTES, 0.0, 0.0), NOTHING),
        (Reading(Quantity.RATIO, 0.05, 0.0), {"": 50_000}),
        (Reading.of(Quantity.RATIO, [Point(0.25, "0"), Point(1.0, "1")], 0.0),
         {"0": 250_000, "1": 1_000_000}),
        (Reading.of(Quantity.RATIO, [Point(0.9), Point(0.0, "0")], 0.0), {"0": 0}),
    ],
)  # fmt: skip
def test_a_reading_speaks_of_its_devices(reading: Reading | None, expected: GpuUse) -> None:
    assert gpu_use(reading) == expected


@pytest.mark.parametrize(
    ("value", "gpus", "expected"),
    [
        (whole(0.049), 8, True),
        (whole(0.05), 8, False),
        (whole(0.0), None, True),
        (EIGHT_IDLE, 8, True),
        (EIGHT_IDLE, 1, True),
        (EIGHT_IDLE, None, False),
        (use(gpu0=0.0), 8, False),
        (use(gpu0=0.0), 1, True),
        (use(gpu0=0.0), 0.5, True),
        (use(gpu0=0.0, gpu1=0.9), 2, False),
        (NOTHING, 8, False),
    ],
)
def test_all_are_idle_only_where_each_is_known_to_be(
    value: GpuUse, gpus: float | None, expected: bool
) -> None:
    assert all_idle(value, gpus, THRESHOLD) is expected


@pytest.mark.parametrize(
    ("before", "after", "gpus", "expected"),
    [
        # One number is the mean of all.
        (whole(0.0), whole(0.04), 8, Shares(8, 0, 8 * 0.02)),
        (whole(0.0), whole(0.9), 8, Shares(0, 8, 8 * 0.45)),
        # One device of eight says nothing of the other seven.
        (use(gpu0=0.0), use(gpu0=0.0), 8, Shares(1, 0, 0)),
        (use(gpu0=0.9), use(gpu0=0.0), 8, Shares(0, 1, 0.45)),
        # Nor do answers of two different devices say anything of either.
        (use(gpu0=0.0), use(gpu1=0.0), 8, Shares()),
        (use(gpu0=0.0, gpu1=0.9), use(gpu0=0.9, gpu1=0.0), 2, Shares(0, 2, 2 * 0.45)),
        (use(gpu0=0.0, gpu1=0.9), use(gpu0=0.0, gpu1=0.9), 2, Shares(1, 1, 0.9)),
        # A list says one number, the endpoint devices.
        (whole(0.0), use(gpu0=0.0), 8, Shares(1, 0, 0)),
        (use(gpu0=0.0, gpu1=0.8), whole(0.4), 2, Shares(0, 2, 2 * 0.4)),
        # Nine devices, of which the job has eight: at least so many of them.
        (NINE, NINE, 8, Shares(7, 0, 7 * 0.1)),
        (EIGHT_IDLE, EIGHT_IDLE, 1, Shares(1, 0, 0)),
        (EIGHT_IDLE, EIGHT_IDLE, 0.5, Shares(0.5, 0, 0)),
        # Three devices of who knows how many.
        (use(gpu0=0.0, gpu1=0.0, gpu2=0.5), use(gpu0=0.0, gpu1=0.0, gpu2=0.5), None,
         Shares(2, 1, 0.5)),
        (whole(0.0), whole(0.0), None, Shares()),
        (NOTHING, whole(0.0), 8, Shares()),
        (whole(0.0), NOTHING, 8, Shares()),
    ],
)  # fmt: skip
def test_between_two_readings_idle_is_what_both_show_idle(
    before: GpuUse, after: GpuUse, gpus: float | None, expected: Shares
) -> None:
    found = shares(before, after, gpus, THRESHOLD)
    assert (found.idle, found.busy) == (expected.idle, expected.busy)
    assert found.used == pytest.approx(expected.used)


uses = st.one_of(
    st.dictionaries(st.sampled_from("01234567"), st.integers(0, 1_000_000)),
    st.integers(0, 1_000_000).map(lambda value: {"": value}),
)


@given(uses, uses, st.sampled_from([None, 0, 0.5, 1, 2, 8, 100]))
def test_no_more_is_known_than_there_are_gpus(
    before: GpuUse, after: GpuUse, gpus: float | None
) -> None:
    found = shares(before, after, gpus, THRESHOLD)
    assert min(found.idle, found.busy, found.used) >= 0
    assert found.used <= found.idle + found.busy + 1e-9
    assert found.idle + found.busy <= (8 if gpus is None else gpus) + 1e-9
    assert decoded(encoded(before)) == before
