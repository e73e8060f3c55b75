"""What the fleet knows after what it was told, and what it says has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace
from support.fleet_world import POLICY, START, World

from trainwave_exporter.fleet import JobMissing, JobsSeen, SweepEnded
from trainwave_exporter.fleet.noted_jobs import MEMORY_SECONDS
from trainwave_exporter.fleet.tally import MOST_LABELS
from trainwave_exporter.fleet.transition_counter import TIMES_PATIENCE_SECONDS
from trainwave_exporter.model import (
    NO_READINGS,
    AccountStatus,
    Appeared,
    Changed,
    ClampedDuration,
    Departed,
    Departure,
    HistoricalJob,
    IllegalTransition,
    Job,
    Metric,
    Organization,
    Point,
    Project,
    ProjectTally,
    Quantity,
    Readings,
    Unreadable,
)

# Jobs come, change and go


def test_a_job_appears_changes_and_nothing_is_said_when_nothing_changed(world: World) -> None:
    job = world.job(cost_dollars=1.0)
    assert world.see(job)[0] == Appeared(world.shown())
    assert world.see(job) == ()
    dearer = world.job(cost_dollars=2.0)
    (change,) = world.see(dearer)
    assert isinstance(change, Changed)
    assert world.shown().cost_dollars == 2.0


def test_a_failed_sweep_removes_nothing(world: World) -> None:
    world.sweep(world.job())
    for _ in range(10):
        world.fail()
    assert world.is_shown()
    assert not world.status().up


def test_a_partial_sweep_removes_nothing(world: World) -> None:
    world.sweep(world.job())
    for _ in range(10):
        world.sweep(complete=False)
    assert world.is_shown()


def walk_running(world: World, *jobs: Job, seconds: float) -> None:
    """Let time pass, and have a list of running jobs name these."""
    world.now += seconds
    if jobs:
        world.see(*jobs)
    seen = frozenset(job.id for job in jobs)
    world.apply(SweepEnded("a", world.now, seen, full=False, complete=False))


def test_running_jobs_that_lists_of_a_wrong_count_go_on_without_do_not_count(world: World) -> None:
    """Every ten seconds another ten jobs run; of the 31 rounds within 300 s the newest 30 count."""
    for n in range(40):
        world.now += 10
        world.sweep(*(world.job(f"j-{n}-{k}") for k in range(10)), complete=False)
    assert world.tally().jobs == {"RUNNING": 300}


def test_a_running_job_that_its_own_answer_confirms_stays(world: World) -> None:
    world.sweep(world.job())
    for _ in range(10):
        walk_running(world, seconds=100)
        world.apply(JobsSeen("a", (world.job(),), world.now, details=True))
    assert world.is_shown()


def test_a_running_job_stays_until_a_list_went_on_without_it(world: World) -> None:
    """However long a list takes: that it was not confirmed meanwhile says nothing."""
    world.sweep(world.job())
    world.now += 1000
    began_at = world.now - 1001
    world.apply(SweepEnded("a", began_at, frozenset(), full=False, complete=False))
    assert world.is_shown()
    walk_running(world, seconds=1)
    assert not world.is_shown()


def test_a_job_that_waits_to_run_is_confirmed_by_full_lists_alone(world: World) -> None:
    world.sweep(world.job(state="LAUNCHING"), complete=False)
    walk_running(world, seconds=599)
    walk_running(world, seconds=100)
    assert world.is_shown()
    world.sweep(complete=False)
    assert not world.is_shown()


def test_a_job_that_is_named_again_goes_on_where_it_stopped(world: World) -> None:
    begin = world.now
    world.see(world.job(state="LAUNCHING", created_at=begin))
    world.now += 60
    world.see(world.job(created_at=begin))
    walk_running(world, seconds=300)
    assert not world.is_shown()
    world.see(world.job(created_at=begin))
    assert world.is_shown()
    queue = world.tally().queue_duration
    assert queue is not None
    assert (queue.count, queue.total) == (1, 60)


def test_jobs_that_nothing_confirms_are_forgotten_after_a_while(world: World) -> None:
    names: list[str | None] = []
    for job_id, seconds in (("j-1", 1199), ("j-2", 1200)):
        world.sweep(world.job(job_id, name="known"), complete=False)
        walk_running(world, seconds=seconds)
        world.see(world.job(job_id))
        names.append(world.shown(job_id).name)
    assert names == ["known", None]


def test_a_job_vanishes_when_three_complete_sweeps_missed_it(world: World) -> None:
    world.sweep(world.job())
    world.sweep()
    world.sweep()
    assert world.is_shown()
    changes = world.sweep()
    assert any(isinstance(c, Departed) and c.reason is Departure.VANISHED for c in changes)
    assert not world.is_shown()


def test_a_job_seen_in_between_has_to_be_missed_anew(world: World) -> None:
    world.sweep(world.job())
    world.sweep()
    world.sweep()
    world.see(world.job())
    world.sweep()
    world.sweep()
    assert world.is_shown()


def test_a_finished_job_is_kept_for_its_retention(world: World) -> None:
    world.see(world.job(state="SUCCESS", finished_at=world.now - 3000))
    world.tick(599, answering=True)
    assert world.is_shown()
    changes = world.tick(1)
    assert any(isinstance(c, Departed) and c.reason is Departure.RETENTION for c in changes)


def test_retention_counts_from_the_witnessed_end_where_the_api_reports_none(world: World) -> None:
    world.see(world.job())
    world.now += 10_000
    world.see(world.job(state="SUCCESS"))
    world.tick(3599, answering=True)
    assert world.is_shown()
    world.tick(1)
    assert not world.is_shown()


def test_an_end_reported_later_corrects_the_retention(world: World) -> None:
    world.see(world.job(state="SUCCESS"))
    world.see(world.job(state="SUCCESS", finished_at=world.now - 3500))
    world.tick(100)
    assert not world.is_shown()


def test_a_job_that_lives_again_does_not_leave(world: World) -> None:
    world.see(world.job(state="ERROR", finished_at=world.now))
    world.see(world.job(state="RUNNING"))
    world.now += 10_000
    world.see(world.job(state="RUNNING"))
    world.tick(answering=True)
    assert world.shown().running


def test_history_beyond_its_retention_is_never_admitted(world: World) -> None:
    world.see(world.job(state="SUCCESS", finished_at=world.now - 3600))
    assert not world.is_shown()


def test_history_that_is_not_shown_is_reported_with_every_answer(world: World) -> None:
    """Its cost may be corrected, and money counts whether or not the job is shown."""
    old = world.job(
        state="SUCCESS",
        created_at=world.now - 9000,
        started_at=world.now - 7200,
        finished_at=world.now - 3600,
        gpus=2.0,
        cost_dollars=5.0,
    )
    reported = replace(old, gpu_hours=2.0)
    assert world.see(old) == (HistoricalJob(reported),)
    assert world.see(replace(old, gpu_hours=2.5)) == (HistoricalJob(replace(old, gpu_hours=2.5)),)
    world.projects(Project(account="a", id="p-1", name="Vision"))
    assert world.see(old) == (HistoricalJob(replace(reported, project_name="Vision")),)


def test_a_job_whose_retention_ended_is_reported_as_history_from_then_on(world: World) -> None:
    job = world.job(state="SUCCESS", finished_at=world.now, cost_dollars=1.0)
    world.sweep(job)
    world.tick(3600, answering=True)
    corrected = replace(job, cost_dollars=2.0)
    assert world.see(corrected) == (HistoricalJob(corrected),)
    assert not world.is_shown()


def test_it_is_reported_whether_all_jobs_of_an_account_are_known(world: World) -> None:
    world.see(world.job())
    assert not world.status().counted
    world.sweep(world.job(), complete=False)
    assert world.status().counted
    world.tick(301)
    assert not world.status().counted


def test_a_job_first_seen_finished_is_kept_from_then_on_where_no_end_is_reported(
    world: World,
) -> None:
    world.see(world.job(state="SUCCESS", created_at=world.now - 3000))
    world.tick(3599, answering=True)
    assert world.is_shown()
    world.tick(1)
    assert not world.is_shown()


def test_a_job_whose_retention_ended_does_not_come_back_with_the_next_list(world: World) -> None:
    history = world.job(state="SUCCESS")
    world.sweep(history)
    world.tick(3600, answering=True)
    for _ in range(3):
        world.sweep(history)
    assert not world.is_shown()
    assert not world.is_shown()


def test_a_job_whose_retention_ended_is_forgotten_when_no_list_names_it_for_a_day(
    world: World,
) -> None:
    world.sweep(world.job(state="SUCCESS"))
    world.tick(3600, answering=True)
    world.tick(MEMORY_SECONDS - 1, answering=True)
    world.sweep(world.job(state="SUCCESS"))
    world.tick(MEMORY_SECONDS - 1, answering=True)
    world.sweep(world.job(state="SUCCESS"))
    assert not world.is_shown()
    world.tick(MEMORY_SECONDS, answering=True)
    world.sweep(world.job(state="SUCCESS"))
    assert world.is_shown()


def test_a_job_whose_retention_ended_does_not_come_back_through_another_key(
    worlds: Callable[..., World],
) -> None:
    world = worlds(("a", "b"))
    world.sweep(world.job(state="SUCCESS"))
    world.tick(3600, answering=True)
    world.sweep(world.job(state="SUCCESS", account="b"), account="b")
    assert not world.is_shown()


def test_history_whose_bill_shows_that_it_ended_long_ago_is_never_admitted(world: World) -> None:
    long_ago: dict[str, Any] = {"state": "SUCCESS", "created_at": world.now - 9000}
    billed: dict[str, Any] = {"cost_dollars": 2.0, "hourly_cost_dollars": 1.0}
    world.see(world.job("j-old", **long_ago))
    world.see(world.job("j-short", **long_ago, gpu_hours=1.0))
    world.see(world.job("j-long", **long_ago, gpu_hours=2.0))
    world.see(world.job("j-dear", **long_ago, **billed))
    assert {job.id for job in world.fleet.jobs("a")} == {"j-long", "j-dear"}


def test_a_page_that_lags_behind_the_lists_takes_nothing_back(world: World) -> None:
    world.see(world.job(cost_dollars=13.0))
    world.now += 5
    lagging = world.job(state="LAUNCHING", cost_dollars=10.0, name="mnist")
    world.apply(JobsSeen("a", (lagging,), world.now, details=True))
    assert (world.shown().state, world.shown().cost_dollars) == ("RUNNING", 13.0)
    assert world.shown().name == "mnist"
    assert world.shown().confirmed_at == world.now - 5
    assert world.facts == []
    corrected = world.job(cost_dollars=12.0)
    world.see(corrected)
    assert world.shown().cost_dollars == 12.0


def test_a_job_that_vanished_and_came_back_is_not_observed_twice(world: World) -> None:
    begin = world.now
    times: dict[str, Any] = {"created_at": begin, "started_at": begin + 5}
    ended = world.job(state="SUCCESS", finished_at=begin + 65, **times)
    world.sweep(ended)
    for _ in range(3):
        world.sweep()
    assert not world.is_shown()
    world.sweep(ended)
    assert world.is_shown()
    assert world.tally().run_duration["SUCCESS"].count == 1
    queue = world.tally().queue_duration
    assert queue is not None
    assert queue.count == 1


def test_a_job_that_lives_after_its_retention_is_shown_again(world: World) -> None:
    world.sweep(world.job(state="SUCCESS"))
    world.tick(3600, answering=True)
    world.sweep(world.job(state="RUNNING"))
    assert world.shown().running


def test_an_answer_that_was_overtaken_does_not_take_a_job_back(world: World) -> None:
    asked_at = world.now
    world.now += 5
    world.see(world.job(state="SUCCESS"), asked_at=world.now)
    world.see(world.job(state="RUNNING", cost_dollars=9.0), asked_at=asked_at)
    assert world.shown().state == "SUCCESS"
    assert world.shown().cost_dollars is None


def test_a_step_back_that_was_asked_for_later_is_taken_over_and_reported(world: World) -> None:
    world.see(world.job(state="SUCCESS"))
    world.now += 5
    world.see(world.job(state="RUNNING"))
    assert world.shown().state == "RUNNING"
    assert world.facts == [IllegalTransition("a", "SUCCESS", "RUNNING")]


# Accounts


def test_an_account_is_up_after_a_sweep_and_down_after_a_failed_one(world: World) -> None:
    assert world.status() == AccountStatus(name="a")
    world.sweep(world.job())
    assert world.status() == AccountStatus(name="a", up=True, counted=True, confirmed_at=world.now)
    world.fail()
    assert world.fleet.status("a") == world.status()
    assert not world.status().up
    assert world.status().confirmed_at == world.now


def test_jobs_of_a_dead_account_are_hidden_after_the_bound_and_come_back(world: World) -> None:
    world.sweep(world.job(), world.job("j-2"))
    world.fail()
    world.tick(299)
    assert world.is_shown()
    world.tick(1)
    assert not world.is_shown()
    assert world.status().expired
    assert not world.status().up
    world.sweep(world.job())
    assert world.is_shown()
    assert not world.is_shown("j-2")
    assert world.status().up
    assert not world.status().expired


def test_a_hidden_job_goes_on_where_it_stopped(world: World) -> None:
    world.sweep(world.job(name="mnist"))
    world.tick(300)
    world.sweep(world.job(state="SUCCESS", finished_at=world.now))
    assert world.shown().name == "mnist"
    assert world.tally().transitions == {("RUNNING", "SUCCESS"): 1}


def test_a_hidden_job_is_forgotten_without_a_second_farewell(world: World) -> None:
    world.sweep(world.job())
    world.tick(300)
    for _ in range(3):
        world.sweep()
    world.see(world.job())
    assert world.is_shown()


def test_of_a_list_that_fails_on_the_way_the_part_that_comes_stays(world: World) -> None:
    world.sweep(world.job(), world.job("j-2"))
    for _ in range(10):
        world.see(world.job())
        world.fail()
        world.tick(60)
    assert world.is_shown()
    assert not world.is_shown("j-2")
    assert world.tally().jobs is None
    assert not world.status().up
    world.sweep(world.job(), world.job("j-2"))
    assert world.is_shown("j-2")
    assert world.tally().jobs == {"RUNNING": 2}


def test_a_sweep_that_is_slow_keeps_an_account_alive(world: World) -> None:
    world.sweep(world.job())
    for _ in range(10):
        world.see(world.job())
        world.tick(200)
    assert world.is_shown()


def test_of_a_job_seen_by_two_keys_the_first_goes_on_telling(
    worlds: Callable[..., World],
) -> None:
    world = worlds(("a", "b"))
    world.sweep(world.job(cost_dollars=1.0))
    world.sweep(world.job(account="b", cost_dollars=9.0), account="b")
    assert world.shown().cost_dollars == 1.0
    assert [job.id for job in world.fleet.jobs("a")] == ["j-1"]
    assert list(world.fleet.jobs("b")) == []


def test_the_other_key_takes_over_when_the_first_misses_the_job(
    worlds: Callable[..., World],
) -> None:
    world = worlds(("a", "b"))
    world.sweep(world.job())
    world.sweep(account="a")
    world.sweep(world.job(account="b"), account="b")
    assert world.shown().account == "b"
    assert list(world.fleet.jobs("a")) == []


def test_the_other_key_takes_over_when_the_first_cannot_be_read(
    worlds: Callable[..., World],
) -> None:
    world = worlds(("a", "b"))
    world.sweep(world.job())
    world.tick(200)
    world.sweep(account="b")
    world.tick(100)
    assert not world.is_shown()
    world.sweep(world.job(account="b"), account="b")
    assert world.shown().account == "b"
    assert world.tally().jobs is None  # the first may know of more


def test_jobs_of_one_project_are_counted_over_all_keys_or_not_at_all(
    worlds: Callable[..., World],
) -> None:
    world = worlds(("a", "b"))
    world.sweep(world.job("j-1"), world.job("j-2"))
    world.see(world.job("j-3", account="b"))
    assert world.tally().jobs is None  # not all of b's jobs are known yet
    world.sweep(world.job("j-3", account="b"), account="b")
    assert world.tally().jobs == {"RUNNING": 3}
    world.tick(200)
    world.sweep(world.job("j-3", account="b"), account="b")
    world.tick(100)
    assert world.tally().jobs is None


# Tallies


def test_jobs_are_counted_by_state(world: World) -> None:
    world.sweep(world.job(), world.job("j-2"), world.job("j-3", state="SUCCESS"))
    assert world.tally().jobs == {"RUNNING": 2, "SUCCESS": 1}
    world.see(world.job("j-2", state="UPLOADING"))
    assert world.tally().jobs == {"RUNNING": 1, "SUCCESS": 1, "UPLOADING": 1}


def test_nothing_is_counted_until_all_jobs_are_known(world: World) -> None:
    world.see(world.job())
    assert world.is_shown()
    assert world.tally().jobs is None
    world.sweep(world.job())
    assert world.tally().jobs == {"RUNNING": 1}


def test_counts_are_withheld_when_an_account_cannot_be_read(world: World) -> None:
    world.sweep(world.job())
    world.tick(300)
    assert world.tally().jobs is None
    world.see(world.job())
    assert world.tally().jobs is None
    assert not world.fleet.counted("a")
    world.sweep(world.job())
    assert world.tally().jobs == {"RUNNING": 1}


def test_a_project_without_jobs_counts_none(world: World) -> None:
    world.sweep(world.job(state="SUCCESS", finished_at=world.now))
    world.tick(200)
    world.sweep(world.job(state="SUCCESS", finished_at=world.now - 3500))
    world.tick(200)
    assert world.tally().jobs == {}


def test_only_seen_transitions_are_counted(world: World) -> None:
    world.see(world.job(state="SUCCESS"))
    assert world.tally().transitions == {}
    world.see(world.job("j-2", state="LAUNCHING"))
    world.see(world.job("j-2", state="RUNNING"))
    world.see(world.job("j-2", state="RUNNING"))
    assert world.tally().transitions == {("LAUNCHING", "RUNNING"): 1}


def test_durations_are_observed_once_per_job(world: World) -> None:
    begin = world.now
    world.see(world.job(state="LAUNCHING", created_at=begin))
    world.now = begin + 400
    world.see(world.job(created_at=begin, started_at=begin + 40))
    ended = world.job(state="SUCCESS", finished_at=begin + 340)
    world.see(ended)
    world.see(ended)
    queue, run = world.tally().queue_duration, world.tally().run_duration["SUCCESS"]
    assert queue is not None
    assert (queue.count, queue.total) == (1, 40)
    assert (run.count, run.total) == (1, 300)


def test_durations_of_history_are_not_observed(world: World) -> None:
    past: dict[str, Any] = {"created_at": world.now - 900, "started_at": world.now - 800}
    world.see(world.job(state="SUCCESS", finished_at=world.now - 100, **past))
    world.see(world.job("j-2", **past))
    queue = world.tally().queue_duration
    assert queue is not None
    assert queue.count == 0
    assert world.tally().run_duration == {}


def test_a_job_that_came_and_went_between_two_sweeps_is_observed(world: World) -> None:
    begin = world.now + 10
    world.now += 500
    world.see(
        world.job(state="FAILED", created_at=begin, started_at=begin + 5, finished_at=begin + 65)
    )
    assert world.tally().run_duration["FAILED"].total == 60


def test_witnessed_times_stand_in_when_the_api_reports_none(world: World) -> None:
    world.see(world.job(state="LAUNCHING", created_at=world.now))
    world.now += 60
    world.see(world.job())
    world.now += 600
    world.see(world.job(state="SUCCESS"))
    assert world.tally().run_duration == {}
    world.tick(TIMES_PATIENCE_SECONDS)
    queue = world.tally().queue_duration
    assert queue is not None
    assert queue.total == 60
    assert world.tally().run_duration["SUCCESS"].total == 600


def test_a_negative_duration_counts_as_zero_and_is_reported(world: World) -> None:
    begin = world.now
    world.see(world.job(state="LAUNCHING", created_at=begin))
    world.see(world.job(created_at=begin + 50, started_at=begin + 10))
    world.see(world.job(state="SUCCESS", finished_at=begin + 5))
    assert world.facts == [ClampedDuration("a", "queue"), ClampedDuration("a", "run")]
    assert world.tally().run_duration["SUCCESS"].total == 0


# What is derived


def test_gpu_hours_are_derived_only_where_the_api_never_reported_them(world: World) -> None:
    world.see(world.job(gpus=2.0, started_at=world.now - 3600))
    assert world.shown().gpu_hours == 2.0
    world.see(world.job(gpu_hours=1.5))
    assert world.shown().gpu_hours == 1.5
    world.now += 599
    world.see(world.job())
    assert world.shown().gpu_hours == 1.5
    world.now += 1
    world.see(world.job())
    assert world.shown().gpu_hours is None
    world.see(world.job(gpu_hours=1.75))
    assert world.shown().gpu_hours == 1.75


def test_a_job_that_waits_to_run_has_used_no_gpu_hours_whatever_it_is_billed_for(
    world: World,
) -> None:
    world.see(world.job(state="LAUNCHING", gpus=8.0, cost_dollars=50.0, hourly_cost_dollars=2.5))
    assert world.shown().gpu_hours == 0


def test_a_cost_that_is_not_reported_any_more_is_kept_for_a_bounded_time(world: World) -> None:
    world.see(world.job(cost_dollars=5.0, hourly_cost_dollars=2.0))
    world.now += 299
    world.see(world.job())
    assert world.shown().cost_dollars == 5.0
    world.now += 1
    world.see(world.job())
    assert world.shown().cost_dollars is None
    assert world.shown().hourly_cost_dollars == 2.0
    world.see(world.job(cost_dollars=6.0))
    assert world.shown().cost_dollars == 6.0


def test_gpu_hours_stop_growing_at_the_witnessed_end(world: World) -> None:
    world.see(world.job(state="LAUNCHING", gpus=4.0))
    world.see(world.job())
    world.now += 1800
    world.see(world.job(state="SUCCESS"))
    assert world.shown().gpu_hours == 2.0
    world.now += 1800
    world.see(world.job(state="SUCCESS"))
    assert world.shown().gpu_hours == 2.0


def test_projects_lend_their_names_to_jobs_before_and_after(world: World) -> None:
    world.see(world.job())
    world.projects(Project(account="a", id="p-1", name="vision"))
    world.see(world.job("j-2"))
    assert world.shown().project_name == world.shown("j-2").project_name == "vision"
    world.projects(Project(account="a", id="p-1", name="sight"))
    assert world.shown().project_name == "sight"
    world.see(world.job("j-3", project_id="p-2"))
    assert world.shown("j-3").project_name is None


# Readings


def unreadable(metric: Metric, reason: str) -> Unreadable:
    return Unreadable(account="a", subject=metric.value, reason=reason)


def test_a_reading_belongs_to_its_job(world: World) -> None:
    world.see(world.job())
    world.read("j-1", 0.5)
    assert world.points() == (Point(0.5),)
    world.see(world.job(cost_dollars=1.0))
    assert world.points() == (Point(0.5),)
    assert world.read("j-unknown", 0.5) == ()


def test_readings_in_a_list_are_taken_over(world: World) -> None:
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.1))))
    world.now += 30
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.7))))
    assert world.points() == (Point(0.7),)


def test_a_job_that_is_over_has_no_readings(world: World) -> None:
    world.see(world.job())
    world.read("j-1", 0.5)
    world.see(world.job(state="SUCCESS"))
    assert world.shown().readings == NO_READINGS
    world.read("j-1", 0.5)
    assert world.shown().readings == NO_READINGS
    history = world.job("j-2", state="SUCCESS")
    world.see(world.job("j-2", state="SUCCESS", readings=Readings(cpu=world.reading(0.5))))
    assert world.shown("j-2") == history


def test_a_reading_is_dropped_when_it_was_not_confirmed_for_too_long(world: World) -> None:
    world.see(world.job())
    world.read("j-1", 0.5)
    world.tick(100)
    world.read("j-1", 0.5, metric=Metric.CPU)
    world.tick(160, readings_max_age=250)
    assert [metric for metric, _ in world.shown().readings.items()] == [Metric.CPU]


@pytest.mark.parametrize("metric", Metric)
def test_a_reading_that_was_too_old_when_it_came_shows_its_time_and_no_value(
    world: World, metric: Metric
) -> None:
    """A point that is served again and again, hours after it was taken."""
    world.see(world.job())
    taken = world.now - 7200
    for _ in range(3):
        world.read("j-1", 0.5, at=taken, metric=metric)
        world.tick(60)
        reading = world.shown().readings.get(metric)
        assert reading is not None
        assert (reading.points, reading.at) == ((), taken)
    assert world.facts.count(unreadable(metric, "stale")) == 3
    world.read("j-1", 0.5, metric=metric)
    current = world.shown().readings.get(metric)
    assert current is not None
    assert current.points == (Point(0.5),)


def test_a_reading_turns_stale_when_the_same_point_is_served_for_too_long(world: World) -> None:
    """With devices, too: nothing to say replaces what was said of each of them."""
    world.see(world.job(gpus=2.0))
    taken = world.now
    for age in (0, 150, 300):
        world.now = taken + age
        world.read("j-1", Point(0.0, "0"), Point(0.0, "1"), at=taken)
        assert len(world.points()) == 2
    world.now = taken + 301
    world.read("j-1", Point(0.0, "0"), Point(0.0, "1"), at=taken)
    assert world.points() == ()


def test_a_stale_answer_of_the_endpoint_does_not_replace_what_a_list_says_now(
    world: World,
) -> None:
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.9))))
    world.read("j-1", 0.0, at=world.now - 7200)
    assert world.points() == (Point(0.9),)


def test_an_api_clock_that_is_ahead_does_not_freeze_a_reading(world: World) -> None:
    world.see(world.job())
    world.read("j-1", 0.5, at=world.now + 7200)
    world.now += 301
    world.read("j-1", 0.9, at=world.now)
    assert world.points() == (Point(0.9),)


@pytest.mark.parametrize(("listed", "measured"), [(0.0, 0.9), (0.9, 0.0)])
def test_a_list_and_an_endpoint_that_contradict_each_other_again_and_again_are_not_believed(
    world: World, listed: float, measured: float
) -> None:
    """A list every 30 s, the endpoint every 60 s: from the second list on nothing is shown."""
    shown = []
    for second in range(0, 300, 30):
        reading = world.reading(listed)
        world.see(world.job(gpus=8.0, readings=Readings(gpu_utilization=reading)))
        world.now += 5
        if second % 60 == 30:
            world.read("j-1", measured)
        shown.append(world.points())
        world.now += 25
    assert shown == [(Point(listed),)] * 2 + [()] * 8
    confirmed = world.shown().readings.gpu_utilization
    assert confirmed is not None
    assert confirmed.at == START + 275  # when the endpoint was last read
    contradicting = unreadable(Metric.GPU_UTILIZATION, "contradicting")
    # Counted since the endpoint repeated it at 95 s: 6 lists and 4 answers of the endpoint.
    assert world.facts.count(contradicting) == 10


def test_a_change_is_shown_as_soon_as_the_other_source_confirms_it(world: World) -> None:
    def list_says(value: float) -> tuple[Point, ...]:
        world.now += 30
        reading = Readings(gpu_utilization=world.reading(value))
        world.see(world.job(gpus=8.0, readings=reading))
        return world.points()

    assert list_says(0.9) == (Point(0.9),)
    world.read("j-1", 0.9)
    assert list_says(0.0) == (Point(0.9),)
    assert list_says(0.0) == (Point(0.9),)
    world.now += 1
    world.read("j-1", 0.0)
    assert world.points() == (Point(0.0),)
    assert list_says(0.0) == (Point(0.0),)
    assert not any(isinstance(fact, Unreadable) for fact in world.facts)


def test_where_the_endpoint_is_not_read_any_more_the_list_alone_counts(world: World) -> None:
    world.see(world.job(gpus=8.0))
    world.read("j-1", 0.9)
    shown = []
    for _ in range(11):
        world.now += 30
        reading = Readings(gpu_utilization=world.reading(0.0))
        world.see(world.job(gpus=8.0, readings=reading))
        shown.append(world.points())
    assert shown == [(Point(0.9),)] * 10 + [(Point(0.0),)]


def test_a_job_that_is_over_takes_its_contradictions_along(world: World) -> None:
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.0))))
    world.now += 1
    world.read("j-1", 0.9)
    world.see(world.job(state="ERROR"))
    world.see(world.job())
    world.now += 30
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.0))))
    assert world.points() == (Point(0.0),)


def test_readings_of_another_account_are_not_mixed_in(worlds: Callable[..., World]) -> None:
    world = worlds(("a", "b"))
    world.see(world.job())
    assert world.read("j-1", 0.5, account="b") == ()


def test_running_totals_become_rates(world: World) -> None:
    world.see(world.job())
    traffic: dict[str, Any] = {"metric": Metric.NETWORK, "quantity": Quantity.BYTES_TOTAL}

    def rates() -> tuple[Point, ...]:
        reading = world.shown().readings.network
        assert reading is not None
        return reading.rates

    world.read("j-1", Point(1000.0, None, "receive"), **traffic)
    assert rates() == ()
    world.now += 10
    world.read("j-1", Point(3000.0, None, "receive"), **traffic)
    assert rates() == (Point(200.0, None, "receive"),)


# Projects and organizations


def test_projects_appear_change_and_vanish(world: World) -> None:
    one, two = (Project(account="a", id=f"p-{n}", name=f"n{n}") for n in (1, 2))
    world.projects()
    assert world.projects(one, two) == (Appeared(one), Appeared(two))
    renamed = Project(account="a", id="p-1", name="new")
    assert world.projects(renamed) == (Changed(one, renamed),)
    assert world.projects(renamed, complete=False) == ()
    assert world.projects(renamed) == (Departed(two, Departure.VANISHED),)


def test_a_project_missed_once_in_a_while_stays(world: World) -> None:
    one, two = (Project(account="a", id=f"p-{n}") for n in (1, 2))
    world.projects(one, two)
    for _ in range(3):
        world.projects(one)
        assert world.projects(one, two) == ()


def test_balances_are_dropped_when_they_were_not_confirmed_for_too_long(world: World) -> None:
    broke = Organization(account="a", id="o-1", credit_balance_dollars=3.5)
    world.organizations()
    assert world.organizations(broke) == (Appeared(broke),)
    world.tick(600)
    world.projects()
    world.sweep()
    assert Departed(broke, Departure.EXPIRED) in world.tick(300)


def test_an_organization_seen_by_two_keys_is_reported_once(worlds: Callable[..., World]) -> None:
    world = worlds(("a", "b"))
    world.organizations(Organization(account="a", id="o-1", credit_balance_dollars=3.5))
    world.organizations(account="b")
    other = Organization(account="b", id="o-1", credit_balance_dollars=4.0)
    assert world.organizations(other, account="b") == ()


@pytest.mark.parametrize(
    ("look", "field"),
    [(World.projects, "projects_listed"), (World.organizations, "organizations_listed")],
    ids=["projects", "organizations"],
)
def test_an_account_says_whether_all_its_names_were_listed(
    world: World, look: Callable[..., tuple[object, ...]], field: str
) -> None:
    before = world.fleet.status("a")
    assert look(world, complete=False) == ()
    assert look(world) == (Changed(before, replace(before, **{field: True})),)
    assert look(world) == look(world, complete=False) == ()


# Listeners


def test_a_new_listener_is_given_all_that_is_shown(world: World) -> None:
    world.organizations(Organization(account="a", id="o-1"))
    world.projects(Project(account="a", id="p-1"))
    world.sweep(world.job(), world.job("j-2"))
    introduced = {
        (type(change.record), change.record.key): change.record
        for change in world.fleet.introduce()
        if isinstance(change, Appeared)
    }
    assert introduced == world.mirror


IDS = st.sampled_from(["j-1", "j-2", "j-3", "j-4"])
STATES = st.sampled_from(["LAUNCHING", "RUNNING", "SUCCESS", "ERROR", "THAWING"])
MONEY = st.none() | st.floats(0, 100)


class Churn(RuleBasedStateMachine):
    """Whatever happens, changes fit together, counts are exact and counters never fall."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(("a", "b"))
        self.counters: dict[str, dict[tuple[str, str], int]] = {}

    @rule(
        job_id=IDS,
        state=STATES,
        account=st.sampled_from("ab"),
        project=st.sampled_from(["p-1", "p-2"]),
        cost=MONEY,
    )
    def see(self, job_id: str, state: str, account: str, project: str, cost: float | None) -> None:
        fields: dict[str, Any] = {"project_id": project, "cost_dollars": cost}
        self.world.see(self.world.job(job_id, state, account=account, **fields))

    @rule(ids=st.sets(IDS), account=st.sampled_from("ab"), complete=st.booleans())
    def sweep(self, ids: set[str], account: str, complete: bool) -> None:
        began_at = self.world.now + 0.001
        self.world.apply(
            SweepEnded(account, began_at, frozenset(ids), full=True, complete=complete)
        )

    @rule(account=st.sampled_from("ab"))
    def fail(self, account: str) -> None:
        self.world.fail(account)

    @rule(seconds=st.sampled_from([0, 1, 30, 299, 301, 3700]))
    def wait(self, seconds: int) -> None:
        self.world.tick(seconds)

    @rule(job_id=IDS, value=st.floats(0, 1))
    def read(self, job_id: str, value: float) -> None:
        self.world.read(job_id, value)

    @invariant()
    def counts_are_those_of_the_jobs_shown(self) -> None:
        for key, tally in self.world.mirror.items():
            if not isinstance(tally, ProjectTally) or tally.jobs is None:
                continue
            shown: dict[str, int] = {}
            for job in self.world.mirror.values():
                if isinstance(job, Job) and job.project_id == key[1]:
                    shown[job.state] = shown.get(job.state, 0) + 1
            assert tally.jobs == shown

    @invariant()
    def counters_never_fall(self) -> None:
        for (kind, key), tally in self.world.mirror.items():
            if kind is ProjectTally:
                assert isinstance(tally, ProjectTally)
                before = self.counters.get(key, {})
                assert all(tally.transitions.get(k, 0) >= n for k, n in before.items())
                self.counters[key] = dict(tally.transitions)

    @invariant()
    def the_fleet_shows_what_its_listeners_know(self) -> None:
        fleet = {job.id: job for name in "ab" for job in self.world.fleet.jobs(name)}
        known = {key: job for (kind, key), job in self.world.mirror.items() if kind is Job}
        assert fleet == known


