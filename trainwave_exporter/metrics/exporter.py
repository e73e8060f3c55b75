"""What the exporter reports of itself: its requests, its loops, its doubts, its own service."""

from __future__ import annotations

from collections.abc import Iterator
from platform import python_version

from trainwave_exporter.exposition.formats import Format
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.metrics.exporter_work import METRICS
from trainwave_exporter.metrics.fact_metrics import updates
from trainwave_exporter.metrics.instruments import Instruments
from trainwave_exporter.model import Fact

_SCRAPE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_REFUSALS = ("credentials", "guessing", "rate_limit")
_CONNECTION_DROPS = ("limit", "displaced", "request_timeout", "answer_timeout", "accept_failed")
"""All are there from the start, so that a rate sees the first."""


class ExporterMetrics:
    """A listener to facts. ``version`` is the exporter's."""

    def __init__(self, *, version: str) -> None:
        own = self._own = Instruments()

        build = own.gauge(
            "build_info",
            "Version of the exporter and of Python; always 1.",
            "version",
            "python_version",
        )
        build(version, python_version()).set(1)

        self._updates = updates(METRICS, own)
        self._scrape_duration = own.histogram(
            "scrape_duration_seconds",
            "Time taken to answer a scrape, by format.",
            "format",
            buckets=_SCRAPE_SECONDS,
        )
        self._in_overflow = own.gauge(
            "jobs_folded", "Jobs without series of their own, summed up in job_id=other."
        )
        self._series_limit = own.gauge(
            "job_series_limit", "Jobs that may have series of their own; 0 for no limit."
        )
        self._cap_reached = own.gauge(
            "series_cap_reached",
            "1 if this kind of object has reached its series limit (metrics.max_groups), so that"
            " any others are summed up in a series named other; else 0.",
            "kind",
        )
        self._reload_successful = own.gauge(
            "config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded, else 0.",
        )
        self._reload_success = own.gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last loaded successfully.",
        )
        self._web_reload_successful = own.gauge(
            "web_config_last_reload_successful",
            "1 if the last attempt to load the web configuration file succeeded, or there is no"
            " such file, else 0.",
        )
        self._web_reload_successful().set(1)
        self._web_reload_success = own.gauge(
            "web_config_last_reload_success_timestamp_seconds",
            "When the web configuration file was last loaded successfully; 0 if there is none.",
        )
        self._refused = own.counter(
            "web_requests_refused_total",
            "Requests that were refused, by reason: credentials (missing or wrong), guessing (too"
            " many wrong passwords), rate_limit.",
            "reason",
        )
        for reason in _REFUSALS:
            self._refused(reason)
        self._connections_dropped = own.counter(
            "web_connections_dropped_total",
            "Connections refused or closed early, by reason: limit (connection limit reached, all"
            " busy), displaced (closed for a new one), request_timeout, answer_timeout,"
            " accept_failed (no file descriptor left).",
            "reason",
        )
        for reason in _CONNECTION_DROPS:
            self._connections_dropped(reason)
        self._log_lines_dropped = own.counter(
            "log_lines_dropped_total",
            "Log lines dropped because the log output was blocked.",
        )
        self._log_lines_dropped()
        self._log_lines_known = 0

    def observe(self, fact: Fact) -> None:
        """Take a fact into account; a `trainwave_exporter.model.FactListener`."""
        for update in self._updates[type(fact)]:
            update(fact)

    def scraped(self, form: Format, seconds: float) -> None:
        """Count a scrape that was answered in that time."""
        self._scrape_duration(form.name.lower()).observe(seconds)

    def jobs_in_overflow(self, jobs: int, limit: int) -> None:
        """Note how many jobs have no series of their own, and how many may (0: all)."""
        self._in_overflow().set(jobs)
        self._series_limit().set(limit)

    def capped(self, kind: str, *, reached: bool) -> None:
        """Return whether any other object of that kind would have no series of its own."""
        self._cap_reached(kind).set(reached)

    def forget(self, account: str) -> None:
        """Drop the series of an account that is not watched any more."""
        self._own.forget(account)

    def config_loaded(self, *, succeeded: bool, at: float) -> None:
        """Note an attempt to load the configuration, that at the start included."""
        self._reload_successful().set(succeeded)
        if succeeded:
            self._reload_success().set(at)

    def web_config_loaded(self, *, succeeded: bool, at: float) -> None:
        """Note an attempt to load the web configuration file, that at the start included."""
        self._web_reload_successful().set(succeeded)
        if succeeded:
            self._web_reload_success().set(at)

    def refused(self, reason: str) -> None:
        """Count a request that was not let in."""
        self._refused(reason).inc()

    def connection_dropped(self, reason: str) -> None:
        """Count a connection that was refused or closed early."""
        self._connections_dropped(reason).inc()

    def log_lines_dropped(self, total: int) -> None:
        """Note how many log lines were dropped so far."""
        self._log_lines_dropped().inc(total - self._log_lines_known)
        self._log_lines_known = total

    def collect(self) -> Iterator[tuple[Description, bytes]]:
        """Yield every metric and the lines of its samples as they are now."""
        return self._own.collect()
