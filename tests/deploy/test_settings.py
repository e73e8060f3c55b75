"""The thresholds: what is refused, and that a change of them arrives in rules and words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.prometheus import build
from deploy.prometheus.rule import Alert
from deploy.prometheus.settings import PATH, Settings, SettingsError, load


def _document() -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(PATH)
    return document


def _keys() -> list[tuple[str, ...]]:
    """All keys, those of sections after their section."""
    keys: list[tuple[str, ...]] = []
    for key, value in _document().items():
        keys.append((key,))
        if isinstance(value, dict):
            keys.extend((key, inner) for inner in value)
    return keys


KEYS = _keys()
THRESHOLDS = [path for path in KEYS if len(path) == 2]


def _section(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path[:-1]:
        document = document[key]
    return document


def _written(folder: Path, document: object) -> Path:
    path = folder / "thresholds.yml"
    YAML(typ="safe", pure=True).dump(document, path)
    return path


def _changed(folder: Path, path: tuple[str, ...], value: object) -> Path:
    document = _document()
    _section(document, path)[path[-1]] = value
    return _written(folder, document)


def _refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    return str(refusal.value)


def _alerts(settings: Settings) -> dict[str, Alert]:
    return {
        rule.alert: rule
        for group in build.alerts(settings)
        for rule in group.rules
        if isinstance(rule, Alert)
    }


def test_the_settings_that_are_shipped_are_good() -> None:
    load()


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_missing_key_is_named(tmp_path: Path, path: tuple[str, ...]) -> None:
    document = _document()
    del _section(document, path)[path[-1]]
    message = _refusal(_written(tmp_path, document))
    assert f"missing required field `{path[-1]}`" in message
    assert len(path) == 1 or f"$.{path[0]}" in message


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_value_of_the_wrong_type_is_named(tmp_path: Path, path: tuple[str, ...]) -> None:
    assert f"$.{'.'.join(path)}" in _refusal(_changed(tmp_path, path, [1]))


@pytest.mark.parametrize("path", THRESHOLDS, ids=".".join)
@pytest.mark.parametrize("value", [0, -1, True, "10", None], ids=repr)
def test_a_threshold_is_a_number_above_zero(
    tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    assert f"$.{'.'.join(path)}" in _refusal(_changed(tmp_path, path, value))


@pytest.mark.parametrize("path", [("grpu_idle",), ("gpu_idle", "minute")], ids=".".join)
def test_an_unknown_key_is_named(tmp_path: Path, path: tuple[str, ...]) -> None:
    message = _refusal(_changed(tmp_path, path, 1))
    assert f"unknown field `{path[-1]}`" in message
    assert len(path) == 1 or f"$.{path[0]}" in message


@pytest.mark.parametrize(
    ("path", "value", "smaller", "larger"),
    [
        (("budget", "slow_factor"), 10, "slow_factor", "fast_factor"),
        (("credit", "critical_hours"), 72, "critical_hours", "warning_hours"),
        (("job_collapse", "usual_ratio"), 0.05, "collapsed_ratio", "usual_ratio"),
        (("budget", "unknown_name_minutes"), 120, "unknown_name_minutes", "unknown_hours"),
    ],
)
def test_thresholds_that_contradict_each_other_are_named(
    tmp_path: Path, path: tuple[str, ...], value: float, smaller: str, larger: str
) -> None:
    message = _refusal(_changed(tmp_path, path, value))
    assert f"`{smaller}` must be less than `{larger}`" in message
    assert f"$.{path[0]}" in message


@pytest.mark.parametrize(
    ("key", "least"),
    [
        ("account_down_minutes", 7),
        ("rate_limited_minutes", 14),
        ("unreadable_minutes", 14),
        ("ledger_failing_minutes", 14),
    ],
)
def test_a_window_too_short_for_a_scrape_every_two_minutes_is_refused(
    tmp_path: Path, key: str, least: int
) -> None:
    assert f"$.exporter.{key}" in _refusal(_changed(tmp_path, ("exporter", key), least - 1))
    load(_changed(tmp_path, ("exporter", key), least))


@pytest.mark.parametrize("url", ["grafana.example.com", "https://grafana.example.com/"])
def test_an_address_that_links_cannot_be_made_from_is_named(tmp_path: Path, url: str) -> None:
    assert "$.grafana_url" in _refusal(_changed(tmp_path, ("grafana_url",), url))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in _refusal(tmp_path / "absent.yml")


@pytest.mark.parametrize(
    "content",
    [b"", b"- 1\n", b"budget: [\n", b"\xff\xfe", b"budget: {}\nbudget: {}\n"],
    ids=["empty", "a list", "no YAML", "no text", "a key twice"],
)
def test_a_file_that_is_no_settings_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thresholds.yml"
    path.write_bytes(content)
    _refusal(path)


def test_the_build_says_what_it_cannot_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "absent.yml"
    monkeypatch.setattr(build, "load", lambda: load(path))
    assert build.main([]) == 2
    assert capsys.readouterr().err.startswith(f"{path}: ")


# What each threshold becomes: in which alerts, as which words of the query, and of the texts; None
# where nobody needs to be told.
_ARRIVALS: dict[tuple[str, str], tuple[float, tuple[str, ...], str, str | None]] = {
    ("gpu_idle", "minutes"): (
        47,
        ("TrainwaveJobGpuIdle", "TrainwaveJobGpuIdleCostly"),
        "> 2820",
        None,
    ),
    ("gpu_idle", "critical_dollars"): (
        77.5,
        ("TrainwaveJobGpuIdleCostly",),
        "> 77.5",
        "more than $77.5,",
    ),
    ("job_cost", "limit_dollars"): (
        1234567,
        ("TrainwaveJobOverCostLimit",),
        "> 1234567",
        "the limit of $1234567 for one job",
    ),
    ("job_cost", "peers"): (17, ("TrainwaveJobCostlierThanPeers",), "> 17", None),
    ("job_cost", "peers_factor"): (
        7.5,
        ("TrainwaveJobCostlierThanPeers",),
        "7.5 * project:",
        "more than 7.5 times",
    ),
    ("job_cost", "peers_floor_dollars"): (
        177,
        ("TrainwaveJobCostlierThanPeers",),
        "> 177",
        None,
    ),
    ("budget", "fast_factor"): (
        17,
        ("TrainwaveBudgetBurnFast",),
        "> 17 * budget:",
        "17 times the even pace",
    ),
    ("budget", "slow_factor"): (
        7,
        ("TrainwaveBudgetBurnSlow",),
        "> 7 * budget:",
        "7 times the even pace",
    ),
    ("budget", "differs_ratio"): (
        0.17,
        ("TrainwaveBudgetSettingsDiffer",),
        "> 0.17 * max by",
        None,
    ),
    ("budget", "unknown_hours"): (3, ("TrainwaveBudgetUnknown",), "offset 150m", None),
    ("credit", "warning_hours"): (
        77,
        ("TrainwaveCreditRunwayShort",),
        "< 277200",
        "less than 77 hours",
    ),
    ("credit", "critical_hours"): (
        1,
        ("TrainwaveCreditRunwayCritical",),
        "< 3600",
        "less than 1 hour.",
    ),
    ("job_launch", "stuck_minutes"): (
        17,
        ("TrainwaveJobStuckLaunching",),
        "> 1020",
        "more than 17 minutes",
    ),
    ("job_failures", "in_a_row"): (7, ("TrainwaveJobsFailingInARow",), ">= 7", None),
    ("job_failures", "within_hours"): (
        17,
        ("TrainwaveJobsFailingInARow",),
        "time() - 61200",
        "within 17 hours",
    ),
    ("job_expiry", "minutes"): (17, ("TrainwaveJobExpiringSoon",), "< 1020", None),
    ("job_collapse", "usual_ratio"): (
        0.77,
        ("TrainwaveJobUtilizationCollapsed",),
        ">= 0.77",
        None,
    ),
    ("job_collapse", "usual_hours"): (
        7,
        ("TrainwaveJobUtilizationCollapsed",),
        "[7h] offset 20m",
        "over the 7 hours before",
    ),
    ("job_collapse", "collapsed_ratio"): (
        0.07,
        ("TrainwaveJobUtilizationCollapsed",),
        "<= 0.07",
        None,
    ),
    ("job_collapse", "minutes"): (
        17,
        ("TrainwaveJobUtilizationCollapsed",),
        "[17m]",
        "over the last 17 minutes",
    ),
    ("reconciliation", "difference_dollars"): (
        17.5,
        ("TrainwaveReconciliationDrift",),
        "< -17.5",
        "more than $17.5.",
    ),
    ("exporter", "stale_minutes"): (
        17,
        ("TrainwaveDataStale",),
        "> 1020",
        "more than 17 minutes",
    ),
    ("exporter", "loop_stopped_minutes"): (
        47,
        ("TrainwaveLoopStopped",),
        "> 2820\nunless",
        "more than 47 minutes",
    ),
    ("exporter", "clock_skew_seconds"): (
        2.5,
        ("TrainwaveClockSkew",),
        "> 2.5",
        "more than 2.5 seconds",
    ),
}


@pytest.mark.parametrize(("path", "expected"), _ARRIVALS.items(), ids=lambda value: str(value)[:40])
def test_a_changed_threshold_arrives_in_the_query_and_in_the_words(
    tmp_path: Path,
    path: tuple[str, str],
    expected: tuple[float, tuple[str, ...], str, str | None],
) -> None:
    value, names, query, words = expected
    before, after = _alerts(load()), _alerts(load(_changed(tmp_path, path, value)))
    assert {name for name in before if before[name] != after[name]} == set(names)
    for name in names:
        assert query in after[name].expr
        assert words is None or words in after[name].summary + after[name].description


# What each time to wait becomes: its unit, and of each alert that waits for it the words that tell
# it, and what else of the query depends on it.
_WAITS: dict[tuple[str, str], tuple[str, dict[str, tuple[str, str | None]]]] = {
    ("budget", "forecast_hours"): (
        "h",
        {"TrainwaveBudgetForecastExceeded": ("for 17 hours", None)},
    ),
    ("reconciliation", "hours"): (
        "h",
        {"TrainwaveReconciliationDrift": ("for 17 hours", None)},
    ),
    ("exporter", "down_minutes"): (
        "m",
        {
            "TrainwaveExporterDown": ("for 17 minutes", None),
            "TrainwaveExporterInstanceDown": ("for 17 minutes", None),
        },
    ),
    ("exporter", "account_down_minutes"): (
        "m",
        {"TrainwaveAccountDown": ("For 17 minutes", None)},
    ),
    ("exporter", "rate_limited_minutes"): (
        "m",
        {"TrainwaveRateLimited": ("For 17 minutes", '"rate_limited"}[9m]')},
    ),
    ("exporter", "unreadable_minutes"): (
        "m",
        {
            "TrainwaveReadingsFailing": ("For 17 minutes", 'outcome="ok"}[9m]'),
            "TrainwaveReadingsUnreadable": ("For 17 minutes", "[9m]"),
        },
    ),
    ("exporter", "series_cap_minutes"): (
        "m",
        {"TrainwaveSeriesCapReached": ("For 17 minutes", None)},
    ),
    ("exporter", "ledger_failing_minutes"): (
        "m",
        {"TrainwaveLedgerFailing": ("For 17 minutes", '"error"}[9m]')},
    ),
    ("exporter", "labels_clash_minutes"): (
        "m",
        {"TrainwaveLabelsClash": ("", None)},
    ),
    ("exporter", "scope_unknown_minutes"): (
        "m",
        {"TrainwaveScopeUnknown": ("", None)},
    ),
    ("budget", "unknown_name_minutes"): (
        "m",
        {"TrainwaveBudgetUnknown": ("", "offset 103m")},
    ),
    ("figures", "unknown_hours"): (
        "h",
        {"TrainwaveFigureUnknown": ("For 17 hours", None)},
    ),
    ("budget", "differs_hours"): (
        "h",
        {"TrainwaveBudgetSettingsDiffer": ("For 17 hours", None)},
    ),
    ("exporter", "clock_skew_minutes"): (
        "m",
        {"TrainwaveClockSkew": ("For 17 minutes", None)},
    ),
}
_BESIDES = {
    ("exporter", "account_down_minutes"): {"TrainwaveKeyInvalid", "TrainwaveForbidden"},
}
"""Alerts that a time to wait is a window of, and nothing else."""


@pytest.mark.parametrize(("path", "expected"), _WAITS.items(), ids=lambda value: str(value)[:40])
def test_a_changed_time_to_wait_arrives_in_the_rule_and_in_the_words(
    tmp_path: Path,
    path: tuple[str, str],
    expected: tuple[str, dict[str, tuple[str, str | None]]],
) -> None:
    unit, alerts = expected
    before, after = _alerts(load()), _alerts(load(_changed(tmp_path, path, 17)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == alerts.keys() | _BESIDES.get(path, set())
    for name, (words, query) in alerts.items():
        assert after[name].pending == f"17{unit}"
        assert words in after[name].description
        assert query is None or query in after[name].expr


def test_refusals_are_looked_for_in_the_time_an_account_may_be_down(tmp_path: Path) -> None:
    alerts = _alerts(load(_changed(tmp_path, ("exporter", "account_down_minutes"), 17)))
    assert 'outcome="invalid_key"}[17m]' in alerts["TrainwaveKeyInvalid"].expr
    assert 'outcome="forbidden"}[17m]' in alerts["TrainwaveForbidden"].expr


def test_every_threshold_is_seen_to_arrive() -> None:
    assert set(THRESHOLDS) == _ARRIVALS.keys() | _WAITS.keys()


def test_the_job_that_is_scraped_arrives_in_the_queries(tmp_path: Path) -> None:
    alerts = _alerts(load(_changed(tmp_path, ("scrape_job",), "gpu-cloud")))
    for name in ("TrainwaveExporterDown", "TrainwaveExporterInstanceDown"):
        assert 'up{job="gpu-cloud"}' in alerts[name].expr


def test_changed_addresses_arrive_in_the_links(tmp_path: Path) -> None:
    document = _document()
    document["grafana_url"] = "http://grafana:3000/sub"
    document["runbook_url"] = "https://wiki/runbooks"
    rules = build.files(load(_written(tmp_path, document)))["alerts.yml"]
    assert set(re.findall(r"dashboard_url: (.*?)/d/", rules)) == {"http://grafana:3000/sub"}
    assert set(re.findall(r"runbook_url: (.*?)#", rules)) == {"https://wiki/runbooks"}
