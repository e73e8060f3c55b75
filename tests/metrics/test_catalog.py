"""The metric contract, written out by hand: what dashboards, rules and operators rely on."""

from __future__ import annotations

import pytest

from trainwave_exporter.metrics import Selection, catalog

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"
JOB = "organization_id project_id job_id"
SPENDER = "project_id owner gpu_type"
OWN = "trainwave_exporter_"

CONTRACT = {
    "trainwave_job_info": (GAUGE, f"{JOB} job_rid job_name project_name owner gpu_type", ""),
    "trainwave_job_state": (GAUGE, f"{JOB} state", ""),
    "trainwave_job_cost_dollars": (GAUGE, JOB, "dollars"),
    "trainwave_job_hourly_cost_dollars": (GAUGE, JOB, "dollars"),
    "trainwave_job_gpu_hours": (GAUGE, JOB, "hours"),
    "trainwave_job_gpus": (GAUGE, JOB, ""),
    "trainwave_job_cpu_cores": (GAUGE, JOB, ""),
    "trainwave_job_memory_limit_bytes": (GAUGE, JOB, "bytes"),
    "trainwave_job_disk_limit_bytes": (GAUGE, JOB, "bytes"),
    "trainwave_job_gpu_utilization_ratio": (GAUGE, f"{JOB} gpu", "ratio"),
    "trainwave_job_cpu_utilization_ratio": (GAUGE, f"{JOB} gpu", "ratio"),
    "trainwave_job_memory_used_bytes": (GAUGE, f"{JOB} gpu", "bytes"),
    "trainwave_job_memory_utilization_ratio": (GAUGE, f"{JOB} gpu", "ratio"),
    "trainwave_job_gpu_memory_used_bytes": (GAUGE, f"{JOB} gpu", "bytes"),
    "trainwave_job_gpu_memory_utilization_ratio": (GAUGE, f"{JOB} gpu", "ratio"),
    "trainwave_job_network_io_bytes_per_second": (GAUGE, f"{JOB} direction", "bytes_per_second"),
    "trainwave_job_disk_io_bytes_per_second": (GAUGE, f"{JOB} direction", "bytes_per_second"),
    "trainwave_job_created_timestamp_seconds": (GAUGE, JOB, "seconds"),
    "trainwave_job_started_timestamp_seconds": (GAUGE, JOB, "seconds"),
    "trainwave_job_finished_timestamp_seconds": (GAUGE, JOB, "seconds"),
    "trainwave_job_expires_timestamp_seconds": (GAUGE, JOB, "seconds"),
    "trainwave_job_readings_timestamp_seconds": (GAUGE, f"{JOB} metric", "seconds"),
    "trainwave_job_idle_since_timestamp_seconds": (GAUGE, JOB, "seconds"),
    "trainwave_job_waste_dollars": (GAUGE, f"{JOB} reason", "dollars"),
    "trainwave_job_idle_gpu_hours": (GAUGE, JOB, "hours"),
    "trainwave_jobs": (GAUGE, "project_id state", ""),
    "trainwave_job_state_transitions_total": (COUNTER, "project_id from_state to_state", ""),
    "trainwave_job_queue_duration_seconds": (HISTOGRAM, "project_id", "seconds"),
    "trainwave_job_run_duration_seconds": (HISTOGRAM, "project_id state", "seconds"),
    "trainwave_project_info": (
        GAUGE,
        "project_id project_rid project_name organization_id account",
        "",
    ),
    "trainwave_organization_info": (
        GAUGE,
        "organization_id organization_rid organization_name account",
        "",
    ),
    "trainwave_organization_credit_balance_dollars": (GAUGE, "organization_id", "dollars"),
    "trainwave_organization_credit_exhaustion_timestamp_seconds": (
        GAUGE,
        "organization_id",
        "seconds",
    ),
    "trainwave_reconciliation_difference_dollars": (GAUGE, "organization_id", "dollars"),
    "trainwave_project_cost_dollars_total": (COUNTER, SPENDER, "dollars"),
    "trainwave_project_gpu_hours_total": (COUNTER, SPENDER, "hours"),
    "trainwave_project_activity_gpu_hours_total": (COUNTER, f"{SPENDER} activity", "hours"),
    "trainwave_waste_dollars_total": (COUNTER, f"{SPENDER} reason", "dollars"),
    "trainwave_burn_dollars_per_hour": (GAUGE, SPENDER, "dollars_per_hour"),
    "trainwave_cost_corrections_dollars_total": (COUNTER, "direction", "dollars"),
    "trainwave_budget_limit_dollars": (GAUGE, "budget view", "dollars"),
    "trainwave_budget_spent_dollars": (GAUGE, "budget view", "dollars"),
    "trainwave_budget_spent_bound_dollars": (GAUGE, "budget view bound", "dollars"),
    "trainwave_budget_accrued_dollars": (GAUGE, "budget view", "dollars"),
    "trainwave_budget_forecast_dollars": (GAUGE, "budget view", "dollars"),
    "trainwave_budget_forecast_bound_dollars": (GAUGE, "budget view bound", "dollars"),
    "trainwave_figure_unknown": (GAUGE, "figure name reason", ""),
    "trainwave_budget_exhaustion_timestamp_seconds": (GAUGE, "budget view", "seconds"),
    "trainwave_budget_period_start_timestamp_seconds": (GAUGE, "budget view", "seconds"),
    "trainwave_budget_period_end_timestamp_seconds": (GAUGE, "budget view", "seconds"),
    "trainwave_up": (GAUGE, "account view", ""),
    "trainwave_account_last_success_timestamp_seconds": (GAUGE, "account view", "seconds"),
    f"{OWN}build_info": (GAUGE, "version python_version", ""),
    f"{OWN}api_requests_total": (COUNTER, "account operation endpoint outcome", ""),
    f"{OWN}api_request_duration_seconds": (HISTOGRAM, "account operation endpoint", "seconds"),
    f"{OWN}rate_limit_requests": (GAUGE, "account", ""),
    f"{OWN}rate_limit_allowance_requests": (GAUGE, "account", ""),
    f"{OWN}rate_limit_remaining_requests": (GAUGE, "account", ""),
    f"{OWN}rate_limit_used_requests": (GAUGE, "account", ""),
    f"{OWN}rate_limit_blocked_until_timestamp_seconds": (GAUGE, "account", "seconds"),
    f"{OWN}plan_requests": (GAUGE, "account outcome", ""),
    f"{OWN}readings_round_seconds": (GAUGE, "account", "seconds"),
    f"{OWN}readings_longest_age_seconds": (GAUGE, "account", "seconds"),
    f"{OWN}readings_expected_age_seconds": (GAUGE, "account metric limit", "seconds"),
    f"{OWN}reading_age_seconds": (HISTOGRAM, "account metric", "seconds"),
    f"{OWN}loop_runs_total": (COUNTER, "account loop outcome", ""),
    f"{OWN}loop_last_started_timestamp_seconds": (GAUGE, "account loop", "seconds"),
    f"{OWN}loop_last_finished_timestamp_seconds": (GAUGE, "account loop", "seconds"),
    f"{OWN}loop_last_success_timestamp_seconds": (GAUGE, "account loop", "seconds"),
    f"{OWN}loop_duration_seconds": (GAUGE, "account loop", "seconds"),
    f"{OWN}unreadable_total": (COUNTER, "account subject reason", ""),
    f"{OWN}unknown_states_total": (COUNTER, "account state", ""),
    f"{OWN}illegal_transitions_total": (COUNTER, "account from_state to_state", ""),
    f"{OWN}clamped_durations_total": (COUNTER, "account duration", ""),
    f"{OWN}clock_skew_seconds": (GAUGE, "account", "seconds"),
    f"{OWN}scrape_duration_seconds": (HISTOGRAM, "format", "seconds"),
    f"{OWN}jobs_folded": (GAUGE, "", ""),
    f"{OWN}series_cap_reached": (GAUGE, "kind", ""),
    f"{OWN}job_series_limit": (GAUGE, "", ""),
    f"{OWN}ledger_writes_total": (COUNTER, "outcome", ""),
    f"{OWN}ledger_last_success_timestamp_seconds": (GAUGE, "", "seconds"),
    f"{OWN}ledger_write_duration_seconds": (GAUGE, "", "seconds"),
    f"{OWN}ledger_waiting_jobs": (GAUGE, "", ""),
    f"{OWN}ledger_size_bytes": (GAUGE, "", "bytes"),
    f"{OWN}ledger_lost": (GAUGE, "", ""),
    f"{OWN}config_last_reload_successful": (GAUGE, "", ""),
    f"{OWN}config_last_reload_success_timestamp_seconds": (GAUGE, "", "seconds"),
    f"{OWN}web_config_last_reload_successful": (GAUGE, "", ""),
    f"{OWN}web_config_last_reload_success_timestamp_seconds": (GAUGE, "", "seconds"),
    f"{OWN}web_requests_refused_total": (COUNTER, "reason", ""),
    f"{OWN}web_connections_dropped_total": (COUNTER, "reason", ""),
    f"{OWN}log_lines_dropped_total": (COUNTER, "", ""),
}

