"""The queries that README and docs recommend, asked of a Prometheus that scrapes two exporters."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest
from support.documentation import PAGES
from support.exporter import wait_for
from support.panel_queries import ask
from support.scraped_expositions import GOLDEN, Scraped, scraped, serving, target

from deploy.prometheus import build
from deploy.prometheus.settings import load


def queries() -> list[str]:
    """Return what stands between marks of PromQL: one query, or one a line."""
    found: list[str] = []
    for page in PAGES:
        for block in re.findall(
            r"^```promql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
        ):
            try:
                promql_parser.parse(block)
                found.append(block)
            except ValueError:
                found += block.splitlines()
    return found


def counted(prometheus: Scraped) -> dict[str, int]:
    """Return how many series each query yields."""
    return {
        promql: len(ask(prometheus.url, "query", {"query": promql})["result"])
        for promql in queries()
    }


@pytest.mark.timeout(180)
def test_they_yield_the_same_of_one_exporter_and_of_two(tmp_path: Path) -> None:
    text = GOLDEN.read_text()
    rules = build.files(load())
    with (
        serving(text) as one,
        serving(text) as another,
        scraped("sid", tmp_path, rules) as prometheus,
    ):
        prometheus.scrape(target(one))
        wait_for(lambda: all(counted(prometheus).values()), "answers", 60)
        alone = counted(prometheus)
        assert any("group_left" in promql for promql in alone)
        prometheus.scrape(target(one), target(another, "exporter-1"))
        together = counted(prometheus)
    for promql, series in alone.items():
        joined = "group_left" in promql or ":trainwave_" in promql
        assert together[promql] == (series if joined else 2 * series), promql
