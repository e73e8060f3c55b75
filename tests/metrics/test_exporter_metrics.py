from __future__ import annotations

from math import isnan
from platform import python_version
from typing import get_args

import pytest
from msgspec.structs import replace
from support.client_parsers import generated, parsed

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics
from trainwave_exporter.metrics.exporter_work import METRICS
from trainwave_exporter.model import (
    ClampedDuration,
    ClockSkew,
    Exchange,
    Fact,
    IllegalTransition,
    LedgerRun,
    LoopBegan,
    LoopRun,
    Metric,
    Plan,
    PlannedAge,
    RateLimit,
    ReadingReplaced,
    UnknownState,
    Unreadable,
)

PREFIX = "trainwave_exporter_"


def series_of(telemetry: ExporterMetrics, name: str) -> dict[str, float]:
    """Return the values of the series whose names begin so, by their names without the prefix."""
    lines = b"".join(samples for _, samples in telemetry.collect()).decode().splitlines()
    series = (line.rsplit(" ", 1) for line in lines if line.startswith(PREFIX + name))
    return {key.removeprefix(PREFIX): float(value) for key, value in series}


def rate_limit(remaining: int | None) -> RateLimit:
    return RateLimit(
        account="main", limit=100, allowance=80, remaining=remaining, used=12, blocked_until=0.0
    )


def loop_run(succeeded: bool, finished_at: float) -> LoopRun:
    return LoopRun(
        account="main", loop="sweep", succeeded=succeeded, seconds=1.5, finished_at=finished_at
    )


def ledger_run(succeeded: bool, finished_at: float, waiting: int) -> LedgerRun:
    return LedgerRun(
        succeeded=succeeded,
        seconds=finished_at / 1000,
        finished_at=finished_at,
        waiting=waiting,
        size_bytes=4096,
    )


@pytest.fixture
def telemetry() -> ExporterMetrics:
    return ExporterMetrics(version="1.2.3")


PLAN = Plan(
    account="main",
    planned=66.0,
    used=61,
    deferred=534.0,
    requests_per_minute=66.0,
    round_seconds=545.5,
    longest_age_seconds=3636.4,
    ages={Metric.GPU_UTILIZATION: PlannedAge(present=62.5, doubled=37.5)},
    expected_age_seconds=400.0,
    expected_age_doubled_seconds=180.0,
)


