"""The budget of one key, on a clock turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from itertools import pairwise
from random import Random

import pytest
from support.budget_sender import Sender
from support.fake_time import FakeTime, settle

from trainwave_exporter.api import Priority, RateBudget, RateLimited
from trainwave_exporter.api.gates import BlockReason
from trainwave_exporter.api.headers import rate_headers

RUNNING, DIRECTORY, SWEEP, READINGS = Priority


class Highest(Random):
    """Dice that always show the highest."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - as Random's
        return b


@pytest.fixture
async def sender(fake_time: FakeTime) -> AsyncIterator[Sender]:
    sender = Sender(fake_time)
    yield sender
    await sender.stop()


async def test_urgent_requests_may_use_the_whole_allowance_at_once_and_no_more(
    sender: Sender,
) -> None:
    sender.want(RUNNING, 100)
    await sender.time.advance(59)
    assert len(sender.sent) == 80
    await sender.time.advance(2)
    assert len(sender.sent) == 100


async def test_what_can_wait_begins_with_a_quarter_and_goes_on_evenly(sender: Sender) -> None:
    sender.want(READINGS, 1_000)
    await sender.time.advance(0)
    assert len(sender.sent) == 20
    await sender.time.advance(600)
    by_ten_seconds = [
        sum(begin <= at - sender.time.now + 600 < begin + 10 for at, _ in sender.sent)
        for begin in range(120, 600, 10)
    ]
    assert min(by_ten_seconds) >= 12
    assert max(by_ten_seconds) <= 14


async def test_time_spent_idle_saves_up_for_another_burst(sender: Sender) -> None:
    sender.want(SWEEP, 20)
    await sender.time.advance(120)
    assert sender.budget.available(SWEEP) == 20


async def test_the_most_urgent_goes_first_and_equals_in_the_order_of_asking(
    fake_time: FakeTime,
) -> None:
    sender = Sender(fake_time, max_in_flight=1)
    sender.want(RUNNING, hold=True)
    await settle()
    for priority in (READINGS, SWEEP, RUNNING, DIRECTORY, SWEEP, RUNNING):
        sender.want(priority)
    await settle()
    sender.budget.release()
    await settle()
    assert [priority for _, priority in sender.sent[1:]] == sorted(
        (READINGS, SWEEP, RUNNING, DIRECTORY, SWEEP, RUNNING)
    )


async def test_equally_urgent_requests_keep_their_order(fake_time: FakeTime) -> None:
    budget = RateBudget(max_in_flight=1, clock=fake_time.as_clock())
    order: list[int] = []

    async def send(number: int) -> None:
        await budget.acquire(SWEEP)
        order.append(number)
        budget.release()

    await budget.acquire(RUNNING)
    tasks = [asyncio.create_task(send(number)) for number in range(10)]
    await settle()
    assert order == []
    budget.release()
    await asyncio.gather(*tasks)
    assert order == list(range(10))


async def test_no_more_are_in_flight_than_allowed(fake_time: FakeTime) -> None:
    sender = Sender(fake_time, max_in_flight=3)
    sender.want(RUNNING, 5, hold=True)
    await fake_time.advance(600)
    assert len(sender.sent) == 3
    sender.budget.release()
    await settle()
    assert len(sender.sent) == 4
    await sender.stop()


async def test_what_is_reserved_for_lists_is_left_alone_by_what_can_wait(sender: Sender) -> None:
    sender.budget.reserve("running", 4)
    sender.budget.reserve("directory", 5.5)
    sender.want(READINGS, 500)
    await sender.time.advance(60)
    assert len(sender.sent) == 80 - 10
    assert sender.budget.available(RUNNING) == 10
    sender.want(RUNNING, 10)
    await settle()
    assert sender.sent_with(RUNNING) == 10


async def test_a_new_reservation_of_the_same_name_replaces_the_old_one(sender: Sender) -> None:
    sender.budget.reserve("running", 70)
    sender.budget.reserve("running", 4)
    sender.want(READINGS, 500)
    await sender.time.advance(60)
    assert len(sender.sent) == 76


