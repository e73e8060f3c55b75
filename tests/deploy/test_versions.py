"""One version beside the next: what stood in version 0.1.0 works in front of this exporter.

How the rules and dashboards of now do in front of that exporter is in `test_rule_matrix.py` and in
`tests/grafana/test_set_ups.py`, which has the dashboards of then, too.
"""

from __future__ import annotations

import json
import subprocess

import pytest
from support.exposed import BEFORE
from support.promql import Checker, Schema, exposed, recorded
from support.rule_files import loaded
from support.rules import ALERTS
from support.tools import SUITES, tool

RULES = (BEFORE / "recording.yml", BEFORE / "alerts.yml")


def series_of_then() -> Schema:
    """Return what this exporter exposes, and what the rules of then record of it."""
    records = [
        (rule["record"], rule["expr"])
        for group in loaded(RULES[0])["groups"]
        for rule in group["rules"]
    ]
    known, complaints = recorded(exposed(), records)
    assert complaints == []
    return known


def test_the_alerts_of_then_use_what_this_exporter_exposes() -> None:
    checker = Checker(series_of_then())
    for group in loaded(RULES[1])["groups"]:
        for rule in group["rules"]:
            checker.check(rule["expr"])
    assert checker.complaints == []


def test_the_dashboards_of_then_use_what_this_exporter_exposes() -> None:
    checker = Checker(series_of_then())
    for board in json.loads((BEFORE / "dashboards.json").read_text()).values():
        for panel in board["panels"]:
            for target in panel["targets"]:
                checker.check(target["expr"])
        for annotation in board["annotations"]:
            checker.check(annotation["expr"])
    assert checker.metrics
    assert checker.complaints == []


@pytest.mark.parametrize("suite", SUITES)
def test_the_alerts_of_then_fire_in_front_of_this_exporter(suite: str) -> None:
    command = [tool(suite, "promtool"), "test", "rules", str(BEFORE / "cases.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("suite", SUITES)
def test_alertmanager_configured_as_then_takes_every_alert_of_now(suite: str) -> None:
    config = BEFORE / "alertmanager.yml"
    check = [tool(suite, "amtool"), "check-config", str(config)]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    for rule in ALERTS:
        about = {"alertname": rule.alert, "severity": rule.severity, "cluster": "", "view": "o-1"}
        if "project_id" in rule.expr.partition("label_replace")[0]:
            about["project_id"] = "p-1"
        route = [tool(suite, "amtool"), "config", "routes", "test", f"--config.file={config}"]
        pairs = [f"{name}={value}" for name, value in about.items() if value]
        done = subprocess.run([*route, *pairs], capture_output=True, text=True, check=True)
        # Information goes to operators there: see "Upgrading" in the changelog.
        expected = {"critical": "on-call"}.get(rule.severity, "operators")
        assert done.stdout.strip() == ("owners" if "project_id" in about else expected)
