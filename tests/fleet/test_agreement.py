"""Two sources of one job's GPU utilization: which differences are changes, which contradictions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.fleet.agreement import Agreement, Outcome, Source, differ
from trainwave_exporter.model import Point, Quantity, Reading

JOB, ENDPOINT = Source.JOB, Source.ENDPOINT
TAKEN, HELD = Outcome.TAKEN, Outcome.HELD
DOUBTED, CONTRADICTED = Outcome.DOUBTED, Outcome.CONTRADICTED


def whole(value: float, at: float = 0.0) -> Reading:
    return Reading(Quantity.RATIO, value, at)


def devices(*values: float) -> Reading:
    points = [Point(value, str(place)) for place, value in enumerate(values)]
    return Reading.of(Quantity.RATIO, points, 0.0)


@pytest.mark.parametrize(
    ("one", "other", "gpus", "expected"),
    [
        (whole(0.0), whole(0.9), 8, True),
        (whole(0.0), whole(0.051), 8, True),
        # More than 0.05 has to lie between: 0.04 and 0.08 are one GPU that goes up and down.
        (whole(0.04), whole(0.08), 8, False),
        (whole(0.0), whole(0.04), 8, False),
        (whole(0.5), whole(0.9), 8, False),
        # The mean of all eight is 0.0125, though one of them works.
        (whole(0.0), devices(0.1, *[0.0] * 7), 8, False),
        (whole(0.0), devices(*[0.9] * 8), 8, True),
        (whole(0.9), devices(*[0.0] * 8), 8, True),
        # One idle device of eight: the mean of all may be up to 7/8.
        (whole(0.8), devices(0.0), 8, False),
        (whole(0.9), devices(0.0), 8, False),
        # One of eight at 0.9: the mean of all is 0.11 at least.
        (whole(0.0), devices(0.9), 8, True),
        # Nine devices, of which the job has one: it may be the one that works.
        (whole(0.0), devices(0.9, *[0.0] * 8), 1, False),
        (whole(0.0), devices(*[0.9] * 8), 1, True),
        (whole(0.0), devices(0.9, 0.9), None, True),
        (whole(0.9), devices(0.0, 0.0), None, True),
        (whole(0.0), Reading(Quantity.RATIO, (), 0.0), 8, False),
        (whole(0.0), Reading(Quantity.BYTES, 5e9, 0.0), 8, False),
    ],
)
def test_sources_differ_where_one_is_idle_and_the_other_cannot_be(
    one: Reading, other: Reading, gpus: float | None, expected: bool
) -> None:
    assert differ(one, other, gpus, 0.05) is expected
    assert differ(other, one, gpus, 0.05) is expected


def outcomes(*steps: tuple[Source, float, float]) -> list[Outcome]:
    """Weigh readings, each of a source, with a value, at a time."""
    agreement = Agreement()
    return [
        agreement.weigh(source, whole(value, at), 8, threshold=0.05, gap=300)
        for source, value, at in steps
    ]


def test_a_difference_that_both_sources_repeat_is_a_contradiction() -> None:
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 30), (JOB, 0, 60), (ENDPOINT, 0.9, 70), (JOB, 0, 90)
    assert outcomes(*steps) == [TAKEN, HELD, HELD, DOUBTED, CONTRADICTED]
    assert outcomes(*steps, (ENDPOINT, 0.9, 100))[-1] is CONTRADICTED


def test_a_dip_between_two_readings_of_the_other_source_is_no_contradiction() -> None:
    """A checkpoint: the list happens to see it, the endpoint does not."""
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 30), (ENDPOINT, 0.9, 50), (ENDPOINT, 0.9, 55)
    assert outcomes(*steps, (JOB, 0.9, 60)) == [TAKEN, HELD, DOUBTED, DOUBTED, TAKEN]


def test_a_difference_that_the_other_source_confirms_was_a_change() -> None:
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 30), (ENDPOINT, 0, 70), (JOB, 0, 90)
    assert outcomes(*steps) == [TAKEN, HELD, TAKEN, TAKEN]


def test_a_difference_that_is_taken_back_was_none() -> None:
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 30), (JOB, 0.9, 60), (ENDPOINT, 0.9, 70)
    assert outcomes(*steps) == [TAKEN, HELD, TAKEN, TAKEN]


def test_a_contradiction_ends_when_the_sources_agree() -> None:
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 30), (ENDPOINT, 0.9, 70), (JOB, 0.9, 90), (JOB, 0, 120)
    assert outcomes(*steps) == [TAKEN, HELD, DOUBTED, TAKEN, HELD]


def test_a_point_from_before_the_difference_contradicts_nothing() -> None:
    """The endpoint's points come two minutes late."""
    steps = (ENDPOINT, 0.9, 0), (JOB, 0, 120), (ENDPOINT, 0.9, 60), (ENDPOINT, 0, 130)
    assert outcomes(*steps) == [TAKEN, HELD, TAKEN, TAKEN]


def test_readings_far_apart_are_not_compared() -> None:
    assert outcomes((ENDPOINT, 0.9, 0), (JOB, 0, 300)) == [TAKEN, HELD]
    assert outcomes((ENDPOINT, 0.9, 0), (JOB, 0, 301)) == [TAKEN, TAKEN]


@given(
    st.lists(
        st.tuples(st.sampled_from(Source), st.sampled_from([0.0, 0.9]), st.integers(0, 600)),
        max_size=20,
    )
)
def test_what_is_contradicted_or_held_differs_from_the_last_of_the_other_source(
    steps: list[tuple[Source, float, int]],
) -> None:
    last: dict[Source, tuple[float, float]] = {}
    for (source, value, at), outcome in zip(steps, outcomes(*steps), strict=True):
        other = last.get(JOB if source is ENDPOINT else ENDPOINT)
        last[source] = value, at
        if outcome is not TAKEN:
            assert other is not None
            assert other[0] != value
            assert abs(other[1] - at) <= 300