async def test_reservations_beyond_all_bounds_leave_one_request_a_minute(sender: Sender) -> None:
    sender.budget.reserve("running", 1_000)
    sender.want(READINGS, 500)
    await sender.time.advance(0)
    assert len(sender.sent) == 1
    await sender.time.advance(62)
    assert len(sender.sent) == 2


async def test_a_lower_limit_takes_effect_once_two_answers_report_it(sender: Sender) -> None:
    sender.want(RUNNING, 40)
    await settle()
    sender.learn(Limit=50)
    sender.learn(Limit=50)
    sender.want(RUNNING, 40)
    await sender.time.advance(60)
    assert len(sender.sent) == 40
    await sender.time.advance(2)
    assert len(sender.sent) == 80


async def test_a_limit_of_one_reported_once_changes_nothing(sender: Sender) -> None:
    for limit in (1, 100, 1, 1_000, 1):
        sender.learn(Limit=limit)
    assert sender.budget.snapshot(sender.time.now).limit == 1_000
    sender.learn(Remaining=3)  # reports no limit, and so confirms none
    assert sender.budget.snapshot(sender.time.now).limit == 1_000


async def test_of_two_lower_limits_in_a_row_the_higher_counts(sender: Sender) -> None:
    sender.learn(Limit=1)
    sender.learn(Limit=60)
    assert sender.budget.snapshot(sender.time.now).limit == 60
    sender.learn(Limit=1)
    sender.learn(Limit=1)
    assert sender.budget.snapshot(sender.time.now).limit == 1


async def test_a_higher_limit_wakes_those_who_wait(sender: Sender) -> None:
    sender.want(RUNNING, 200)
    await settle()
    assert len(sender.sent) == 80
    sender.learn(Limit=1000)
    await settle()
    assert len(sender.sent) == 200


async def test_a_higher_limit_moves_the_alarm_of_those_who_still_wait(sender: Sender) -> None:
    sender.want(RUNNING, 40)
    await sender.time.advance(30)
    sender.want(RUNNING, 40)
    await settle()
    sender.learn(Limit=50)
    sender.learn(Limit=50)
    sender.want(RUNNING)
    await settle()
    sender.learn(Limit=100)
    await sender.time.advance(30.9)
    assert len(sender.sent) == 80
    await sender.time.advance(0.2)
    assert len(sender.sent) == 81


async def test_more_left_than_the_limit_is_taken_for_the_limit(sender: Sender) -> None:
    sender.learn(Limit=100, Remaining=5_000)
    assert sender.budget.snapshot(sender.time.now).remaining == 100
    assert sender.budget.available(RUNNING) == 80


async def test_a_newcomer_does_not_wait_for_the_alarm_of_the_less_urgent(sender: Sender) -> None:
    sender.budget.reserve("running", 10)
    sender.want(READINGS, 71)
    await sender.time.advance(58)
    assert len(sender.sent) == 70
    sender.want(RUNNING)
    await settle()
    assert sender.sent_with(RUNNING) == 1


async def test_when_others_use_the_key_up_to_their_share_nothing_more_is_sent(
    sender: Sender,
) -> None:
    sender.want(RUNNING, hold=True)
    await settle()
    sender.learn(Limit=100, Remaining=23, Reset=sender.time.now + 30)
    sender.want(RUNNING, 50)
    await settle()
    assert len(sender.sent) == 1 + 3
    assert sender.budget.snapshot(sender.time.now).remaining == 23
    await sender.time.advance(29)
    assert len(sender.sent) == 4
    await sender.time.advance(1.1)
    assert len(sender.sent) == 51
    assert sender.budget.snapshot(sender.time.now).remaining is None


async def test_requests_on_their_way_count_against_what_an_answer_says_is_left(
    sender: Sender,
) -> None:
    sender.want(RUNNING, 10, hold=True)
    await settle()
    sender.learn(Limit=100, Remaining=32, Reset=sender.time.now + 30)
    assert sender.budget.available(RUNNING) == 32 - 9 - 20


async def test_what_can_wait_leaves_the_lists_their_part_of_what_the_server_has_left(
    sender: Sender,
) -> None:
    sender.budget.reserve("running", 6)
    sender.want(RUNNING, hold=True)
    await settle()
    sender.learn(Remaining=30, Reset=sender.time.now + 60)
    assert sender.budget.available(RUNNING) == 10
    assert sender.budget.available(READINGS) == 4
    sender.want(READINGS, 7)
    await settle()
    assert sender.sent_with(READINGS) == 4
    await sender.time.advance(21)  # the lists need only 4 of the 6 now
    assert sender.sent_with(READINGS) == 6


