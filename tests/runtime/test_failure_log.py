"""Something that fails for a while is logged at its beginning, now and then, and at its end."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from trainwave_exporter.runtime.failure_log import SUMMARY_SECONDS, FailureLog


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def failures(clock: Clock, **fields: Any) -> FailureLog:
    return FailureLog("loop", clock.monotonic, **fields)


def test_the_beginning_a_summary_every_five_minutes_and_the_end_are_logged() -> None:
    clock = Clock()
    log = failures(clock, loop="jobs", account="a")
    with capture_logs() as lines:
        for _ in range(25):
            log.failed("no answer within 10 s", cause="timeout")
            clock.now += SUMMARY_SECONDS / 10
        states = [log.failing]
        for _ in range(2):
            log.recovered()
            states.append(log.failing)
    assert states == [True, False, False]
    assert [(line["event"], line.get("failures"), line.get("seconds")) for line in lines] == [
        ("loop_failing", None, None),
        ("loop_still_failing", 11, 300),
        ("loop_still_failing", 21, 600),
        ("loop_recovered", 25, 750),
    ]
    assert {(line["loop"], line["account"]) for line in lines} == {("jobs", "a")}
    assert [line["log_level"] for line in lines] == ["warning"] * 3 + ["info"]


def test_a_cause_that_follows_another_is_logged_at_once_and_once() -> None:
    clock = Clock()
    log = failures(clock)
    with capture_logs() as lines:
        for error, cause in (
            ("HTTP 503", "http_503"),
            ("the API refuses the key", "invalid_key"),
            ("HTTP 503", "http_503"),
            ("the API refuses the key", "invalid_key"),
        ):
            log.failed(error, cause=cause)
            clock.now += 15
    assert [(line["event"], line["error"]) for line in lines] == [
        ("loop_failing", "HTTP 503"),
        ("loop_still_failing", "the API refuses the key"),
    ]


def test_causes_that_take_turns_are_each_logged_once_in_five_minutes() -> None:
    clock = Clock()
    log = failures(clock)
    with capture_logs() as lines:
        for number in range(100):
            log.failed("other", cause="ab"[number % 2])
            clock.now += SUMMARY_SECONDS / 50
    # Two at the beginning, two after five minutes.
    assert len(lines) == 4


def test_an_unexpected_error_shows_its_traceback_once() -> None:
    log = failures(Clock())
    bug = KeyError("surprise")
    with capture_logs() as lines:
        log.failed("HTTP 503", cause="http_503")
        log.failed("KeyError: 'surprise'", cause="KeyError", bug=bug)
        log.failed("KeyError: 'surprise'", cause="KeyError", bug=bug)
    assert [line["exc_info"] for line in lines] == [None, bug]


def test_the_level_is_that_of_the_subject() -> None:
    clock = Clock()
    log = failures(clock, level="error")
    with capture_logs() as lines:
        log.failed("the disk is full")
        log.recovered()
    assert [line["log_level"] for line in lines] == ["error", "info"]