Churn.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_whatever_happens_the_books_stay_right = pytest.mark.timeout(60)(Churn.TestCase)


def test_what_changes_nothing_is_no_change(world: World) -> None:
    world.sweep(world.job(), world.job("j-2"))
    assert world.see(world.job(), world.job("j-2")) == ()
    assert world.tick() == ()
    assert world.fleet.job("j-2") == world.shown("j-2")
    assert world.fleet.job("j-none") is None


# A clock that was set


def test_after_a_clock_set_back_old_readings_do_not_stay_for_long(world: World) -> None:
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.9))))
    world.set_clock(-86_400)
    world.tick()
    world.now += 301
    world.see(world.job(readings=Readings(gpu_utilization=world.reading(0.0))))
    assert world.points() == (Point(0.0),)


def test_a_clock_that_was_ahead_for_a_moment_keeps_no_reading_for_long(world: World) -> None:
    world.see(world.job())
    world.tick()
    world.set_clock(7200)
    world.read("j-1", 0.5)
    world.set_clock(-7199)
    world.tick(answering=True)
    world.tick(120, readings_max_age=100, answering=True)
    assert world.shown().readings == NO_READINGS


def test_after_a_clock_set_back_a_dead_account_is_hidden_in_time(world: World) -> None:
    world.sweep(world.job())
    world.projects(Project(account="a", id="p-1"))
    world.set_clock(-86_400)
    world.tick()
    world.tick(300)
    assert not world.is_shown()
    world.tick(600)
    assert (Project, "p-1") not in world.mirror