class SlidingKey:
    """An API that gives each request back a minute after it came, whoever sent it."""

    def __init__(
        self, sender: Sender, reset: Callable[[float], object], *, way: float = 0.0
    ) -> None:
        """``way``: seconds that a request takes to the API, and its answer back."""
        self.sender = sender
        self.sent = 0
        self.least = 100
        """The least that it ever had left after a request of the exporter, leaving out what others
        sent that no answer could show before that request was let go."""
        self._reset = reset
        self._way = way
        self._came: list[float] = []
        self._others = self._known = 0

    def want(self, priority: Priority, times: int = 1) -> None:
        self.sender.tasks += [asyncio.create_task(self._send(priority)) for _ in range(times)]

    async def _send(self, priority: Priority) -> None:
        time, budget = self.sender.time, self.sender.budget
        await budget.acquire(priority)
        self.sent += 1
        known = self._known
        await time.sleep(self._way)
        remaining, reset = self.arrive(), self._reset(time.now)
        others = self._others
        self.least = min(self.least, remaining + others - known)
        await time.sleep(self._way)
        self._known = others
        self.sender.learn(Limit=100, Remaining=remaining, Reset=reset)
        budget.release()

    def arrive(self) -> int:
        """Count one request; return how many are left then."""
        now = self.sender.time.now
        self._came = [came for came in self._came if came > now - 60] + [now]
        return 100 - len(self._came)

    async def others_send(self, seconds: int, *, every: int) -> None:
        """Let time pass in which others send a request every so many seconds."""
        for _ in range(seconds // every):
            self.arrive()
            self._others += 1
            await self.sender.time.advance(every)


@pytest.mark.parametrize(
    "reset",
    [lambda at: int(at) + 60, lambda _: 60, lambda _: ""],
    ids=["a_minute_ahead", "in_seconds", "none"],
)
@pytest.mark.parametrize("way", [0.0, 0.2])
async def test_what_a_sliding_window_gives_back_is_used(
    sender: Sender, reset: Callable[[float], object], way: float
) -> None:
    """Of 80 allowed at least 75 go out in each minute, and the people's 20 stay untouched."""
    api = SlidingKey(sender, reset, way=way)
    sender.budget.reserve("running", 4)
    api.want(READINGS, 1_000)
    by_minute = []
    for _ in range(10):
        before = api.sent
        for _ in range(2):
            api.want(RUNNING)
            await sender.time.advance(30)
        by_minute.append(api.sent - before)
    assert min(by_minute) >= 75
    assert api.least >= 20


async def test_in_a_sliding_window_what_others_use_is_theirs(sender: Sender) -> None:
    """Others make 12 requests a minute: 68 are ours, as 20 are to be left whatever they do."""
    api = SlidingKey(sender, lambda at: int(at) + 60)
    api.want(READINGS, 1_000)
    await api.others_send(120, every=5)
    before = api.sent
    await api.others_send(600, every=5)
    assert 64 <= (api.sent - before) / 10 <= 68
    assert api.least >= 20


async def test_when_others_use_up_a_sliding_window_nothing_is_sent_for_a_minute(
    sender: Sender,
) -> None:
    for second in range(10):
        sender.learn(Remaining=50 - 4 * second, Reset=sender.time.now + 60)
        await sender.time.advance(1)
    sender.want(RUNNING, 2)
    await sender.time.advance(58.9)  # the last answer came a second before
    assert sender.sent == []
    await sender.time.advance(0.2)
    assert len(sender.sent) == 2


async def test_a_window_that_stands_still_again_gives_nothing_back_before_its_end(
    sender: Sender,
) -> None:
    start = sender.time.now
    for _ in range(10):
        sender.learn(Remaining=90, Reset=sender.time.now + 60)
        await sender.time.advance(1)
    await sender.time.advance(60)
    sender.want(RUNNING, 10)
    await settle()
    sender.learn(Remaining=20, Reset=start + 130)
    sender.want(RUNNING)
    await sender.time.advance(59)
    assert len(sender.sent) == 10
    await sender.time.advance(2)
    assert len(sender.sent) == 11


async def test_answers_that_overtake_each_other_do_not_raise_what_is_left(sender: Sender) -> None:
    sender.want(RUNNING, 2, hold=True)
    await settle()
    reset = sender.time.now + 30
    sender.learn(Remaining=40, Reset=reset)
    sender.learn(Remaining=60, Reset=reset)
    assert sender.budget.available(RUNNING) == 40 - 1 - 20
    sender.learn(Remaining=90, Reset=reset + 60)
    assert sender.budget.available(RUNNING) == 90 - 1 - 20


async def test_an_answer_about_a_window_that_is_over_does_not_hold_anything_back(
    sender: Sender,
) -> None:
    sender.learn(Remaining=0, Reset=sender.time.now - 1)
    assert sender.budget.available(RUNNING) == 80


async def test_an_overtaken_answer_from_an_earlier_window_is_ignored(sender: Sender) -> None:
    sender.want(RUNNING, 2, hold=True)
    await settle()
    sender.learn(Remaining=95, Reset=sender.time.now + 65)
    sender.learn(Remaining=0, Reset=sender.time.now + 5)
    assert sender.budget.snapshot(sender.time.now).remaining == 95


async def test_the_reset_is_read_by_the_clock_of_the_api(sender: Sender) -> None:
    headers = {
        "X-RateLimit-Remaining": "20",
        "x-ratelimit-reset": str(int(sender.time.now) + 3600 + 10),
        "Date": "Thu, 21 Mar 2024 10:00:00 GMT",
    }
    sender.budget.learn(rate_headers(headers, sender.time.now))
    sender.want(RUNNING)
    await sender.time.advance(9.9)
    assert sender.sent == []
    await sender.time.advance(0.2)
    assert len(sender.sent) == 1


@pytest.mark.parametrize("reset", ["", "soon", "NaN", "-5", "0", "42", "1e300", "9" * 400])
async def test_a_reset_without_sense_holds_back_for_a_minute_at_most(
    sender: Sender, reset: str
) -> None:
    sender.learn(Remaining=0, Reset=reset)
    sender.want(RUNNING)
    await sender.time.advance(61)
    assert len(sender.sent) == 1


@pytest.mark.parametrize("limit", ["0", "-100", "NaN", "many", "", "inf", "1_000"])
async def test_a_limit_without_sense_is_ignored(sender: Sender, limit: str) -> None:
    sender.learn(Limit=limit)
    assert sender.budget.snapshot(sender.time.now).limit == 100


async def test_a_limit_beyond_all_bounds_is_bounded(sender: Sender) -> None:
    sender.learn(Limit="9" * 15)
    assert sender.budget.snapshot(sender.time.now).limit == 100_000


async def test_a_limit_of_one_still_lets_one_request_through_a_minute(sender: Sender) -> None:
    sender.learn(Limit=1)
    sender.learn(Limit=1)
    sender.want(READINGS, 3)
    await sender.time.advance(125)
    assert len(sender.sent) == 3


async def test_after_a_429_nothing_is_sent_until_the_api_allows_it(sender: Sender) -> None:
    sender.budget.back_off(30)
    assert sender.budget.snapshot(sender.time.now).blocked_until == sender.time.now + 30
    assert sender.budget.available(RUNNING) == 0
    sender.want(RUNNING)
    await sender.time.advance(29.9)
    assert sender.sent == []
    await sender.time.advance(1)
    assert len(sender.sent) == 1
    assert sender.budget.snapshot(sender.time.now).blocked_until == 0


@pytest.mark.parametrize(
    ("ahead", "blocked"),
    [
        (121, 121),
        (1_800, 1_800),
        (3_600, 3_600),
        (86_400, 3_600),  # at most an hour, then one probe
        (10**10, 3_600),
        (120, 0),  # within the window's reach, where the window itself holds back
        (60, 0),
        (-1, 0),
        (-86_400, 0),
    ],
)
async def test_without_requests_left_until_far_ahead_it_is_blocked(
    sender: Sender, ahead: int, blocked: int
) -> None:
    start = int(sender.time.now)
    sender.learn(Remaining=0, Reset=start + ahead)
    snapshot = sender.budget.snapshot(start)
    assert snapshot.blocked_until == (start + blocked if blocked else 0)
    assert snapshot.blocked_reason == ("used_up" if blocked else None)


@pytest.mark.parametrize(
    "headers", [{"Remaining": 1}, {"Remaining": -1}, {"Remaining": "none"}, {}], ids=str
)
async def test_a_reset_far_ahead_alone_is_no_block(
    sender: Sender, headers: dict[str, object]
) -> None:
    sender.learn(**headers, Reset=int(sender.time.now) + 3_000)
    assert sender.budget.snapshot(sender.time.now).blocked_until == 0


async def test_no_requests_left_without_a_reset_is_no_block(sender: Sender) -> None:
    sender.learn(Remaining=0)
    assert sender.budget.snapshot(sender.time.now).blocked_until == 0


async def test_a_reset_in_milliseconds_blocks_for_as_long_as_one_in_seconds(
    sender: Sender,
) -> None:
    start = int(sender.time.now)
    sender.learn(Remaining=0, Reset=1_000 * (start + 600))
    assert sender.budget.snapshot(start).blocked_until == start + 600


async def test_the_time_to_a_reset_is_that_of_the_clock_of_the_api(sender: Sender) -> None:
    now = int(sender.time.now)
    reported = {  # its clock is an hour ahead: 30 s are left
        "Date": formatdate(now + 3_600, usegmt=True),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(now + 3_630),
    }
    sender.budget.learn(rate_headers(reported, now))
    assert sender.budget.snapshot(now).blocked_until == 0


async def test_after_an_hour_without_requests_left_one_probe_goes_out_and_decides(
    sender: Sender,
) -> None:
    sender.learn(Remaining=0, Reset=int(sender.time.now) + 86_400)
    sender.budget.succeed()  # the answer that said so was a good one
    sender.want(RUNNING, 5, hold=True)
    await sender.time.advance(3_599)
    assert sender.sent == []
    await sender.time.advance(120)
    assert len(sender.sent) == 1
    sender.learn(Remaining=0, Reset=int(sender.time.now) + 80_000)
    sender.budget.succeed()
    sender.budget.release()
    await sender.time.advance(3_590)
    assert len(sender.sent) == 1
    await sender.time.advance(20)
    assert len(sender.sent) == 2
    sender.learn(Remaining=90, Reset=int(sender.time.now) + 60)
    sender.budget.succeed()
    sender.budget.release()
    await sender.time.advance(10)
    assert len(sender.sent) == 5


async def test_who_does_not_wait_for_a_long_block_fails_when_it_begins_and_the_others_wait(
    fake_time: FakeTime,
) -> None:
    budget = RateBudget(
        max_in_flight=1,
        clock=fake_time.as_clock(),
    )
    await budget.acquire(RUNNING)
    hasty = [asyncio.create_task(budget.acquire(priority, 60)) for priority in Priority]
    given_up = asyncio.create_task(budget.acquire(RUNNING, 60))
    patient = asyncio.create_task(budget.acquire(READINGS))
    await settle()
    budget.back_off(60)
    await settle()
    assert not any(task.done() for task in hasty)
    given_up.cancel()
    budget.back_off(61, BlockReason.USED_UP)
    for task in hasty:
        with pytest.raises(RateLimited, match="no requests are left; the next one goes out in 61"):
            await task
    with pytest.raises(RateLimited):
        await budget.acquire(RUNNING, 60)
    budget.release()
    await fake_time.advance(1)
    assert given_up.cancelled()
    assert not patient.done()
    still = asyncio.create_task(budget.acquire(RUNNING, 60))
    await fake_time.advance(65)
    await still
    budget.release()
    budget.succeed()
    await fake_time.advance(5)
    await patient


async def test_who_is_turned_away_and_cancelled_at_once_takes_nothing_back(
    fake_time: FakeTime,
) -> None:
    budget = RateBudget(max_in_flight=1, clock=fake_time.as_clock())
    await budget.acquire(RUNNING)
    waiting = asyncio.create_task(budget.acquire(RUNNING, 60))
    await settle()
    budget.back_off(61)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.snapshot(fake_time.now).used == 1


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([(30, BlockReason.UNAVAILABLE)], "unavailable"),
        ([(30, BlockReason.UNAVAILABLE), (20, BlockReason.USED_UP)], "unavailable"),
        ([(30, BlockReason.UNAVAILABLE), (40, BlockReason.USED_UP)], "used_up"),
        ([(30, BlockReason.USED_UP), (None, BlockReason.RATE_LIMITED)], "used_up"),
    ],
)
async def test_the_reason_of_a_block_is_that_of_its_longest_order(
    sender: Sender, orders: list[tuple[float | None, BlockReason]], reason: str
) -> None:
    for seconds, why in orders:
        sender.budget.back_off(seconds, why)
    assert sender.budget.snapshot(sender.time.now).blocked_reason == reason
    await sender.time.advance(41)
    assert sender.budget.snapshot(sender.time.now).blocked_reason is None


