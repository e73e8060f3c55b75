from __future__ import annotations

import pytest
from support.metrics import IDENTITY, make_job, series_of_record

from trainwave_exporter.model import KNOWN_STATES, Job


def test_info_describes_the_job_and_leaves_empty_what_is_not_known() -> None:
    job = make_job(rid="red-fox", name="train", owner="ada")
    assert series_of_record(job, "trainwave_job_info") == {
        f'trainwave_job_info{{{IDENTITY},job_rid="red-fox",job_name="train",project_name="",'
        'owner="ada",gpu_type=""}': "1"
    }


def test_the_organization_is_an_identity_label_where_the_job_reports_it() -> None:
    job = make_job(organization_id="o-1", gpus=2.0)
    assert series_of_record(job, "trainwave_job_gpus") == {
        f'trainwave_job_gpus{{organization_id="o-1",{IDENTITY}}}': "2"
    }


def test_every_known_state_has_a_series_and_only_the_present_one_is_1() -> None:
    states = series_of_record(make_job(state="LAUNCHING"), "trainwave_job_state")
    assert states == {
        f'trainwave_job_state{{{IDENTITY},state="{state}"}}': "1" if state == "LAUNCHING" else "0"
        for state in KNOWN_STATES
    }


def test_an_unknown_state_appears_beside_the_known_ones_as_the_api_spells_it() -> None:
    states = series_of_record(make_job(state="Paused"), "trainwave_job_state")
    assert len(states) == len(KNOWN_STATES) + 1
    assert [series for series, value in states.items() if value == "1"] == [
        f'trainwave_job_state{{{IDENTITY},state="Paused"}}'
    ]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("cost_dollars", "trainwave_job_cost_dollars"),
        ("hourly_cost_dollars", "trainwave_job_hourly_cost_dollars"),
        ("gpu_hours", "trainwave_job_gpu_hours"),
        ("gpus", "trainwave_job_gpus"),
        ("cpu_cores", "trainwave_job_cpu_cores"),
        ("memory_limit_bytes", "trainwave_job_memory_limit_bytes"),
        ("disk_limit_bytes", "trainwave_job_disk_limit_bytes"),
        ("created_at", "trainwave_job_created_timestamp_seconds"),
        ("started_at", "trainwave_job_started_timestamp_seconds"),
        ("finished_at", "trainwave_job_finished_timestamp_seconds"),
        ("expires_at", "trainwave_job_expires_timestamp_seconds"),
    ],
)
def test_a_fact_of_the_job_is_one_series_zero_included_and_none_where_not_reported(
    field: str, name: str
) -> None:
    assert series_of_record(make_job(**{field: 12.5}), f"{name}{{") == {
        f"{name}{{{IDENTITY}}}": "12.5"
    }
    assert series_of_record(make_job(**{field: 0.0}), f"{name}{{") == {f"{name}{{{IDENTITY}}}": "0"}
    assert series_of_record(make_job(), f"{name}{{") == {}


def test_a_job_of_which_little_is_known_has_no_other_series() -> None:
    job: Job = make_job()
    names = {series.split("{")[0] for series in series_of_record(job, "trainwave_job_")}
    assert names == {
        "trainwave_job_info",
        "trainwave_job_state",
        "trainwave_job_readings_timestamp_seconds",
    }
