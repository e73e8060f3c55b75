from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.simulator.limits import LimitDecision, LimitWindow, RateLimiter

MINUTE_BEGINS = 1_711_011_600.0


def test_a_fixed_window_is_free_again_when_the_minute_turns() -> None:
    limiter = RateLimiter(2, LimitWindow.FIXED)
    reset = MINUTE_BEGINS + 60
    assert [limiter.charge("a", MINUTE_BEGINS + at) for at in (1, 2, 59.9)] == [
        LimitDecision(True, 2, 1, reset),
        LimitDecision(True, 2, 0, reset),
        LimitDecision(False, 2, 0, reset),
    ]
    assert limiter.charge("a", MINUTE_BEGINS + 60) == LimitDecision(True, 2, 1, reset + 60)


def test_a_sliding_window_frees_each_request_a_minute_after_it_was_made() -> None:
    limiter = RateLimiter(2, LimitWindow.SLIDING)
    assert [limiter.charge("a", at) for at in (10.0, 40.0, 69.0, 70.0, 71.0)] == [
        LimitDecision(True, 2, 1, 70.0),
        LimitDecision(True, 2, 0, 70.0),
        LimitDecision(False, 2, 0, 70.0),
        LimitDecision(True, 2, 0, 100.0),
        LimitDecision(False, 2, 0, 100.0),
    ]


# To the 1/1024 of a second, so that sums are exact: a window ends when it should to the last bit.
moments = st.integers(0, 400 * 1024).map(lambda ticks: ticks / 1024)


@given(st.lists(moments, max_size=80), st.integers(1, 5), st.sampled_from(LimitWindow))
def test_no_window_ever_holds_more_than_the_limit(
    times: list[float], limit: int, window: LimitWindow
) -> None:
    limiter = RateLimiter(limit, window)
    allowed = []
    for now in sorted(times):
        verdict = limiter.charge("a", now)
        assert verdict is not None
        assert now < verdict.reset <= now + 60
        if verdict.allowed:
            allowed.append(now)
    for now in allowed:
        begin = now // 60 * 60 if window is LimitWindow.FIXED else now
        assert sum(begin <= other < begin + 60 for other in allowed) <= limit


@pytest.mark.parametrize("window", list(LimitWindow))
def test_every_key_has_a_limit_of_its_own(window: LimitWindow) -> None:
    limiter = RateLimiter(1, window)
    verdicts = [limiter.charge(who, 5.0) for who in ("a", "b", "a")]
    assert [verdict and verdict.allowed for verdict in verdicts] == [True, True, False]


@pytest.mark.parametrize("window", list(LimitWindow))
def test_a_limit_that_is_lowered_or_lifted_counts_at_once(window: LimitWindow) -> None:
    limiter = RateLimiter(3, window)
    limiter.charge("a", 1.0)
    limiter.charge("a", 2.0)
    limiter.limit = 1
    assert limiter.charge("a", 3.0) == LimitDecision(
        False, 1, 0, 61.0 if window == "sliding" else 60.0
    )
    limiter.limit = None
    assert limiter.charge("a", 4.0) is None


@pytest.mark.parametrize("window", list(LimitWindow))
def test_a_limit_of_zero_refuses_everything(window: LimitWindow) -> None:
    assert RateLimiter(0, window).charge("a", 0.0) == LimitDecision(False, 0, 0, 60.0)


def test_the_headers_report_whole_seconds_by_the_services_own_clock() -> None:
    assert LimitDecision(True, 100, 42, 1_711_011_660.25).headers(skew=120) == {
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "42",
        "X-RateLimit-Reset": "1711011781",
    }