async def test_those_who_waited_out_a_429_do_not_all_go_at_once(sender: Sender) -> None:
    sender.budget.back_off(10)
    sender.want(RUNNING, 30)
    await sender.time.advance(120)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sender.sent)]
    assert len(sender.sent) == 30
    assert min(gaps) > 0.7
    assert sender.budget.available(RUNNING) == 80 - sum(
        at > sender.time.now - 61 for at, _ in sender.sent
    )


async def test_a_longer_order_to_wait_lengthens_the_block_and_none_shortens_it(
    sender: Sender,
) -> None:
    start = sender.time.now
    sender.budget.back_off(10)
    sender.budget.back_off(20)
    sender.budget.back_off(5)
    sender.budget.back_off(None)
    assert sender.budget.snapshot(start).blocked_until == start + 20


@pytest.mark.parametrize("retry_after", [0.0, -1.0, float("nan"), float("inf"), None])
async def test_without_a_sensible_order_the_wait_doubles_up_to_five_minutes(
    fake_time: FakeTime, retry_after: float | None
) -> None:
    budget = RateBudget(
        clock=fake_time.as_clock(Highest()),
    )
    waits = []
    for _ in range(12):
        budget.back_off(retry_after)
        until = budget.snapshot(fake_time.now).blocked_until
        waits.append(until - fake_time.now)
        await fake_time.advance(waits[-1])
    assert waits == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300])
    await budget.acquire(RUNNING)
    budget.succeed()
    budget.release()
    budget.back_off(None)
    assert budget.snapshot(fake_time.now).blocked_until == fake_time.now + 2


