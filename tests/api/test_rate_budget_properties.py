"""What holds of the budget whatever is asked of it and whatever the API reports."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise
from math import floor
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.budget_sender import Sender
from support.fake_time import FakeTime, settle

from trainwave_exporter.api import Priority
from trainwave_exporter.api.gates import LONGEST_ORDER, LONGEST_WAIT, SPAN
from trainwave_exporter.api.headers import rate_headers

priorities = st.sampled_from(list(Priority))
wishes = st.tuples(st.just("want"), priorities, st.integers(1, 60))
waits = st.tuples(st.just("wait"), st.floats(0, 90), st.none())
refusals = st.tuples(st.just("refuse"), st.none() | st.floats(-10, 1e6), st.none())
disorders = st.tuples(st.just("refuse"), st.none() | st.floats(-10, 0), st.none())
clock_settings = st.tuples(st.just("set"), st.floats(-1e6, 1e6), st.none())
headers = st.tuples(
    st.just("report"),
    st.one_of(st.integers(-5, 10**6).map(str), st.floats().map(str), st.text(max_size=5)),
    st.one_of(st.floats(-1e12, 1e12), st.text(max_size=5)),
)


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 200),
    share=st.floats(0.05, 1),
    steps=st.lists(st.one_of(wishes, waits), max_size=25),
)
def test_in_no_minute_more_than_the_share_of_the_limit_is_sent(
    limit: int, share: float, steps: list[tuple[str, float, int]]
) -> None:
    async def scenario() -> list[float]:
        sender = Sender(FakeTime(), limit=limit, share=share)
        for kind, what, times in steps:
            if kind == "want":
                sender.want(Priority(int(what)), times)
            else:
                await sender.time.advance(what)
        await sender.time.advance(200)
        await sender.stop()
        return [at for at, _ in sender.sent]

    sent = asyncio.run(scenario())
    most = max(1, floor(limit * share + 1e-9))
    for earlier, later in zip(sent, sent[most:], strict=False):
        assert later - earlier > 60


async def longest_wait(steps: list[tuple[str, object, object]], bound: float) -> None:
    """Assert that after these steps one who wants to send need not wait beyond ``bound``."""
    sender = Sender(FakeTime())
    for kind, first, second in steps:
        match kind:
            case "want":
                assert isinstance(second, int)
                assert isinstance(first, Priority)
                sender.want(first, second)
            case "wait":
                assert isinstance(first, float)
                await sender.time.advance(first)
            case "set":
                assert isinstance(first, float)
                sender.time.now += first
            case "refuse":
                assert first is None or isinstance(first, float)
                sender.budget.back_off(first)
            case "report":
                reset = sender.time.now + second if isinstance(second, float) else second
                sender.learn(Limit=first, Remaining=first, Reset=reset)
    await sender.stop()
    before = len(sender.sent)
    sender.want(Priority.RUNNING)
    await sender.time.advance(bound + 0.001)
    assert len(sender.sent) == before + 1
    await sender.stop()
    assert sender.time.sleeping == 0


anything = st.one_of(wishes, waits, headers, clock_settings)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.one_of(anything, refusals), max_size=20))
def test_nothing_the_api_reports_stops_the_exporter_for_more_than_an_hour_and_a_slot(
    steps: list[tuple[str, object, object]],
) -> None:
    asyncio.run(longest_wait(steps, LONGEST_ORDER + SPAN))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.one_of(anything, disorders), max_size=20))
@example(steps=[("report", "0", LONGEST_WAIT)])
def test_without_an_order_nothing_stops_the_exporter_for_more_than_five_minutes_and_a_slot(
    steps: list[tuple[str, object, object]],
) -> None:
    asyncio.run(longest_wait(steps, LONGEST_WAIT + SPAN))


@settings(max_examples=40, deadline=None)
@given(
    seconds=st.lists(st.floats(0.1, 5_000), min_size=1, max_size=5),
    latency=st.floats(0.01, 30),
    wanted=st.lists(priorities, min_size=1, max_size=30),
)
def test_after_each_refusal_one_request_goes_alone_until_the_api_serves_one(
    seconds: list[float], latency: float, wanted: list[Priority]
) -> None:
    """The API refuses as often as there are orders to wait, then serves all."""

    async def scenario() -> None:
        sender = Sender(FakeTime())
        time, budget, orders = sender.time, sender.budget, [*seconds]
        free_at, under_way, served = time.now, 0, 0

        async def send(priority: Priority) -> None:
            nonlocal free_at, under_way, served
            await budget.acquire(priority)
            assert time.now >= free_at
            under_way += 1
            assert under_way == 1 or served
            await time.sleep(latency)
            under_way -= 1
            if orders:
                order = orders.pop()
                free_at = max(free_at, time.now + min(order, LONGEST_ORDER))
                budget.back_off(order)
            else:
                served += 1
                budget.succeed()
            budget.release()

        first = asyncio.create_task(send(Priority.RUNNING))
        await time.advance(latency)
        tasks = [first, *(asyncio.create_task(send(priority)) for priority in wanted)]
        await time.advance(
            len(seconds) * (LONGEST_ORDER + latency + 1) + len(wanted) * (1 + latency)
        )
        assert [task.exception() for task in tasks if task.done()] == [None] * len(tasks)

    asyncio.run(scenario())


class SharedKey:
    """An API with fixed windows, whose limit others use as well."""

    def __init__(self, time: FakeTime, limit: int, others: Random) -> None:
        self.time = time
        self.limit = limit
        self.window = -1
        self.left = limit
        self.others = others

    def arrive(self) -> tuple[int, float]:
        """Serve one request; return what is left then, and when the window ends."""
        self._roll()
        self.left -= 1
        return max(0, self.left), (self.window + 1) * 60.0

    def use_by_others(self) -> None:
        self._roll()
        self.left -= self.others.randint(0, 3)

    def _roll(self) -> None:
        window = int(self.time.now // 60)
        if window != self.window:
            self.window, self.left = window, self.limit


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), latency=st.floats(0.01, 8))
def test_the_part_of_the_people_stays_theirs_by_all_that_can_be_known(
    seed: int, latency: float
) -> None:
    """No request goes out when the last answers, less what is on its way, leave only their part."""

    async def scenario() -> None:
        random = Random(seed)
        sender = Sender(FakeTime())
        time, budget, limit = sender.time, sender.budget, 100
        api = SharedKey(time, limit, random)
        known: dict[float, int] = {}
        on_their_way = 0

        async def send() -> None:
            nonlocal on_their_way
            await budget.acquire(Priority(random.randrange(4)))
            window_ends = (time.now // 60 + 1) * 60
            if window_ends in known:
                assert known[window_ends] - on_their_way > limit - 80
            on_their_way += 1
            await time.sleep(random.uniform(0, latency))
            left, reset = api.arrive()
            await time.sleep(random.uniform(0, latency))
            on_their_way -= 1
            known[reset] = min(left, known.get(reset, limit))
            # What was sent and answered since is in no older answer, so count it from here on.
            reported = {"X-RateLimit-Remaining": str(left), "X-RateLimit-Reset": str(reset)}
            budget.learn(rate_headers(reported, time.now))
            budget.release()

        tasks = []
        for _ in range(150):
            tasks += [asyncio.create_task(send()) for _ in range(random.randrange(4))]
            api.use_by_others()
            await time.advance(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        failures = [t.exception() for t in tasks if not t.cancelled() and t.exception()]
        assert not failures

    asyncio.run(scenario())


async def test_a_long_wait_after_many_refusals_ends_evenly_for_all() -> None:
    sender = Sender(FakeTime())
    for _ in range(10):
        sender.budget.back_off(None)
        await sender.time.advance(300)
    sender.budget.back_off(None)
    for priority in Priority:
        sender.want(priority, 15)
    await sender.time.advance(300 + 62)
    await settle()
    by_second = deque(at for at, _ in sender.sent)
    assert len(by_second) == 60
    assert all(later - earlier > 0.7 for earlier, later in pairwise(by_second))
