"""The whole exposition of a small fleet, as files under ``tests/golden``.

``UPDATE_GOLDEN=1 pytest tests/metrics/test_golden.py`` writes them anew; the diff is for people.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from platform import python_version
from typing import get_args

import pytest
from support.client_parsers import parsed
from support.metrics import appeared, make_exposition, make_job, make_reading, text_of
from support.prometheus_tools import tool

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics, Exposition, catalog
from trainwave_exporter.model import (
    AccountStatus,
    Activity,
    BudgetStatus,
    Burn,
    ClampedDuration,
    ClockSkew,
    Corrections,
    Distribution,
    Exchange,
    Fact,
    Funds,
    Idleness,
    IllegalTransition,
    LedgerRun,
    LoopBegan,
    LoopRun,
    Metric,
    Organization,
    Plan,
    PlannedAge,
    Point,
    Project,
    ProjectTally,
    Quantity,
    RateLimit,
    ReadingReplaced,
    Readings,
    Record,
    Spend,
    UnknownFigure,
    UnknownState,
    Unreadable,
    Waste,
)

GOLDEN = {
    Format.TEXT: Path(__file__).parent.parent / "golden" / "metrics.txt",
    Format.OPENMETRICS: Path(__file__).parent.parent / "golden" / "metrics.openmetrics.txt",
}
GIB = 2.0**30
NOON = 1_760_000_000.0

TRAINING = make_job(
    account="vision",
    id="j-train",
    rid="brave-otter",
    name='train "large"',
    project_id="p-vision",
    project_name="Vision",
    organization_id="o-lab",
    owner="ada",
    gpu_type="H100",
    confirmed_at=NOON,
    gpus=2.0,
    cpu_cores=32.0,
    memory_limit_bytes=256 * GIB,
    disk_limit_bytes=1024 * GIB,
    gpu_memory_limit_bytes=80 * GIB,
    cost_dollars=25.5,
    hourly_cost_dollars=5.1,
    gpu_hours=10.0,
    created_at=NOON - 18_120,
    started_at=NOON - 18_000,
    expires_at=NOON + 3_600,
    readings=Readings(
        gpu_utilization=make_reading(
            Quantity.RATIO,
            Point(0.931, device="0"),
            Point(0.88, device="1"),
            at=NOON - 10,
        ),
        gpu_memory=make_reading(
            Quantity.BYTES,
            Point(60 * GIB, device="0"),
            Point(20 * GIB, device="1"),
            at=NOON - 11,
        ),
        cpu=make_reading(Quantity.RATIO, Point(0.42), at=NOON - 12),
        memory=make_reading(Quantity.RATIO, Point(0.25), at=NOON - 13),
        network=make_reading(
            Quantity.BYTES_PER_SECOND,
            Point(1.5e6, direction="rx"),
            Point(2.5e5, direction="tx"),
            at=NOON - 14,
        ),
        disk=make_reading(
            Quantity.BYTES_TOTAL,
            Point(9e12),
            rates=(Point(3e6),),
            at=NOON - 15.25,
        ),
    ),
)
PAUSED = make_job(
    account="vision", id="j-odd", state="PAUSED", project_id="p-vision", confirmed_at=NOON
)
FINISHED = [
    make_job(
        account="vision",
        id=f"j-done-{number}",
        state="SUCCESS",
        project_id="p-vision",
        organization_id="o-lab",
        confirmed_at=NOON,
        cost_dollars=12.25,
        gpus=1.0,
        finished_at=NOON - 7_200,
    )
    for number in range(4)
]
FLEET: tuple[Record, ...] = (
    AccountStatus(name="audio", view=""),
    AccountStatus(name="vision", up=True, confirmed_at=NOON, view="o-lab"),
    Organization(
        account="vision", id="o-lab", rid="lab", name="Lab", credit_balance_dollars=1234.56
    ),
    Project(account="vision", id="p-vision", rid="vision", name="Vision", organization_id="o-lab"),
    TRAINING,
    PAUSED,
    *FINISHED,
    ProjectTally(
        project_id="p-vision",
        jobs={"RUNNING": 1, "PAUSED": 1, "SUCCESS": 4},
        transitions={("LAUNCHING", "RUNNING"): 1, ("RUNNING", "SUCCESS"): 2},
        queue_duration=Distribution.empty((30.0, 300.0)).observe(120.0),
        run_duration={"SUCCESS": Distribution.empty((600.0, 3600.0)).observe(900.0).observe(4e3)},
    ),
    Spend(
        project_id="p-vision",
        owner="ada",
        gpu_type="H100",
        cost_dollars=1259.062501,
        gpu_hours=493.75,
        waste_dollars={Waste.GPU_IDLE: 12.75, Waste.STUCK_LAUNCHING: 0.425},
        activity_gpu_hours={Activity.IDLE: 5.0, Activity.BUSY: 480.5, Activity.UNKNOWN: 8.25},
    ),
    Spend(
        project_id="p-vision",
        owner="",
        gpu_type="",
        cost_dollars=49.0,
        gpu_hours=0.0,
        waste_dollars={Waste.BILLED_AFTER_FINISH: 0.000001},
        activity_gpu_hours={},
    ),
    Burn(project_id="p-vision", owner="ada", gpu_type="H100", dollars_per_hour=5.1),
    Corrections(up=3.5, down=0.25),
    BudgetStatus(
        name="research",
        limit_dollars=2500.0,
        spent_dollars=2480.0,
        accrued_dollars=1.275,
        forecast_dollars=2505.5,
        exhausted_at=NOON + 14_117.647,
        begins_at=NOON - 1_296_000,
        ends_at=NOON + 1_296_000,
    ),
    BudgetStatus(
        name="spare",
        limit_dollars=100.0,
        spent_dollars=None,
        spent_lower_dollars=12.5,
        spent_upper_dollars=20.25,
        accrued_dollars=0.0,
        forecast_dollars=None,
        forecast_lower_dollars=12.5,
        forecast_upper_dollars=None,
        exhausted_at=None,
        begins_at=NOON - 43_200,
        ends_at=NOON + 43_200,
    ),
    Funds(organization_id="o-lab", exhausted_at=NOON + 871_454.118, difference_dollars=-0.02),
    Funds(organization_id="o-new", exhausted_at=None, difference_dollars=None),
    UnknownFigure(figure="budget", name="spare", reason="history_incomplete"),
    UnknownFigure(figure="scope", name="budgets[x].projects: y", reason="scope_matches_nothing"),
    Idleness(
        job_id="j-train",
        idle_since=None,
        gpu_hours=1.5,
        waste_dollars={Waste.STUCK_LAUNCHING: 2.25, Waste.GPU_IDLE: 6.0},
    ),
    Idleness(job_id="j-odd", idle_since=NOON - 1_800, gpu_hours=0.5),
    *[
        Idleness(
            job_id=job.id,
            idle_since=None,
            gpu_hours=0.125,
            waste_dollars={Waste.BILLED_AFTER_FINISH: 0.5, Waste.GPU_IDLE: 0.25},
        )
        for job in FINISHED
    ],
)
FACTS: tuple[Fact, ...] = (
    Exchange(account="vision", endpoint="jobs", outcome="ok", seconds=0.2),
    Exchange(account="audio", endpoint="jobs", outcome="unauthorized", seconds=0.05),
    RateLimit(account="vision", limit=100, allowance=80, remaining=None, used=7, blocked_until=0.0),
    LoopBegan("vision", "running", NOON - 0.5),
    LoopRun(account="vision", loop="running", succeeded=True, seconds=0.5, finished_at=NOON),
    LoopRun(account="audio", loop="running", succeeded=False, seconds=0.1, finished_at=NOON),
    Plan(
        account="vision",
        planned=66.0,
        used=61,
        deferred=534.0,
        requests_per_minute=66.0,
        round_seconds=545.5,
        longest_age_seconds=3636.4,
        ages={Metric.GPU_UTILIZATION: PlannedAge(present=62.5, doubled=37.5)},
        expected_age_seconds=400.0,
        expected_age_doubled_seconds=180.0,
    ),
    ReadingReplaced(account="vision", metric=Metric.GPU_UTILIZATION, age=95.0),
    Unreadable(account="vision", subject="cost", reason="not_a_number"),
    UnknownState("vision", "PAUSED"),
    IllegalTransition("vision", "SUCCESS", "RUNNING"),
    ClampedDuration("vision", "queue"),
    ClockSkew("vision", 0.75),
    LedgerRun(succeeded=True, seconds=0.025, finished_at=NOON, waiting=0, size_bytes=1_048_576),
)


@pytest.fixture
def exposition() -> Exposition:
    """Return what the fleet looks like with room for three jobs, without what varies by host."""
    telemetry = ExporterMetrics(version="0.0.0")
    telemetry.config_loaded(succeeded=True, at=NOON)
    telemetry.web_config_loaded(succeeded=True, at=NOON)
    telemetry.refused("credentials")
    telemetry.scraped(Format.TEXT, 0.004)
    for fact in FACTS:
        telemetry.observe(fact)
    exposition = make_exposition(deny=["process_*", "python_info"], max_jobs=3, telemetry=telemetry)
    exposition.apply(appeared(*FLEET))
    return exposition


@pytest.mark.parametrize("form", Format)
def test_the_exposition_is_the_golden_one(exposition: Exposition, form: Format) -> None:
    body = text_of(exposition, form).replace(f'"{python_version()}"', '"3.x"')
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN[form].write_text(body)
    assert body == GOLDEN[form].read_text()


@pytest.mark.parametrize("form", Format)
def test_the_golden_exposition_parses(form: Format) -> None:
    assert parsed(GOLDEN[form].read_text(), form)


def test_the_golden_exposition_shows_every_metric_but_those_of_the_process() -> None:
    body = GOLDEN[Format.TEXT].read_text()
    missing = {row.name for row in catalog() if f"# TYPE {row.name} " not in body}
    assert {name for name in missing if not name.startswith(("process_", "python_"))} == set()


def test_the_golden_exposition_is_of_every_kind_of_record_and_fact() -> None:
    assert {type(record) for record in FLEET} == {*get_args(Record)}
    assert {type(fact) for fact in FACTS} == {*get_args(Fact)}


def test_promtool_has_no_advice_but_on_the_unit_of_gpu_hours() -> None:
    checked = subprocess.run(
        [tool("sid", "promtool"), "check", "metrics"],
        input=GOLDEN[Format.TEXT].read_bytes(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert checked.stderr.decode().splitlines() == [
        f'{name} use base unit "seconds" instead of "hours"'
        for name in (
            "trainwave_job_gpu_hours",
            "trainwave_job_idle_gpu_hours",
            "trainwave_project_activity_gpu_hours_total",
            "trainwave_project_gpu_hours_total",
        )
    ]
