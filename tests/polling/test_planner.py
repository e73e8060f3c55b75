"""What is asked first, what nobody is kept waiting for, and what the plan says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planner_jobs import NOW, job, reading
from support.polling_rig import Wanted

from trainwave_exporter.model import (
    Appeared,
    Changed,
    Departed,
    Departure,
    Job,
    Metric,
    Point,
    Project,
    Quantity,
    Reading,
    Readings,
)
from trainwave_exporter.polling.allocation import longest_age
from trainwave_exporter.polling.history_details import HistoryDetails
from trainwave_exporter.polling.job_request import JobRequest
from trainwave_exporter.polling.planner import Planner
from trainwave_exporter.polling.scope import Intervals

RATE = 60.0


def new_planner(
    *jobs: Job,
    urgent: Sequence[str] = (),
    others: Sequence[str] = (),
) -> Planner:
    intervals = Intervals(running=30.0, sweep=600.0, directory=300.0, readings=60.0)
    wanted = Wanted(urgent, others)
    planner = Planner(
        account="a", intervals=intervals, history=HistoryDetails(lambda: wanted, pause=60.0)
    )
    planner.apply([Appeared(each) for each in jobs], NOW)
    planner.listed(NOW - 10, frozenset(), NOW)
    return planner


def answer(planner: Planner, *requests: JobRequest, now: float) -> None:
    for request in requests:
        if request.metric is None:
            planner.details_answered(request, "RUNNING")
        else:
            planner.reading_answered(request, now)


def read_once(*jobs: Job) -> Planner:
    """Return a planner of jobs all of whose readings came just now."""
    planner = new_planner(*jobs)
    answer(planner, *planner.choose(10_000, NOW, RATE), now=NOW)
    return planner


def test_missing_details_of_live_jobs_come_before_readings() -> None:
    planner = new_planner(job(hourly_cost_dollars=30.0), job("j-2", name=None))
    assert planner.choose(1, NOW, RATE) == [JobRequest("j-2")]
    assert JobRequest("j-2") not in planner.choose(100, NOW, RATE)


def test_no_more_is_asked_than_there_are_slots_nor_what_is_under_way() -> None:
    planner = new_planner(job())
    assert planner.choose(0, NOW, RATE) == []
    assert len(planner.choose(4, NOW, RATE)) == 4
    assert len(planner.choose(4, NOW, RATE)) == 2
    assert planner.choose(4, NOW + 900, RATE) == []


def one_by_one(planner: Planner, turns: int, now: float = NOW) -> list[JobRequest]:
    return [request for _ in range(turns) for request in planner.choose(1, now, RATE)]


def is_gpu(request: JobRequest) -> bool:
    return request.metric is Metric.GPU_UTILIZATION


def test_gpu_utilization_comes_first_and_leaves_the_rest_every_fourth_turn() -> None:
    planner = new_planner(*(job(f"j-{n:02}") for n in range(30)))
    asked = one_by_one(planner, 40)
    assert [is_gpu(request) for request in asked] == [True, True, True, False] * 10


def test_a_gpu_that_is_due_comes_before_first_readings_of_anything_else() -> None:
    """The 10 new jobs' GPUs and the 6 known ones fill three of four turns: 12 + 4 of 16 + 5."""
    known = [job(f"j-{n}") for n in range(6)]
    planner = read_once(*known)
    planner.apply([Appeared(job(f"j-new-{n}")) for n in range(10)], NOW + 600)
    asked = one_by_one(planner, 22, NOW + 600)
    due = {JobRequest(each.id, Metric.GPU_UTILIZATION) for each in known}
    assert due <= set(asked)
    assert sum(is_gpu(request) for request in asked) == 16


def test_turns_that_the_rest_had_while_no_gpu_was_due_count_against_its_part() -> None:
    """Of 10 jobs all GPUs are due again after 50 turns of the rest: they go without a break."""
    planner = new_planner(*(job(f"j-{n}") for n in range(10)))
    answer(planner, *one_by_one(planner, 60), now=NOW)
    assert all(is_gpu(request) for request in one_by_one(planner, 10, NOW + 600))


def test_known_readings_keep_every_fourth_of_the_turns_that_new_ones_would_take() -> None:
    planner = read_once(job("j-0"), job("j-1"))
    planner.apply([Appeared(job(f"j-new-{n}")) for n in range(10)], NOW + 600)
    asked = [each for each in one_by_one(planner, 72, NOW + 600) if not is_gpu(each)]
    assert sum(request.job_id in {"j-0", "j-1"} for request in asked[4:24]) == 5


def test_finished_jobs_get_two_of_five_turns_of_the_rest_and_what_nobody_else_wants() -> None:
    finished = [job(f"j-over-{n}", "SUCCESS", name=None) for n in range(30)]
    planner = new_planner(*(job(f"j-{n}") for n in range(10)), *finished)
    rest = [each for each in one_by_one(planner, 50) if not is_gpu(each)]
    assert sum(request.metric is None for request in rest[:25]) == 10
    assert len(planner.choose(1000, NOW, RATE)) == 40


