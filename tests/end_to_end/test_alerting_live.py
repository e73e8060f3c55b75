"""The way of an alert: from a job whose GPUs idle to whoever is told, and what is left unsaid."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.alertmanager import state_of
from support.exporter import wait_for
from support.prometheus_tools import SUITES
from support.scraping import query
from support.stack import IDLE_SECONDS, Stack, stack
from support.webhook import Told

from grafana import uids
from trainwave_exporter.simulator import SimulatedDialect
from trainwave_exporter.simulator.jobs import SimulatedJob

HOURLY_DOLLARS = 22.464
"""Price of the dearest job that idles."""
CRITICAL_SECONDS = 40
"""A job is critical that has lost as much as that one does in so long: a ninetieth of it, $0.25.

So the warning comes first; the next dearest is critical only after five minutes.
"""
CRITICAL_DOLLARS = HOURLY_DOLLARS * CRITICAL_SECONDS / 3600
WARNING, CRITICAL, DOWN = (
    "TrainwaveJobGpuIdle",
    "TrainwaveJobGpuIdleCostly",
    "TrainwaveExporterDown",
)
ON_THE_WAY_SECONDS = 30
"""At most from the moment at which an alert is due until somebody is told.

A reading, a scrape, a judgement and the wait of a group take a second or two each; the rest is for
machines that have other things to do.
"""
REPEATS = 3
"""So often all that fires is told again before what is not told counts as left unsaid."""


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("suite", SUITES)
def test_whoever_has_to_act_is_notified_and_nobody_of_what_goes_without_saying(
    suite: str, tmp_path: Path
) -> None:
    # The dialect that tells whose a job is.
    with stack(
        suite, tmp_path, dialect=SimulatedDialect.DOCUMENTED, critical_dollars=CRITICAL_DOLLARS
    ) as running:
        job = max(running.idle_jobs(), key=lambda job: job.price)
        warning = first(running, WARNING, job)
        check_warning(running, job, warning)
        assert running.webhook.of(CRITICAL) == []

        # It idles on, until it has lost too much.
        assert job.order.offer.hourly_dollars == pytest.approx(HOURLY_DOLLARS)
        critical_at = idle_since(running, job) + CRITICAL_SECONDS
        critical = first(running, CRITICAL, job)
        assert critical_at <= critical.at < critical_at + ON_THE_WAY_SECONDS
        assert (critical.receiver, critical.labels["severity"]) == ("owners", "critical")
        assert critical.labels["concern"] == warning.labels["concern"]
        check_unsaid(running, warning, because_of=CRITICAL)

        running.exporter.process.kill()
        killed_at = time.time()
        down = wait_for(lambda: running.webhook.of(DOWN), "the exporter to be missed")[0]
        assert down.at - killed_at < ON_THE_WAY_SECONDS
        assert (down.receiver, down.labels["severity"]) == ("on-call", "critical")
        assert down.annotations["dashboard_url"].endswith(f"/d/{uids.EXPORTER}")
        # They fire still: that nothing is seen of a job does not mean that all is well with it.
        for told in (critical, warning):
            check_unsaid(running, told, because_of=DOWN)


def first(running: Stack, name: str, job: SimulatedJob) -> Told:
    """Wait for an alert on a job, and return its first notification."""
    told = wait_for(
        lambda: running.webhook.of(name, job_id=running.id(job)), f"{name} to be told", 90
    )
    return told[0]


def idle_since(running: Stack, job: SimulatedJob) -> float:
    """Return since when a job is seen to idle."""
    [sample] = query(running.prometheus, since(running, job))
    return float(sample["value"][1])


def since(running: Stack, job: SimulatedJob) -> str:
    return f'trainwave_job_idle_since_timestamp_seconds{{job_id="{running.id(job)}"}}'


def check_warning(running: Stack, job: SimulatedJob, told: Told) -> None:
    """Assert that a warning came in time, and that it says what its owner has to know."""
    first_seen = f"min_over_time(timestamp({since(running, job)})[10m:1s])"
    [seen_at] = query(running.prometheus, first_seen)
    due = max(idle_since(running, job) + IDLE_SECONDS, float(seen_at["value"][1]))
    assert told.at - due < ON_THE_WAY_SECONDS

    order = job.order
    project = running.id(order.project)
    assert told.receiver == "owners"
    assert told.labels.items() >= {
        ("severity", "warning"),
        ("concern", "gpu_idle"),
        ("account", "northwind"),
        ("project_id", project),
        ("project_name", order.project.name),
        ("job_name", order.name),
        ("owner", order.owner.username),
        ("gpu_type", order.offer.gpu_type),
    }
    texts = told.annotations
    for part in (order.name, order.owner.username, order.project.name):
        assert part in texts["summary"]
    assert f"costs ${order.offer.hourly_dollars:.2f} an hour" in texts["description"]
    assert (
        f"/d/{uids.JOB}?var-project={project}&var-job={running.id(job)}" in texts["dashboard_url"]
    )
    assert texts["runbook_url"].endswith(f"#{WARNING.lower()}")
    assert "no value" not in " ".join(texts.values())


def check_unsaid(running: Stack, told: Told, because_of: str) -> None:
    """Assert that an alert fires still, and is not told again although another one is."""
    wait_for(
        lambda: state_of(running.alertmanager, told.labels) == "suppressed",
        f"{told.name} to be silenced by {because_of}",
    )
    since = time.time()
    wait_for(
        lambda: len(running.webhook.of(because_of, since)) >= REPEATS, f"{because_of} to be told"
    )
    assert running.webhook.of(told.name, since, job_id=told.labels["job_id"]) == []
