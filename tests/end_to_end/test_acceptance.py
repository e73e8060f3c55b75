"""Every number, checked against an API that others wrote from the vendor's documents alone."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from support.exporter import AT_ONCE_SECONDS, Exporter, Metrics
from support.prometheus_tools import SUITES, tool
from support.second_opinion import Deployed, JobTruth, SecondOpinion

KEY = "k-second-opinion-0123456789"
LONG = "87600h"
"""The second opinion's jobs are years old; their retention is not what is tested here."""
UNFINISHED = {"SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING"}


@pytest.fixture(scope="module", params=["documented", "deployed"])
def api(request: pytest.FixtureRequest) -> Iterator[SecondOpinion]:
    with SecondOpinion(dialect=request.param, key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def exporter(api: SecondOpinion) -> Iterator[Exporter]:
    flags = (f"--trainwave.api-url={api.url}", f"--fleet.finished-retention={LONG}")
    with Exporter(*flags, env={"TRAINWAVE_API_KEY": KEY}) as running:
        yield running


@pytest.fixture(scope="module")
def metrics(api: SecondOpinion, exporter: Exporter) -> Metrics:
    """A scrape that has all there is: every list, every detail, every reading."""
    # In the deployed dialect the list tells as much as the details.
    details = 0 if isinstance(api.dialect, Deployed) else len(api.truth)
    wanted = sum(len(job.samples) for job in api.truth if job.state == "RUNNING")

    def complete(scrape: Metrics) -> bool:
        readings = scrape.all("trainwave_job_readings_timestamp_seconds")
        read = [labels for labels, _ in readings if labels["metric"] != "job"]
        requests = scrape.all("trainwave_exporter_api_requests_total", operation="job")
        asked = sum(value for _, value in requests)
        return len(read) >= wanted and asked >= details

    return exporter.wait(complete, "all readings and details", 60)


def truth(api: SecondOpinion) -> dict[str, JobTruth]:
    return {job.id: job for job in api.truth}


def test_every_job_is_there_in_its_state(api: SecondOpinion, metrics: Metrics) -> None:
    on = {
        labels["job_id"]: labels["state"]
        for labels, value in metrics.all("trainwave_job_state")
        if value == 1
    }
    assert on == {job.id: job.state for job in api.truth}


def test_jobs_are_counted_by_project_and_state(api: SecondOpinion, metrics: Metrics) -> None:
    expected = Counter((job.project_id, job.state) for job in api.truth)
    counted = {
        (labels["project_id"], labels["state"]): value
        for labels, value in metrics.all("trainwave_jobs")
        if value
    }
    assert counted == expected


def test_every_cost_is_in_dollars(api: SecondOpinion, metrics: Metrics) -> None:
    assert metrics.by("job_id", "trainwave_job_cost_dollars") == pytest.approx(
        {job.id: job.cost_dollars for job in api.truth}
    )


def test_every_price_is_in_dollars_and_a_missing_one_is_missing(
    api: SecondOpinion, metrics: Metrics
) -> None:
    assert metrics.by("job_id", "trainwave_job_hourly_cost_dollars") == pytest.approx(
        {
            job.id: job.hourly_cost_dollars
            for job in api.truth
            if job.hourly_cost_dollars is not None
        }
    )


def test_gpu_hours_are_those_that_the_api_reports(api: SecondOpinion, metrics: Metrics) -> None:
    told = {job.id: job.gpu_hours for job in api.truth if job.gpu_hours is not None}
    shown = metrics.by("job_id", "trainwave_job_gpu_hours")
    assert {job_id: shown.get(job_id) for job_id in told} == pytest.approx(told)


def test_gpu_hours_that_it_does_not_report_follow_the_bill(
    api: SecondOpinion, metrics: Metrics
) -> None:
    shown = metrics.by("job_id", "trainwave_job_gpu_hours")
    for job in api.truth:
        if job.gpu_hours is None and job.hourly_cost_dollars and job.started_at is None:
            expected = job.gpus * job.cost_dollars / job.hourly_cost_dollars
            assert shown[job.id] == pytest.approx(expected)


def test_allocations_are_right(api: SecondOpinion, metrics: Metrics) -> None:
    assert metrics.by("job_id", "trainwave_job_gpus") == {job.id: job.gpus for job in api.truth}


def test_utilization_is_a_ratio(api: SecondOpinion, metrics: Metrics) -> None:
    for job in api.truth:
        if job.state != "RUNNING" or "gpu_utilization" not in job.samples:
            continue
        found = metrics.all("trainwave_job_gpu_utilization_ratio", job_id=job.id)
        shown = {labels.get("gpu", ""): value for labels, value in found}
        if set(shown) == {""} and job.gpu_utilization_ratio is not None:
            assert shown[""] == pytest.approx(job.gpu_utilization_ratio)  # the list brings it
        else:
            assert shown == pytest.approx(dict(job.samples["gpu_utilization"]))


def test_memory_and_transfers_are_in_bytes(api: SecondOpinion, metrics: Metrics) -> None:
    families = {
        "cpu": ("trainwave_job_cpu_utilization_ratio", "gpu"),
        "memory": ("trainwave_job_memory_used_bytes", "gpu"),
        "gpu_memory": ("trainwave_job_gpu_memory_used_bytes", "gpu"),
    }
    for job in api.truth:
        for metric, (family, label) in families.items():
            if job.state == "RUNNING" and metric in job.samples:
                found = metrics.all(family, job_id=job.id)
                shown = {labels.get(label, ""): value for labels, value in found}
                assert shown == pytest.approx(dict(job.samples[metric])), (job.id, metric)
        for metric in ("network", "disk"):
            if job.state == "RUNNING" and metric in job.samples:
                found = metrics.all(f"trainwave_job_{metric}_io_bytes_per_second", job_id=job.id)
                values = sorted(value for _, value in found)
                assert values == pytest.approx(sorted(job.samples[metric].values()))


def test_jobs_that_are_over_have_no_readings(api: SecondOpinion, metrics: Metrics) -> None:
    over = {job.id for job in api.truth if job.state not in UNFINISHED}
    assert over
    read = metrics.all("trainwave_job_gpu_utilization_ratio")
    assert not over & {labels["job_id"] for labels, _ in read}


def test_descriptions_are_kept_to_the_letter(api: SecondOpinion, metrics: Metrics) -> None:
    known = truth(api)
    infos = metrics.all("trainwave_job_info")
    assert len(infos) == len(known)
    for labels, value in infos:
        job = known[labels["job_id"]]
        assert value == 1
        assert labels["project_id"] == job.project_id
        # A control character is shown as it would be written.
        assert labels["job_name"] == (job.name or "").strip().replace("\n", "\\n")
        assert labels["gpu_type"] == job.gpu_type
        assert labels["owner"] == (job.owner or "")


@pytest.mark.parametrize("moment", ["created", "started", "finished", "expires"])
def test_times_are_unix_seconds(api: SecondOpinion, metrics: Metrics, moment: str) -> None:
    told = {job.id: getattr(job, f"{moment}_at") for job in api.truth}
    assert metrics.by("job_id", f"trainwave_job_{moment}_timestamp_seconds") == {
        job_id: at for job_id, at in told.items() if at is not None
    }


def test_credit_balances_are_in_dollars(api: SecondOpinion, metrics: Metrics) -> None:
    shown = metrics.by("organization_id", "trainwave_organization_credit_balance_dollars")
    assert shown == pytest.approx(api.balances)


def test_it_says_that_it_is_well(api: SecondOpinion, metrics: Metrics) -> None:
    assert metrics.get("trainwave_up", account="default") == 1
    assert metrics.all("trainwave_exporter_unknown_states_total") == []
    outcomes = {
        labels["outcome"] for labels, n in metrics.all("trainwave_exporter_api_requests_total") if n
    }
    assert outcomes <= {"ok", "not_found"}, outcomes
    assert api.keys_seen == {KEY}


@pytest.mark.usefixtures("metrics")
def test_it_changes_nothing(api: SecondOpinion) -> None:
    assert {method for method, _ in api.requests} == {"GET"}


@pytest.mark.parametrize("suite", SUITES)
def test_promtool_advises_on_nothing_but_the_gpu_hour(metrics: Metrics, suite: str) -> None:
    checked = subprocess.run(
        [tool(suite, "promtool"), "check", "metrics"],
        input=metrics.text,
        capture_output=True,
        text=True,
        check=False,
    )
    advice = (checked.stdout + checked.stderr).strip().splitlines()
    about_hours = re.compile(
        r'trainwave_\w*gpu_hours\w* use base unit "seconds" instead of "hours"'
    )
    assert advice
    assert [line for line in advice if not about_hours.fullmatch(line)] == []


def test_the_key_is_nowhere_to_be_seen(exporter: Exporter, metrics: Metrics) -> None:
    pages = [exporter.get(path)[1] for path in ("/", "/-/ready", "/-/healthy", "/nowhere")]
    for text in (metrics.text, *pages, "".join(exporter.raw_log)):
        assert KEY not in text


@pytest.mark.usefixtures("metrics")
def test_it_goes_at_once_when_asked(exporter: Exporter) -> None:
    """Last of all: it ends the exporter."""
    code, seconds = exporter.terminate()
    assert code == 0
    assert seconds < AT_ONCE_SECONDS