async def test_the_wait_is_random_so_that_exporters_do_not_march_in_step(
    fake_time: FakeTime,
) -> None:
    waits = set()
    for seed in range(5):
        budget = RateBudget(clock=fake_time.as_clock(Random(seed)))
        budget.back_off(None)
        waits.add(budget.snapshot(fake_time.now).blocked_until)
    assert len(waits) == 5


async def test_several_429s_of_one_excess_count_once(fake_time: FakeTime) -> None:
    budget = RateBudget(clock=fake_time.as_clock(Highest()))
    for _ in range(16):
        budget.back_off(None)
    assert budget.snapshot(fake_time.now).blocked_until == fake_time.now + 2


async def test_a_success_from_before_the_block_does_not_end_the_growth(
    fake_time: FakeTime,
) -> None:
    budget = RateBudget(clock=fake_time.as_clock(Highest()))
    await budget.acquire(RUNNING)
    budget.back_off(None)
    await fake_time.advance(2)
    budget.succeed()
    budget.back_off(None)
    assert budget.blocked_for == 4


async def test_an_order_to_wait_holds_for_an_hour_at_most(sender: Sender) -> None:
    sender.budget.back_off(86_400)
    sender.want(RUNNING)
    await sender.time.advance(3_600)
    assert sender.sent == []
    await sender.time.advance(1)
    assert len(sender.sent) == 1


