"""The order of states, and what is derived from a job's times."""

from __future__ import annotations

import pytest

from trainwave_exporter.fleet import lifecycle
from trainwave_exporter.model import TERMINAL_STATES, Job

FORWARD = ["SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING", "SUCCESS"]


def job(**fields: object) -> Job:
    defaults = {"account": "a", "id": "j", "state": "RUNNING", "confirmed_at": 0.0}
    return Job(**{**defaults, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("early", range(len(FORWARD)))
@pytest.mark.parametrize("late", range(len(FORWARD)))
def test_states_may_be_skipped_but_not_gone_back_to(early: int, late: int) -> None:
    assert lifecycle.is_legal(FORWARD[early], FORWARD[late]) == (early <= late)
    assert lifecycle.is_backward(FORWARD[early], FORWARD[late]) == (early > late)


@pytest.mark.parametrize("end", sorted(TERMINAL_STATES))
def test_every_end_is_reached_from_anywhere_and_left_for_nowhere(end: str) -> None:
    assert all(lifecycle.is_legal(state, end) for state in FORWARD[:-1])
    assert not any(lifecycle.is_legal(end, state) for state in FORWARD[:-1])
    others = TERMINAL_STATES - {end}
    assert not any(lifecycle.is_legal(end, other) for other in others)


def test_of_a_state_that_nobody_knows_nothing_is_illegal() -> None:
    assert lifecycle.is_legal("SUCCESS", "THAWING")
    assert lifecycle.is_legal("THAWING", "SUBMIT_CODE")
    assert not lifecycle.is_backward("SUCCESS", "THAWING")


def test_a_job_has_started_when_its_state_or_its_start_says_so() -> None:
    assert not lifecycle.has_started(job(state="LAUNCHING"))
    assert not lifecycle.has_started(job(state="QUEUED"))
    assert lifecycle.has_started(job(state="RUNNING"))
    assert lifecycle.has_started(job(state="SUCCESS"))
    assert lifecycle.has_started(job(state="QUEUED", started_at=5.0))


def test_gpu_hours_are_gpus_times_running_time() -> None:
    eight = job(gpus=8.0)
    assert lifecycle.gpu_hours(eight, 7200.0, 3600.0, None) == 8.0
    ended = job(gpus=8.0, state="SUCCESS")
    assert lifecycle.gpu_hours(ended, 999_999.0, 3600.0, 5400.0) == 4.0


def test_gpu_hours_are_never_negative() -> None:
    assert lifecycle.gpu_hours(job(gpus=1.0), 100.0, 3700.0, None) == 0.0


def test_gpu_hours_without_a_start_follow_the_bill() -> None:
    billed = job(gpus=2.0, cost_dollars=5.0, hourly_cost_dollars=2.5)
    assert lifecycle.gpu_hours(billed, 0.0, None, None) == 4.0


def test_gpu_hours_are_unknown_rather_than_zero() -> None:
    assert lifecycle.gpu_hours(job(), 7200.0, 3600.0, None) is None
    assert lifecycle.gpu_hours(job(gpus=1.0), 7200.0, None, None) is None
    free = job(gpus=1.0, cost_dollars=5.0, hourly_cost_dollars=0.0)
    assert lifecycle.gpu_hours(free, 7200.0, None, None) is None
    endless = job(gpus=1.0, state="SUCCESS")
    assert lifecycle.gpu_hours(endless, 7200.0, 3600.0, None) is None