def test_a_clock_set_ahead_makes_nothing_older(world: World) -> None:
    """Readings last for 300 seconds here, and an account that does not answer is shown as long."""
    world.sweep(world.job(readings=Readings(gpu_utilization=world.reading(0.9))))
    world.projects(Project(account="a", id="p-1"))
    world.tick(200)
    world.set_clock(3600)
    world.tick(readings_max_age=300)
    assert world.points() == (Point(0.9),)
    assert (Project, "p-1") in world.mirror
    world.tick(101, readings_max_age=300)
    assert not world.is_shown()


# What the API says it does not know


def test_that_the_api_knows_no_such_job_counts_as_much_as_a_sweep(world: World) -> None:
    world.sweep(world.job())
    for _ in range(2):
        world.apply(JobMissing("a", "j-1"))
    assert world.is_shown()
    world.apply(JobMissing("b", "j-1"))
    world.apply(JobMissing("a", "j-unknown"))
    assert world.is_shown()
    world.apply(JobMissing("a", "j-1"))
    assert not world.is_shown()


def test_a_job_confirmed_while_a_sweep_went_on_was_not_missed_by_it(world: World) -> None:
    began_at = world.now
    world.now += 5
    world.see(world.job())
    for _ in range(5):
        world.apply(SweepEnded("a", began_at, frozenset(), full=True, complete=True))
    assert world.is_shown()