async def test_after_a_block_a_single_probe_goes_first_and_its_success_lets_the_rest_follow(
    sender: Sender,
) -> None:
    sender.budget.back_off(10)
    sender.want(RUNNING, hold=True)
    sender.want(RUNNING, 5)
    await sender.time.advance(40)
    assert len(sender.sent) == 1
    sender.budget.succeed()
    sender.budget.release()
    await sender.time.advance(3.9)
    assert len(sender.sent) == 6
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sender.sent[1:])]
    assert min(gaps) > 0.7


async def test_a_probe_that_says_nothing_about_the_limit_is_followed_by_another(
    sender: Sender,
) -> None:
    sender.budget.back_off(10)
    sender.want(RUNNING, 2, hold=True)
    sender.want(RUNNING, hold=True)
    await sender.time.advance(90)  # beyond the minute of an even pace
    sender.budget.release()
    await sender.time.advance(90)
    assert len(sender.sent) == 2


async def test_the_probe_waits_for_answers_from_before_the_block(sender: Sender) -> None:
    sender.want(RUNNING, hold=True)
    await settle()
    sender.budget.back_off(10)
    sender.want(RUNNING, 2, hold=True)
    await sender.time.advance(30)
    assert len(sender.sent) == 1
    sender.budget.succeed()  # which says nothing of what comes after the block
    sender.budget.release()
    await sender.time.advance(30)
    assert len(sender.sent) == 2


