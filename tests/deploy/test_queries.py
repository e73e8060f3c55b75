"""Every query of the rules, against what the exporter declares to expose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from support.documentation import DOCS
from support.promql import (
    TARGET,
    Checker,
    Schema,
    exposed,
    labels_of_template,
    lookups_of_template,
    recorded,
    without_label,
)
from support.rules import ALERTS, RECORDS, known_series

from deploy.prometheus.exporter import CLASHING
from deploy.prometheus.money import REASONS
from deploy.prometheus.rule import Alert
from grafana.build import dashboards, files
from trainwave_exporter.landing import unknown_figures as unknown
from trainwave_exporter.metrics import catalog

CONSTANT = {"project:trainwave_info:one"}
"""It looks at a counter to see for which projects there is one, and takes it zero times."""


def texts(alert: Alert) -> tuple[str, ...]:
    return alert.summary, alert.description, alert.dashboard, *alert.labels.values()


def checked(alert: Alert, schema: Schema) -> Checker:
    """Return a checker that has seen an alert's query and its texts."""
    checker = Checker(schema)
    shape = checker.check(alert.expr)
    for text in texts(alert):
        # Only labels of the query are known to texts, not those that the rule adds.
        checker.named(labels_of_template(text), shape, alert.alert)
        lookups, complaints = lookups_of_template(text)
        checker.complaints += complaints
        for query, told in lookups:
            checker.named(told, checker.check(query), query)
    return checker


def all_complaints(schema: Schema) -> list[str]:
    known, found = recorded(schema, RECORDS)
    return [*found, *(text for alert in ALERTS for text in checked(alert, known).complaints)]


def metrics_used() -> Iterable[str]:
    known = known_series()
    checker = Checker(known, strict=False)
    for _, expr in RECORDS:
        checker.check(expr)
    alerts = (checked(alert, known).metrics for alert in ALERTS)
    return sorted(checker.metrics.union(*alerts) & set(exposed()))


def test_recording_rules_use_what_is_exposed() -> None:
    assert recorded(exposed(), RECORDS)[1] == []


@pytest.mark.parametrize(("record", "expr"), RECORDS, ids=[name for name, _ in RECORDS])
def test_what_is_recorded_of_a_counter_as_it_is_is_one(record: str, expr: str) -> None:
    known = known_series()
    checker = Checker(known)
    checker.check(expr)
    assert checker.complaints == [] or known[record].counter or record in CONSTANT


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_an_alert_uses_what_is_there_and_names_what_it_has(alert: Alert) -> None:
    assert checked(alert, known_series()).complaints == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_an_alert_leads_to_a_dashboard_and_sets_what_can_be_chosen_there(alert: Alert) -> None:
    there = {
        board.uid: {variable.name for variable in board.templating.list_val or ()}
        for board in dashboards()
    }
    found = re.match(r"/d/([a-z-]+)(?:\?|$)", alert.dashboard)
    assert found
    assert set(re.findall(r"[?&]var-(\w+)=", alert.dashboard)) <= there[found[1]]


def test_what_is_joined_to_things_is_there_once_for_each() -> None:
    known = known_series()
    assert known["job:trainwave_info:one"].key == {"cluster", "project_id", "job_id"}
    assert known["project:trainwave_info:one"].key == {"cluster", "project_id"}
    assert known["organization:trainwave_info:one"].key == {"cluster", "organization_id"}
    assert known["exporter:trainwave_view:one"].key == {"cluster", "instance", "account"}


@pytest.mark.parametrize("metric", metrics_used())
def test_the_removal_of_a_metric_is_noticed(metric: str) -> None:
    schema = exposed()
    del schema[metric]
    assert all_complaints(schema)


LEFT_ASIDE = {
    "": set[str](),
    # What several exporters tell of one thing becomes one series.
    "trainwave_": {*TARGET},
    # A job is known by its project and its own id.
    "trainwave_job_": {*TARGET, "organization_id"},
    "trainwave_job_info": {*TARGET},
    "trainwave_organization_info": {*TARGET, "organization_rid"},
    "trainwave_project_info": {*TARGET, "project_rid"},
    # Of GPUs the mean is looked at.
    "trainwave_job_gpu_utilization_ratio": {*TARGET, "organization_id", "gpu"},
    # Where one of several exporters is meant, its instance tells it.
    "trainwave_exporter_": {"job"},
    # Whose success it was, and what that account sees, is found out once for all.
    "trainwave_account_last_success_timestamp_seconds": {*TARGET, "view"},
    # Only the version is looked at.
    "trainwave_exporter_build_info": {*TARGET, "python_version"},
    # That there are jobs in a project makes it one that is shown.
    "trainwave_jobs": {*TARGET, "state"},
    # Which limit is reached is looked up: one notification for all.
    "trainwave_exporter_series_cap_reached": {"job", "kind"},
    # What one exporter cannot read, none can.
    "trainwave_exporter_unreadable_total": {*TARGET},
}
"""Labels by which no rule asks for metrics whose names begin so; the longest such name counts."""