def test_what_readings_wait_is_reported_for_both_limits_and_is_nan_where_nothing_is_asked_for(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(PLAN)
    ages = series_of(telemetry, "readings_expected_age_seconds")
    labels = 'account="main",metric="gpu_utilization"'
    assert ages[f'readings_expected_age_seconds{{{labels},limit="present"}}'] == 62.5
    assert ages[f'readings_expected_age_seconds{{{labels},limit="doubled"}}'] == 37.5
    assert len(ages) == 2 * len(Metric)
    assert sum(isnan(age) for age in ages.values()) == 2 * (len(Metric) - 1)


def test_build_info_reports_both_versions(telemetry: ExporterMetrics) -> None:
    assert series_of(telemetry, "build_info") == {
        f'build_info{{version="1.2.3",python_version="{python_version()}"}}': 1
    }


@pytest.mark.parametrize(
    ("fact", "name", "series"),
    [
        (
            Exchange(account="main", endpoint="jobs", outcome="ok", seconds=0.3),
            "api_requests",
            {'api_requests_total{account="main",operation="jobs",endpoint="jobs",outcome="ok"}': 1},
        ),
        (
            PLAN,
            "plan_requests",
            {
                'plan_requests{account="main",outcome="planned"}': 66,
                'plan_requests{account="main",outcome="used"}': 61,
                'plan_requests{account="main",outcome="deferred"}': 534,
            },
        ),
        (PLAN, "readings_round", {'readings_round_seconds{account="main"}': 545.5}),
        (PLAN, "readings_longest", {'readings_longest_age_seconds{account="main"}': 3636.4}),
        (
            ReadingReplaced(account="main", metric=Metric.DISK, age=2400.5),
            "reading_age_seconds_sum",
            {'reading_age_seconds_sum{account="main",metric="disk"}': 2400.5},
        ),
        (
            Unreadable(account="main", subject="cost", reason="not_a_number"),
            "unreadable",
            {'unreadable_total{account="main",subject="cost",reason="not_a_number"}': 1},
        ),
        (
            UnknownState("main", "PAUSED"),
            "unknown_states",
            {'unknown_states_total{account="main",state="PAUSED"}': 1},
        ),
        (
            IllegalTransition("main", "SUCCESS", "RUNNING"),
            "illegal_transitions",
            {
                'illegal_transitions_total{account="main",from_state="SUCCESS",'
                'to_state="RUNNING"}': 1
            },
        ),
        (
            ClampedDuration("main", "queue"),
            "clamped_durations",
            {'clamped_durations_total{account="main",duration="queue"}': 1},
        ),
        (
            ClockSkew("main", -2.5),
            "clock_skew",
            {'clock_skew_seconds{account="main"}': -2.5},
        ),
        (
            rate_limit(55),
            "rate_limit",
            {
                'rate_limit_requests{account="main"}': 100,
                'rate_limit_allowance_requests{account="main"}': 80,
                'rate_limit_remaining_requests{account="main"}': 55,
                'rate_limit_used_requests{account="main"}': 12,
                'rate_limit_blocked_until_timestamp_seconds{account="main"}': 0,
            },
        ),
    ],
)
def test_a_fact_is_in_the_metric_that_is_meant_for_it(
    telemetry: ExporterMetrics, fact: Fact, name: str, series: dict[str, float]
) -> None:
    telemetry.observe(fact)
    assert series_of(telemetry, name) == series


def test_every_kind_of_fact_is_counted_somewhere() -> None:
    assert {metric.fact for metric in METRICS} == {*get_args(Fact)}


def test_requests_are_counted_by_outcome_and_timed_all_the_same(telemetry: ExporterMetrics) -> None:
    for outcome, seconds in (("ok", 0.2), ("ok", 0.2), ("timeout", 20.0)):
        fact = Exchange(account="main", endpoint="jobs", outcome=outcome, seconds=seconds)
        telemetry.observe(fact)
    assert series_of(telemetry, "api_requests_total") == {
        'api_requests_total{account="main",operation="jobs",endpoint="jobs",outcome="ok"}': 2,
        'api_requests_total{account="main",operation="jobs",endpoint="jobs",outcome="timeout"}': 1,
    }
    duration = series_of(telemetry, "api_request_duration_seconds")
    labels = 'account="main",operation="jobs",endpoint="jobs"'
    assert duration[f'api_request_duration_seconds_bucket{{{labels},le="0.25"}}'] == 2
    assert duration[f"api_request_duration_seconds_count{{{labels}}}"] == 3
    assert duration[f"api_request_duration_seconds_sum{{{labels}}}"] == pytest.approx(20.4)


def test_what_the_api_does_not_report_of_its_limit_is_not_a_number(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(rate_limit(55))
    telemetry.observe(rate_limit(None))
    (remaining,) = series_of(telemetry, "rate_limit_remaining").values()
    assert remaining != remaining  # noqa: PLR0124  what tells NaN from every number


def test_a_failed_run_moves_the_last_finish_and_not_the_last_success(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(loop_run(succeeded=True, finished_at=100.0))
    telemetry.observe(loop_run(succeeded=False, finished_at=130.0))
    assert series_of(telemetry, "loop_") == {
        'loop_runs_total{account="main",loop="sweep",outcome="ok"}': 1,
        'loop_runs_total{account="main",loop="sweep",outcome="error"}': 1,
        'loop_last_finished_timestamp_seconds{account="main",loop="sweep"}': 130,
        'loop_last_success_timestamp_seconds{account="main",loop="sweep"}': 100,
        'loop_duration_seconds{account="main",loop="sweep"}': 1.5,
    }


def test_a_loop_that_never_came_to_an_end_shows_when_it_began(telemetry: ExporterMetrics) -> None:
    telemetry.observe(LoopBegan("main", "sweep", 90.0))
    assert series_of(telemetry, "loop_") == {
        'loop_last_started_timestamp_seconds{account="main",loop="sweep"}': 90,
    }


def test_a_loop_that_never_failed_shows_zero_failures(telemetry: ExporterMetrics) -> None:
    telemetry.observe(loop_run(succeeded=True, finished_at=100.0))
    runs = series_of(telemetry, "loop_runs_total")
    assert runs['loop_runs_total{account="main",loop="sweep",outcome="error"}'] == 0


def test_a_write_of_the_ledger_that_fails_moves_all_but_the_last_success(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(ledger_run(succeeded=True, finished_at=100.0, waiting=0))
    assert series_of(telemetry, "ledger_writes")['ledger_writes_total{outcome="error"}'] == 0
    telemetry.observe(ledger_run(succeeded=False, finished_at=130.0, waiting=7))
    assert series_of(telemetry, "ledger_") == {
        'ledger_writes_total{outcome="ok"}': 1,
        'ledger_writes_total{outcome="error"}': 1,
        "ledger_last_success_timestamp_seconds": 100,
        "ledger_write_duration_seconds": 0.13,
        "ledger_waiting_jobs": 7,
        "ledger_size_bytes": 4096,
        "ledger_lost": 0,
    }


def test_a_ledger_whose_file_is_lost_is_a_gauge_of_its_own(telemetry: ExporterMetrics) -> None:
    lost = replace(ledger_run(succeeded=False, finished_at=130.0, waiting=7), lost=True)
    for run, shown in ((lost, 1), (ledger_run(succeeded=True, finished_at=140.0, waiting=0), 0)):
        telemetry.observe(run)
        assert series_of(telemetry, "ledger_lost") == {"ledger_lost": shown}


def test_a_ledger_that_was_never_written_shows_no_time_of_success_but_zero(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(ledger_run(succeeded=False, finished_at=130.0, waiting=7))
    assert series_of(telemetry, "ledger_last_success") == {
        "ledger_last_success_timestamp_seconds": 0
    }


def test_strange_states_do_not_make_series_without_end(telemetry: ExporterMetrics) -> None:
    for number in range(200):
        telemetry.observe(UnknownState("main", f"S{number}"))
        telemetry.observe(IllegalTransition("main", f"S{number}", "RUNNING"))
    telemetry.observe(UnknownState("main", "S0"))
    states = series_of(telemetry, "unknown_states_total")
    transitions = series_of(telemetry, "illegal_transitions_total")
    assert len(states) == len(transitions) == 51
    assert states['unknown_states_total{account="main",state="S0"}'] == 2
    assert states['unknown_states_total{account="main",state="other"}'] == 150
    lumped = 'illegal_transitions_total{account="main",from_state="other",to_state="other"}'
    assert transitions[lumped] == 150


def test_scrapes_are_timed_by_format(telemetry: ExporterMetrics) -> None:
    telemetry.scraped(Format.TEXT, 0.003)
    telemetry.scraped(Format.OPENMETRICS, 0.003)
    scrapes = series_of(telemetry, "scrape_duration_seconds_count")
    assert scrapes == {
        'scrape_duration_seconds_count{format="text"}': 1,
        'scrape_duration_seconds_count{format="openmetrics"}': 1,
    }


def test_a_failed_reload_leaves_the_time_of_the_last_good_one(telemetry: ExporterMetrics) -> None:
    telemetry.config_loaded(succeeded=True, at=100.0)
    telemetry.config_loaded(succeeded=False, at=200.0)
    assert series_of(telemetry, "config_last_reload") == {
        "config_last_reload_successful": 0,
        "config_last_reload_success_timestamp_seconds": 100,
    }


def test_without_a_web_configuration_nothing_is_wrong_with_it(telemetry: ExporterMetrics) -> None:
    assert series_of(telemetry, "web_config_last_reload_successful") == {
        "web_config_last_reload_successful": 1
    }


def test_a_web_configuration_that_is_refused_leaves_the_time_of_the_last_good_one(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.web_config_loaded(succeeded=True, at=100.0)
    telemetry.web_config_loaded(succeeded=False, at=200.0)
    assert series_of(telemetry, "web_config_last_reload") == {
        "web_config_last_reload_successful": 0,
        "web_config_last_reload_success_timestamp_seconds": 100,
    }


def test_refused_requests_are_counted_by_reason(telemetry: ExporterMetrics) -> None:
    telemetry.refused("credentials")
    telemetry.refused("credentials")
    telemetry.refused("guessing")
    assert series_of(telemetry, "web_requests_refused_total") == {
        'web_requests_refused_total{reason="credentials"}': 2,
        'web_requests_refused_total{reason="guessing"}': 1,
        'web_requests_refused_total{reason="rate_limit"}': 0,
    }


def test_dropped_connections_are_counted_by_reason(telemetry: ExporterMetrics) -> None:
    telemetry.connection_dropped("displaced")
    telemetry.connection_dropped("displaced")
    telemetry.connection_dropped("limit")
    assert series_of(telemetry, "web_connections_dropped_total") == {
        'web_connections_dropped_total{reason="limit"}': 1,
        'web_connections_dropped_total{reason="displaced"}': 2,
        'web_connections_dropped_total{reason="request_timeout"}': 0,
        'web_connections_dropped_total{reason="answer_timeout"}': 0,
        'web_connections_dropped_total{reason="accept_failed"}': 0,
    }


def test_dropped_log_lines_are_counted_as_their_total_reports(telemetry: ExporterMetrics) -> None:
    assert series_of(telemetry, "log_lines_dropped_total") == {"log_lines_dropped_total": 0}
    for total in (3, 3, 5):
        telemetry.log_lines_dropped(total)
    assert series_of(telemetry, "log_lines_dropped_total") == {"log_lines_dropped_total": 5}


def test_no_series_reports_when_a_counter_was_created(telemetry: ExporterMetrics) -> None:
    telemetry.observe(UnknownState("main", "PAUSED"))
    telemetry.scraped(Format.TEXT, 0.1)
    assert not [series for series in series_of(telemetry, "") if "_created" in series]


def test_two_exporters_in_one_process_do_not_share_their_metrics(
    telemetry: ExporterMetrics,
) -> None:
    telemetry.observe(UnknownState("main", "PAUSED"))
    assert series_of(ExporterMetrics(version="1.2.3"), "unknown_states_total") == {}


@pytest.mark.parametrize("form", Format)
def test_what_is_written_parses_as_what_prometheus_client_writes(
    telemetry: ExporterMetrics, form: Format
) -> None:
    hostile = 'a\\b"c\nd,e={}😀'
    telemetry.observe(Exchange(account=hostile, endpoint="jobs", outcome="ok", seconds=0.2))
    telemetry.observe(loop_run(succeeded=True, finished_at=100.0))
    telemetry.observe(rate_limit(None))
    telemetry.scraped(form, 1e9)
    written = b"".join(about.header(form) + samples for about, samples in telemetry.collect())
    end = "# EOF\n" if form is Format.OPENMETRICS else ""
    ours = parsed(written.decode() + end, form)
    theirs = parsed(generated(telemetry._own._registry, form), form)
    for family in theirs:
        if family.startswith(PREFIX):
            (kind, about, _, samples), (*told, _, read) = theirs[family], ours[family]
            assert (told, read) == ([kind, about], samples)


def test_what_is_shown_of_an_account_goes_with_it(telemetry: ExporterMetrics) -> None:
    for account in ("main", "other"):
        telemetry.observe(Exchange(account=account, endpoint="jobs", outcome="ok", seconds=0.3))
        telemetry.observe(UnknownState(account, "PAUSED"))
    telemetry.forget("main")
    lines = b"".join(samples for _, samples in telemetry.collect()).decode()
    assert 'account="main"' not in lines
    assert 'account="other"' in lines
    telemetry.observe(Exchange(account="main", endpoint="jobs", outcome="ok", seconds=0.3))
    series = series_of(telemetry, "api_requests_total")
    assert (
        series['api_requests_total{account="main",operation="jobs",endpoint="jobs",outcome="ok"}']
        == 1
    )
