"""Every query of the rules, against what the exporter declares to expose."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.promql import (
    Checker,
    Schema,
    exposed,
    labels_of_template,
    queries_of_template,
    recorded,
)
from support.rules import ALERTS, RECORDS, known_series

from deploy.prometheus.rule import Alert
from grafana.build import files


def complaints(alert: Alert, schema: Schema) -> list[str]:
    """Return what is wrong with an alert's query and its texts."""
    checker = Checker(schema, strict=False)
    shape = checker.check(alert.expr)
    for text in (alert.summary, alert.description, alert.dashboard):
        checker.named(labels_of_template(text) - set(alert.labels), shape, alert.alert)
        for query in queries_of_template(text):
            checker.check(query)
    return checker.complaints


def all_complaints(schema: Schema) -> list[str]:
    known, found = recorded(schema, RECORDS)
    return [*found, *(complaint for alert in ALERTS for complaint in complaints(alert, known))]


def metrics_used() -> Iterable[str]:
    checker = Checker(known_series(), strict=False)
    for _, expr in RECORDS:
        checker.check(expr)
    for alert in ALERTS:
        checker.check(alert.expr)
        for query in queries_of_template(alert.description):
            checker.check(query)
    return sorted(checker.metrics & set(exposed()))


def test_recording_rules_use_what_is_exposed() -> None:
    assert recorded(exposed(), RECORDS)[1] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_an_alert_uses_what_is_there_and_names_what_it_has(alert: Alert) -> None:
    assert complaints(alert, known_series()) == []


def test_what_is_joined_to_things_is_there_once_for_each() -> None:
    known = known_series()
    assert known["job:trainwave_info:one"].key == {"project_id", "job_id"}
    assert known["project:trainwave_info:one"].key == {"project_id"}
    assert known["organization:trainwave_info:one"].key == {"organization_id"}


@pytest.mark.parametrize("metric", metrics_used())
def test_the_removal_of_a_metric_is_noticed(metric: str) -> None:
    schema = exposed()
    del schema[metric]
    assert all_complaints(schema)


def test_every_recorded_series_is_looked_at_by_someone() -> None:
    asked = " ".join([*files().values(), *(alert.expr + alert.description for alert in ALERTS)])
    asked += " ".join(expr for _, expr in RECORDS)
    assert [name for name, _ in RECORDS if name not in asked] == []
