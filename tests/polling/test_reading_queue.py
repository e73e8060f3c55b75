"""Whose turn it is among readings."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.known_jobs import NOW, job, reading

from trainwave_exporter.model import (
    NO_READINGS,
    Job,
    Metric,
    Readings,
)
from trainwave_exporter.polling.allocation import Allocation
from trainwave_exporter.polling.question import LONGEST_PAUSE_SECONDS, Question
from trainwave_exporter.polling.reading_queue import ReadingLane, ReadingQueue

EVEN = dict.fromkeys(Metric, 1.0)


def new_rota(*jobs: Job, now: float = NOW, **weights: float) -> ReadingQueue:
    by_metric = EVEN | {Metric(name): weight for name, weight in weights.items()}
    rota = ReadingQueue(ideal=60.0, pause=60.0, weights=by_metric)
    for each in jobs:
        rota.tracked(each, now)
    return rota


def taken(rota: ReadingQueue, now: float) -> list[Question]:
    """Take all turns there are at a moment, and leave them under way."""
    rota.look(now)
    questions = []
    while question := next_turn(rota, now):
        questions.append(question)
    return questions


def next_turn(rota: ReadingQueue, now: float) -> Question | None:
    """Return one turn: GPU utilization first, and of each lane first what was never read."""
    return (
        rota.take_hinted()
        or rota.take_new(ReadingLane.GPUS)
        or next(rota.due(ReadingLane.GPUS, now), None)
        or rota.take_new(ReadingLane.OTHERS)
        or next(rota.due(ReadingLane.OTHERS, now), None)
    )


def answer(rota: ReadingQueue, *questions: Question, now: float) -> None:
    for question in questions:
        rota.answered(question, now)


def test_all_six_readings_of_a_running_job_are_wanted_once() -> None:
    rota = new_rota(job(), job("j-2", "LAUNCHING"))
    assert set(taken(rota, NOW)) == {Question("j-1", metric) for metric in Metric}
    assert taken(rota, NOW + 500) == []
    assert rota.readings == 6


def test_in_each_lane_the_newest_jobs_go_first() -> None:
    rota = new_rota(job("j-2"), job("j-1"))
    rota.tracked(job("j-9"), NOW + 300)
    order = taken(rota, NOW + 300)
    gpus, others = order[:3], order[3:]
    assert [question.job_id for question in gpus] == ["j-9", "j-1", "j-2"]
    assert {question.metric for question in gpus} == {Metric.GPU_UTILIZATION}
    assert [question.job_id for question in others] == ["j-9"] * 5 + ["j-1"] * 5 + ["j-2"] * 5


def test_nothing_is_held_of_jobs_that_left_before_their_turn_came() -> None:
    rota = new_rota()
    jobs = [job(f"j-{number}") for number in range(2000)]

    def held() -> list[int]:
        return [sys.getrefcount(each) for each in jobs]

    here = held()
    for each in jobs:
        rota.tracked(each, NOW)
        answer(rota, *taken(rota, NOW), now=NOW)
    del each
    assert all(now > before for now, before in zip(held(), here, strict=True))
    for number in range(1900):
        rota.dismiss(f"j-{number}")
    rota.look(NOW)  # long before any of them is due
    assert held()[:1900] == here[:1900]
    assert len(taken(rota, NOW + 500)) == 600


def test_what_is_known_already_is_wanted_when_it_is_old_and_not_at_once() -> None:
    known = Readings(cpu=reading(0.5, at=NOW - 30))
    rota = new_rota(job(readings=known))
    assert len(taken(rota, NOW)) == 5
    assert taken(rota, NOW + 29) == []
    assert taken(rota, NOW + 30) == [Question("j-1", Metric.CPU)]


def test_a_reading_is_wanted_again_after_its_interval_to_the_nearest_tick() -> None:
    rota = new_rota(job())
    answer(rota, *taken(rota, NOW), now=NOW)
    assert taken(rota, NOW + 59.4) == []
    assert len(taken(rota, NOW + 59.6)) == 6


def test_within_a_tick_questions_go_in_the_order_of_places() -> None:
    rota = new_rota(*(job(f"j-{n}") for n in range(5)))
    questions = [question for question in taken(rota, NOW) if question.metric is Metric.CPU]
    answer(rota, *reversed(questions), now=NOW)
    assert [question.job_id for question in taken(rota, NOW + 60)] == [f"j-{n}" for n in range(5)]


def test_where_requests_are_scarce_a_longer_pass_keeps_the_order_of_places() -> None:
    rota = new_rota(*(job(f"j-{n}") for n in range(5)))
    questions = [question for question in taken(rota, NOW) if question.metric is Metric.CPU]
    rota.allocation = Allocation(ideal=60.0, price=1e9, ceiling=1600.0)  # passes of 100 s
    for second, question in enumerate(reversed(questions)):
        answer(rota, question, now=NOW + second)
    later = taken(rota, NOW + 1e5)
    assert [question.job_id for question in later] == [f"j-{n}" for n in range(5)]


def test_the_most_overdue_goes_first_measured_in_its_own_interval() -> None:
    rota = new_rota(job("j-1", hourly_cost_dollars=1.0), job("j-2", hourly_cost_dollars=64.0))
    questions = [question for question in taken(rota, NOW) if question.metric is Metric.CPU]
    cheap, dear = sorted(questions, key=lambda question: question.job_id)
    answer(rota, cheap, now=NOW)
    answer(rota, dear, now=NOW + 100)
    rank = min(+rota.counts[Metric.CPU])
    price = 400 * 2.0 ** (rank / 2)  # 400 s, and 60 s
    rota.allocation = Allocation(ideal=60.0, price=price, ceiling=1e9, gpu_ceiling=1e9)
    assert next(rota.due(ReadingLane.OTHERS, NOW + 600)) == dear


def test_dear_jobs_and_weighty_metrics_rank_higher() -> None:
    rota = new_rota(job(hourly_cost_dollars=1.0), cpu=64.0)
    rank = {metric: next(iter(counts)) for metric, counts in rota.counts.items()}
    assert rank[Metric.CPU] == rank[Metric.DISK] + 6
    dear = new_rota(job(hourly_cost_dollars=4.0))
    unpriced = new_rota(job(hourly_cost_dollars=None))
    cheap = new_rota(job(hourly_cost_dollars=0.1))
    assert next(iter(dear.counts[Metric.DISK])) == rank[Metric.DISK] + 2
    assert unpriced.counts == cheap.counts


def test_a_price_that_changed_counts_from_the_next_answer_on() -> None:
    rota = new_rota(job(hourly_cost_dollars=1.0))
    answer(rota, *taken(rota, NOW), now=NOW)
    (before,) = +rota.counts[Metric.CPU]
    rota.tracked(job(hourly_cost_dollars=16.0), NOW + 30)
    answer(rota, *taken(rota, NOW + 60), now=NOW + 60)
    assert +rota.counts[Metric.CPU] == {before + 4: 1}


def test_what_the_list_brings_is_not_asked_for_and_not_counted() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    rota = new_rota(job(readings=listed))
    assert Question("j-1", Metric.MEMORY) not in taken(rota, NOW)
    assert rota.readings == 5
    fresh = Readings(memory=reading(0.5, at=NOW + 60))
    rota.tracked(job(confirmed_at=NOW + 60, readings=fresh), NOW + 60)
    assert taken(rota, NOW + 70) == []


def test_what_the_list_brings_no_more_is_asked_for_when_it_is_old() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    rota = new_rota(job(readings=listed))
    taken(rota, NOW)
    rota.tracked(job(confirmed_at=NOW + 25, readings=listed), NOW + 25)
    assert taken(rota, NOW + 50) == []
    assert taken(rota, NOW + 60) == [Question("j-1", Metric.MEMORY)]
    assert rota.readings == 6


def test_a_hint_makes_a_gpu_utilization_wanted_at_once_but_not_twice() -> None:
    rota = new_rota(job())
    question = Question("j-1", Metric.GPU_UTILIZATION)
    rota.hint("j-1", NOW)
    assert rota.take_hinted() is None  # it is wanted for the first time
    answer(rota, *taken(rota, NOW), now=NOW)
    rota.hint("j-1", NOW + 30)
    rota.hint("j-1", NOW + 31)
    assert taken(rota, NOW + 31) == [question]
    rota.hint("j-1", NOW + 32)
    assert taken(rota, NOW + 32) == []  # it is under way
    rota.hint("j-unknown", NOW)
    assert taken(rota, NOW + 33) == []


def test_what_was_asked_a_moment_ago_is_not_wanted_again_for_a_hint() -> None:
    rota = new_rota(job())
    answer(rota, *taken(rota, NOW), now=NOW)
    rota.hint("j-1", NOW + 29)
    assert taken(rota, NOW + 29) == []


def test_what_failed_rests_for_longer_and_longer() -> None:
    rota = new_rota(job())
    for pause in (60.0, 120.0, 240.0):
        questions = taken(rota, NOW)
        assert len(questions) == 6
        for question in questions:
            rota.failed(question, NOW)
        assert taken(rota, NOW + pause - 1) == []
        rota.look(NOW)
        for question in taken(rota, NOW + pause):
            rota.put_off(question)


def test_after_an_answer_failures_are_forgotten() -> None:
    rota = new_rota(job())
    question = Question("j-1", Metric.CPU)
    taken(rota, NOW)
    for _ in range(5):
        rota.failed(question, NOW)
    answer(rota, question, now=NOW)
    assert taken(rota, NOW + 60) == [question]
    rota.failed(question, NOW + 60)
    assert taken(rota, NOW + 120) == [question]


def test_what_was_put_off_keeps_its_place() -> None:
    rota = new_rota(job())
    questions = taken(rota, NOW)
    for question in questions:
        rota.put_off(question)
    assert taken(rota, NOW) == questions


@pytest.mark.parametrize("state", ["UPLOADING", "SUCCESS"])
def test_nothing_is_wanted_of_a_job_that_runs_no_more(state: str) -> None:
    rota = new_rota(job())
    under_way = taken(rota, NOW)
    rota.tracked(job(state=state), NOW)
    assert rota.readings == 0
    answer(rota, *under_way[:3], now=NOW)
    rota.failed(under_way[3], NOW)
    rota.put_off(under_way[4])
    assert taken(rota, NOW + 1e4) == []
    assert rota.readings == 0
    rota.dismiss("j-1")


def test_a_job_that_runs_again_is_new() -> None:
    rota = new_rota(job())
    taken(rota, NOW)
    rota.dismiss("j-1")
    rota.tracked(job(), NOW + 1)
    assert len(taken(rota, NOW + 1)) == 6
    assert rota.readings == 6


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    listed = Readings(memory=reading(0.5, at=NOW - 5))
    rota = new_rota(job("j-1"), job("j-2", readings=listed))
    first, *rest = taken(rota, NOW)
    rota.failed(first, NOW)
    answer(rota, *rest, now=NOW)
    past = NOW - 86_400.0
    assert taken(rota, past) == [first]
    assert len(taken(rota, past + 60)) == len(rest)
    assert LONGEST_PAUSE_SECONDS < 86_400


class Churn(RuleBasedStateMachine):
    """Jobs come, run, are listed and end; questions are asked, answered, failed and put off."""

    jobs = st.sampled_from([f"j-{number}" for number in range(4)])
    places = st.integers(0, 100)

    def __init__(self) -> None:
        super().__init__()
        self.rota = new_rota()
        self.now = NOW
        self.running: set[str] = set()
        self.under_way: list[Question] = []

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(job_id=jobs, listed=st.booleans())
    def is_seen(self, job_id: str, listed: bool) -> None:
        brought = Readings(cpu=reading(0.5, at=self.now)) if listed else NO_READINGS
        self.rota.tracked(job(job_id, confirmed_at=self.now, readings=brought), self.now)
        self.running.add(job_id)

    @rule(job_id=jobs)
    def ends(self, job_id: str) -> None:
        self.rota.dismiss(job_id)
        self.running.discard(job_id)
        self.under_way = [question for question in self.under_way if question.job_id != job_id]

    @rule()
    def is_asked_for(self) -> None:
        self.rota.look(self.now)
        if question := next_turn(self.rota, self.now):
            self.under_way.append(question)

    @rule(place=places)
    def is_answered(self, place: int) -> None:
        if self.under_way:
            answer(self.rota, self.under_way.pop(place % len(self.under_way)), now=self.now)

    @rule(place=places)
    def fails(self, place: int) -> None:
        if self.under_way:
            self.rota.failed(self.under_way.pop(place % len(self.under_way)), self.now)

    @rule(place=places)
    def is_put_off(self, place: int) -> None:
        if self.under_way:
            self.rota.put_off(self.under_way.pop(place % len(self.under_way)))

    @rule(job_id=jobs)
    def is_contradicted(self, job_id: str) -> None:
        self.rota.hint(job_id, self.now)

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        counts = [number for ranks in self.rota.counts.values() for number in ranks.values()]
        assert all(number >= 0 for number in counts)
        assert sum(counts) <= len(self.running) * len(Metric)

    def teardown(self) -> None:
        """Every reading of every running job is there, once."""
        for question in self.under_way:
            self.rota.put_off(question)
        now = self.now + LONGEST_PAUSE_SECONDS + 1
        for job_id in self.running:
            self.rota.tracked(job(job_id, confirmed_at=now), now)
        came = [*taken(self.rota, now), *taken(self.rota, now + 60), *taken(self.rota, now + 120)]
        assert len(came) == len(set(came)) == self.rota.readings
        assert set(came) == {Question(job, metric) for job in self.running for metric in Metric}


TestChurn = Churn.TestCase
TestChurn.settings = settings(deadline=None, max_examples=60)
