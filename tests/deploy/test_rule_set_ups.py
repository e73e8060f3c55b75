"""What cases of rules ask for in other set-ups."""

from __future__ import annotations

from typing import Any

import pytest
from support.rule_set_ups import SetUp

ALERT = "TrainwaveBudgetExhausted"
FIRING = f'ALERTS{{alertname="{ALERT}",alertstate="firing"}}'
OF_ONE = f'ALERTS{{alertname="{ALERT}",alertstate="firing",budget="all"}}'


def document(labels: dict[str, str]) -> dict[str, Any]:
    """Return one case: silent, firing, silent, firing, silent."""
    fires = {"alertname": ALERT, "exp_alerts": [{"exp_labels": labels}]}
    silent: dict[str, Any] = {"alertname": ALERT, "exp_alerts": []}
    moments = {"4m": silent, "9m": silent, "11m": fires, "20m": silent, "40m": fires, "60m": silent}
    return {
        "rule_files": [],
        "evaluation_interval": "1m",
        "group_eval_order": [],
        "tests": [
            {
                "name": "A case",
                "interval": "1m",
                "input_series": [{"series": 'spent{instance="a"}', "values": "1x60"}],
                "alert_rule_test": [
                    {**check, "eval_time": moment} for moment, check in moments.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": "spent",
                        "eval_time": "15m",
                        "exp_samples": [{"labels": 'spent{instance="a"}', "value": 1}],
                    }
                ],
            }
        ],
    }


def checks(set_up: SetUp, labels: dict[str, str]) -> list[tuple[str, str, bool]]:
    """Return queries for alerts, when they are asked, and whether they find anything."""
    [case] = set_up.cases(document(labels))["tests"]
    found = [
        (check["expr"], check["eval_time"], bool(check["exp_samples"]))
        for check in case["promql_expr_test"]
    ]
    return [check for check in found if "ALERTS" in check[0]]


def test_an_alert_has_never_fired_before_it_is_to_and_not_once_it_is_not_to_any_more() -> None:
    """At 120 seconds alerts have four minutes more, and five minutes are looked back upon."""
    assert checks(SetUp("slow", interval=120), {"budget": "all"}) == [
        (f"count(count_over_time({FIRING}[541s]))", "540s", False),
        (f"count({FIRING})", "1440s", False),
        (f"count({FIRING})", "3840s", False),
        (f"count(count_over_time({OF_ONE}[361s])) > bool 0", "900s", True),
        (f"count(count_over_time({OF_ONE}[361s])) > bool 0", "2640s", True),
    ]


def test_an_alert_of_one_exporter_is_silent_until_the_restart_and_resolves_after_it() -> None:
    """The restart comes at 10 minutes, and what begins anew with it may come sooner."""
    labels = {"budget": "all", "instance": "a"}
    assert checks(SetUp("restarted", interval=30, restarted=True), labels) == [
        (f"count(count_over_time({FIRING}[541s]))", "540s", False),
        (f"count({FIRING})", "1260s", False),
        (f"count({FIRING})", "3660s", False),
    ]
    document_ = document(labels)
    document_["tests"][0]["alert_rule_test"][1]["eval_time"] = "10m"
    [case] = SetUp("restarted", interval=30, restarted=True).cases(document_)["tests"]
    assert case["promql_expr_test"][0]["eval_time"] == "599s"


@pytest.mark.parametrize(
    ("set_up", "moment", "instance"),
    [
        (SetUp("fast", interval=15), "900s", "a"),
        (SetUp("slow", interval=120), "960s", "a"),
        (SetUp("restarted", interval=120, restarted=True), "960s", "a-2"),
    ],
    ids=lambda value: value.name if isinstance(value, SetUp) else value,
)
def test_a_value_is_looked_at_when_it_is_scraped_next(
    set_up: SetUp, moment: str, instance: str
) -> None:
    [case] = set_up.cases(document({"budget": "all"}))["tests"]
    [value] = [check for check in case["promql_expr_test"] if check["expr"] == "spent"]
    assert value == {
        "expr": "spent",
        "eval_time": moment,
        "exp_samples": [{"labels": f'spent{{instance="{instance}"}}', "value": 1}],
    }
