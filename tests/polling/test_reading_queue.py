"""Whose turn it is among readings."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.planner_jobs import NOW, job, reading

from trainwave_exporter.model import (
    NO_READINGS,
    Job,
    Metric,
    Readings,
)
from trainwave_exporter.polling.allocation import Allocation
from trainwave_exporter.polling.job_request import LONGEST_PAUSE_SECONDS, JobRequest
from trainwave_exporter.polling.pending_readings import ReadingLane
from trainwave_exporter.polling.reading_queue import ReadingQueue


def new_queue(*jobs: Job, now: float = NOW) -> ReadingQueue:
    queue = ReadingQueue(ideal=60.0, pause=60.0)
    for each in jobs:
        queue.track(each, now)
    return queue


def taken(queue: ReadingQueue, now: float) -> list[JobRequest]:
    """Take all turns there are at a moment, and leave them under way."""
    queue.look(now)
    requests = []
    while request := next_turn(queue, now):
        requests.append(request)
    return requests


def next_turn(queue: ReadingQueue, now: float) -> JobRequest | None:
    """Return one turn: GPU utilization first, and of each lane first what was never read."""
    return (
        queue.take_contradicted()
        or queue.take_new(ReadingLane.GPUS)
        or next(queue.due(ReadingLane.GPUS, now), None)
        or queue.take_new(ReadingLane.OTHERS)
        or next(queue.due(ReadingLane.OTHERS, now), None)
    )


def answer(queue: ReadingQueue, *requests: JobRequest, now: float) -> None:
    for request in requests:
        queue.answered(request, now)


def test_all_six_readings_of_a_running_job_are_wanted_once() -> None:
    queue = new_queue(job(), job("j-2", "LAUNCHING"))
    assert set(taken(queue, NOW)) == {JobRequest("j-1", metric) for metric in Metric}
    assert taken(queue, NOW + 500) == []
    assert queue.readings == 6


def test_in_each_lane_the_newest_jobs_go_first() -> None:
    queue = new_queue(job("j-2"), job("j-1"))
    queue.track(job("j-9"), NOW + 300)
    order = taken(queue, NOW + 300)
    gpus, others = order[:3], order[3:]
    assert [request.job_id for request in gpus] == ["j-9", "j-1", "j-2"]
    assert {request.metric for request in gpus} == {Metric.GPU_UTILIZATION}
    assert [request.job_id for request in others] == ["j-9"] * 5 + ["j-1"] * 5 + ["j-2"] * 5


def test_nothing_is_held_of_jobs_that_left_before_their_turn_came() -> None:
    queue = new_queue()
    jobs = [job(f"j-{number}") for number in range(2000)]

    def held() -> list[int]:
        return [sys.getrefcount(each) for each in jobs]

    here = held()
    for each in jobs:
        queue.track(each, NOW)
        answer(queue, *taken(queue, NOW), now=NOW)
    del each
    assert all(now > before for now, before in zip(held(), here, strict=True))
    for number in range(1900):
        queue.dismiss(f"j-{number}")
    queue.look(NOW)  # long before any of them is due
    assert held()[:1900] == here[:1900]
    assert len(taken(queue, NOW + 500)) == 600


def test_what_is_known_already_is_wanted_when_it_is_old_and_not_at_once() -> None:
    known = Readings(cpu=reading(0.5, at=NOW - 30))
    queue = new_queue(job(readings=known))
    assert len(taken(queue, NOW)) == 5
    assert taken(queue, NOW + 29) == []
    assert taken(queue, NOW + 30) == [JobRequest("j-1", Metric.CPU)]


def test_a_reading_is_wanted_again_after_its_interval_to_the_nearest_tick() -> None:
    queue = new_queue(job())
    answer(queue, *taken(queue, NOW), now=NOW)
    assert taken(queue, NOW + 59.4) == []
    assert len(taken(queue, NOW + 59.6)) == 6


def test_within_a_tick_questions_go_in_the_order_of_places() -> None:
    queue = new_queue(*(job(f"j-{n}") for n in range(5)))
    requests = [request for request in taken(queue, NOW) if request.metric is Metric.CPU]
    answer(queue, *reversed(requests), now=NOW)
    assert [request.job_id for request in taken(queue, NOW + 60)] == [f"j-{n}" for n in range(5)]


def test_where_requests_are_scarce_a_longer_pass_keeps_the_order_of_places() -> None:
    queue = new_queue(*(job(f"j-{n}") for n in range(5)))
    requests = [request for request in taken(queue, NOW) if request.metric is Metric.CPU]
    queue.allocation = Allocation(ideal=60.0, price=1e9, ceiling=1600.0)  # passes of 100 s
    for second, request in enumerate(reversed(requests)):
        answer(queue, request, now=NOW + second)
    later = taken(queue, NOW + 1e5)
    assert [request.job_id for request in later] == [f"j-{n}" for n in range(5)]


def test_the_most_overdue_goes_first_measured_in_its_own_interval() -> None:
    queue = new_queue(job("j-1", hourly_cost_dollars=1.0), job("j-2", hourly_cost_dollars=64.0))
    requests = [request for request in taken(queue, NOW) if request.metric is Metric.CPU]
    cheap, dear = sorted(requests, key=lambda request: request.job_id)
    answer(queue, cheap, now=NOW)
    answer(queue, dear, now=NOW + 100)
    rank = min(+queue.counts[Metric.CPU])
    price = 400 * 2.0 ** (rank / 2)  # 400 s, and 60 s
    queue.allocation = Allocation(ideal=60.0, price=price, ceiling=1e9, gpu_ceiling=1e9)
    assert next(queue.due(ReadingLane.OTHERS, NOW + 600)) == dear


def test_dear_jobs_and_weighty_metrics_rank_higher() -> None:
    queue = new_queue(job(hourly_cost_dollars=1.0))
    rank = {metric: next(iter(counts)) for metric, counts in queue.counts.items()}
    assert rank[Metric.CPU] == rank[Metric.DISK] + 6
    dear = new_queue(job(hourly_cost_dollars=4.0))
    unpriced = new_queue(job(hourly_cost_dollars=None))
    cheap = new_queue(job(hourly_cost_dollars=0.1))
    assert next(iter(dear.counts[Metric.DISK])) == rank[Metric.DISK] + 2
    assert unpriced.counts == cheap.counts


def test_a_price_that_changed_counts_from_the_next_answer_on() -> None:
    queue = new_queue(job(hourly_cost_dollars=1.0))
    answer(queue, *taken(queue, NOW), now=NOW)
    (before,) = +queue.counts[Metric.CPU]
    queue.track(job(hourly_cost_dollars=16.0), NOW + 30)
    answer(queue, *taken(queue, NOW + 60), now=NOW + 60)
    assert +queue.counts[Metric.CPU] == {before + 4: 1}


def test_what_the_list_brings_is_not_asked_for_and_not_counted() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    queue = new_queue(job(readings=listed))
    assert JobRequest("j-1", Metric.MEMORY) not in taken(queue, NOW)
    assert queue.readings == 5
    fresh = Readings(memory=reading(0.5, at=NOW + 60))
    queue.track(job(confirmed_at=NOW + 60, readings=fresh), NOW + 60)
    assert taken(queue, NOW + 70) == []


def test_what_the_list_brings_no_more_is_asked_for_when_it_is_old() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    queue = new_queue(job(readings=listed))
    taken(queue, NOW)
    queue.track(job(confirmed_at=NOW + 25, readings=listed), NOW + 25)
    assert taken(queue, NOW + 50) == []
    assert taken(queue, NOW + 60) == [JobRequest("j-1", Metric.MEMORY)]
    assert queue.readings == 6


def test_a_hint_makes_a_gpu_utilization_wanted_at_once_but_not_twice() -> None:
    queue = new_queue(job())
    request = JobRequest("j-1", Metric.GPU_UTILIZATION)
    queue.contradict("j-1", NOW)
    assert queue.take_contradicted() is None  # it is wanted for the first time
    answer(queue, *taken(queue, NOW), now=NOW)
    queue.contradict("j-1", NOW + 30)
    queue.contradict("j-1", NOW + 31)
    assert taken(queue, NOW + 31) == [request]
    queue.contradict("j-1", NOW + 32)
    assert taken(queue, NOW + 32) == []  # it is under way
    queue.contradict("j-unknown", NOW)
    assert taken(queue, NOW + 33) == []


def test_what_was_asked_a_moment_ago_is_not_wanted_again_for_a_hint() -> None:
    queue = new_queue(job())
    answer(queue, *taken(queue, NOW), now=NOW)
    queue.contradict("j-1", NOW + 29)
    assert taken(queue, NOW + 29) == []


def test_what_failed_rests_for_longer_and_longer() -> None:
    queue = new_queue(job())
    for pause in (60.0, 120.0, 240.0):
        requests = taken(queue, NOW)
        assert len(requests) == 6
        for request in requests:
            queue.failed(request, NOW)
        assert taken(queue, NOW + pause - 1) == []
        queue.look(NOW)
        for request in taken(queue, NOW + pause):
            queue.put_off(request)


def test_after_an_answer_failures_are_forgotten() -> None:
    queue = new_queue(job())
    request = JobRequest("j-1", Metric.CPU)
    taken(queue, NOW)
    for _ in range(5):
        queue.failed(request, NOW)
    answer(queue, request, now=NOW)
    assert taken(queue, NOW + 60) == [request]
    queue.failed(request, NOW + 60)
    assert taken(queue, NOW + 120) == [request]


def test_what_was_put_off_keeps_its_place() -> None:
    queue = new_queue(job())
    requests = taken(queue, NOW)
    for request in requests:
        queue.put_off(request)
    assert taken(queue, NOW) == requests


@pytest.mark.parametrize("state", ["UPLOADING", "SUCCESS"])
def test_nothing_is_wanted_of_a_job_that_runs_no_more(state: str) -> None:
    queue = new_queue(job())
    under_way = taken(queue, NOW)
    queue.track(job(state=state), NOW)
    assert queue.readings == 0
    answer(queue, *under_way[:3], now=NOW)
    queue.failed(under_way[3], NOW)
    queue.put_off(under_way[4])
    assert taken(queue, NOW + 1e4) == []
    assert queue.readings == 0
    queue.dismiss("j-1")


def test_a_job_that_runs_again_is_new() -> None:
    queue = new_queue(job())
    taken(queue, NOW)
    queue.dismiss("j-1")
    queue.track(job(), NOW + 1)
    assert len(taken(queue, NOW + 1)) == 6
    assert queue.readings == 6


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    queue = new_queue(job("j-1"), job("j-2", readings=listed))
    first, *rest = taken(queue, NOW)
    queue.failed(first, NOW)
    answer(queue, *rest, now=NOW)
    past = NOW - 86_400.0
    assert taken(queue, past) == [first]
    assert len(taken(queue, past + 60)) == len(rest)
    assert LONGEST_PAUSE_SECONDS < 86_400


class Churn(RuleBasedStateMachine):
    """Jobs come, run, are listed and end; requests are asked, answered, failed and put off."""

    jobs = st.sampled_from([f"j-{number}" for number in range(4)])
    places = st.integers(0, 100)

    def __init__(self) -> None:
        super().__init__()
        self.queue = new_queue()
        self.now = NOW
        self.running: set[str] = set()
        self.under_way: list[JobRequest] = []

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(job_id=jobs, listed=st.booleans())
    def is_seen(self, job_id: str, listed: bool) -> None:
        brought = Readings(cpu=reading(0.5, at=self.now)) if listed else NO_READINGS
        self.queue.track(job(job_id, confirmed_at=self.now, readings=brought), self.now)
        self.running.add(job_id)

    @rule(job_id=jobs)
    def ends(self, job_id: str) -> None:
        self.queue.dismiss(job_id)
        self.running.discard(job_id)
        self.under_way = [request for request in self.under_way if request.job_id != job_id]

    @rule()
    def is_asked_for(self) -> None:
        self.queue.look(self.now)
        if request := next_turn(self.queue, self.now):
            self.under_way.append(request)

    @rule(place=places)
    def is_answered(self, place: int) -> None:
        if self.under_way:
            answer(self.queue, self.under_way.pop(place % len(self.under_way)), now=self.now)

    @rule(place=places)
    def fails(self, place: int) -> None:
        if self.under_way:
            self.queue.failed(self.under_way.pop(place % len(self.under_way)), self.now)

    @rule(place=places)
    def is_put_off(self, place: int) -> None:
        if self.under_way:
            self.queue.put_off(self.under_way.pop(place % len(self.under_way)))

    @rule(job_id=jobs)
    def is_contradicted(self, job_id: str) -> None:
        self.queue.contradict(job_id, self.now)

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        counts = [number for ranks in self.queue.counts.values() for number in ranks.values()]
        assert all(number >= 0 for number in counts)
        assert sum(counts) <= len(self.running) * len(Metric)

    def teardown(self) -> None:
        """Every reading of every running job is there, once."""
        for request in self.under_way:
            self.queue.put_off(request)
        now = self.now + LONGEST_PAUSE_SECONDS + 1
        for job_id in self.running:
            self.queue.track(job(job_id, confirmed_at=now), now)
        came = [
            *taken(self.queue, now),
            *taken(self.queue, now + 60),
            *taken(self.queue, now + 120),
        ]
        assert len(came) == len(set(came)) == self.queue.readings
        assert set(came) == {JobRequest(job, metric) for job in self.running for metric in Metric}


TestChurn = Churn.TestCase
TestChurn.settings = settings(deadline=None, max_examples=60)