@pytest.mark.parametrize("metric", metrics_used())
def test_the_removal_of_a_label_is_noticed(metric: str) -> None:
    schema = exposed()
    aside = LEFT_ASIDE[max((name for name in LEFT_ASIDE if metric.startswith(name)), key=len)]
    unnoticed = {
        label
        for label in schema[metric].labels
        if not all_complaints(without_label(schema, metric, label))
    }
    assert unnoticed <= aside


RIGHT = ALERTS[0]
JOB = "max by (project_id, job_id) (trainwave_job_gpus) > 1"


@pytest.mark.parametrize(
    ("alert", "complaint"),
    [
        (replace(RIGHT, expr="trainwave_job_gpu > 1"), "no metric trainwave_job_gpu"),
        (replace(RIGHT, expr=JOB), "no label"),
        (replace(RIGHT, expr="trainwave_waste_dollars_total > 1"), "is a counter"),
        (replace(RIGHT, summary="{{ $labels.job_nam }}"), "no label ['job_nam']"),
        (replace(RIGHT, dashboard="/d/x?var-job={{ $labels.jobid }}"), "no label ['jobid']"),
        (replace(RIGHT, labels={"team": "{{ $labels.team }}"}), "no label ['team']"),
        (
            replace(
                RIGHT,
                description=(
                    "{{ with printf `trainwave_job_cost{job_id=%q}` $labels.job_id | query }}"
                    "{{ . | first | value }}{{ end }}"
                ),
            ),
            "no metric trainwave_job_cost",
        ),
        (
            replace(
                RIGHT,
                description=(
                    "{{ with printf `job:trainwave_cost_dollars:max{job_id=%q}` $labels.job_id |"
                    ' query }}{{ . | first | label "job_name" }}{{ end }}'
                ),
            ),
            "no label ['job_name']",
        ),
        (replace(RIGHT, description='{{ query "up" | first | value }}'), "0 can be read"),
    ],
)
def test_what_is_wrong_with_an_alert_is_said(alert: Alert, complaint: str) -> None:
    assert complaint in " ".join(checked(alert, known_series()).complaints)


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("max by (project) (trainwave_job_gpus)", "wrong: "),
        ("max by (job_id) (recorded_later)", "no metric recorded_later"),
        ("rate(trainwave_job_gpus[5m])", "not of a counter"),
    ],
)
def test_what_is_wrong_with_a_recording_rule_is_said(expr: str, complaint: str) -> None:
    rules = [("wrong", expr), ("recorded_later", "trainwave_job_gpus")]
    assert complaint in " ".join(recorded(exposed(), rules)[1])


def test_every_label_that_rules_go_by_is_watched_for_one_that_takes_its_place() -> None:
    checker = Checker(known_series(), strict=False)
    for _, expr in RECORDS:
        checker.check(expr)
    for alert in ALERTS:
        checker.check(alert.expr)
    of_rules = {"label", "le"}  # which rules make themselves
    gone_by = checker.labels - TARGET - of_rules
    # `endpoint` is overwritten by every ServiceMonitor, and `operation` says the same.
    assert gone_by - {"endpoint"} <= set(CLASHING)
    declared = {about.name: about.labels for about in catalog()}
    for label, metric in CLASHING.items():
        assert label in declared[metric], (label, metric)


def test_every_recorded_series_is_looked_at_by_someone() -> None:
    asked = " ".join([*files().values(), *(alert.expr + alert.description for alert in ALERTS)])
    asked += " ".join(expr for _, expr in RECORDS)
    assert [name for name, _ in RECORDS if name not in asked] == []


def test_every_reason_for_which_a_figure_is_unknown_is_put_into_words() -> None:
    assert REASONS.keys() == unknown.REASONS.keys() - {"partial_view"}
    runbooks = (DOCS / "runbooks.md").read_text()
    assert [reason for reason in unknown.REASONS if f"`{reason}`" not in runbooks] == []