def test_a_job_that_comes_back_has_no_readings_of_old(world: World) -> None:
    world.sweep(world.job())
    world.read("j-1", 0.5)
    world.tick(300)
    world.sweep(world.job())
    assert world.shown().readings == NO_READINGS


def test_states_that_come_without_end_do_not_make_series_without_end(world: World) -> None:
    for n in range(2 * MOST_LABELS):
        world.see(world.job(state=f"THAWING-{n}"))
        finished = {"started_at": world.now, "finished_at": world.now}
        world.see(world.job(f"j-{n}-over", state=f"GONE-{n}", **finished))
    tally = world.tally()
    assert len(tally.transitions) == MOST_LABELS + 1
    assert tally.transitions["other", "other"] == 2 * MOST_LABELS - 1 - MOST_LABELS
    assert len(tally.run_duration) == MOST_LABELS + 1


def limited(world: World, projects: int) -> World:
    policy = replace(POLICY, max_groups=projects)
    world.fleet.reconfigure(accounts=world.accounts, policy=policy, now=world.now)
    return world


def in_project(world: World, number: int, state: str = "RUNNING") -> Job:
    return world.job(f"j-{number}", project_id=f"p-{number}", state=state)


def counted(world: World) -> dict[str, Any]:
    return {t.project_id: t.jobs for t in world.mirror.values() if isinstance(t, ProjectTally)}


