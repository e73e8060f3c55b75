"""What is counted of the exporter's own work: for each kind of fact its metrics, declared and kept.

Each function adds the metrics of one kind to the instruments, and returns what takes such facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from typing import Any, TypeAlias

from trainwave_exporter.metrics.instruments import Instruments
from trainwave_exporter.model import (
    ClampedDuration,
    ClockSkew,
    Exchange,
    IllegalTransition,
    LedgerRun,
    LoopBegan,
    LoopRun,
    Metric,
    Plan,
    RateLimit,
    ReadingReplaced,
    UnknownState,
    Unreadable,
)

_API_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_READING_SECONDS = (15.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0)
_STRANGE = 50
"""How many values that no source names a label may take before they are lumped together."""
_OUTCOMES = {True: "ok", False: "error"}
"""Of a run. Both are there from the first run on, so that a rate sees the first failure."""


class Bounded:
    """Lets the first values through as they are, and makes ``other`` of all that come later."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[tuple[str, ...]] = set()

    def __call__(self, *values: str) -> tuple[str, ...]:
        """Return the values of some labels, or as many times ``other``."""
        if len(self._seen) < self._limit:
            self._seen.add(values)
        return values if values in self._seen else ("other",) * len(values)


def exchanges(own: Instruments) -> Callable[[Exchange], None]:
    """Count requests and time them.

    ``endpoint`` is what ``operation`` was called before; a ServiceMonitor adds a label of that name
    to every target. It goes with the next version.
    """
    requests = own.counter(
        "api_requests_total",
        "Requests to the API, by operation and outcome.",
        "account",
        "operation",
        "endpoint",
        "outcome",
    )
    duration = own.histogram(
        "api_request_duration_seconds",
        "Duration of requests to the API.",
        "account",
        "operation",
        "endpoint",
        buckets=_API_SECONDS,
    )

    def observe(fact: Exchange) -> None:
        operation = endpoint = fact.endpoint
        requests(fact.account, operation, endpoint, fact.outcome).inc()
        duration(fact.account, operation, endpoint).observe(fact.seconds)

    return observe


def rate_limits(own: Instruments) -> Callable[[RateLimit], None]:
    """Show what an account may ask for."""
    limit = own.gauge(
        "rate_limit_requests", "Requests a minute that the API grants the key.", "account"
    )
    allowance = own.gauge(
        "rate_limit_allowance_requests",
        "Requests a minute, of those granted, that the exporter may use.",
        "account",
    )
    remaining = own.gauge(
        "rate_limit_remaining_requests",
        "Requests left to all users of the key in its current window; NaN while not reported.",
        "account",
    )
    used = own.gauge(
        "rate_limit_used_requests",
        "Requests that the exporter sent in the last minute.",
        "account",
    )
    blocked_until = own.gauge(
        "rate_limit_blocked_until_timestamp_seconds",
        "When requests to the API resume after it refused one, was unavailable, or reported none"
        " left; 0 when they are not blocked.",
        "account",
    )

    def observe(fact: RateLimit) -> None:
        limit(fact.account).set(fact.limit)
        allowance(fact.account).set(fact.allowance)
        remaining(fact.account).set(nan if fact.remaining is None else fact.remaining)
        used(fact.account).set(fact.used)
        blocked_until(fact.account).set(fact.blocked_until)

    return observe


def plans(own: Instruments) -> Callable[[Plan], None]:
    """Show what the planner comes to."""
    requests = own.gauge(
        "plan_requests",
        "Requests a minute about single jobs: planned for readings within the request budget, used"
        " in the last minute, deferred because the ideal interval would exceed the request budget.",
        "account",
        "outcome",
    )
    round_seconds = own.gauge(
        "readings_round_seconds",
        "Time that one round of all readings takes, at the current request budget.",
        "account",
    )
    longest = own.gauge(
        "readings_longest_age_seconds",
        "Longest time until every reading is refreshed, at the current request budget.",
        "account",
    )
    expected = own.gauge(
        "readings_expected_age_seconds",
        "Expected mean age of the readings that have to be requested one by one, at the current"
        " rate limit and at twice that.",
        "account",
        "metric",
        "limit",
    )

    def observe(fact: Plan) -> None:
        requests(fact.account, "planned").set(fact.planned)
        requests(fact.account, "used").set(fact.used)
        requests(fact.account, "deferred").set(fact.deferred)
        round_seconds(fact.account).set(fact.round_seconds)
        longest(fact.account).set(fact.longest_age_seconds)
        for metric in Metric:
            age = fact.ages.get(metric)
            expected(fact.account, metric, "present").set(age.present if age else nan)
            expected(fact.account, metric, "doubled").set(age.doubled if age else nan)

    return observe


def replaced_readings(own: Instruments) -> Callable[[ReadingReplaced], None]:
    """Time how old readings become."""
    ages = own.histogram(
        "reading_age_seconds",
        "Age of readings when a newer one was requested.",
        "account",
        "metric",
        buckets=_READING_SECONDS,
    )
    return lambda fact: ages(fact.account, fact.metric).observe(fact.age)


