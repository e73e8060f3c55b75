"""From an API to observations: what is asked, and what is concluded from the answers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import pytest
import structlog
from support.polling_rig import Api, Watch

from trainwave_exporter.api.headers import rate_headers
from trainwave_exporter.fleet import SweepFailed, TimePassed
from trainwave_exporter.model import (
    NO_READINGS,
    LoopRun,
    Metric,
    Plan,
    Point,
)
from trainwave_exporter.polling.filter_trust import RETEST_SECONDS
from trainwave_exporter.runtime.failure_log import SUMMARY_SECONDS

Watches = Callable[..., Watch]

# Lists


async def test_the_running_list_brings_the_running_jobs(api: Api, watch: Watches) -> None:
    api.add("j-1")
    api.add("j-2", "COMPLETED")
    it = watch()
    await it.run("running")
    assert "RUNNING" in it.states().values()
    assert api.queries[0]["status"] == "running"
    assert it.walks()[0] == (frozenset({"j-1"}), False, False)
    assert it.fleet.status("a").up


async def test_a_full_sweep_follows_at_once_while_none_has_been_made(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    api.add("j-2", "LAUNCHING")
    it = watch()
    await it.run("running")
    assert it.states() == {"j-1": "RUNNING", "j-2": "LAUNCHING"}
    assert it.poller.swept
    await it.run("running")
    assert sum("status" not in query for query in api.queries) == 1


async def test_a_walk_leaves_nothing_that_only_a_full_collection_finds(
    api: Api, watch: Watches
) -> None:
    """Those are an hour apart, and a walk of a long list is old by its end."""
    api.add("j-1")
    it = watch()
    gc.disable()
    try:
        await it.run("running", "sweep")
        kept = [each for each in gc.get_objects() if type(each).__name__ == "_SweptJobs"]
    finally:
        gc.enable()
    assert len(it.walks()) == 2
    assert kept == []


async def test_lists_are_walked_by_pages_and_reported_as_they_come(
    api: Api, watch: Watches
) -> None:
    api.page_cap = 20
    for n in range(45):
        api.add(f"j-{n}")
    it = watch()
    await it.run("sweep")
    assert [len(page.jobs) for page in it.pages()] == [20, 20, 5]
    assert [query["offset"] for query in api.queries] == ["0", "20", "40"]
    assert len(it.states()) == 45


async def test_a_long_page_is_reported_in_parts_with_turns_for_others_in_between(
    api: Api, watch: Watches
) -> None:
    api.page_cap = 500
    for n in range(230):
        api.add(f"j-{n}")
    it = watch()
    known: list[int] = []

    async def look_at_every_turn() -> None:
        while True:
            known.append(len(it.states()))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look_at_every_turn())
    await it.run("running")
    looking.cancel()
    assert known[-1] == 230
    assert {50, 100, 150, 200} <= set(known)


async def test_scope_goes_into_every_list(api: Api, watch: Watches) -> None:
    it = watch(organization="o-1", project="p-1", page_size=7)
    await it.run("running")
    for query in api.queries:
        wanted = {"org": "o-1", "org_id": "o-1", "project": "p-1", "limit": "7"}
        assert wanted.items() <= query.items()


async def test_a_failed_sweep_is_reported_and_costs_no_job(api: Api, watch: Watches) -> None:
    api.add("j-1")
    it = watch()
    await it.run("sweep", "running")
    api.failing["jobs"] = 503
    it.shift += 700
    with structlog.testing.capture_logs() as logs:
        await it.run("sweep", "running")
    assert it.ended()[-2:] == [SweepFailed("a"), SweepFailed("a")]
    assert it.states() == {"j-1": "RUNNING"}
    assert not it.fleet.status("a").up
    assert [entry["event"] for entry in logs] == ["loop_failing", "loop_failing"]
    assert "503" in (it.error("running") or "")


async def test_a_list_that_lost_a_job_to_shifting_pages_is_walked_once_more(
    api: Api, watch: Watches
) -> None:
    for n in range(5):
        api.add(f"j-{n}")
    api.page_cap = 2
    api.hide_once = {"j-3"}
    it = watch()
    await it.run("sweep")
    assert len(it.states()) == 5
    assert it.walks() == [(frozenset(it.states()), True, True)]


async def test_a_list_that_stays_short_of_its_count_proves_no_absence(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    api.add("j-2")
    api.hide_once = {"j-1"}
    api.count_offset = 1
    it = watch()
    await it.run("sweep")
    both = frozenset({"j-1", "j-2"})
    assert it.walks() == [(both, True, False)]


async def test_a_count_that_is_always_wrong_does_not_keep_a_job_for_ever(
    api: Api, watch: Watches
) -> None:
    api.add("j-1", name=None)
    api.add("j-2", name=None)
    api.count_offset = 3
    it = watch()
    await it.run("sweep", "running", "readings")
    assert it.walks()[0] == (frozenset({"j-1", "j-2"}), True, False)
    del api.jobs["j-1"]
    for _ in range(3):
        it.shift += 400
        await it.run("sweep", "running", "readings")
    assert it.states() == {"j-2": "RUNNING"}  # the API said often enough that it knows no j-1


async def test_details_that_never_work_cost_no_job(api: Api, watch: Watches) -> None:
    api.add("j-1", "LAUNCHING")
    api.failing["job"] = 404
    it = watch()
    await it.run("sweep", "running")
    for _ in range(5):
        it.shift += 400
        await it.run("running", "readings")
    assert it.states() == {"j-1": "LAUNCHING"}


async def test_jobs_beyond_the_scope_are_left_out_where_the_api_ignores_it(
    api: Api, watch: Watches
) -> None:
    api.add("j-1", project="p-1")
    api.add("j-2", project="p-2")
    api.add("j-3", project="p-3")
    api.projects.append({"id": "p-3", "rid": "third", "organization": "o-2"})
    api.projects.append({"id": "p-2", "organization": "o-2"})
    scopes: list[tuple[dict[str, str], set[str]]] = [
        ({"project": "p-2"}, {"j-2"}),
        ({"project": "third"}, {"j-3"}),
        ({"organization": "o-2"}, {"j-2", "j-3"}),
    ]
    for scope, expected in scopes:
        it = watch(**scope)
        await it.run("directory", "sweep")
        assert set(it.states()) == expected


async def test_details_of_another_job_than_was_asked_for_are_not_believed(
    api: Api, watch: Watches
) -> None:
    api.add("j-1", name=None)
    api.details["j-1"] = {"id": "j-other", "name": "mnist"}
    it = watch()
    await it.run("running", "readings")
    assert it.states() == {"j-1": "RUNNING"}
    assert it.job("j-1").name is None


async def test_a_server_that_repeats_its_first_page_proves_no_absence(
    api: Api, watch: Watches
) -> None:
    for n in range(5):
        api.add(f"j-{n}")
    api.page_cap = 2
    api.offset_ignored = True
    it = watch()
    await it.run("sweep")
    two = frozenset({"j-0", "j-1"})
    assert it.walks() == [(two, True, False)]
    assert api.asked["jobs"] == 2


async def test_a_wrong_count_does_not_double_the_cost_of_the_running_list(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    it = watch()
    await it.run("sweep")
    api.count_offset = 3
    api.queries.clear()
    await it.run("running")
    assert [query["offset"] for query in api.queries] == ["0", "1"]


async def test_a_job_that_cannot_be_read_makes_a_sweep_incomplete(api: Api, watch: Watches) -> None:
    api.add("j-1")
    api.jobs["odd"] = {"id": None, "state": "RUNNING"}
    it = watch()
    await it.run("sweep")
    assert it.walks()[-1] == (frozenset({"j-1"}), True, False)


async def test_a_filtered_list_proves_no_absence_even_if_it_names_finished_jobs(
    api: Api, watch: Watches
) -> None:
    api.filter = "ignored"
    api.add("j-1")
    api.add("j-2", "COMPLETED")
    it = watch()
    await it.run("running")
    both = frozenset({"j-1", "j-2"})
    assert it.walks() == [(both, False, False), (both, True, True)]
    it.shift += 640
    await it.run("sweep")
    assert it.walks()[-1] == (both, True, True)
    assert len(it.walks()) == 3


async def test_many_jobs_that_go_missing_at_once_cost_one_list_instead_of_many_details(
    api: Api, watch: Watches
) -> None:
    for n in range(10):
        api.add(f"j-{n}")
    it = watch()
    await it.run("running")
    for n in range(10):
        api.jobs[f"j-{n}"] |= {"state": "COMPLETED", "total_cost": 7.5}
    it.shift += 40
    await it.run("running", "readings")
    assert set(it.states().values()) == {"COMPLETED"}
    assert api.asked["job"] == 0
    it.shift += 40
    await it.run("running")
    assert api.queries[-1]["status"] == "running"


async def test_a_broken_filter_leaves_no_state_older_than_a_walk(api: Api, watch: Watches) -> None:
    api.filter = "broken"
    api.page_cap = 2  # so that the whole list takes half as many requests as all details
    for n in range(10):
        api.add(f"j-{n}")
    it = watch()
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            await it.run("running")
            oldest = min(job.confirmed_at for job in it.fleet.jobs("a"))
            assert it.clock() - oldest < 30
            it.shift += 40
    assert "status_filter_not_usable" in [entry["event"] for entry in logs]


async def test_the_whole_list_is_reckoned_with_as_soon_as_a_sweep_shows_what_the_filter_hides(
    api: Api, watch: Watches
) -> None:
    api.filter = "broken"
    api.page_cap = 5
    for n in range(20):
        api.add(f"j-{n}")
    it = watch(limit=70)
    await it.run("running", "readings")
    assert (
        it.poller.outlook.round_seconds == 120.0
    )  # 120 readings, and 10 of 70 kept for 5 pages at a time


async def test_a_filter_that_the_api_refuses_is_not_used_any_more(api: Api, watch: Watches) -> None:
    api.filter = "refused"
    api.add("j-1")
    it = watch()
    await it.run("running")
    assert it.error("running") is not None
    await it.run("running")
    assert it.error("running") is None
    assert it.states() == {"j-1": "RUNNING"}


async def test_a_list_that_is_refused_without_the_filter_says_nothing_about_the_filter(
    api: Api, watch: Watches
) -> None:
    api.filter = "refused"
    it = watch()
    await it.run("running")
    api.failing["jobs"] = 400
    with structlog.testing.capture_logs() as logs:
        await it.run("running")
    assert it.error("running") is not None
    assert "status_filter_not_usable" not in [entry["event"] for entry in logs]


async def test_an_incomplete_list_is_logged_once_and_so_is_its_end(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    api.count_offset = 1
    it = watch()
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await it.run("sweep")
            it.shift += 700
        api.count_offset = 0
        await it.run("sweep")
    events = [entry["event"] for entry in logs if entry["event"].startswith("list_")]
    assert events == ["list_incomplete", "list_complete_again"]


async def test_a_filter_that_hides_running_jobs_is_not_used_any_more(
    api: Api, watch: Watches
) -> None:
    api.filter = "broken"
    api.add("j-1")
    it = watch()
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            await it.run("running", "readings")
            assert it.states() == {"j-1": "RUNNING"}
            it.shift += 40
    assert [entry["event"] for entry in logs].count("status_filter_not_usable") == 1
    await it.run("running")
    assert "status" not in api.queries[-1]
    assert it.walks()[-1] == (frozenset({"j-1"}), True, True)
    it.shift += RETEST_SECONDS
    await it.run("running")
    assert any("status" in query for query in api.queries[-2:])


async def test_a_filter_is_not_distrusted_for_a_job_that_has_just_started(
    api: Api, watch: Watches
) -> None:
    it = watch()
    with structlog.testing.capture_logs() as logs:
        for n in range(5):
            await it.run("running")
            api.add(f"j-{n}")
            it.shift += 700
            await it.run("sweep", "readings")
    assert "status_filter_not_usable" not in [entry["event"] for entry in logs]


async def test_dear_running_lists_are_walked_less_often(api: Api, watch: Watches) -> None:
    api.page_cap = 1
    for n in range(10):
        api.add(f"j-{n}")
    it = watch(limit=10)  # half of it is 5 a minute, so 10 pages are good for two minutes
    it.budget.learn(rate_headers({"X-RateLimit-Limit": "100000"}, it.clock()))
    await it.run("running")
    for _ in range(2):  # as one answer alone is not believed
        it.budget.learn(rate_headers({"X-RateLimit-Limit": "10"}, it.clock()))
    asked = api.asked["jobs"]
    it.shift += 60
    await it.run("running")
    assert api.asked["jobs"] == asked
    it.budget.learn(rate_headers({"X-RateLimit-Limit": "100000"}, it.clock()))
    it.shift += 60
    await it.run("running")
    assert api.asked["jobs"] == asked + 10


async def test_a_sweep_in_progress_is_not_started_again(api: Api, watch: Watches) -> None:
    api.hold = asyncio.Event()
    it = watch()
    sweep = next(loop for loop in it.poller.loops if loop.name == "sweep")
    first = asyncio.ensure_future(sweep.run())
    await asyncio.sleep(0)  # lets it begin
    await sweep.run()
    api.hold.set()
    await first
    assert len(it.ended()) == 1


# Projects and organizations


async def test_the_directory_brings_names_and_balances(api: Api, watch: Watches) -> None:
    it = watch()
    await it.run("directory")
    project, organization = it.fleet.project("p-1"), it.fleet.organization("o-1")
    assert project is not None
    assert organization is not None
    assert (project.name, organization.credit_balance_dollars) == ("vision", 123.45)
    assert api.asked["projects"] == api.asked["organizations"] == 1


async def test_trouble_with_organizations_does_not_hide_projects(api: Api, watch: Watches) -> None:
    api.failing["organizations"] = 404
    it = watch()
    await it.run("directory")
    assert it.fleet.project("p-1") is not None
    assert it.error("directory") is not None


async def test_the_directory_brings_the_dearest_price_on_offer_where_the_api_has_them(
    api: Api, watch: Watches
) -> None:
    api.offers = [{"id": "o-1", "offer": 2.5}, {"id": "o-2", "offer": 40.0}]
    it = watch()
    await it.run("directory")
    assert api.asked["offers"] == 0
    api.bare = True
    await it.run("directory")
    assert api.asked["offers"] == 1
    assert it.fleet.status("a").dearest_offer_dollars == 40
    api.failing["offers"] = 404
    await it.run("directory")
    assert (api.asked["offers"], it.error("directory")) == (2, None)
    assert it.fleet.status("a").dearest_offer_dollars == 40


def view(it: Watch) -> str | None:
    return it.fleet.status("a").view


async def test_the_directory_reports_what_the_key_sees(api: Api, watch: Watches) -> None:
    it = watch()
    assert view(it) is None
    await it.run("directory")
    assert view(it) == "o-1"
    api.organizations.append({"id": "o-0", "name": "other"})
    await it.run("directory")
    assert view(it) == "o-0,o-1"


async def test_what_the_key_sees_stays_through_trouble_and_one_list_that_lacks_it(
    api: Api, watch: Watches
) -> None:
    it = watch()
    await it.run("directory")
    api.failing |= {"organizations": 500, "projects": 500}
    await it.run("directory")
    assert view(it) == "o-1"
    api.failing.clear()
    api.organizations = [{"id": "o-2", "name": "new"}]
    await it.run("directory")
    assert view(it) == "o-1,o-2"
    await it.run("directory")
    assert view(it) == "o-2"
    api.organizations = []
    await it.run("directory")
    assert view(it) == "o-2"


async def test_projects_report_what_the_key_sees_where_organizations_cannot_be_listed(
    api: Api, watch: Watches
) -> None:
    api.failing["organizations"] = 403
    api.projects.append({"id": "p-2", "name": "audio", "organization": "o-7"})
    it = watch()
    await it.run("directory")
    assert view(it) == "o-1,o-7"


async def test_a_key_that_lists_nothing_was_asked_all_the_same(api: Api, watch: Watches) -> None:
    api.failing |= {"organizations": 401, "projects": 401}
    it = watch()
    await it.run("directory")
    assert view(it) == ""


async def test_what_is_configured_is_what_the_key_sees_whatever_fails(
    api: Api, watch: Watches
) -> None:
    api.failing |= {"organizations": 401, "projects": 401}
    it = watch(organization="o-1")
    await it.run("directory")
    assert view(it) == "o-1"


# Details and readings


async def test_nothing_is_spent_before_the_running_jobs_are_known(api: Api, watch: Watches) -> None:
    it = watch()
    await it.run("readings")
    assert api.asked.total() == 0


async def test_nothing_is_spent_on_an_account_that_is_down(api: Api, watch: Watches) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running")
    api.failing["jobs"] = 500
    it.shift += 40
    await it.run("running")
    await it.run("readings")
    assert api.asked["metrics"] == 0


async def test_all_six_readings_of_a_running_job_are_asked_for(api: Api, watch: Watches) -> None:
    api.add("j-1")
    api.readings["gpu_utilization", "j-1"] = {"0": 93.0, "1": 2.0}
    it = watch()
    await it.run("running", "readings")
    readings = it.job("j-1").readings
    assert {metric for metric, _ in readings.items()} == set(Metric)
    assert readings.gpu_utilization is not None
    assert readings.gpu_utilization.points == (Point(0.93, "0"), Point(0.02, "1"))
    plans = [fact for fact in it.facts if isinstance(fact, Plan)]
    assert [plan.used for plan in plans] == [6]
    assert (plans[0].planned, plans[0].deferred) == pytest.approx((6, 0))
    await it.run("readings")
    assert api.asked["metrics"] == 6


async def test_requests_are_sent_in_batches_until_the_next_look(api: Api, watch: Watches) -> None:
    """600 of them are 75 batches of 8, so there are 74 pauses; the last ends 0.9 s after."""
    for n in range(100):
        api.add(f"j-{n}")
    it = watch()
    await it.run("running", "readings")
    assert api.asked["metrics"] == 600
    assert len(it.pauses) == 74
    assert 0 <= min(it.pauses) <= max(it.pauses) < 0.9


async def test_a_few_requests_are_sent_at_once(api: Api, watch: Watches) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running", "readings")
    assert (api.asked["metrics"], it.pauses) == (6, [])


async def test_no_more_is_under_way_than_two_seconds_worth(api: Api, watch: Watches) -> None:
    """What waits longer was chosen too early: at 20 a second that is 40 requests."""
    for n in range(100):
        api.add(f"j-{n}")
    it = watch(limit=60 * 20)
    await it.run("running", "readings")
    assert api.asked["metrics"] + api.asked["job"] == 40


async def test_details_complete_a_job_that_the_list_reports_little_of(
    api: Api, watch: Watches
) -> None:
    api.add("j-1", name=None, gpus=None)
    api.details["j-1"] = {"name": "mnist", "gpus": 4}
    it = watch()
    await it.run("running", "readings")
    assert (it.job("j-1").name, it.job("j-1").gpus) == ("mnist", 4)
    await it.run("readings")
    assert api.asked["job"] == 1


async def test_a_job_that_left_the_running_list_is_asked_for_its_end(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running", "readings")
    api.jobs["j-1"] |= {"state": "COMPLETED", "total_cost": 7.5}
    it.shift += 40
    await it.run("running", "readings")
    assert (it.job("j-1").state, it.job("j-1").cost_dollars) == ("COMPLETED", 7.5)


async def test_what_the_api_does_not_have_is_asked_for_less_and_less(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    api.failing["metrics"] = 404
    it = watch()
    await it.run("running", "readings")
    assert api.asked["metrics"] == 6
    await it.run("readings")
    assert api.asked["metrics"] == 6
    it.shift += 61
    await it.run("running", "readings", "readings")
    assert api.asked["metrics"] == 12
    it.shift += 61
    await it.run("running", "readings")
    assert api.asked["metrics"] == 12


async def test_an_answer_without_a_reading_counts_as_a_failure(api: Api, watch: Watches) -> None:
    api.add("j-1")
    for metric in Metric:
        api.readings[metric.value, "j-1"] = []
    it = watch()
    await it.run("running", "readings", "readings")
    assert api.asked["metrics"] == 6
    assert it.job("j-1").readings == NO_READINGS


async def test_after_a_429_readings_wait_for_the_budget_and_are_not_given_up(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    api.failing["metrics"] = 429
    it = watch()
    await it.run("running", "readings")
    asked = api.asked["metrics"]
    await it.run("readings")
    assert api.asked["metrics"] == asked  # the budget is blocked
    assert it.job("j-1").readings == NO_READINGS
    del api.failing["metrics"]
    async with asyncio.timeout(20):
        while not it.job("j-1").readings:
            await it.run("readings")


async def test_a_long_block_is_reported_at_once_excuses_the_loops_and_ends_by_itself(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running")
    asked = api.asked["jobs"]
    assert view(it) is None
    it.budget.back_off(3_600)
    it.shift += 40
    await it.run("running")
    assert not it.fleet.status("a").up
    assert view(it) == ""  # which is not known before its end, and not waited for
    assert it.error("running") == (
        "the API refused a request; the next one goes out in 3560 s (not sent)"
    )
    assert api.asked["jobs"] == asked
    it.shift += 300
    it.fleet.apply(TimePassed({"a": 60.0}), it.clock())
    assert it.states() == {}
    it.shift += 3_300
    assert it.stopped() == set()
    await it.run("running", "sweep", "readings", "directory")
    assert it.states() == {"j-1": "RUNNING"}
    assert it.fleet.status("a").up
    assert it.error("running") is None
    assert view(it) == "o-1"


@pytest.mark.parametrize("loop", ["running", "sweep"])
async def test_a_walk_that_is_blocked_between_two_pages_fails_at_once_instead_of_waiting(
    api: Api, watch: Watches, loop: str
) -> None:
    api.add("j-1")
    api.add("j-2")
    it = watch()
    await it.run("running", "sweep")
    assert it.fleet.status("a").up
    asked = api.asked["jobs"]
    it.shift += 700
    api.page_cap = 1
    api.headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(it.clock()) + 10_000),
    }
    async with asyncio.timeout(10):
        await it.run(loop)
    assert api.asked["jobs"] == asked + 1
    assert not it.fleet.status("a").up
    assert it.error(loop) == (
        "the API says that no requests are left; the next one goes out in 3600 s (not sent)"
    )
    assert it.states() == {"j-1": "RUNNING", "j-2": "RUNNING"}


async def test_a_loop_that_is_dead_is_reported_although_there_was_a_block(watch: Watches) -> None:
    it = watch()
    await it.run("running", "sweep", "directory", "readings")
    it.budget.back_off(300)
    it.shift += 300 + 3 * 30 + 300
    await it.run("readings")
    assert it.stopped() == set()
    it.shift += 40
    await it.run("readings")
    assert it.stopped() == {"running"}


async def test_during_the_end_of_a_block_the_running_list_waits_and_goes_first(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    it = watch()
    it.budget.back_off(0.2)
    async with asyncio.timeout(10):
        await it.run("running")
    assert it.error("running") is None
    assert it.states() == {"j-1": "RUNNING"}


async def test_readings_leave_alone_what_the_lists_need(api: Api, watch: Watches) -> None:
    for n in range(20):
        api.add(f"j-{n}")
    it = watch(limit=30)
    await it.run("running", "directory")
    for _ in range(3):
        await it.run("readings")
    assert 0 < api.asked["metrics"] < 30 - 2 - 2


async def test_a_round_takes_as_long_as_the_budget_needs(api: Api, watch: Watches) -> None:
    for n in range(20):
        api.add(f"j-{n}")
    it = watch(limit=62)
    await it.run("running", "readings")
    assert (
        it.poller.outlook.round_seconds == 120.0
    )  # 120 readings, and 2 of 62 kept for the running list
    assert it.poller.readings_max_age == pytest.approx((4 + 1) * 120.0 / 0.6)


async def test_readings_that_fail_are_summed_up_now_and_then(api: Api, watch: Watches) -> None:
    api.add("j-1")
    api.failing["metrics"] = 500
    it = watch()
    with structlog.testing.capture_logs() as logs:
        await it.run("running", "readings", "readings")
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == []
        it.shift += SUMMARY_SECONDS
        await it.run("running", "readings")
    summaries = [entry for entry in logs if entry["event"] == "readings_failed"]
    assert [entry["server_error"] for entry in summaries] == [6]


async def test_a_bug_in_asking_is_seen_and_does_not_lose_the_reading(
    api: Api, watch: Watches
) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running")
    it.listeners.append(_broken)
    await it.run("readings")
    it.listeners.remove(_broken)
    with structlog.testing.capture_logs() as logs:
        await it.run("readings")
    assert [entry["event"] for entry in logs] == ["loop_failing"]
    assert it.error("readings") == "ZeroDivisionError: a bug"
    runs = [f for f in it.facts if isinstance(f, LoopRun) and f.loop == "readings"]
    assert [run.succeeded for run in runs] == [True, False]


async def test_what_is_remembered_of_a_job_goes_with_it(api: Api, watch: Watches) -> None:
    api.add("j-1")
    it = watch()
    await it.run("sweep", "running", "readings")
    assert api.asked["metrics"] == 6
    api.jobs.clear()
    for _ in range(3):
        it.shift += 700
        await it.run("sweep")
    assert it.states() == {}
    api.add("j-1")
    it.shift += 40
    await it.run("running", "readings")
    assert api.asked["metrics"] == 12


async def test_an_account_that_was_gone_for_long_comes_back_whole(api: Api, watch: Watches) -> None:
    api.add("j-1")
    api.add("j-2", "COMPLETED", finished_at="2999-01-01T00:00:00Z")
    it = watch()
    await it.run("running")
    api.failing["jobs"] = 500
    it.shift += 301
    await it.run("running")
    it.fleet.apply(TimePassed({"a": 60.0}), it.clock())
    assert it.states() == {}
    del api.failing["jobs"]
    it.shift += 40
    await it.run("running")
    assert it.states() == {"j-1": "RUNNING", "j-2": "COMPLETED"}


async def test_history_without_details_is_asked_for_once_and_is_not_shown(
    api: Api, watch: Watches
) -> None:
    long_ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 7 * 86_400))
    for job_id in ("j-old-1", "j-old-2"):
        api.add(job_id, "SUCCESS", created_at=long_ago, finished_at=long_ago)
    it = watch()
    await it.run("running")
    it.undescribed = ["j-old-1", "j-old-2", "j-unknown"]
    await it.run("readings", "readings")
    assert api.asked["job"] == 3
    reported = [page.jobs[0].id for page in it.pages() if page.details]
    assert reported == ["j-old-1", "j-old-2"]
    assert it.states() == {}


async def test_history_gets_a_share_even_where_there_is_nothing_to_spare(
    api: Api, watch: Watches
) -> None:
    for number in range(30):
        api.add(f"j-{number}")
    it = watch(limit=100)
    it.undescribed = [f"j-old-{number}" for number in range(9)]
    await it.run("running")
    await it.run("readings")
    assert api.asked["metrics"] == 15  # 12 of GPU utilization, 3 of the rest
    assert api.asked["job"] == 1


async def test_stopping_gives_up_what_is_under_way(api: Api, watch: Watches) -> None:
    api.add("j-1")
    it = watch()
    await it.run("running")
    api.hold = asyncio.Event()
    readings = next(loop for loop in it.poller.loops if loop.name == "readings")
    await readings.run()
    it.facts.clear()
    await it.poller.stop()
    api.hold.set()
    await it.poller.settle()
    assert it.facts == []  # neither an answer nor a failure


def _broken(_changes: object) -> None:
    raise ZeroDivisionError("a bug")