def test_jobs_of_more_projects_than_wanted_are_counted_together(world: World) -> None:
    limited(world, 2).sweep(*(in_project(world, n) for n in range(5)))
    assert counted(world) == {
        "p-0": {"RUNNING": 1},
        "p-1": {"RUNNING": 1},
        "other": {"RUNNING": 3},
    }
    world.see(in_project(world, 4, state="SUCCESS"), in_project(world, 0, state="FAILED"))
    assert counted(world)["other"] == {"RUNNING": 2, "SUCCESS": 1}
    assert world.tally("other").transitions == {("RUNNING", "SUCCESS"): 1}
    assert counted(world)["p-0"] == {"FAILED": 1}


def test_a_project_that_was_counted_with_others_leaves_them_with_all_its_jobs(world: World) -> None:
    """Though it would have a place by now."""
    limited(world, 1).sweep(*(in_project(world, n) for n in range(3)))
    limited(world, 10).sweep(*(in_project(world, n) for n in (0, 2)))
    assert counted(world)["other"] == {"RUNNING": 2}
    for _ in range(3):
        world.now += 1
        world.sweep(in_project(world, 0))
    assert counted(world) == {"p-0": {"RUNNING": 1}, "other": {}}
    world.sweep(in_project(world, 2))
    assert counted(world)["p-2"] == {"RUNNING": 1}


