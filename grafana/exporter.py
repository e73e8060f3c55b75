"""The Exporter dashboard: whether the exporter does its work, and what keeps it from it.

Each exporter is shown by itself, as several may watch the same accounts.
"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps
from grafana.queries import OF_ACCOUNT
from grafana.variables import ACCOUNT, CLUSTER, DATASOURCE, INSTANCE

_ITS = 'cluster=~"$cluster",instance=~"$instance"'
_OF_ACCOUNT = f'{_ITS},account=~"$account"'
_OF_LOOP = f'{_ITS},account=~"$account|"'  # some loops are of no account
_INFO = f"trainwave_exporter_build_info{{{_ITS}}}"
_WHO = "{{instance}}"
# Accounts of several teams may have the same name; the view separates them.
_ACCOUNT = "{{account}} {{view}}"


def _by_account(what: str, expr: str, *labels: str) -> str:
    """Aggregate an expression of several exporters by account: by `sum`, say."""
    return f"{what} by ({', '.join(('cluster', 'account', 'view', *labels))}) ({expr} {OF_ACCOUNT})"


def _by_operation(function: str, metric: str, matchers: str) -> str:
    """Return a rate of requests. An exporter of version 0.1.0 calls an operation `endpoint`."""
    now = f'{function}({metric}{{{matchers},operation!=""}}[$__rate_interval])'
    before = f'{function}({metric}{{{matchers},operation=""}}[$__rate_interval])'
    return f'({now} or label_replace({before}, "operation", "$1", "endpoint", "(.*)"))'


def dashboard() -> Dashboard:
    """Show how the exporter fares."""
    return board(
        uid=uids.EXPORTER,
        title="Trainwave / Exporter",
        description="Health of the exporter: API requests, data freshness, ledger and scrapes.",
        variables=(DATASOURCE, CLUSTER, ACCOUNT, INSTANCE),
        time_from="now-6h",
        rows=[
            Row("Now", _now()),
            Row("API", [_requests(), _failures(), _latency(), _budget(), _plan(), _readings_age()]),
            Row("Data and loops", [_data_age(), _loop_age(), _loop_time(), _loop_failures()]),
            Row("Data quality", [_unreadable(), _oddities(), _skew(), _refused()]),
            Row(
                "Ledger",
                [
                    _ledger_writes(),
                    _ledger_time(),
                    _ledger_age(),
                    _ledger_size(),
                    _ledger_file(),
                ],
            ),
            Row(
                "Scrapes",
                [
                    _scrape_time(),
                    _scraped(),
                    _series(),
                    _folded(),
                    _connections_dropped(),
                    _log_lines_dropped(),
                ],
            ),
            Row("Process", [_cpu(), _memory(), _files(), _versions()]),
        ],
    )


def _of_process(metric: str) -> str:
    """Leave the exporters of a metric that many programs have."""
    return f"{metric} and on (cluster, instance, job) {_INFO}"


def _now() -> list[Panel]:
    up = _by_account("min", f"trainwave_up{{{_OF_ACCOUNT}}}")
    success = f"trainwave_account_last_success_timestamp_seconds{{{_OF_ACCOUNT}}}"
    used = f"trainwave_exporter_rate_limit_used_requests{{{_OF_ACCOUNT}}}"
    limit = f"trainwave_exporter_rate_limit_requests{{{_OF_ACCOUNT}}}"
    return [
        panels.number(
            About(
                title="Accounts",
                description="Whether the last list of each account's jobs succeeded.",
                no_data="No exporter answers",
                width=8,
                height=5,
            ),
            Query(up, _ACCOUNT),
            thresholds=steps(palette.BAD, (1, palette.GOOD)),
            texts={"0": "down", "1": "up"},
        ),
        panels.number(
            About(
                title="Last success",
                description="Time since the jobs of each account were last listed.",
                unit="s",
                no_data="Never",
                width=4,
                height=5,
            ),
            Query(f"time() - {_by_account('max', success)}", _ACCOUNT),
            thresholds=steps(palette.GOOD, (300, palette.WARNING), (900, palette.BAD)),
        ),
        panels.number(
            About(
                title="Rate limit used",
                description=(
                    "Share of the key's rate limit that exporters used in the last minute. The"
                    " rest is left for other users of the key."
                ),
                unit="percentunit",
                decimals=0,
                no_data="Not reported",
                width=4,
                height=5,
            ),
            Query(f"{_by_account('sum', used)} / {_by_account('max', f'({limit} > 0)')}", _ACCOUNT),
            thresholds=steps(palette.GOOD, (0.9, palette.WARNING), (1, palette.BAD)),
        ),
        panels.number(
            About(
                title="Configuration",
                description="Whether the last attempt to load the configuration succeeded.",
                no_data="No exporter answers",
                width=4,
                height=5,
            ),
            Query(f"trainwave_exporter_config_last_reload_successful{{{_ITS}}}", _WHO),
            thresholds=steps(palette.BAD, (1, palette.GOOD)),
            texts={"0": "refused", "1": "loaded"},
        ),
        panels.number(
            About(
                title="Ledger written",
                description="How long ago the ledger was last written.",
                unit="s",
                no_data="Never",
                width=4,
                height=5,
            ),
            Query(
                f"time() - trainwave_exporter_ledger_last_success_timestamp_seconds{{{_ITS}}}",
                _WHO,
            ),
            thresholds=steps(palette.GOOD, (300, palette.WARNING), (900, palette.BAD)),
        ),
    ]


def _requests() -> Panel:
    counted = _by_operation("rate", "trainwave_exporter_api_requests_total", _OF_ACCOUNT)
    return panels.series(
        About(
            title="API requests by operation",
            description="Requests a second to the API.",
            unit="reqps",
            no_data="No requests",
            width=8,
        ),
        Query(
            _by_account("sum", counted, "operation"),
            f"{_ACCOUNT} {{{{operation}}}}",
        ),
        stacked=True,
    )


def _failures() -> Panel:
    counted = f'trainwave_exporter_api_requests_total{{{_OF_ACCOUNT},outcome!="ok"}}'
    return panels.series(
        About(
            title="API requests that failed",
            description="Requests a second that did not succeed, by outcome.",
            unit="reqps",
            no_data="None",
            width=8,
        ),
        Query(
            _by_account("sum", f"rate({counted}[$__rate_interval])", "outcome"),
            f"{_ACCOUNT} {{{{outcome}}}}",
        ),
        stacked=True,
    )


def _latency() -> Panel:
    counted = _by_operation(
        "rate", "trainwave_exporter_api_request_duration_seconds_bucket", _OF_ACCOUNT
    )
    return panels.series(
        About(
            title="API latency by operation",
            description="95th percentile of the duration of requests.",
            unit="s",
            no_data="No requests",
            width=8,
        ),
        Query(
            f"histogram_quantile(0.95, sum by (operation, le) ({counted})) >= 0",
            "{{operation}}",
        ),
    )


def _budget() -> Panel:
    def of(what: str) -> str:
        return _by_account("max", f"trainwave_exporter_rate_limit_{what}{{{_OF_ACCOUNT}}}")

    return panels.series(
        About(
            title="Request budget",
            description=(
                "Requests a minute: the key's rate limit, what the exporter may use of it, what it"
                " used, and what remains for all users of the key."
            ),
            no_data="Not reported",
            width=8,
        ),
        Query(of("requests"), f"{_ACCOUNT} granted"),
        Query(of("allowance_requests"), f"{_ACCOUNT} allowed"),
        Query(of("used_requests"), f"{_ACCOUNT} used"),
        Query(of("remaining_requests"), f"{_ACCOUNT} left"),
        bounds="(granted|allowed)$",
    )


def _plan() -> Panel:
    planned = f"trainwave_exporter_plan_requests{{{_OF_ACCOUNT}}}"
    return panels.series(
        About(
            title="Requests for readings, planned and deferred",
            description=(
                "Requests a minute planned for readings, and further ones that the configured"
                " interval would need but the rate limit does not allow."
            ),
            no_data="No requests planned",
            width=8,
        ),
        Query(_by_account("max", planned, "outcome"), f"{_ACCOUNT} {{{{outcome}}}}"),
    )


def _readings_age() -> Panel:
    age = f'trainwave_exporter_readings_expected_age_seconds{{{_OF_ACCOUNT},limit="present"}}'
    return panels.series(
        About(
            title="Expected age of readings",
            description=(
                "Mean age of readings under the current rate limit, of those that lists do not"
                " contain and that have to be requested one by one."
            ),
            unit="s",
            no_data="No readings",
            width=8,
        ),
        Query(_by_account("max", age, "metric"), f"{_ACCOUNT} {{{{metric}}}}"),
    )


def _data_age() -> Panel:
    confirmed = f"trainwave_account_last_success_timestamp_seconds{{{_OF_ACCOUNT}}}"
    return panels.series(
        About(
            title="Age of states and costs",
            description="Time since the jobs of each account were last listed.",
            unit="s",
            no_data="Never",
        ),
        Query(f"time() - {confirmed}", f"{{{{account}}}} {_WHO}"),
    )


def _loop_age() -> Panel:
    success = f"trainwave_exporter_loop_last_success_timestamp_seconds{{{_OF_LOOP}}}"
    return panels.series(
        About(
            title="Loops: last success",
            description=(
                "Time since the last successful run of each loop. A line that keeps rising is a"
                " stuck or failing loop."
            ),
            unit="s",
            no_data="Never",
        ),
        Query(f"time() - {success}", f"{{{{account}}}} {{{{loop}}}} {_WHO}"),
    )


def _loop_time() -> Panel:
    return panels.series(
        About(
            title="Loops: duration",
            description="Duration of the last run of each loop.",
            unit="s",
            no_data="No loop has run",
        ),
        Query(
            f"trainwave_exporter_loop_duration_seconds{{{_OF_LOOP}}}",
            f"{{{{account}}}} {{{{loop}}}} {_WHO}",
        ),
    )


def _loop_failures() -> Panel:
    failed = f'trainwave_exporter_loop_runs_total{{{_OF_LOOP},outcome="error"}}'
    return panels.series(
        About(
            title="Loops: failed runs",
            description="Failed runs of each loop, in the time up to each point.",
            no_data="None",
        ),
        Query(
            f"increase({failed}[$__rate_interval])",
            f"{{{{account}}}} {{{{loop}}}} {_WHO}",
        ),
        bars=True,
        stacked=True,
    )


def _unreadable() -> Panel:
    counted = f"trainwave_exporter_unreadable_total{{{_OF_ACCOUNT}}}"
    return panels.series(
        About(
            title="Unreadable values",
            description=(
                "Values that were dropped because they could not be parsed, by subject and reason."
            ),
            no_data="None",
            width=6,
        ),
        Query(
            _by_account("sum", f"increase({counted}[$__rate_interval])", "subject", "reason"),
            f"{_ACCOUNT} {{{{subject}}}}: {{{{reason}}}}",
        ),
        bars=True,
        stacked=True,
    )


def _oddities() -> Panel:
    states = f"trainwave_exporter_unknown_states_total{{{_OF_ACCOUNT}}}"
    changes = f"trainwave_exporter_illegal_transitions_total{{{_OF_ACCOUNT}}}"
    durations = f"trainwave_exporter_clamped_durations_total{{{_OF_ACCOUNT}}}"
    return panels.series(
        About(
            title="Unexpected values",
            description=(
                "Undocumented job states, impossible changes of state, and negative durations,"
                " which count as zero."
            ),
            no_data="None",
            width=6,
        ),
        Query(f"sum by (state) (increase({states}[$__rate_interval]))", "state {{state}}"),
        Query(
            f"sum by (from_state, to_state) (increase({changes}[$__rate_interval]))",
            "{{from_state}} to {{to_state}}",
        ),
        Query(
            f"sum by (duration) (increase({durations}[$__rate_interval]))",
            "negative {{duration}}",
        ),
        bars=True,
        stacked=True,
    )


def _skew() -> Panel:
    return panels.series(
        About(
            title="Clock skew",
            description="How far the API's clock is ahead of the exporter's.",
            unit="s",
            no_data="Not reported",
            width=6,
        ),
        Query(f"trainwave_exporter_clock_skew_seconds{{{_OF_ACCOUNT}}}", f"{{{{account}}}} {_WHO}"),
        minimum=None,
    )


def _refused() -> Panel:
    refused = f"trainwave_exporter_web_requests_refused_total{{{_ITS}}}"
    return panels.series(
        About(
            title="Rejected requests to the exporter",
            description=(
                "Requests that were rejected: missing or wrong credentials, too many wrong"
                " passwords, or more requests than the web configuration allows."
            ),
            unit="reqps",
            no_data="No exporter answers",
            width=6,
        ),
        Query(
            f"sum by (cluster, instance, reason) (rate({refused}[$__rate_interval]))",
            f"{{{{reason}}}} {_WHO}",
        ),
    )


def _ledger_writes() -> Panel:
    counted = f"trainwave_exporter_ledger_writes_total{{{_ITS}}}"
    return panels.series(
        About(
            title="Ledger: writes",
            description="Attempts a second to write the ledger, by outcome.",
            unit="ops",
            no_data="No writes",
            width=5,
        ),
        Query(
            f"sum by (cluster, instance, outcome) (rate({counted}[$__rate_interval]))",
            f"{_WHO} {{{{outcome}}}}",
        ),
    )


def _ledger_time() -> Panel:
    return panels.series(
        About(
            title="Ledger: duration of a write",
            description="Duration of the last attempt to write.",
            unit="s",
            no_data="No writes",
            width=5,
        ),
        Query(f"trainwave_exporter_ledger_write_duration_seconds{{{_ITS}}}", _WHO),
    )


def _ledger_age() -> Panel:
    return panels.series(
        About(
            title="Ledger: waiting jobs",
            description="Jobs with changes that are not written yet. It should fall to zero.",
            no_data="None",
            width=5,
        ),
        Query(f"trainwave_exporter_ledger_waiting_jobs{{{_ITS}}}", _WHO),
    )


def _ledger_size() -> Panel:
    return panels.series(
        About(
            title="Ledger: size",
            description="Size of the ledger.",
            unit="bytes",
            no_data="It is kept in memory",
            width=5,
        ),
        Query(f"trainwave_exporter_ledger_size_bytes{{{_ITS}}}", _WHO),
    )


def _ledger_file() -> Panel:
    return panels.number(
        About(
            title="Ledger: file",
            description=(
                "Whether the ledger is written to its own file, or to ledger.sqlite3.rescued after"
                " another program replaced or overwrote it."
            ),
            no_data="Not reported",
            width=4,
        ),
        Query(f"trainwave_exporter_ledger_lost{{{_ITS}}}", _WHO),
        thresholds=steps(palette.GOOD, (1, palette.BAD)),
        texts={"0": "in place", "1": "rescued"},
    )


def _scrape_time() -> Panel:
    counted = f"trainwave_exporter_scrape_duration_seconds_bucket{{{_ITS}}}"
    return panels.series(
        About(
            title="Scrapes: response time",
            description="99th percentile of the response time of scrapes, by format.",
            unit="s",
            no_data="No scrapes",
            width=4,
        ),
        Query(
            "histogram_quantile(0.99, sum by (cluster, instance, format, le)"
            f" (rate({counted}[$__rate_interval]))) >= 0",
            f"{_WHO} {{{{format}}}}",
        ),
    )


def _scraped() -> Panel:
    return panels.series(
        About(
            title="Scrapes: as Prometheus sees them",
            description="Duration of Prometheus' last scrape, including the network.",
            unit="s",
            no_data="Prometheus does not scrape the exporter",
            width=4,
        ),
        Query(_of_process("scrape_duration_seconds"), _WHO),
    )


def _series() -> Panel:
    return panels.series(
        About(
            title="Scrapes: samples",
            description="Samples in the last scrape.",
            unit="short",
            no_data="Prometheus does not scrape the exporter",
            width=4,
        ),
        Query(_of_process("scrape_samples_scraped"), _WHO),
    )


def _folded() -> Panel:
    return panels.series(
        About(
            title="Jobs without series of their own",
            description=(
                "Jobs that are summed up in job_id=other because there are more than"
                " metrics.max_jobs, and that limit; 0 is no limit. Limits of other kinds, set by"
                " metrics.max_groups, are named where they are reached."
            ),
            no_data="No exporter answers",
            width=4,
        ),
        Query(f"trainwave_exporter_jobs_folded{{{_ITS}}}", f"{_WHO} folded"),
        Query(f"trainwave_exporter_job_series_limit{{{_ITS}}}", f"{_WHO} limit"),
        Query(
            f"trainwave_exporter_series_cap_reached{{{_ITS}}} > 0",
            f"{_WHO} limit of {{{{kind}}}} reached",
        ),
        bounds="limit$",
    )


def _connections_dropped() -> Panel:
    return panels.series(
        About(
            title="Connections dropped",
            description=(
                "Connections that were refused or closed early, by reason. limit, displaced and"
                " accept_failed: there were more than the exporter accepts."
            ),
            no_data="No exporter answers",
            width=4,
        ),
        Query(
            "sum by (cluster, instance, reason) (increase("
            f"trainwave_exporter_web_connections_dropped_total{{{_ITS}}}[$__rate_interval]))",
            f"{_WHO} {{{{reason}}}}",
        ),
    )


def _log_lines_dropped() -> Panel:
    return panels.series(
        About(
            title="Log lines dropped",
            description="Log lines that are lost because nobody reads the exporter's output.",
            no_data="No exporter answers",
            width=4,
        ),
        Query(
            f"increase(trainwave_exporter_log_lines_dropped_total{{{_ITS}}}[$__rate_interval])",
            _WHO,
        ),
    )


def _cpu() -> Panel:
    used = _of_process("rate(process_cpu_seconds_total[$__rate_interval])")
    return panels.series(
        About(
            title="CPU",
            description="Share of one core that the exporter uses.",
            unit="percentunit",
            no_data="No exporter answers",
            width=6,
        ),
        Query(used, _WHO),
    )


def _memory() -> Panel:
    return panels.series(
        About(
            title="Memory",
            description="Resident memory of the exporter.",
            unit="bytes",
            no_data="No exporter answers",
            width=6,
        ),
        Query(_of_process("process_resident_memory_bytes"), _WHO),
    )


def _files() -> Panel:
    return panels.series(
        About(
            title="Open files",
            description="Open file descriptors of the exporter, and their limit.",
            no_data="No exporter answers",
            width=6,
        ),
        Query(_of_process("process_open_fds"), f"{_WHO} open"),
        Query(_of_process("process_max_fds"), f"{_WHO} limit"),
        bounds="limit$",
    )


def _versions() -> Panel:
    return panels.number(
        About(
            title="Started",
            description="When each exporter started, and its version.",
            unit="dateTimeFromNow",
            no_data="No exporter answers",
            width=6,
            height=8,
        ),
        Query(
            "1000 * process_start_time_seconds * on (cluster, instance, job) group_left (version)"
            f" topk by (cluster, instance, job) (1, {_INFO})",
            f"{_WHO} {{{{version}}}}",
        ),
    )
