"""Which jobs' own pages are asked for, and when."""

from __future__ import annotations

from typing import Any

from support.planner_jobs import NOW, job

from trainwave_exporter.model import Job
from trainwave_exporter.polling.detail_requests import DetailRequests
from trainwave_exporter.polling.job_request import LONGEST_PAUSE_SECONDS, JobRequest

LISTED = NOW - 10


def new_enquiries(*jobs: Job) -> DetailRequests:
    enquiries = DetailRequests(pause=60.0, state_interval=30.0)
    for each in jobs:
        enquiries.seen(each)
    enquiries.listed(LISTED, frozenset(), NOW)
    return enquiries


def wanted(enquiries: DetailRequests, now: float = NOW, rate: float = 80.0) -> list[str]:
    return [request.job_id for request in enquiries.live(now, rate)]


def waiting(job_id: str = "j-1", **fields: Any) -> Job:
    return job(job_id, "LAUNCHING", started_at=None, **fields)


def test_a_running_job_that_the_list_missed_comes_before_everything() -> None:
    missing = job("j-9", confirmed_at=NOW - 40, hourly_cost_dollars=0.1, name=None)
    new = job("j-1", name=None, hourly_cost_dollars=30.0)
    assert wanted(new_enquiries(new, missing)) == ["j-9", "j-1"]


def test_a_job_that_the_list_named_is_not_missing_whenever_it_was_confirmed() -> None:
    enquiries = new_enquiries(job("j-1", confirmed_at=NOW - 40), job("j-2", confirmed_at=NOW - 40))
    enquiries.listed(LISTED, {"j-1", "j-7"}, NOW)
    assert wanted(enquiries) == ["j-2"]


def test_running_jobs_that_a_list_did_not_name_are_reported_and_no_others() -> None:
    over = job("j-4", state="SUCCESS")
    enquiries = new_enquiries(job("j-1"), job("j-2"), waiting("j-3"), over)
    assert [each.id for each in enquiries.unnamed({"j-2", "j-7"})] == ["j-1"]
    enquiries.gone("j-1")
    assert enquiries.unnamed({"j-2"}) == []


def test_a_missing_job_that_was_heard_of_meanwhile_is_not_asked_for() -> None:
    enquiries = new_enquiries(job(confirmed_at=NOW - 40))
    enquiries.seen(job(confirmed_at=NOW - 1))
    assert wanted(enquiries) == []
    enquiries.seen(job(state="SUCCESS", confirmed_at=NOW - 40))
    assert wanted(enquiries) == []


def test_details_that_the_list_does_not_report_are_asked_for_the_dearest_job_first() -> None:
    jobs = [job(f"j-{n}", gpus=None, hourly_cost_dollars=float(n)) for n in range(3)]
    assert wanted(new_enquiries(job("j-9"), *jobs)) == ["j-2", "j-1", "j-0"]
    assert wanted(new_enquiries(job(name=None))) == ["j-1"]
    assert wanted(new_enquiries(job(hourly_cost_dollars=None))) == ["j-1"]


def test_details_are_asked_for_once_per_state() -> None:
    enquiries = new_enquiries(waiting(name=None))
    enquiries.answered(JobRequest("j-1"), "LAUNCHING")
    assert wanted(enquiries) == []
    enquiries.seen(job(name=None))
    assert wanted(enquiries) == ["j-1"]
    enquiries.answered(JobRequest("j-1"), "RUNNING")
    assert wanted(enquiries, NOW + 1e6) == []


def test_times_are_asked_for_where_the_details_had_to_report_the_rest() -> None:
    enquiries = new_enquiries(waiting(name=None))
    enquiries.answered(JobRequest("j-1"), "LAUNCHING")
    enquiries.seen(job(started_at=None))
    assert wanted(enquiries) == ["j-1"]
    enquiries.seen(job(state="SUCCESS"))
    assert enquiries.finished(NOW) == JobRequest("j-1")
    enquiries.seen(job(state="SUCCESS", finished_at=9.0))
    assert enquiries.finished(NOW) is None


def test_times_are_not_asked_for_where_the_list_reports_as_much_as_the_details() -> None:
    enquiries = new_enquiries(job(started_at=None), job("j-2", "SUCCESS"))
    assert wanted(enquiries) == []
    assert enquiries.finished(NOW) is None


def test_finished_jobs_are_asked_for_once_the_one_that_waits_longest_first() -> None:
    enquiries = new_enquiries(job("j-2", "SUCCESS", name=None), job("j-1", "SUCCESS", name=None))
    asked = []
    while request := enquiries.finished(NOW):
        asked.append(request.job_id)
        enquiries.begin(request, NOW)
        enquiries.answered(request, "SUCCESS")
    assert asked == ["j-2", "j-1"]


