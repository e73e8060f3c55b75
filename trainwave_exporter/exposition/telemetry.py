"""What the exporter tells of itself: its requests, its loops, its doubts, its own service."""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from platform import python_version
from typing import assert_never

from trainwave_exporter.exposition.formats import Format
from trainwave_exporter.exposition.instruments import Instruments
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.model import (
    ClampedDuration,
    ClockSkew,
    Exchange,
    Fact,
    IllegalTransition,
    LoopRun,
    Plan,
    RateLimit,
    UnknownState,
    Unreadable,
)

_API_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SCRAPE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STRANGE = 50
"""How many values that no source names a label may take before they are lumped together."""


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


class Telemetry:
    """A listener to facts. ``version`` is the exporter's."""

    def __init__(self, *, version: str) -> None:
        own = self._own = Instruments()
        self._state, self._transition = Bounded(_STRANGE), Bounded(_STRANGE)

        build = own.gauge("build_info", "What is running; always 1.", "version", "python_version")
        build(version, python_version()).set(1)

        self._requests = own.counter(
            "api_requests_total",
            "Requests to the API, by how they ended.",
            "account",
            "endpoint",
            "outcome",
        )
        self._request_duration = own.histogram(
            "api_request_duration_seconds",
            "Time from sending a request to having its answer.",
            "account",
            "endpoint",
            buckets=_API_SECONDS,
        )
        self._limit = own.gauge(
            "rate_limit_requests", "Requests a minute that the API grants the key.", "account"
        )
        self._allowance = own.gauge(
            "rate_limit_allowance_requests",
            "Requests a minute, of those granted, that the exporter may use.",
            "account",
        )
        self._remaining = own.gauge(
            "rate_limit_remaining_requests",
            "Requests left to all users of the key in its present window; NaN while not told.",
            "account",
        )
        self._used = own.gauge(
            "rate_limit_used_requests",
            "Requests that the exporter sent in the last minute.",
            "account",
        )
        self._blocked_until = own.gauge(
            "rate_limit_blocked_until_timestamp_seconds",
            "Until when nothing is sent after the API refused a request; 0 when free.",
            "account",
        )
        self._plan = own.gauge(
            "plan_requests",
            "Requests that the last tick of the planner came to.",
            "account",
            "outcome",
        )
        self._round = own.gauge(
            "readings_round_seconds",
            "Time that one round of all readings takes at the present budget.",
            "account",
        )
        self._loop_runs = own.counter(
            "loop_runs_total",
            "Runs of a polling loop, by how they ended.",
            "account",
            "loop",
            "outcome",
        )
        self._loop_finished = own.gauge(
            "loop_last_finished_timestamp_seconds",
            "When a polling loop last came to an end, good or bad.",
            "account",
            "loop",
        )
        self._loop_success = own.gauge(
            "loop_last_success_timestamp_seconds",
            "When a polling loop last succeeded.",
            "account",
            "loop",
        )
        self._loop_duration = own.gauge(
            "loop_duration_seconds",
            "Time that the last run of a polling loop took.",
            "account",
            "loop",
        )
        self._unreadable = own.counter(
            "unreadable_total",
            "What was left out of answers because it could not be read.",
            "account",
            "subject",
            "reason",
        )
        self._unknown_states = own.counter(
            "unknown_states_total",
            "Job states met that no source names.",
            "account",
            "state",
        )
        self._illegal_transitions = own.counter(
            "illegal_transitions_total",
            "State changes met that a job's lifecycle does not know.",
            "account",
            "from_state",
            "to_state",
        )
        self._clamped = own.counter(
            "clamped_durations_total",
            "Durations that came out negative and were counted as zero.",
            "account",
            "duration",
        )
        self._skew = own.gauge(
            "clock_skew_seconds", "How far the API's clock is ahead of ours.", "account"
        )
        self._scrape_duration = own.histogram(
            "scrape_duration_seconds",
            "Time taken to answer a scrape, by format.",
            "format",
            buckets=_SCRAPE_SECONDS,
        )
        self._folded = own.gauge(
            "jobs_folded", "Jobs without series of their own, summed up in job_id=other."
        )
        self._series_limit = own.gauge(
            "job_series_limit", "Jobs that may have series of their own; 0 for no limit."
        )
        self._reload_successful = own.gauge(
            "config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded, else 0.",
        )
        self._reload_success = own.gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully.",
        )

    def observe(self, fact: Fact) -> None:
        """Take a fact into account; a `trainwave_exporter.model.FactListener`."""
        match fact:
            case Exchange():
                self._requests(fact.account, fact.endpoint, fact.outcome).inc()
                self._request_duration(fact.account, fact.endpoint).observe(fact.seconds)
            case RateLimit():
                self._rate_limit(fact)
            case LoopRun():
                self._loop_run(fact)
            case Plan():
                self._plan(fact.account, "planned").set(fact.planned)
                self._plan(fact.account, "deferred").set(fact.deferred)
                self._round(fact.account).set(fact.round_seconds)
            case Unreadable():
                self._unreadable(fact.account, fact.subject, fact.reason).inc()
            case UnknownState():
                self._unknown_states(fact.account, *self._state(fact.state)).inc()
            case IllegalTransition():
                states = self._transition(fact.from_state, fact.to_state)
                self._illegal_transitions(fact.account, *states).inc()
            case ClampedDuration():
                self._clamped(fact.account, fact.duration).inc()
            case ClockSkew():
                self._skew(fact.account).set(fact.seconds)
            case _:
                assert_never(fact)

    def scraped(self, form: Format, seconds: float) -> None:
        """Count a scrape that was answered in that time."""
        self._scrape_duration(form.name.lower()).observe(seconds)

    def folded(self, jobs: int, limit: int) -> None:
        """Tell how many jobs have no series of their own, and how many may (0: all)."""
        self._folded().set(jobs)
        self._series_limit().set(limit)

    def config_loaded(self, *, succeeded: bool, at: float) -> None:
        """Tell of an attempt to load the configuration, that at the start included."""
        self._reload_successful().set(succeeded)
        if succeeded:
            self._reload_success().set(at)

    def collect(self) -> Iterator[tuple[Description, bytes]]:
        """Yield every metric and the lines of its samples as they are now."""
        return self._own.collect()

    def _rate_limit(self, fact: RateLimit) -> None:
        self._limit(fact.account).set(fact.limit)
        self._allowance(fact.account).set(fact.allowance)
        self._remaining(fact.account).set(nan if fact.remaining is None else fact.remaining)
        self._used(fact.account).set(fact.used)
        self._blocked_until(fact.account).set(fact.blocked_until)

    def _loop_run(self, fact: LoopRun) -> None:
        # Both outcomes are there from the first run on, so that a rate sees the first failure.
        ended = {True: "ok", False: "error"}
        for succeeded, outcome in ended.items():
            self._loop_runs(fact.account, fact.loop, outcome).inc(succeeded is fact.succeeded)
        self._loop_finished(fact.account, fact.loop).set(fact.finished_at)
        self._loop_duration(fact.account, fact.loop).set(fact.seconds)
        if fact.succeeded:
            self._loop_success(fact.account, fact.loop).set(fact.finished_at)
