"""Who is told what, by the oldest and the newest Alertmanager."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.alertmanager import alertmanager, post_alerts, silencers, state_of
from support.exporter import wait_for
from support.prometheus_tools import SUITES, tool
from support.promql import TARGET, Checker
from support.rule_files import loaded
from support.rules import ALERTS, known_series
from support.scraped_expositions import BEFORE

from deploy.prometheus import build
from deploy.prometheus.rule import Alert

CONFIG = Path(build.__file__).parents[1] / "alertmanager" / "alertmanager.yml"
CONFIG_BEFORE = BEFORE / "alertmanager.yml"
"""The example of version 0.1.0."""
RULES_BEFORE = {
    rule["alert"]: rule
    for group in loaded(BEFORE / "alerts.yml")["groups"]
    for rule in group["rules"]
}
RULES = {rule.alert: rule for rule in ALERTS}
BOTH = pytest.mark.parametrize("suite", SUITES)

JOB = {"account": "main", "organization_id": "o1", "project_id": "p1", "job_id": "j1"}
OWNED = {**JOB, "project_name": "vision", "owner": "ada"}


def alert(name: str, /, **labels: str) -> dict[str, str]:
    """Return the labels that Prometheus gives an alert of ours."""
    rule = RULES[name]
    known = {"alertname": name, "severity": rule.severity, "concern": rule.concern}
    filled = {label: re.sub(r"\{\{.*?\}\}", "x", text) for label, text in rule.labels.items()}
    return {**known, **filled, **labels}


def receiver_of(suite: str, labels: dict[str, str], config: Path = CONFIG) -> str:
    """Return who is told of an alert with these labels."""
    pairs = [f"{name}={value}" for name, value in labels.items()]
    command = [tool(suite, "amtool"), "config", "routes", "test", f"--config.file={config}", *pairs]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@BOTH
def test_the_example_is_accepted(suite: str) -> None:
    command = [tool(suite, "amtool"), "check-config", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@BOTH
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (alert("TrainwaveExporterDown", job="trainwave"), "on-call"),
        (alert("TrainwaveExporterInstanceDown", instance="a:9877"), "operators"),
        (alert("TrainwaveKeyInvalid", account="main"), "on-call"),
        (alert("TrainwaveForbidden", account="main"), "on-call"),
        (alert("TrainwaveLedgerLost", instance="a:9877"), "on-call"),
        (alert("TrainwaveFigureUnknown", figure="spend", account="main"), "operators"),
        (alert("TrainwavePartialView", figure="credit_runway", organization_id="o1"), "nobody"),
        (alert("TrainwaveDataStale", account="main"), "operators"),
        (alert("TrainwaveBudgetExhausted", budget="all"), "on-call"),
        (alert("TrainwaveBudgetForecastExceeded", budget="all"), "operators"),
        (alert("TrainwaveJobGpuIdle", **OWNED), "owners"),
        (alert("TrainwaveJobGpuIdleCostly", **OWNED), "owners"),
        (alert("TrainwaveJobsFailingInARow", project_id="p1", owner="ada"), "owners"),
    ],
    ids=lambda value: value["alertname"] if isinstance(value, dict) else value,
)
def test_each_alert_goes_to_those_who_can_do_something(
    suite: str, labels: dict[str, str], receiver: str
) -> None:
    assert receiver_of(suite, labels) == receiver


@BOTH
@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule.alert)
def test_every_alert_goes_to_somebody_by_what_it_is_about(suite: str, rule: Alert) -> None:
    """Of whom it is, its own expression tells: what has a `project_id` is about jobs."""
    about = _about(rule.expr)
    expected = {"info": "nobody", "warning": "operators", "critical": "on-call"}[rule.severity]
    if "project_id" in about:
        expected = "owners"
    assert receiver_of(suite, alert(rule.alert, **about)) == expected


def test_every_alert_that_is_named_exists() -> None:
    named = set(re.findall(r"Trainwave[A-Za-z]+", CONFIG.read_text()))
    assert named
    assert named <= set(RULES)


EXHAUSTED = alert("TrainwaveBudgetExhausted", budget="all", view="o1")


@BOTH
def test_a_budget_that_is_used_up_repeats_after_five_days_only(suite: str) -> None:
    """The route comes from amtool, its interval from the configuration."""
    assert 'alertname="TrainwaveBudgetExhausted"' in _tree(suite, EXHAUSTED)
    routes = YAML(typ="safe").load(CONFIG)["route"]["routes"]
    of_its_own = 'alertname="TrainwaveBudgetExhausted"'
    [route] = [route for route in routes if route["matchers"] == [of_its_own]]
    assert (route["receiver"], route["repeat_interval"]) == ("on-call", "5d")
    others = [
        rule for rule in ALERTS if rule.severity == "critical" and rule.alert != EXHAUSTED_NAME
    ]
    assert others
    for rule in others:
        assert of_its_own not in _tree(suite, alert(rule.alert))


EXHAUSTED_NAME = EXHAUSTED["alertname"]


def _tree(suite: str, labels: dict[str, str]) -> str:
    command = [tool(suite, "amtool"), "config", "routes", "test", "--tree"]
    pairs = [f"{name}={value}" for name, value in labels.items()]
    done = subprocess.run(
        [*command, f"--config.file={CONFIG}", *pairs], capture_output=True, text=True, check=True
    )
    return done.stdout


SILENCED = [
    (alert("TrainwaveExporterDown", job="trainwave"), alert("TrainwaveJobGpuIdleCostly", **OWNED)),
    (
        alert("TrainwaveExporterDown", job="trainwave"),
        alert("TrainwaveBudgetExhausted", budget="b"),
    ),
    (
        alert("TrainwaveExporterDown", job="trainwave"),
        alert("TrainwaveExporterInstanceDown", instance="a:9877"),
    ),
    (
        alert("TrainwaveExporterInstanceDown", instance="a:9877"),
        alert("TrainwaveLedgerFailing", instance="a:9877"),
    ),
    (alert("TrainwaveKeyInvalid", account="main"), alert("TrainwaveAccountDown", account="main")),
    (alert("TrainwaveKeyInvalid", account="main"), alert("TrainwaveDataStale", account="main")),
    (alert("TrainwaveForbidden", account="main"), alert("TrainwaveAccountDown", account="main")),
    (alert("TrainwaveForbidden", account="main"), alert("TrainwaveDataStale", account="main")),
    (
        alert("TrainwaveKeyInvalid", cluster="east", account="default", view="o1"),
        alert("TrainwaveAccountDown", cluster="east", account="default", view="o1"),
    ),
    (alert("TrainwaveAccountDown", account="main"), alert("TrainwaveDataStale", account="main")),
    (alert("TrainwaveJobGpuIdleCostly", **OWNED), alert("TrainwaveJobGpuIdle", **OWNED)),
    (
        alert("TrainwaveBudgetBurnFast", budget="all"),
        alert("TrainwaveBudgetForecastExceeded", budget="all"),
    ),
    (
        alert("TrainwaveBudgetExhausted", budget="all"),
        alert("TrainwaveBudgetForecastExceeded", budget="all"),
    ),
    (
        alert("TrainwaveCreditRunwayCritical", account="main", organization_id="o1"),
        alert("TrainwaveCreditRunwayShort", account="main", organization_id="o1"),
    ),
]
HEARD = [
    # Of two teams that call their accounts and budgets the same, and of two clusters.
    (
        alert("TrainwaveKeyInvalid", account="main", view="o1"),
        alert("TrainwaveAccountDown", account="main", view="o2"),
    ),
    (
        alert("TrainwaveForbidden", account="main", view="o1"),
        alert("TrainwaveAccountDown", account="main", view="o2"),
    ),
    (
        alert("TrainwaveBudgetExhausted", budget="all", view="o1"),
        alert("TrainwaveBudgetForecastExceeded", budget="all", view="o2"),
    ),
    # That a budget is not watched is news, whatever was known of it before.
    (
        alert("TrainwaveBudgetExhausted", budget="all"),
        alert("TrainwaveBudgetUnknown", budget="all", reason="account_down"),
    ),
    (
        alert("TrainwaveExporterDown", cluster="east"),
        alert("TrainwaveAccountDown", cluster="west", account="main"),
    ),
    (
        alert("TrainwaveExporterInstanceDown", cluster="east", instance="a:9877"),
        alert("TrainwaveLedgerFailing", cluster="west", instance="a:9877"),
    ),
    (
        alert("TrainwaveExporterInstanceDown", instance="a:9877"),
        alert("TrainwaveLedgerFailing", instance="b:9877"),
    ),
    (
        alert("TrainwaveExporterInstanceDown", instance="a:9877"),
        alert("TrainwaveJobGpuIdle", **OWNED),
    ),
    (alert("TrainwaveKeyInvalid", account="main"), alert("TrainwaveAccountDown", account="other")),
    (alert("TrainwaveKeyInvalid", account="main"), alert("TrainwaveJobGpuIdle", **OWNED)),
    # A loop that stands still is why an account goes down, and says what to do about it.
    (
        alert("TrainwaveAccountDown", account="main"),
        alert("TrainwaveLoopStopped", account="main", instance="a:9877", loop="sweep"),
    ),
    (
        alert("TrainwaveJobGpuIdleCostly", **OWNED),
        alert("TrainwaveJobGpuIdle", **{**OWNED, "job_id": "j2"}),
    ),
    (alert("TrainwaveJobGpuIdleCostly", **OWNED), alert("TrainwaveJobExpiringSoon", **OWNED)),
    (
        alert("TrainwaveBudgetExhausted", budget="all"),
        alert("TrainwaveBudgetForecastExceeded", budget="vision"),
    ),
]


EXPLAINED = {
    source["alertname"]: target
    for source, target in reversed(SILENCED)
    if source["alertname"]
    in {
        "TrainwaveKeyInvalid",
        "TrainwaveForbidden",
        "TrainwaveExporterDown",
        "TrainwaveExporterInstanceDown",
    }
    or target["alertname"] == "TrainwaveBudgetForecastExceeded"
}
"""What each source silences where all else is the same, for a test to see that it is known."""


def _name(labels: dict[str, str]) -> str:
    return labels["alertname"]


@BOTH
@pytest.mark.parametrize(("source", "target"), SILENCED, ids=_name)
def test_an_alert_silences_what_it_explains(
    suite: str, source: dict[str, str], target: dict[str, str], tmp_path: Path
) -> None:
    _silences(suite, source, target, tmp_path, CONFIG)


def _silences(
    suite: str, source: dict[str, str], target: dict[str, str], folder: Path, config: Path
) -> None:
    with alertmanager(suite, folder, config) as url:
        post_alerts(url, [target])
        wait_for(lambda: state_of(url, target) == "active", "the alert to be sent")
        post_alerts(url, [source])
        wait_for(lambda: state_of(url, target) == "suppressed", "the alert to be silenced")
        assert state_of(url, source) == "active"
        assert silencers(url, target) == [source]


@BOTH
@pytest.mark.parametrize(("source", "target"), HEARD, ids=_name)
def test_an_alert_silences_nothing_else(
    suite: str, source: dict[str, str], target: dict[str, str], tmp_path: Path
) -> None:
    _silences_nothing_else(suite, source, target, tmp_path, CONFIG)


def _silences_nothing_else(
    suite: str, source: dict[str, str], target: dict[str, str], folder: Path, config: Path
) -> None:
    explained = EXPLAINED.get(source["alertname"]) or next(
        silenced for cause, silenced in SILENCED if cause == source
    )
    same = ("cluster", "account", "view", "instance", "budget")
    explained = explained | {name: source[name] for name in same if name in source}
    with alertmanager(suite, folder, config) as url:
        post_alerts(url, [source, target, explained])
        wait_for(lambda: state_of(url, explained) == "suppressed", "the source to be known")
        wait_for(lambda: state_of(url, target) == "active", "the alert to be sent")


# One version beside the next. The example of 0.1.0 knows neither views, clusters nor refusals for
# other reasons than the key.


Pair = tuple[dict[str, str], dict[str, str]]


def _known_then(pairs: list[Pair]) -> list[Pair]:
    new = {"view", "cluster"}
    return [
        (source, target)
        for source, target in pairs
        if source["alertname"] in RULES_BEFORE and not new & {*source, *target}
    ]


@pytest.mark.parametrize(("source", "target"), _known_then(SILENCED), ids=_name)
def test_an_alert_of_now_silences_what_it_explains_by_the_example_of_then(
    source: dict[str, str], target: dict[str, str], tmp_path: Path
) -> None:
    _silences("sid", source, target, tmp_path, CONFIG_BEFORE)


@pytest.mark.parametrize(("source", "target"), _known_then(HEARD), ids=_name)
def test_an_alert_of_now_silences_nothing_else_by_the_example_of_then(
    source: dict[str, str], target: dict[str, str], tmp_path: Path
) -> None:
    _silences_nothing_else("sid", source, target, tmp_path, CONFIG_BEFORE)


def test_an_alert_of_then_has_the_labels_that_silence_others_and_are_silenced() -> None:
    """So that the tests of silences above hold for both, where none has a view or a cluster."""
    for name, rule in RULES_BEFORE.items():
        labels = {k: v for k, v in rule["labels"].items() if k != "endpoint"}
        assert labels == {"severity": RULES[name].severity, "concern": RULES[name].concern}
    for source, target in _known_then(SILENCED):
        assert {source["alertname"], target["alertname"]} <= RULES_BEFORE.keys()


@BOTH
def test_the_example_of_then_sends_every_alert_to_those_who_can_do_something(suite: str) -> None:
    """Information goes to operators there: see "Upgrading" in the changelog."""
    command = [tool(suite, "amtool"), "check-config", str(CONFIG_BEFORE)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    for rule in ALERTS:
        known = receiver_of(suite, alert(rule.alert, **_about(rule.expr)))
        before = receiver_of(suite, alert(rule.alert, **_about(rule.expr)), CONFIG_BEFORE)
        assert before == {"nobody": "operators"}.get(known, known), rule.alert


@BOTH
def test_the_example_sends_every_alert_of_then_to_those_who_were_notified(suite: str) -> None:
    for name, rule in RULES_BEFORE.items():
        labels = {"alertname": name, **rule["labels"], **_about(rule["expr"])}
        told = receiver_of(suite, labels, CONFIG_BEFORE)
        assert told in {"operators", "owners", "on-call"}
        assert receiver_of(suite, labels) == told, name


def _about(expr: str) -> dict[str, str]:
    """Return the labels that an expression gives an alert."""
    shape = Checker(known_series(), strict=False).check(expr)
    assert shape is not None
    return dict.fromkeys(shape.labels - TARGET, "x")