def test_the_state_of_a_waiting_job_that_no_list_confirms_is_asked_for() -> None:
    assert wanted(new_enquiries(waiting(confirmed_at=NOW - 31))) == ["j-1"]
    enquiries = new_enquiries(waiting(confirmed_at=NOW - 29))
    assert wanted(enquiries) == []
    assert wanted(enquiries, NOW + 2) == ["j-1"]


def test_confirming_many_waiting_jobs_takes_a_share_of_the_budget_only() -> None:
    """Forty of them in two minutes are a quarter of eighty requests a minute."""
    enquiries = new_enquiries(*(waiting(f"j-{n}", confirmed_at=NOW - 119) for n in range(40)))
    assert wanted(enquiries) == []
    assert len(wanted(enquiries, NOW + 1)) == 40


def test_nothing_is_asked_twice_at_the_same_time() -> None:
    enquiries = new_enquiries(
        job("j-1", name=None),
        job("j-2", confirmed_at=NOW - 40),
        waiting("j-3", confirmed_at=NOW - 40),
        job("j-4", "SUCCESS", name=None),
    )
    requests = [*enquiries.live(NOW, 80.0), *filter(None, [enquiries.finished(NOW)])]
    assert {request.job_id for request in requests} == {"j-1", "j-2", "j-3", "j-4"}
    for request in requests:
        enquiries.begin(request, NOW)
    assert wanted(enquiries) == []
    assert enquiries.finished(NOW) is None
    for request in requests:
        enquiries.put_off(request)
    assert len(wanted(enquiries)) == 3


def test_what_failed_rests_for_longer_and_longer() -> None:
    enquiries = new_enquiries(job(name=None))
    (request,) = enquiries.live(NOW, 80.0)
    now = NOW
    for pause in (60.0, 120.0, 240.0, 480.0, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS):
        enquiries.begin(request, NOW)
        enquiries.failed(request, now)
        assert wanted(enquiries, now + pause - 1) == []
        now += pause
        assert wanted(enquiries, now) == ["j-1"]


def test_what_left_is_forgotten() -> None:
    enquiries = new_enquiries(job(name=None), job("j-2", confirmed_at=NOW - 40))
    (missing, new) = enquiries.live(NOW, 80.0)
    for request in (missing, new):
        enquiries.begin(request, NOW)
        enquiries.gone(request.job_id)
        enquiries.failed(request, NOW)
        enquiries.answered(request, "RUNNING")
        enquiries.put_off(request)
    assert wanted(enquiries, NOW + 1e6) == []
    enquiries.seen(job(name=None))
    assert wanted(enquiries) == ["j-1"]


def test_a_clock_that_was_set_back_makes_everything_due() -> None:
    enquiries = DetailRequests(pause=60.0, state_interval=30.0)
    enquiries.seen(waiting(confirmed_at=NOW + 86_400))
    enquiries.seen(job("j-2", name=None))
    enquiries.failed(JobRequest("j-2"), NOW + 86_400)
    enquiries.listed(LISTED, frozenset(), NOW)
    assert wanted(enquiries) == ["j-2", "j-1"]


def test_a_finished_job_that_changed_may_have_run_again_and_is_asked_once_more() -> None:
    over = job("j-1", state="FAILED", cost_dollars=36.0, finished_at=NOW - 60)
    for again in (
        job("j-1", state="SUCCESS", cost_dollars=36.0, finished_at=NOW - 60),
        job("j-1", state="FAILED", cost_dollars=18.0, finished_at=NOW - 60),
        job("j-1", state="FAILED", cost_dollars=54.0, finished_at=NOW - 60),
    ):
        enquiries = new_enquiries(over)
        assert enquiries.finished(NOW) is None
        enquiries.seen(again)
        request = enquiries.finished(NOW)
        assert request == JobRequest("j-1")
        enquiries.begin(request, NOW)
        assert enquiries.finished(NOW) is None
        enquiries.answered(request, again.state)
        enquiries.seen(again)
        assert enquiries.finished(NOW) is None


def test_a_finished_job_that_stands_still_or_is_rounded_is_not_asked_again() -> None:
    enquiries = new_enquiries(job("j-1", state="FAILED", cost_dollars=36.004, finished_at=NOW - 60))
    for cost in (36.0, 36.004, 36.0):
        enquiries.seen(job("j-1", state="FAILED", cost_dollars=cost, finished_at=NOW - 60))
        assert enquiries.finished(NOW) is None


def test_one_that_is_seen_alive_before_it_was_asked_needs_it_no_more() -> None:
    enquiries = new_enquiries(job("j-1", state="FAILED", cost_dollars=36.0, finished_at=NOW - 60))
    enquiries.seen(job("j-1", state="SUCCESS", cost_dollars=36.0, finished_at=NOW - 60))
    enquiries.seen(job("j-1", state="RUNNING", cost_dollars=36.0))
    enquiries.gone("j-1")
    assert enquiries.finished(NOW) is None