def test_details_of_live_jobs_leave_gpu_utilization_every_other_turn() -> None:
    planner = new_planner(*(job(f"j-{n:02}", name=None) for n in range(20)))
    asked = one_by_one(planner, 20)
    assert sum(request.metric is None for request in asked) == 10
    assert sum(is_gpu(request) for request in asked) == 8  # the rest keeps its part


def test_history_comes_after_what_is_shown() -> None:
    planner = new_planner(job("j-over", "SUCCESS", name=None), others=["j-old"])
    assert planner.choose(1, NOW, RATE) == [JobRequest("j-over")]
    assert planner.choose(5, NOW, RATE) == [JobRequest("j-old")]
    planner.failed(JobRequest("j-old"), NOW)
    assert planner.choose(5, NOW, RATE) == []


def test_details_that_budgets_need_come_first_of_finished_jobs_and_get_three_of_four_turns() -> (
    None
):
    finished = [job(f"j-over-{n}", "SUCCESS", name=None) for n in range(20)]
    urgent = ["j-old-0", "j-over-19", *(f"j-old-{n}" for n in range(1, 18))]
    planner = new_planner(*(job(f"j-{n}") for n in range(10)), *finished, urgent=urgent)
    asked = [planner.choose(1, NOW, RATE)[0] for _ in range(24)]
    assert [request.job_id for request in asked if request.metric is None] == urgent[:18]
    asked = [planner.choose(1, NOW, RATE)[0] for _ in range(8)]
    details = [request.job_id for request in asked if request.metric is None]
    assert details == ["j-old-17", "j-over-0"]
    rest = [request.job_id for request in planner.choose(1000, NOW, RATE)]
    assert "j-over-19" not in rest
    assert "j-over-18" in rest


def test_details_that_budgets_need_take_all_turns_that_nobody_else_wants() -> None:
    planner = new_planner(urgent=[f"j-old-{n}" for n in range(7)], others=["j-older"])
    assert [request.job_id for request in planner.choose(8, NOW, RATE)] == [
        *(f"j-old-{n}" for n in range(7)),
        "j-older",
    ]


def test_details_that_were_put_off_are_asked_for_at_once_again() -> None:
    planner = new_planner(urgent=["j-old"])
    assert planner.choose(5, NOW, RATE) == [JobRequest("j-old")]
    assert planner.choose(5, NOW + 1, RATE) == []
    planner.put_off(JobRequest("j-old"))
    assert planner.choose(5, NOW + 2, RATE) == [JobRequest("j-old")]


def test_a_list_that_contradicts_the_devices_has_them_asked_again_at_once() -> None:
    devices = Readings(gpu_utilization=reading(0.9, 0.9))
    known = job(gpus=2.0, readings=devices)
    planner = read_once(known)
    idle = Readings(gpu_utilization=reading(0.01, at=NOW + 30))
    reported = job(gpus=2.0, confirmed_at=NOW + 30, readings=idle)
    planner.compare(known, job(readings=Readings(cpu=reading(0.0))), NOW + 30)
    assert planner.choose(5, NOW + 30, RATE) == []
    planner.compare(known, reported, NOW + 30)
    assert planner.choose(5, NOW + 30, RATE) == [JobRequest("j-1", Metric.GPU_UTILIZATION)]


@pytest.mark.parametrize(
    ("listed", "asked"), [((0.8,), 0), ((0.71,), 0), ((0.69,), 1), ((0.91,), 1), ((), 0)]
)
def test_one_number_contradicts_the_devices_if_it_is_far_from_their_mean(
    listed: tuple[float, ...], asked: int
) -> None:
    known = job(gpus=2.0, readings=Readings(gpu_utilization=reading(1.0, 0.6)))
    planner = read_once(known)
    whole = Reading.of(Quantity.RATIO, map(Point, listed), NOW + 30)
    planner.compare(known, job(readings=Readings(gpu_utilization=whole)), NOW + 30)
    assert len(planner.choose(5, NOW + 30, RATE)) == asked


def test_one_number_for_one_device_replaces_it_and_contradicts_nothing() -> None:
    known = job(readings=Readings(gpu_utilization=reading(0.9)))
    planner = read_once(known)
    idle = Readings(gpu_utilization=reading(0.01, at=NOW + 30))
    planner.compare(known, job(readings=idle), NOW + 30)
    assert planner.choose(5, NOW + 30, RATE) == []


def test_jobs_of_other_accounts_are_none_of_its_business() -> None:
    planner = new_planner(job(account="b"))
    project = Project(account="a", id="p-1")
    planner.apply([Appeared(project), Departed(project, Departure.VANISHED)], NOW)
    assert planner.choose(10, NOW, RATE) == []
    planner.apply([Changed(job(account="b"), job())], NOW)
    assert planner.readings == 6
    planner.apply([Changed(job(), job(account="b"))], NOW)
    assert planner.readings == 0


