"""Which requests are worth most: details that are missing, then what is oldest and dearest."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.model import Job, Metric, Point, Quantity, Reading
from trainwave_exporter.polling.agenda import Agenda, Question
from trainwave_exporter.polling.planner import Situation, plan

NOW = 10_000.0


def job(job_id: str = "j-1", state: str = "RUNNING", **fields: Any) -> Job:
    known = {
        "account": "a",
        "confirmed_at": NOW - 5,
        "name": "mnist",
        "gpus": 1.0,
        "hourly_cost_dollars": 1.0,
        "started_at": 1.0,
    }
    return Job(id=job_id, state=state, **{**known, **fields})


def situation(**fields: Any) -> Situation:
    usual = {
        "now": NOW,
        "listed_since": NOW - 10,
        "state_interval": 30.0,
        "readings_interval": 60.0,
        "requests_per_minute": 80.0,
    }
    return Situation(**{**usual, **fields})


def answered(agenda: Agenda, job_id: str, at: float, *, but: Metric | None = None) -> None:
    for metric in Metric:
        if metric is not but:
            agenda.answered(Question(job_id, metric), "", at)


def calls(
    *jobs: Job, agenda: Agenda | None = None, slots: int = 100, **fields: Any
) -> list[Question]:
    agenda = agenda or Agenda(pause=60)
    return list(plan(jobs, agenda, situation(**fields), slots).questions)


def test_a_new_running_job_is_asked_for_all_six_readings() -> None:
    assert set(calls(job())) == {Question("j-1", metric) for metric in Metric}


def test_only_running_jobs_are_asked_for_readings() -> None:
    assert calls(job(state="LAUNCHING"), job("j-2", state="SUCCESS", finished_at=5.0)) == []


def test_a_reading_is_asked_for_again_at_the_ideal_age_and_not_before() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 59)
    assert calls(job(), agenda=agenda) == []
    answered(agenda, "j-1", NOW - 60)
    assert len(calls(job(), agenda=agenda)) == 6


def test_nothing_is_asked_twice_at_the_same_time() -> None:
    agenda = Agenda(pause=60)
    for metric in Metric:
        agenda.begin(Question("j-1", metric))
    agenda.begin(Question("j-2"))
    assert calls(job(), job("j-2", state="LAUNCHING", name=None), agenda=agenda) == []


def test_what_failed_is_left_alone_for_its_pause() -> None:
    agenda = Agenda(pause=60)
    for metric in Metric:
        agenda.failed(Question("j-1", metric), NOW - 59)
    assert calls(job(), agenda=agenda) == []
    assert len(calls(job(), agenda=agenda, now=NOW + 1)) == 6


def test_the_oldest_goes_first() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 100)
    answered(agenda, "j-2", NOW - 300)
    answered(agenda, "j-3", NOW - 200)
    jobs = [job(f"j-{n}") for n in (1, 2, 3)]
    order = [call.job_id for call in calls(*jobs, agenda=agenda) if call.metric is Metric.CPU]
    assert order == ["j-2", "j-3", "j-1"]


def test_gpu_utilization_goes_before_what_is_as_old() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 100)
    answered(agenda, "j-2", NOW - 100)
    first = calls(job(), job("j-2"), agenda=agenda, slots=2)
    assert {call.metric for call in first} == {Metric.GPU_UTILIZATION}


def test_of_equally_old_ones_the_dearest_goes_first() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 100)
    answered(agenda, "j-2", NOW - 100)
    jobs = [job("j-1", hourly_cost_dollars=1.0), job("j-2", hourly_cost_dollars=30.0)]
    assert [call.job_id for call in calls(*jobs, agenda=agenda, slots=6)] == ["j-2"] * 6


def test_a_cheap_job_is_not_starved_by_a_dear_one() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 100)
    answered(agenda, "j-2", NOW - 1000)
    jobs = [job("j-1", hourly_cost_dollars=30.0), job("j-2", hourly_cost_dollars=0.5)]
    assert calls(*jobs, agenda=agenda, slots=1)[0].job_id == "j-2"


def test_a_job_without_a_price_is_asked_all_the_same() -> None:
    unpriced = job(hourly_cost_dollars=None)
    assert len(calls(unpriced)) == 7  # its details as well


def test_a_reading_that_the_list_brought_is_not_asked_for() -> None:
    listed = Reading(Metric.GPU_UTILIZATION, Quantity.RATIO, (Point(0.9),), NOW - 5)
    wanted = calls(job(readings={Metric.GPU_UTILIZATION: listed}))
    assert set(wanted) == {Question("j-1", m) for m in Metric if m is not Metric.GPU_UTILIZATION}


def test_a_reading_that_the_list_brought_long_ago_is_asked_for() -> None:
    listed = Reading(Metric.MEMORY, Quantity.BYTES, (Point(9e9),), NOW - 500)
    assert Question("j-1", Metric.MEMORY) in calls(job(readings={Metric.MEMORY: listed}))


def test_the_devices_of_a_job_with_several_gpus_are_asked_for() -> None:
    listed = Reading(Metric.GPU_UTILIZATION, Quantity.RATIO, (Point(0.9),), NOW - 5)
    several = job(gpus=8.0, readings={Metric.GPU_UTILIZATION: listed})
    assert Question("j-1", Metric.GPU_UTILIZATION) in calls(several)


def test_a_running_job_that_the_list_missed_comes_before_everything() -> None:
    missing = job("j-9", confirmed_at=NOW - 40, hourly_cost_dollars=0.1)
    new = job("j-1", name=None, hourly_cost_dollars=30.0)
    assert calls(new, missing, slots=1) == [Question("j-9")]


def test_missing_details_of_live_jobs_come_before_readings() -> None:
    new = job("j-2", name=None, hourly_cost_dollars=None)
    assert calls(job(hourly_cost_dollars=30.0), new, slots=1) == [Question("j-2")]


def test_details_are_asked_for_once_per_state() -> None:
    agenda = Agenda(pause=60)
    agenda.answered(Question("j-1"), "LAUNCHING", NOW - 50)
    assert calls(job(state="LAUNCHING", name=None), agenda=agenda) == []
    answered(agenda, "j-1", NOW)
    assert calls(job(name=None), agenda=agenda) == [Question("j-1")]


def test_times_are_asked_for_where_the_details_told_the_rest() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW)
    agenda.answered(Question("j-1"), "LAUNCHING", NOW - 50)
    assert calls(job(started_at=None), agenda=agenda) == [Question("j-1")]
    assert calls(job(state="SUCCESS"), agenda=agenda) == [Question("j-1")]
    assert calls(job(state="SUCCESS", finished_at=9.0), agenda=agenda) == []


def test_times_are_not_asked_for_where_the_list_tells_as_much_as_the_details() -> None:
    assert calls(job(state="SUCCESS")) == []
    assert Question("j-1") not in calls(job(started_at=None))


def test_details_of_a_finished_job_that_nobody_saw_alive_are_asked_for_too() -> None:
    assert calls(job(state="SUCCESS", name=None)) == [Question("j-1")]


def test_what_a_finished_job_was_is_asked_for_before_any_reading_is_asked_for_again() -> None:
    """Without its details nobody knows what its money was spent on."""
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW - 3600)
    finished = job("j-2", state="SUCCESS", name=None, hourly_cost_dollars=None)
    fresh = job("j-3", started_at=None)
    asked = calls(job(hourly_cost_dollars=100.0), finished, fresh, agenda=agenda, slots=7)
    assert asked[6] == Question("j-2")
    assert {question.job_id for question in asked[:6]} == {"j-3"}


def test_the_state_of_a_waiting_job_that_no_list_confirms_is_asked_for() -> None:
    waiting = job(state="LAUNCHING", confirmed_at=NOW - 31, started_at=None)
    assert calls(waiting) == [Question("j-1")]
    fresh = job(state="LAUNCHING", confirmed_at=NOW - 29, started_at=None)
    assert calls(fresh) == []


def test_confirming_many_waiting_jobs_takes_a_share_of_the_budget_only() -> None:
    waiting = [
        job(f"j-{n}", state="LAUNCHING", confirmed_at=NOW - 119, started_at=None) for n in range(40)
    ]
    assert calls(*waiting) == []
    assert len(calls(*waiting, now=NOW + 1)) == 40


def test_a_clock_that_was_set_back_makes_everything_due() -> None:
    agenda = Agenda(pause=60)
    answered(agenda, "j-1", NOW + 86_400)
    assert len(calls(job(confirmed_at=NOW + 86_400), agenda=agenda)) == 7
    agenda.failed(Question("j-1", Metric.CPU), NOW + 86_400)
    assert Question("j-1", Metric.CPU) in calls(job(), agenda=agenda)


def test_what_cannot_be_asked_now_is_counted_as_due() -> None:
    schedule = plan([job(), job("j-2")], Agenda(pause=60), situation(), slots=5)
    assert (len(schedule.questions), schedule.due, schedule.readings) == (5, 12, 12)
    assert plan([job()], Agenda(pause=60), situation(), slots=0).questions == ()


@given(
    prices=st.lists(st.none() | st.floats(0, 1000), min_size=1, max_size=8),
    slots=st.integers(1, 5),
)
def test_every_reading_gets_its_turn(prices: list[float | None], slots: int) -> None:
    """Whatever the prices, and however few slots there are."""
    jobs = [job(f"j-{n}", hourly_cost_dollars=price) for n, price in enumerate(prices)]
    agenda = Agenda(pause=60)
    for unpriced in jobs:
        agenda.answered(Question(unpriced.id), "RUNNING", NOW)
    seen: set[Question] = set()
    for tick in range(60 * len(jobs)):
        now = NOW + 60 * tick
        for call in plan(jobs, agenda, situation(now=now), slots).questions:
            seen.add(call)
            agenda.answered(call, "", now)
    assert seen >= {Question(each.id, metric) for each in jobs for metric in Metric}
