"""One version beside the next: what stood in version 0.1.0 works in front of this exporter.

How the rules and dashboards of now do in front of that exporter is in `test_rule_matrix.py` and in
`tests/grafana/test_set_ups.py`, which has the dashboards of then, too. How the examples for
Alertmanager go together with alerts of either version is in `test_alertmanager.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.promql import Checker, Schema, exposed, recorded
from support.rule_files import CASES, as_text, loaded, run_cases
from support.rule_set_ups import Judges, SetUp
from support.scraped_expositions import BEFORE

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


def rules_of_then() -> list[dict[str, Any]]:
    return [rule for group in loaded(RULES[1])["groups"] for rule in group["rules"]]


_NAMES = [case["name"] for path in CASES for case in as_text(path)["tests"]]
_WRONG = (
    # Bounds, and caps of series other than jobs', are new.
    "TrainwaveSeriesCapReached fires about money of too many owners",
    "TrainwaveBudgetExhausted fires where the lower bound reaches the limit though",
    "TrainwaveBudgetForecastExceeded fires where the lower bound is beyond the limit",
    # They did not wait for a second report, and valued all idle hours.
    "TrainwaveJobCostlierThanPeers is silent about one absurd amount in one list",
    "TrainwaveJobOverCostLimit is silent about one absurd amount in one list",
    "TrainwaveJobGpuIdleCostly is silent about a job whose idle hours this version does not value",
    # They do not tell teams and clusters apart.
    "One team's outage, key and budget are alerted on though another team's of the same names",
    "An account that only an unreachable exporter watches is down, until another one sees it",
    "An account whose key was refused from the start, so that its view is unknown",
    "Clusters are separate by the label that federation adds",
)
"""How cases begin that the rules of then judge wrongly, or that are about what they do not know."""

THEN = SetUp(
    "then",
    judged=Judges(
        alerts=frozenset(rule["alert"] for rule in rules_of_then()),
        without=frozenset({"view", "cluster", "operation"}),
        sooner=frozenset(
            {
                "TrainwaveJobCostlierThanPeers",
                "TrainwaveJobOverCostLimit",
                "TrainwaveLedgerFailing",
            }
        ),
        wrong=frozenset(name for name in _NAMES if name.startswith(_WRONG)),
    ),
)
"""Cases of now, judged by the rules of then: an exporter of this version before its rules."""


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_of_then_come_and_go_in_front_of_this_exporter(
    path: Path, tmp_path: Path
) -> None:
    groups = [group["name"] for rules in RULES for group in loaded(rules)["groups"]]
    cases = {**THEN.cases(as_text(path)), "group_eval_order": groups}
    assert THEN.judged is not None
    about = {
        check["alertname"]
        for case in as_text(path)["tests"]
        for check in case.get("alert_rule_test", [])
    }
    assert bool(cases["tests"]) == bool(about & THEN.judged.alerts)
    if cases["tests"]:
        assert run_cases("sid", cases, json.dumps(cases), tmp_path, RULES) == ""


def test_each_alert_of_then_is_seen_to_fire_in_front_of_this_exporter() -> None:
    assert THEN.judged is not None
    assert len(THEN.judged.wrong) == len(_WRONG)
    fired = {
        alert
        for path in CASES
        for case in THEN.cases(as_text(path))["tests"]
        for check in case["promql_expr_test"]
        for alert in THEN.judged.alerts
        if f'alertname="{alert}"' in check["expr"] and check["exp_samples"]
    }
    assert fired == THEN.judged.alerts