def test_projects_that_come_without_end_leave_no_series_without_end(world: World) -> None:
    limited(world, 10)
    for n in range(500):
        world.see(in_project(world, n))
        world.see(in_project(world, n, state="SUCCESS"))
    assert len(counted(world)) == 11
    changes = [t.transitions for t in world.mirror.values() if isinstance(t, ProjectTally)]
    assert sum(each["RUNNING", "SUCCESS"] for each in changes) == 500


def test_a_project_named_like_the_fold_is_in_it(world: World) -> None:
    jobs = world.job("j-0", project_id="other"), in_project(world, 1), in_project(world, 2)
    limited(world, 1).sweep(*jobs)
    assert counted(world) == {"p-1": {"RUNNING": 1}, "other": {"RUNNING": 2}}


def test_a_page_that_reports_less_than_the_list_does_not_confirm_what_that_reported() -> None:
    world = World()
    world.see(world.job(cost_dollars=10.0))
    world.now += 30
    too_high, reported_at = world.job(cost_dollars=5_000.0), world.now
    world.now += 0.25  # an answer is taken in a little after it came
    world.see(too_high)
    world.now += 5
    world.apply(JobsSeen("a", (world.job(cost_dollars=10.1),), world.now, details=True))
    job = world.fleet.job("j-1")
    assert job is not None
    assert (job.cost_dollars, job.cost_reported_at) == (5_000.0, reported_at)
    assert job.confirmed_at == world.now
    world.now += 5
    world.see(world.job(cost_dollars=10.2))
    job = world.fleet.job("j-1")
    assert job is not None
    assert (job.cost_dollars, job.cost_reported_at) == (10.2, None)


def test_an_answer_without_gpu_hours_does_not_confirm_those_of_the_one_before() -> None:
    world = World()
    reported, reported_at = world.job(gpu_hours=9_000_000.0), world.now
    world.now += 0.25
    world.see(reported)
    world.now += 5
    world.see(world.job())
    job = world.fleet.job("j-1")
    assert job is not None
    assert (job.gpu_hours, job.gpu_hours_reported_at) == (9_000_000.0, reported_at)
    world.now += 5
    world.see(world.job(gpu_hours=2.0))
    job = world.fleet.job("j-1")
    assert job is not None
    assert (job.gpu_hours, job.gpu_hours_reported_at) == (2.0, None)
