"""A price is read again where the cost grows at another rate, and is left alone elsewhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.planner_jobs import NOW, job

from trainwave_exporter.polling.detail_requests import DetailRequests
from trainwave_exporter.polling.job_request import JobRequest
from trainwave_exporter.polling.price_check import PriceCheck

MINUTE = 60.0
PRICE = 36.0
"""60 cents a minute."""


def doubts(
    check: PriceCheck, minutes: float, cost: float | None, price: float | None = PRICE
) -> bool:
    at = NOW + minutes * MINUTE
    return check.doubts(job(cost_dollars=cost, hourly_cost_dollars=price, confirmed_at=at))


def followed(*costs: float, every: float = 1.0, price: float = PRICE) -> list[bool]:
    """Return whether the price was in doubt after each of these costs, so many minutes apart."""
    check = PriceCheck()
    return [doubts(check, n * every, cost, price) for n, cost in enumerate(costs)]


def test_growth_at_the_price_raises_no_doubt() -> None:
    assert not any(followed(*[10 + 0.6 * n for n in range(600)]))


def test_growth_in_whole_cents_raises_no_doubt() -> None:
    assert not any(followed(*[(42 * n // 60) / 100 for n in range(600)], price=0.42))


def test_twice_the_growth_is_doubted_within_a_minute() -> None:
    """$36 becomes $72: 60 cents a minute become 120."""
    assert followed(10, 10.6, 11.2, 12.4) == [False, False, False, True]


def test_half_the_growth_is_doubted_within_a_minute() -> None:
    assert followed(10, 10.6, 11.2, 11.5) == [False, False, False, True]


def test_readings_that_come_between_two_reports_do_not_pass_for_a_bill_in_steps() -> None:
    """They bring the job as it was last reported."""
    check = PriceCheck()
    for minute, cost in enumerate((10.0, 10.6, 11.2)):
        for _ in range(3):
            assert not doubts(check, minute, cost)
    assert doubts(check, 3, 12.4)


def test_reports_every_thirty_seconds_are_compared_over_a_minute() -> None:
    assert followed(10, 10.6, 11.2, every=0.5) == [False, False, True]


def test_a_few_percent_are_noticed_within_ten_minutes() -> None:
    """$36 becomes $38: 3.3 cents more a minute, 33 in ten."""
    assert any(followed(*[10 + n * 38 / 60 for n in range(11)]))


@pytest.mark.parametrize("step", [10, 60])
def test_bills_in_steps_raise_no_doubt(step: int) -> None:
    """From the first step on; before it nobody knows how long the first has been growing."""
    minutes = range(600)
    seen = followed(*[0.6 * (minute // step * step) for minute in minutes])
    assert not any(seen)


def test_a_step_that_is_twice_as_high_is_doubted() -> None:
    costs = [36.0 * (n // 60) for n in range(120)] + [36.0 + 72.0]
    assert followed(*costs)[-1]


def test_a_cost_that_stands_still_says_nothing() -> None:
    assert not any(followed(*[10.0] * 100))


@pytest.mark.parametrize(("cost", "price"), [(None, PRICE), (20.0, None)])
def test_without_cost_or_price_there_is_nothing_to_compare(
    cost: float | None, price: float | None
) -> None:
    check = PriceCheck()
    doubts(check, 0, 10)
    assert not doubts(check, 1, cost, price)
    assert not doubts(check, 2, 30)


def test_another_price_is_believed_from_the_moment_it_is_reported() -> None:
    check = PriceCheck()
    doubts(check, 0, 10)
    assert doubts(check, 1, 11.2)
    assert not doubts(check, 2, 12.4, 72.0)
    assert not doubts(check, 3, 13.6, 72.0)


def test_a_price_that_is_confirmed_is_left_alone_for_longer_each_time() -> None:
    """Billed by something that is not the price; asked for after 2, 4, 8, 16, 32, 60, … minutes."""
    check = PriceCheck()
    asked = []
    for minute in range(1000):
        cost = 10 + 1.2 * minute
        if doubts(check, minute, cost):
            asked.append(minute)
            at = NOW + minute * MINUTE
            check.confirmed(job(cost_dollars=cost, hourly_cost_dollars=PRICE, confirmed_at=at))
    gaps = [b - a for a, b in pairwise(asked)]
    assert gaps[:7] == [2, 4, 8, 16, 32, 60, 60]


def test_a_contradiction_that_ended_delays_no_later_one() -> None:
    """Three wrong looks are confirmed, then the price is right for an hour, then it doubles."""
    check = PriceCheck()
    cost, asked = 10.0, []
    for minute in range(200):
        cost += 1.2 if minute < 35 or minute >= 100 else 0.6
        if doubts(check, minute, cost):
            asked.append(minute)
            at = NOW + minute * MINUTE
            check.confirmed(job(cost_dollars=cost, hourly_cost_dollars=PRICE, confirmed_at=at))
    assert next(minute for minute in asked if minute >= 100) <= 102


def test_a_doubted_price_is_asked_for_once_and_its_answer_settles_it() -> None:
    enquiries = DetailRequests(pause=60.0, state_interval=30.0)

    def see(minutes: float, cost: float) -> None:
        at = NOW + minutes * MINUTE
        enquiries.seen(job(cost_dollars=cost, hourly_cost_dollars=PRICE, confirmed_at=at))
        enquiries.listed(at, {"j-1"}, at)

    def wanted(minutes: float) -> list[JobRequest]:
        return enquiries.live(NOW + minutes * MINUTE, 80.0)

    see(0, 10)
    see(1, 10.6)
    assert wanted(1) == []
    see(2, 11.8)
    request = JobRequest("j-1")
    assert wanted(2) == [request]
    enquiries.begin(request, NOW + 2 * MINUTE)
    assert wanted(2) == []
    enquiries.answered(request, "RUNNING")
    see(3, 13.0)
    assert wanted(3) == []
    enquiries.gone("j-1")
    assert wanted(20) == []


def test_prices_take_no_more_than_a_tenth_of_the_requests() -> None:
    """Of 80 a minute, eight: one every seven and a half seconds, the dearest first."""
    enquiries = DetailRequests(pause=60.0, state_interval=30.0)
    prices = {"j-1": 30.0, "j-2": 60.0}
    for minutes in (0, 1):
        at = NOW + minutes * MINUTE
        for job_id, price in prices.items():
            cost = 10 + 3 * minutes
            enquiries.seen(
                job(job_id, cost_dollars=cost, hourly_cost_dollars=price, confirmed_at=at)
            )
        enquiries.listed(at, set(prices), at)
    now = NOW + MINUTE
    assert enquiries.live(now, 80.0) == [JobRequest("j-2")]
    enquiries.begin(JobRequest("j-2"), now)
    assert enquiries.live(now + 7.4, 80.0) == []
    assert enquiries.live(now + 7.5, 80.0) == [JobRequest("j-1")]


def test_a_cost_that_fell_is_doubted_until_the_details_are_read() -> None:
    """It may be that of another run, whose start only the details report."""
    check = PriceCheck()
    assert [doubts(check, n, cost) for n, cost in enumerate((10, 10.6, 0.3, 0.9))] == [
        *(False, False),
        *(True, True),
    ]
    check.confirmed(job(cost_dollars=0.9, hourly_cost_dollars=PRICE, confirmed_at=NOW + 180))
    assert not doubts(check, 4, 1.5)
    assert not doubts(check, 4.5, 0.2)  # it was just confirmed
    assert not doubts(check, 5.5, 0.8)


def test_where_no_start_is_reported_a_fall_raises_no_doubt() -> None:
    check = PriceCheck()
    for n, cost in enumerate((10, 10.6, 0.3, 0.9)):
        at = NOW + n * MINUTE
        fallen = job(cost_dollars=cost, hourly_cost_dollars=PRICE, started_at=None, confirmed_at=at)
        assert not check.doubts(fallen)


def test_two_reports_of_one_moment_do_not_look_like_bills_in_steps() -> None:
    """A list and the details at once, and an hour later a cost that is another run's."""
    check = PriceCheck()
    assert [doubts(check, minutes, cost) for minutes, cost in ((0, 9), (0, 9), (60, 10.6))] == [
        *(False, False),
        True,
    ]
