from __future__ import annotations

import pytest
from support.metrics import series_of_record

from trainwave_exporter.model import (
    KNOWN_STATES,
    AccountStatus,
    Distribution,
    Organization,
    Project,
    ProjectTally,
)


@pytest.mark.parametrize(("up", "value"), [(True, "1"), (False, "0")])
def test_an_account_is_up_or_it_is_not(up: bool, value: str) -> None:
    account = AccountStatus(name="main", up=up)
    assert series_of_record(account, "trainwave_up") == {'trainwave_up{account="main"}': value}


def test_an_account_reports_what_its_key_sees_once_that_is_known() -> None:
    seen = AccountStatus(name="main", up=True, view="o-1,o-2")
    assert series_of_record(seen, "trainwave_up") == {
        'trainwave_up{account="main",view="o-1,o-2"}': "1"
    }
    unknown = AccountStatus(name="main", up=True, view="")
    assert series_of_record(unknown, "trainwave_up") == {'trainwave_up{account="main"}': "1"}


def test_an_account_reports_when_it_last_answered_if_ever() -> None:
    name = "trainwave_account_last_success_timestamp_seconds"
    assert series_of_record(AccountStatus(name="main"), name) == {}
    assert series_of_record(AccountStatus(name="main", confirmed_at=5.5), name) == {
        f'{name}{{account="main"}}': "5.5"
    }


def test_a_project_is_described_by_one_series() -> None:
    project = Project(account="main", id="p-1", name="vision", organization_id="o-1")
    assert series_of_record(project, "trainwave_project_info") == {
        'trainwave_project_info{project_id="p-1",project_rid="",project_name="vision",'
        'organization_id="o-1",account="main"}': "1"
    }
    unknown = Project(account="main", id="p-2", rid="blue-owl")
    assert series_of_record(unknown, "trainwave_project_info") == {
        'trainwave_project_info{project_id="p-2",project_rid="blue-owl",project_name="",'
        'organization_id="",account="main"}': "1"
    }


def test_an_organization_is_described_and_reports_its_credit_where_known() -> None:
    poor = Organization(account="main", id="o-1", credit_balance_dollars=-2.5)
    assert series_of_record(poor, "trainwave_organization") == {
        'trainwave_organization_info{organization_id="o-1",organization_rid="",'
        'organization_name="",account="main"}': "1",
        'trainwave_organization_credit_balance_dollars{organization_id="o-1"}': "-2.5",
    }
    silent = Organization(account="main", id="o-2", rid="sky", name="Sky")
    assert series_of_record(silent, "trainwave_organization") == {
        'trainwave_organization_info{organization_id="o-2",organization_rid="sky",'
        'organization_name="Sky",account="main"}': "1"
    }


def test_jobs_are_counted_in_every_known_state_and_in_those_that_are_not() -> None:
    tally = ProjectTally(project_id="p-1", jobs={"RUNNING": 3, "Paused": 1})
    counts = dict.fromkeys(KNOWN_STATES, "0") | {"RUNNING": "3", "Paused": "1"}
    assert series_of_record(tally, "trainwave_jobs") == {
        f'trainwave_jobs{{project_id="p-1",state="{state}"}}': count
        for state, count in counts.items()
    }


def test_jobs_that_nobody_can_count_now_are_not_counted_as_none() -> None:
    assert series_of_record(ProjectTally(project_id="p-1", jobs=None), "trainwave_jobs") == {}


def test_transitions_are_counted_by_both_states() -> None:
    tally = ProjectTally(project_id="p-1", transitions={("LAUNCHING", "RUNNING"): 4})
    assert series_of_record(tally, "trainwave_job_state_transitions") == {
        'trainwave_job_state_transitions_total{project_id="p-1",from_state="LAUNCHING",'
        'to_state="RUNNING"}': "4"
    }


def test_durations_are_histograms_and_the_run_s_by_final_state() -> None:
    seen = Distribution.empty((60.0,)).observe(30.0)
    tally = ProjectTally(project_id="p-1", queue_duration=seen, run_duration={"SUCCESS": seen})
    queue, run = "trainwave_job_queue_duration_seconds", "trainwave_job_run_duration_seconds"
    assert series_of_record(tally, queue) == {
        f'{queue}_bucket{{project_id="p-1",le="60.0"}}': "1",
        f'{queue}_bucket{{project_id="p-1",le="+Inf"}}': "1",
        f'{queue}_sum{{project_id="p-1"}}': "30",
        f'{queue}_count{{project_id="p-1"}}': "1",
    }
    assert series_of_record(tally, run) == {
        f'{run}_bucket{{project_id="p-1",state="SUCCESS",le="60.0"}}': "1",
        f'{run}_bucket{{project_id="p-1",state="SUCCESS",le="+Inf"}}': "1",
        f'{run}_sum{{project_id="p-1",state="SUCCESS"}}': "30",
        f'{run}_count{{project_id="p-1",state="SUCCESS"}}': "1",
    }


def test_durations_not_seen_yet_have_no_series() -> None:
    tally = ProjectTally(project_id="p-1")
    assert series_of_record(tally, "trainwave_job") == {}
