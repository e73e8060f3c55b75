from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.simulator.lifecycle import (
    LEGAL,
    Behavior,
    Course,
    SimulatedState,
    Status,
    draw_course,
    expire,
    status_of,
)

COURSES = st.builds(
    lambda seed, behavior: draw_course(Random(seed), behavior),
    st.integers(0, 2**32),
    st.sampled_from(Behavior),
)
"""Courses of all tempers."""


def steps_of(course: Course) -> list[tuple[SimulatedState, SimulatedState]]:
    return list(pairwise([SimulatedState.SUBMIT_CODE, *(state for _, state in course)]))


@given(COURSES)
def test_every_step_of_a_course_is_legal_and_takes_time(course: Course) -> None:
    assert all(after in LEGAL[before] for before, after in steps_of(course))
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(course))


@given(COURSES, st.integers(1, 100_000))
def test_a_course_that_expires_is_legal_and_over_by_then(course: Course, after: int) -> None:
    expired = expire(course, after)
    assert all(later in LEGAL[before] for before, later in steps_of(expired))
    at, state = expired[-1]
    assert state not in LEGAL
    assert at < after or (at == after and state is SimulatedState.SYSTEM_TERMINATED)


@given(st.integers(0, 2**32))
def test_all_jobs_come_to_an_end_but_those_that_hang(seed: int) -> None:
    for behavior in Behavior:
        ends = draw_course(Random(seed), behavior)[-1][1] not in LEGAL
        assert ends is (behavior is not Behavior.HANGS)


def test_every_end_is_met_in_a_large_fleet() -> None:
    random = Random(1)
    ends = {draw_course(random, Behavior.STEADY)[-1][1] for _ in range(2000)}
    assert ends == set(SimulatedState) - set(LEGAL)


def test_the_status_filter_finds_running_and_ended_jobs_only() -> None:
    assert {state: status_of(state) for state in SimulatedState} == {
        SimulatedState.SUBMIT_CODE: None,
        SimulatedState.LAUNCHING: None,
        SimulatedState.RUNNING: Status.RUNNING,
        SimulatedState.UPLOADING: None,
        SimulatedState.SUCCESS: Status.COMPLETED,
        SimulatedState.ERROR: Status.FAILED,
        SimulatedState.USER_PROCESS_FAILED: Status.FAILED,
        SimulatedState.SYSTEM_TERMINATED: Status.FAILED,
        SimulatedState.USER_CANCELLED: Status.FAILED,
    }