def test_what_departs_is_forgotten() -> None:
    planner = read_once(job())
    planner.apply([Departed(job(), Departure.VANISHED)], NOW)
    assert planner.choose(10, NOW + 900, RATE) == []


def test_what_failed_rests_and_what_was_put_off_does_not() -> None:
    planner = new_planner(job(), job("j-2", name=None))
    requests = planner.choose(100, NOW, RATE)
    for request in requests:
        planner.failed(request, NOW)
    assert planner.choose(100, NOW + 59, RATE) == []
    again = planner.choose(100, NOW + 61, RATE)
    assert set(again) == set(requests)
    for request in again:
        planner.put_off(request)
    assert set(planner.choose(100, NOW + 61, RATE)) == set(requests)


def test_where_there_is_enough_every_reading_is_asked_for_exactly_once_an_interval() -> None:
    """Ten jobs take 60 requests a minute; there are 100, and the 40 left over are not wasted."""
    planner = new_planner(*(job(f"j-{n}", hourly_cost_dollars=1.0 + n) for n in range(10)))
    times: dict[JobRequest, list[float]] = {}
    for second in range(600):
        now = NOW + second
        for request in planner.choose(100, now, 100.0):
            times.setdefault(request, []).append(now)
            answer(planner, request, now=now)
    assert len(times) == 60
    for asked in times.values():
        assert [later - sooner for sooner, later in pairwise(asked)] == [60] * 9


def test_the_first_readings_of_a_new_job_come_within_two_minutes_whatever_the_load() -> None:
    planner = new_planner(*(job(f"j-{n}") for n in range(500)))
    now = run(planner, NOW, seconds=300)
    planner.apply([Appeared(job("j-new"))], now)
    wanted = {JobRequest("j-new", metric) for metric in Metric}
    for second in range(120):
        asked = planner.choose(1, now + second, RATE)
        answer(planner, *asked, now=now + second)
        wanted -= set(asked)
    assert wanted == set()


def run(planner: Planner, begin: float, *, seconds: int) -> float:
    """Ask and answer one request a second; return when that ended."""
    for second in range(seconds):
        answer(planner, *planner.choose(1, begin + second, RATE), now=begin + second)
    return begin + seconds


@settings(deadline=None, max_examples=25)
@given(
    prices=st.lists(st.none() | st.floats(0, 1000), min_size=1, max_size=25),
    finishing=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_nothing_starves_whatever_the_prices(
    prices: list[float | None], finishing: float, seed: int
) -> None:
    """No reading gets older than the bound, while jobs finish and others come in their place."""
    random = Random(seed)
    jobs = [
        job(f"j-{n}", hourly_cost_dollars=price, name="x" if price is not None else None)
        for n, price in enumerate(prices)
    ]
    planner = new_planner(*jobs)
    ages: dict[JobRequest, float] = {}
    bound = longest_age(6 * len(jobs), RATE, 60.0)
    seen: dict[JobRequest, float] = {
        JobRequest(each.id, metric): NOW for each in jobs for metric in Metric
    }
    now = NOW
    for second in range(int(2.5 * bound)):
        now = NOW + second
        if random.random() < finishing:  # somebody wants to know what a finished job was
            planner.apply([Appeared(job(f"j-over-{second}", "SUCCESS", name=None))], now)
        for request in planner.choose(1, now, RATE):
            if request.metric is not None:
                ages[request] = max(ages.get(request, 0.0), now - seen[request])
                seen[request] = now
            answer(planner, request, now=now)
    assert set(seen) == set(ages)
    assert max(ages.values()) <= bound
    assert max(now - since for since in seen.values()) <= bound


def test_the_plan_reports_what_it_comes_to_and_what_twice_the_limit_would_bring() -> None:
    planner = new_planner(*(job(f"j-{n}") for n in range(20)))
    for second in range(120):
        answer(planner, *planner.choose(1, NOW + second, RATE), now=NOW + second)
    plan = planner.outlook(NOW + 119, RATE)
    assert plan.planned == pytest.approx(60, rel=0.01)
    assert plan.deferred == pytest.approx(60, rel=0.01)
    assert plan.used == 60
    assert plan.requests_per_minute == RATE
    assert plan.round_seconds == 120
    assert plan.longest_age_seconds == longest_age(120, RATE, 60.0)
    gpu, disk = plan.ages[Metric.GPU_UTILIZATION], plan.ages[Metric.DISK]
    assert gpu.present < disk.present
    assert disk.doubled < disk.present
    assert plan.expected_age_doubled_seconds == 30.0
    assert plan.expected_age_seconds > 60.0
    ample = planner.outlook(NOW + 119, 1000.0)
    assert (ample.planned, ample.deferred) == pytest.approx((120, 0))
    assert {age.present for age in ample.ages.values()} == {30.0}


def test_a_plan_without_jobs_asks_for_nothing() -> None:
    plan = new_planner().outlook(NOW, RATE)
    assert (plan.planned, plan.used, plan.deferred, plan.ages) == (0, 0, 0, {})
    assert plan.expected_age_seconds == 0