def begun_loops(own: Instruments) -> Callable[[LoopBegan], None]:
    """Show when each polling loop last began: one that hangs in its first run never ended."""
    began = own.gauge(
        "loop_last_started_timestamp_seconds",
        "When a loop last began to run.",
        "account",
        "loop",
    )
    return lambda fact: began(fact.account, fact.loop).set(fact.at)


def loop_runs(own: Instruments) -> Callable[[LoopRun], None]:
    """Count runs of the polling loops; show when each last ended and how long it took."""
    runs = own.counter(
        "loop_runs_total",
        "Runs of a loop, by outcome.",
        "account",
        "loop",
        "outcome",
    )
    finished = own.gauge(
        "loop_last_finished_timestamp_seconds",
        "When a loop last finished, successfully or not.",
        "account",
        "loop",
    )
    success = own.gauge(
        "loop_last_success_timestamp_seconds",
        "When a loop last succeeded.",
        "account",
        "loop",
    )
    duration = own.gauge(
        "loop_duration_seconds",
        "Duration of the last run of a loop.",
        "account",
        "loop",
    )

    def observe(fact: LoopRun) -> None:
        for succeeded, outcome in _OUTCOMES.items():
            runs(fact.account, fact.loop, outcome).inc(succeeded is fact.succeeded)
        finished(fact.account, fact.loop).set(fact.finished_at)
        duration(fact.account, fact.loop).set(fact.seconds)
        if fact.succeeded:
            success(fact.account, fact.loop).set(fact.finished_at)

    return observe


def unreadables(own: Instruments) -> Callable[[Unreadable], None]:
    """Count what could not be read."""
    unreadable = own.counter(
        "unreadable_total",
        "Values that were dropped because they could not be parsed, by subject and reason.",
        "account",
        "subject",
        "reason",
    )
    return lambda fact: unreadable(fact.account, fact.subject, fact.reason).inc()


def unknown_states(own: Instruments) -> Callable[[UnknownState], None]:
    """Count states that no source names."""
    unknown = own.counter(
        "unknown_states_total", "Observations of undocumented job states.", "account", "state"
    )
    bounded = Bounded(_STRANGE)
    return lambda fact: unknown(fact.account, *bounded(fact.state)).inc()


def illegal_transitions(own: Instruments) -> Callable[[IllegalTransition], None]:
    """Count state changes that the lifecycle does not know."""
    illegal = own.counter(
        "illegal_transitions_total",
        "Observations of impossible state changes.",
        "account",
        "from_state",
        "to_state",
    )
    bounded = Bounded(_STRANGE)
    return lambda fact: illegal(fact.account, *bounded(fact.from_state, fact.to_state)).inc()


def clamped_durations(own: Instruments) -> Callable[[ClampedDuration], None]:
    """Count durations that came out negative."""
    clamped = own.counter(
        "clamped_durations_total",
        "Negative durations, which count as zero.",
        "account",
        "duration",
    )
    return lambda fact: clamped(fact.account, fact.duration).inc()


def clock_skews(own: Instruments) -> Callable[[ClockSkew], None]:
    """Show by how much the clocks differ."""
    skew = own.gauge(
        "clock_skew_seconds", "How far the API's clock is ahead of the exporter's.", "account"
    )
    return lambda fact: skew(fact.account).set(fact.seconds)


def ledger_runs(own: Instruments) -> Callable[[LedgerRun], None]:
    """Count attempts to write the ledger; show how the last one went and what it left."""
    writes = own.counter(
        "ledger_writes_total",
        "Attempts to write the ledger, by outcome.",
        "outcome",
    )
    success = own.gauge(
        "ledger_last_success_timestamp_seconds", "When the ledger was last written."
    )
    duration = own.gauge(
        "ledger_write_duration_seconds", "Duration of the last attempt to write the ledger."
    )
    waiting = own.gauge(
        "ledger_waiting_jobs", "Jobs with changes that are not written to the ledger yet."
    )
    size = own.gauge("ledger_size_bytes", "Size of the ledger.")
    lost = own.gauge(
        "ledger_lost",
        "1 while the ledger is written to another file because another program removed, replaced"
        " or overwrote its own; else 0.",
    )

    def observe(fact: LedgerRun) -> None:
        for succeeded, outcome in _OUTCOMES.items():
            writes(outcome).inc(succeeded is fact.succeeded)
        duration().set(fact.seconds)
        waiting().set(fact.waiting)
        size().set(fact.size_bytes)
        lost().set(fact.lost)
        if fact.succeeded:
            success().set(fact.finished_at)

    return observe


Observe: TypeAlias = Callable[[Any], None]
"""Takes facts of one kind."""

KINDS: Mapping[type, Callable[[Instruments], Observe]] = {
    Exchange: exchanges,
    RateLimit: rate_limits,
    LoopBegan: begun_loops,
    LoopRun: loop_runs,
    Plan: plans,
    ReadingReplaced: replaced_readings,
    Unreadable: unreadables,
    UnknownState: unknown_states,
    IllegalTransition: illegal_transitions,
    ClampedDuration: clamped_durations,
    ClockSkew: clock_skews,
    LedgerRun: ledger_runs,
}
"""Every kind of fact, and what makes its metrics."""