STANDARD = {
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "python_info",
}
"""What client libraries tell of every process."""


def test_the_metric_table_is_the_contract() -> None:
    table = {row.name: (row.type, " ".join(row.labels), row.unit) for row in catalog()}
    assert {name: row for name, row in table.items() if name not in STANDARD} == CONTRACT
    assert table.keys() - CONTRACT.keys() == STANDARD


def test_the_metric_table_is_in_order_and_names_no_metric_twice() -> None:
    names = [row.name for row in catalog()]
    assert names == sorted(set(names))


def test_every_metric_says_what_it_is_in_a_sentence() -> None:
    for row in catalog():
        assert row.help[0].isupper() or row.help[0].isdigit(), row.name
        assert row.help.endswith(".") or row.name == "python_info", row.name


def test_without_lists_every_metric_is_kept() -> None:
    assert all(Selection().keeps(row.name) for row in catalog())


@pytest.mark.parametrize(
    ("allow", "deny", "kept"),
    [
        ((), ("trainwave_*",), {*STANDARD}),
        (("trainwave_job_gpu*",), (), {n for n in CONTRACT if n.startswith("trainwave_job_gpu")}),
        (
            ("trainwave_*_info", "trainwave_jobs"),
            ("*organization*",),
            {"trainwave_job_info", "trainwave_project_info", "trainwave_jobs"},
        ),
        (("trainwave_jobs",), ("trainwave_jobs",), set()),
        (
            ("trainwave_jobs",),
            ("trainwave_up", "trainwave_exporter_build_info"),
            {"trainwave_jobs"},
        ),
    ],
)
def test_what_is_allowed_and_not_denied_is_kept_and_the_indispensable_always(
    allow: tuple[str, ...], deny: tuple[str, ...], kept: set[str]
) -> None:
    selection = Selection(allow=allow, deny=deny)
    assert {row.name for row in catalog() if selection.keeps(row.name)} == kept | {
        "trainwave_up",
        "trainwave_exporter_build_info",
    }


@pytest.mark.parametrize("pattern", ["trainwave_job_costs", "", "TRAINWAVE_UP", "trainwave_job"])
def test_a_pattern_that_fits_no_metric_is_an_error_that_names_it(pattern: str) -> None:
    for selection in ({"allow": [pattern]}, {"deny": ["trainwave_*", pattern]}):
        with pytest.raises(ValueError, match=f'^no metric is called "{pattern}"$'):
            Selection(**selection)
