"""The rules, as the oldest and the newest Prometheus judge them."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.tools import SUITES, tool

from deploy.prometheus import build
from deploy.prometheus.rule import Alert
from deploy.prometheus.settings import load

FOLDER = Path(build.__file__).parent
RULES = sorted((FOLDER / "rules").glob("*.yml"))
NAME = re.compile(r"[a-zA-Z_:][\w:]*")
"""Of a rule, or of what a query asks for."""
CASES = sorted((FOLDER / "tests").glob("*.yml"))
ALERTS = [rule for group in build.alerts(load()) for rule in group.rules if isinstance(rule, Alert)]


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
    """With the rules that the cases are about: to judge all others, too, takes much longer."""
    text = cases.read_text()
    needed = with_all_they_build_on(set(NAME.findall(text)))
    for path in RULES:
        groups = [
            group | {"rules": [rule for rule in group["rules"] if named(rule) in needed]}
            for group in loaded(path)["groups"]
            if group["name"] in loaded(cases)["group_eval_order"]
        ]
        _write(tmp_path / "rules" / path.name, json.dumps({"groups": groups}))
    _write(tmp_path / "tests" / cases.name, text)
    command = [tool(suite, "promtool"), "test", "rules", str(tmp_path / "tests" / cases.name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def with_all_they_build_on(names: set[str]) -> set[str]:
    """Return the names of these rules, and of all the rules whose results they or texts ask for."""
    sources = defaultdict[str, set[str]](set)
    for path in RULES:
        for group in loaded(path)["groups"]:
            for rule in group["rules"]:
                texts = rule["expr"], *rule.get("annotations", {}).values()
                sources[named(rule)].update(*map(NAME.findall, texts))
    known = names & sources.keys()
    more = set[str]().union(*(sources[name] for name in known)) & sources.keys() - known
    return with_all_they_build_on(known | more) if more else known


def named(rule: dict[str, Any]) -> str:
    name: str = rule.get("record") or rule["alert"]
    return name


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.alert)
def test_every_alert_is_seen_to_fire_to_resolve_and_to_stay_silent(alert: Alert) -> None:
    """Resolved: silent after it fired, in one case. Innocent: a case in which it never fires."""
    fired = resolved = innocent = False
    for path in CASES:
        for case in loaded(path)["tests"]:
            moments = sorted(
                (_seconds(check["eval_time"]), bool(check["exp_alerts"]))
                for check in case.get("alert_rule_test", [])
                if check["alertname"] == alert.alert
            )
            firing = [fires for _, fires in moments]
            fired |= True in firing
            resolved |= True in firing and False in firing[firing.index(True) :]
            innocent |= bool(firing) and True not in firing
    assert (fired, resolved, innocent) == (True, True, True)


@cache
def loaded(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path)
    return document


def test_every_alert_has_its_runbook() -> None:
    headings = re.findall(r"^## (.+)$", (FOLDER / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted({alert.alert for alert in ALERTS})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def _seconds(duration: str) -> float:
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", duration)
    return sum(int(number) * units[unit] for number, unit in parts)
