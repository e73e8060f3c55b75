"""The metrics of the exporter's own work: one declaration each, moved by one kind of fact.

To add one takes an entry here, and a field of the fact where the datum is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan

from trainwave_exporter.metrics.fact_metrics import Declaration, counter, gauge, histogram
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
_OUTCOMES = ("ok", "error")
_OPERATION = ("account", "operation", "endpoint")
"""``endpoint`` is what ``operation`` was called in 0.1.0; a ServiceMonitor adds a label of that
name to every target. It goes with 0.3.0."""
_LOOP = ("account", "loop")


def _requests(plan: Plan) -> Iterator[tuple[tuple[str, ...], float]]:
    yield ("planned",), plan.planned
    yield ("used",), plan.used
    yield ("deferred",), plan.deferred


def _expected_ages(plan: Plan) -> Iterator[tuple[tuple[str, ...], float]]:
    for metric in Metric:
        age = plan.ages.get(metric)
        yield (metric, "present"), age.present if age else nan
        yield (metric, "doubled"), age.doubled if age else nan


METRICS: tuple[Declaration, ...] = (
    counter(
        Exchange,
        "api_requests_total",
        "Requests to the API, by operation and outcome.",
        labels=(*_OPERATION, "outcome"),
    ),
    histogram(
        Exchange,
        "api_request_duration_seconds",
        "Duration of requests to the API.",
        lambda exchange: exchange.seconds,
        labels=_OPERATION,
        buckets=_API_SECONDS,
    ),
    gauge(
        RateLimit,
        "rate_limit_requests",
        "Requests a minute that the API grants the key.",
        lambda budget: budget.limit,
    ),
    gauge(
        RateLimit,
        "rate_limit_allowance_requests",
        "Requests a minute, of those granted, that the exporter may use.",
        lambda budget: budget.allowance,
    ),
    gauge(
        RateLimit,
        "rate_limit_remaining_requests",
        "Requests left to all users of the key in its current window; NaN while not reported.",
        lambda budget: nan if budget.remaining is None else budget.remaining,
    ),
    gauge(
        RateLimit,
        "rate_limit_used_requests",
        "Requests that the exporter sent in the last minute.",
        lambda budget: budget.used,
    ),
    gauge(
        RateLimit,
        "rate_limit_blocked_until_timestamp_seconds",
        "When requests to the API resume after it refused one, was unavailable, or reported none"
        " left; 0 when they are not blocked.",
        lambda budget: budget.blocked_until,
    ),
    gauge(
        LoopBegan,
        "loop_last_started_timestamp_seconds",
        "When a loop last began to run.",
        lambda began: began.at,
        labels=_LOOP,
    ),
    counter(
        LoopRun,
        "loop_runs_total",
        "Runs of a loop, by outcome.",
        labels=(*_LOOP, "outcome"),
        all_of={"outcome": _OUTCOMES},
    ),
    gauge(
        LoopRun,
        "loop_last_finished_timestamp_seconds",
        "When a loop last finished, successfully or not.",
        lambda run: run.finished_at,
        labels=_LOOP,
    ),
    gauge(
        LoopRun,
        "loop_last_success_timestamp_seconds",
        "When a loop last succeeded.",
        lambda run: run.finished_at if run.succeeded else None,
        labels=_LOOP,
    ),
    gauge(
        LoopRun,
        "loop_duration_seconds",
        "Duration of the last run of a loop.",
        lambda run: run.seconds,
        labels=_LOOP,
    ),
    gauge(
        Plan,
        "plan_requests",
        "Requests a minute about single jobs: planned for readings within the request budget, used"
        " in the last minute, deferred because the ideal interval would exceed the request budget.",
        _requests,
        labels=("account", "outcome"),
    ),
    gauge(
        Plan,
        "readings_round_seconds",
        "Time that one round of all readings takes, at the current request budget.",
        lambda plan: plan.round_seconds,
    ),
    gauge(
        Plan,
        "readings_longest_age_seconds",
        "Longest time until every reading is refreshed, at the current request budget.",
        lambda plan: plan.longest_age_seconds,
    ),
    gauge(
        Plan,
        "readings_expected_age_seconds",
        "Expected mean age of the readings that have to be requested one by one, at the current"
        " rate limit and at twice that.",
        _expected_ages,
        labels=("account", "metric", "limit"),
    ),
    histogram(
        ReadingReplaced,
        "reading_age_seconds",
        "Age of readings when a newer one was requested.",
        lambda replaced: replaced.age,
        labels=("account", "metric"),
        buckets=_READING_SECONDS,
    ),
    counter(
        Unreadable,
        "unreadable_total",
        "Values that were dropped because they could not be parsed, by subject and reason.",
        labels=("account", "subject", "reason"),
    ),
    counter(
        UnknownState,
        "unknown_states_total",
        "Observations of undocumented job states.",
        labels=("account", "state"),
        capped=True,
    ),
    counter(
        IllegalTransition,
        "illegal_transitions_total",
        "Observations of impossible state changes.",
        labels=("account", "from_state", "to_state"),
        capped=True,
    ),
    counter(
        ClampedDuration,
        "clamped_durations_total",
        "Negative durations, which count as zero.",
        labels=("account", "duration"),
    ),
    gauge(
        ClockSkew,
        "clock_skew_seconds",
        "How far the API's clock is ahead of the exporter's.",
        lambda skew: skew.seconds,
    ),
    counter(
        LedgerRun,
        "ledger_writes_total",
        "Attempts to write the ledger, by outcome.",
        labels=("outcome",),
        all_of={"outcome": _OUTCOMES},
    ),
    gauge(
        LedgerRun,
        "ledger_last_success_timestamp_seconds",
        "When the ledger was last written.",
        lambda run: run.finished_at if run.succeeded else None,
        labels=(),
    ),
    gauge(
        LedgerRun,
        "ledger_write_duration_seconds",
        "Duration of the last attempt to write the ledger.",
        lambda run: run.seconds,
        labels=(),
    ),
    gauge(
        LedgerRun,
        "ledger_waiting_jobs",
        "Jobs with changes that are not written to the ledger yet.",
        lambda run: run.waiting,
        labels=(),
    ),
    gauge(
        LedgerRun,
        "ledger_size_bytes",
        "Size of the ledger.",
        lambda run: run.size_bytes,
        labels=(),
    ),
    gauge(
        LedgerRun,
        "ledger_lost",
        "1 while the ledger is written to another file because another program removed, replaced"
        " or overwrote its own; else 0.",
        lambda run: run.lost,
        labels=(),
    ),
)
