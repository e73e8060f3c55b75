"""The rules, as the oldest and the newest Prometheus judge them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.documentation import DOCS
from support.prometheus_tools import SUITES, tool
from support.rule_files import CASES, RULES, loaded, run_cases, seconds
from support.rules import ALERTS

from deploy.prometheus import build
from deploy.prometheus.rule import Alert
from deploy.prometheus.settings import load


def test_the_rule_files_are_built_from_their_source() -> None:
    assert {path.name: path.read_text() for path in RULES} == build.files(load())


@pytest.mark.parametrize("suite", SUITES)
def test_prometheus_accepts_the_rules(suite: str) -> None:
    command = [
        tool(suite, "promtool"),
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        *map(str, RULES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("suite", SUITES)
def test_alerts_fire_resolve_and_stay_silent(suite: str, cases: Path, tmp_path: Path) -> None:
    assert run_cases(suite, loaded(cases), cases.read_text(), tmp_path) == ""


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_every_alert_is_seen_to_fire_to_resolve_and_to_stay_silent(alert: Alert) -> None:
    """Resolved: silent after it fired, in one case. Innocent: a case in which it never fires."""
    fired = resolved = innocent = False
    for path in CASES:
        for case in loaded(path)["tests"]:
            moments = sorted(
                (seconds(check["eval_time"]), bool(check["exp_alerts"]))
                for check in case.get("alert_rule_test", [])
                if check["alertname"] == alert.alert
            )
            firing = [fires for _, fires in moments]
            fired |= True in firing
            resolved |= True in firing and False in firing[firing.index(True) :]
            innocent |= bool(firing) and True not in firing
    assert (fired, resolved, innocent) == (True, True, True)


def test_every_alert_has_its_runbook() -> None:
    headings = re.findall(r"^### (.+)$", (DOCS / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted({alert.alert for alert in ALERTS})