async def test_a_refused_probe_begins_the_next_block(sender: Sender) -> None:
    sender.budget.back_off(10)
    sender.want(RUNNING, 2, hold=True)
    await sender.time.advance(11)
    assert len(sender.sent) == 1
    sender.budget.back_off(100)
    sender.budget.release()
    await sender.time.advance(99)
    assert len(sender.sent) == 1
    await sender.time.advance(2)
    assert len(sender.sent) == 2


async def test_time_spent_blocked_is_reported(sender: Sender) -> None:
    budget, time = sender.budget, sender.time
    assert (budget.blocked_for, budget.blocked_seconds) == (0, 0)
    budget.back_off(10)
    await time.advance(4)
    assert (budget.blocked_for, budget.blocked_seconds) == pytest.approx((6, 4))
    budget.back_off(16)
    await time.advance(60)
    assert (budget.blocked_for, budget.blocked_seconds) == pytest.approx((0, 20))
    budget.back_off(5)
    await time.advance(2)
    assert (budget.blocked_for, budget.blocked_seconds) == pytest.approx((3, 22))


@pytest.mark.parametrize("seconds", [-86_400.0, -20.0, 20.0, 86_400.0])
async def test_setting_the_clock_changes_nothing_about_a_block(
    sender: Sender, seconds: float
) -> None:
    sender.budget.back_off(30)
    sender.want(RUNNING)
    await sender.time.advance(10)
    sender.time.now += seconds
    until = sender.time.now + 20
    assert sender.budget.snapshot(sender.time.now).blocked_until == pytest.approx(until)
    await sender.time.advance(19)
    assert sender.sent == []
    await sender.time.advance(2)
    assert len(sender.sent) == 1


async def test_those_who_give_up_waiting_leave_nothing_behind(sender: Sender) -> None:
    sender.want(RUNNING, 80)
    await settle()
    sender.want(READINGS, 50)
    sender.want(RUNNING, 50)
    await settle()
    assert sender.time.sleeping == 1
    await sender.stop()
    await settle()
    assert sender.time.sleeping == 0
    await sender.time.advance(61)
    assert sender.budget.available(RUNNING) == 80
    assert sender.budget.available(READINGS) == 20


async def test_a_turn_granted_to_one_cancelled_meanwhile_is_taken_back(
    fake_time: FakeTime,
) -> None:
    sender = Sender(fake_time, max_in_flight=1)
    sender.want(RUNNING, hold=True)
    await settle()
    sender.learn(Remaining=50, Reset=fake_time.now + 30)
    sender.want(READINGS)
    sender.want(RUNNING)
    await settle()
    before = sender.budget.available(RUNNING)
    sender.tasks[2].cancel()  # delivered only after the release below has given it the turn
    sender.tasks[1].cancel()
    sender.budget.release()
    await settle()
    assert sender.sent == [(fake_time.now, RUNNING)]
    assert sender.budget.available(RUNNING) == before + 1
    sender.want(RUNNING)
    await settle()
    assert len(sender.sent) == 2


