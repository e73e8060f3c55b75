"""What panels show where exporters are scraped otherwise: of real Prometheus servers, and the same.

Expositions stand still, so that what differs is what the set-up makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.exporter import wait_for
from support.prometheus_tools import SUITES
from support.scraped_expositions import BEFORE, GOLDEN, Scraped, scraped, serving, target

from deploy.prometheus import build as rules
from deploy.prometheus.settings import load
from grafana import build

NOW = GOLDEN.read_text()
THEN = (BEFORE / "metrics.txt").read_text()
OTHER_TEAM = NOW.replace("o-lab", "o-other").replace("p-vision", "p-other").replace("j-", "k-")
"""Of a team whose account and budgets are called the same, and that sees something else."""
PATIENCE_SECONDS = 60

RULES = rules.files(load())
RULES_BEFORE = {name: (BEFORE / name).read_text() for name in ("recording.yml", "alerts.yml")}
BOARDS: dict[str, dict[str, Any]] = {}
for _text in build.files().values():
    _board = json.loads(_text)
    BOARDS[_board["uid"]] = {"panels": [p for p in _board["panels"] if p["type"] != "row"]}
BOARDS_BEFORE: dict[str, dict[str, Any]] = json.loads((BEFORE / "dashboards.json").read_text())

Asked = tuple[str, str, str]

ONLY_NOW: set[Asked] = {
    ("trainwave-cost", "Budgets in the current period", "C"),
    ("trainwave-cost", "Budgets in the current period", "D"),
    ("trainwave-cost", "Budgets in the current period", "E"),
    ("trainwave-cost", "Unknown figures", "A"),
    ("trainwave-exporter", "Ledger: file", "A"),
    ("trainwave-exporter", "Connections dropped", "A"),
    ("trainwave-exporter", "Log lines dropped", "A"),
}
"""Queries for what version 0.1.0 does not expose: bounds, accrued spend, unknown figures, whether
the ledger is in its own file, and what the exporter drops."""

MOVING = {
    (uid, panel["title"], one["refId"])
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for one in panel["targets"]
    if "time()" in one["expr"] or "scrape_" in one["expr"]
}
"""Queries whose values are others every second."""


def numbers(shown: Mapping[Asked, list[dict[str, Any]]]) -> dict[Asked, list[str]]:
    """Return the values of each query; of those that move, how many there are."""
    return {
        asked: sorted("" if asked in MOVING else f"{float(one['value'][1]):.9g}" for one in series)
        for asked, series in shown.items()
    }


@pytest.fixture
def served() -> Iterator[tuple[str, str]]:
    """Give the addresses of two exporters with the same exposition."""
    with serving(NOW) as one, serving(NOW) as another:
        yield one, another


@pytest.mark.timeout(240)
@pytest.mark.parametrize("suite", SUITES)
def test_panels_show_the_same_through_a_servicemonitor_after_a_restart_and_of_two_exporters(
    suite: str, served: tuple[str, str], tmp_path: Path
) -> None:
    one, another = served
    with scraped(suite, tmp_path, RULES) as prometheus:
        prometheus.scrape({"targets": [one]})
        expected: dict[Asked, list[str]] = {}

        def settled() -> bool:
            before = dict(expected)
            expected.clear()
            expected.update(numbers(prometheus.full(BOARDS)))
            return len(expected) > 100 and before == expected

        wait_for(settled, "panels", PATIENCE_SECONDS, pause=3)
        odd: dict[Asked, Any] = {}

        def same(by_exporter: bool) -> bool:
            shown = numbers(prometheus.full(BOARDS))
            odd.clear()
            odd.update(
                {
                    asked: (values, shown.get(asked))
                    for asked, values in expected.items()
                    if shown.get(asked) != values
                    and (by_exporter or asked[0] != "trainwave-exporter")
                }
            )
            return not odd

        for targets, by_exporter in (
            ([target(one)], True),
            ([target(another, "exporter-1")], True),
            ([target(another, "exporter-1", clashing=True)], True),
            ([target(one), target(another, "exporter-1")], False),
        ):
            prometheus.scrape(*targets)
            try:
                wait_for(partial(same, by_exporter), "the same", PATIENCE_SECONDS, pause=3)
            except AssertionError:
                pytest.fail(f"{targets}: {odd}")
        # The credit of that organization ended long ago: it lasts no longer, and no less than that.
        for uid in ("trainwave-cost", "trainwave-fleet"):
            [lasts] = prometheus.full(BOARDS)[uid, "Credit lasts", "A"]
            assert lasts["value"][1] == "0"
        clash = prometheus.query('ALERTS{alertname="TrainwaveLabelsClash"}')
        assert clash == []  # as labels are honoured


@pytest.mark.parametrize("suite", SUITES)
def test_labels_of_a_target_that_are_not_to_be_honoured_are_alerted_on(
    suite: str, tmp_path: Path
) -> None:
    with (
        serving(NOW) as address,
        scraped(suite, tmp_path, RULES, honor_labels=False) as prometheus,
    ):
        prometheus.scrape(target(address, clashing=True))
        alerts = 'ALERTS{alertname="TrainwaveLabelsClash"}'
        wait_for(lambda: prometheus.query(alerts), "an alert", PATIENCE_SECONDS)
        labels = {one["metric"]["label"] for one in prometheus.query(alerts)}
        assert labels == {"account", "owner", "project_id"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("of_rules", "boards"), [(RULES, BOARDS), (RULES_BEFORE, BOARDS_BEFORE)], ids=["now", "before"]
)
def test_rules_and_dashboards_show_the_same_of_the_exporter_of_either_version(
    of_rules: Mapping[str, str], boards: Mapping[str, dict[str, Any]], tmp_path: Path
) -> None:
    full: dict[str, set[Asked]] = {}
    for version, text in {"then": THEN, "now": NOW}.items():
        with (
            serving(text) as address,
            scraped("sid", tmp_path / version, of_rules) as prometheus,
        ):
            prometheus.scrape(target(address))

            def settled(version: str = version, prometheus: Scraped = prometheus) -> bool:
                before, full[version] = full.get(version), set(prometheus.full(boards))
                return len(full[version]) > 100 and before == full[version]

            wait_for(settled, "panels", PATIENCE_SECONDS, pause=3)
    only_now = ONLY_NOW if boards is BOARDS else set()
    assert only_now <= full["now"]
    assert full["then"] == full["now"] - only_now


@pytest.mark.timeout(240)
def test_two_teams_that_call_all_the_same_and_two_clusters_stay_separate_where_all_is_federated(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        lab, other = (stack.enter_context(serving(text)) for text in (NOW, OTHER_TEAM))
        east = stack.enter_context(scraped("sid", tmp_path / "east", {}, cluster="east"))
        west = stack.enter_context(scraped("bookworm", tmp_path / "west", {}, cluster="west"))
        east.scrape(target(lab), target(other, "exporter-1"))
        west.scrape(target(other))
        world = stack.enter_context(
            scraped("sid", tmp_path / "world", RULES, federated=f"{east.url},{west.url}")
        )

        def views() -> set[tuple[str, str]]:
            found = world.query("account:trainwave_up:max == 1")
            return {(one["metric"]["cluster"], one["metric"].get("view", "")) for one in found}

        wait_for(
            lambda: views() == {("east", "o-lab"), ("east", "o-other"), ("west", "o-other")},
            "accounts of both clusters",
            PATIENCE_SECONDS,
        )
        wait_for(
            lambda: len(world.query("budget:trainwave_limit_dollars:max")) == 6,
            "two budgets of each of three exporters",
            PATIENCE_SECONDS,
        )

        def views_of_figures() -> set[tuple[str, str]]:
            found = world.query("figure:trainwave_unknown:max == 1")
            return {(one["metric"]["cluster"], one["metric"].get("view", "")) for one in found}

        wait_for(
            lambda: views_of_figures() == views(),
            "unknown figures of each exporter",
            PATIENCE_SECONDS,
        )

        def complete(cluster: str) -> bool:
            return len(world.full(BOARDS, cluster=cluster)) > 90

        for cluster in ("east", "west"):
            wait_for(
                partial(complete, cluster),
                f"panels of {cluster}",
                PATIENCE_SECONDS,
                pause=2,
            )
            for asked, series in world.full(BOARDS, cluster=cluster).items():
                for one in series:
                    assert one["metric"].get("cluster", cluster) == cluster, asked
        spent = 'sum(project:trainwave_cost_dollars:max{cluster=~"%s"})'
        whole = world.value(spent % "east")
        assert world.value(spent % "west") == pytest.approx(whole / 2)
        # A job that both clusters watch counts once where both are chosen.
        shown = world.full(BOARDS)
        jobs = [
            one["metric"]["job_id"] for one in shown["trainwave-cost", "Most expensive jobs", "A"]
        ]
        assert len(jobs) == len(set(jobs))
        assert {"j-train", "k-train"} <= set(jobs)
        for asked, both in {
            ("trainwave-fleet", "Running jobs", "A"): 2,
            ("trainwave-fleet", "GPUs in use", "A"): 4,
            ("trainwave-fleet", "Spend rate", "A"): 2 * 5.1,
            ("trainwave-fleet", "Credit left", "A"): 2 * 1234.56,
            ("trainwave-efficiency", "Memory: used and allocated", "A"): 2 * 64 * 2**30,
        }.items():
            [sample] = shown[asked]
            assert float(sample["value"][1]) == pytest.approx(both), asked