@pytest.mark.parametrize("priority", [RUNNING, READINGS])
async def test_a_turn_granted_and_cancelled_before_its_owner_awoke_is_taken_back(
    fake_time: FakeTime, priority: Priority
) -> None:
    sender = Sender(fake_time, max_in_flight=1)
    sender.want(RUNNING, hold=True)
    await settle()
    sender.learn(Remaining=50, Reset=fake_time.now + 30)
    sender.want(priority)
    await settle()
    sender.budget.release()
    sender.tasks[1].cancel()
    await settle()
    assert sender.sent == [(fake_time.now, RUNNING)]
    assert sender.budget.snapshot(fake_time.now).used == 1
    assert sender.budget.available(RUNNING) == 30
    assert sender.budget.available(READINGS) == 20
    sender.want(RUNNING)
    await settle()
    assert len(sender.sent) == 2


async def test_a_turn_cancelled_after_it_ceased_to_count_is_taken_back_all_the_same(
    fake_time: FakeTime,
) -> None:
    sender = Sender(fake_time, max_in_flight=1)
    sender.want(RUNNING, hold=True)
    await settle()
    sender.want(READINGS)
    await settle()
    sender.budget.release()
    fake_time.hold(100)
    assert sender.budget.snapshot(fake_time.now).used == 0
    sender.tasks[1].cancel()
    sender.want(READINGS)
    await settle()
    assert len(sender.sent) == 2


@pytest.mark.parametrize("step", [90.0, -90.0, 3600.0, -3600.0])
async def test_a_clock_that_is_set_again_and_again_neither_allows_more_nor_less(
    sender: Sender, step: float
) -> None:
    """80 of the 100 requests a minute are ours: 80 in the first 61 seconds, 80 in the next."""
    sender.want(RUNNING, 200)
    sent = []
    for _ in range(4):
        await sender.time.advance(15)
        sender.time.now += step
        sent.append(len(sender.sent))
    assert sent == [80, 80, 80, 80]
    await sender.time.advance(2)
    assert len(sender.sent) == 160


async def test_a_clock_that_is_set_back_does_not_stop_the_requests(sender: Sender) -> None:
    sender.want(RUNNING, 80)
    await settle()
    sender.learn(Remaining=0, Reset=sender.time.now + 60)
    sender.budget.back_off(250)
    sender.time.now -= 86_400
    sender.want(RUNNING)
    sender.want(READINGS)
    await sender.time.advance(310)
    assert len(sender.sent) == 82


async def test_a_clock_set_back_a_little_does_not_allow_more(sender: Sender) -> None:
    sender.want(RUNNING, 40)
    await settle()
    sender.time.now -= 30
    sender.want(RUNNING, 80)
    await settle()
    assert len(sender.sent) == 80
    await sender.time.advance(95)
    assert len(sender.sent) == 120


async def test_those_who_wait_are_ahead_of_what_is_available(sender: Sender) -> None:
    sender.budget.reserve("running", 70)
    sender.want(READINGS, 5)
    await settle()
    assert sender.sent_with(READINGS) == 2
    assert sender.budget.available(RUNNING) == 78
    assert sender.budget.available(READINGS) == 0


async def test_the_snapshot_reports_limit_allowance_and_use(sender: Sender) -> None:
    sender.want(RUNNING, 7)
    await settle()
    sender.learn(Limit=1000)
    snapshot = sender.budget.snapshot(sender.time.now)
    assert (snapshot.limit, snapshot.allowance, snapshot.used) == (1000, 800, 7)
    assert (snapshot.remaining, snapshot.blocked_until) == (None, 0)


async def test_a_share_is_not_lost_to_binary_fractions(fake_time: FakeTime) -> None:
    budget = RateBudget(share=0.29, clock=fake_time.as_clock())
    assert budget.snapshot(fake_time.now).allowance == 29


async def test_what_is_unreserved_is_what_is_left_of_the_allowance(sender: Sender) -> None:
    """A limit of 100 leaves 80; 10 and 2.5 are reserved, and parts of a request are whole ones."""
    assert sender.budget.unreserved == 80
    sender.budget.reserve("running", 10)
    sender.budget.reserve("directory", 2.5)
    assert sender.budget.unreserved == 67
    sender.budget.reserve("running", 1000)
    assert sender.budget.unreserved == 1
