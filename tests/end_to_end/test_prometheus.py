"""A real Prometheus, the oldest and the newest, scrapes the exporter in both formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.exporter import Exporter, wait_for
from support.scraping import prometheus, query
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedWorld, Simulator


@pytest.mark.parametrize(
    ("suite", "scrape", "form"),
    [
        ("bookworm", "", "openmetrics"),
        ("sid", "    scrape_protocols: [OpenMetricsText1.0.0]\n", "openmetrics"),
        ("sid", "    scrape_protocols: [PrometheusText0.0.4]\n", "text"),
    ],
    ids=["oldest", "newest-openmetrics", "newest-text"],
)
def test_prometheus_takes_all_in(tmp_path: Path, suite: str, scrape: str, form: str) -> None:
    simulator = Simulator(SimulatedWorld(seed=5, jobs=30), rate_limit=1000)
    with (
        serving(simulator) as url,
        Exporter(f"--trainwave.api-url={url}", env={"TRAINWAVE_API_KEY": "demo-key"}) as exporter,
        prometheus(suite, tmp_path, exporter.url.removeprefix("http://"), scrape) as server,
    ):
        exporter.wait_ready()
        wait_for(lambda: query(server, "count(trainwave_job_info)"), "the first scrape", 60)
        up = query(server, "up")
        assert [sample["value"][1] for sample in up] == ["1"]
        stored = query(server, "scrape_samples_scraped")[0]["value"][1]
        assert int(stored) > 30 * 15
        states = query(server, "sum by (state) (trainwave_job_state) > 0")
        counts = query(server, "sum by (state) (trainwave_jobs) > 0")
        assert _by_state(states) == _by_state(counts) != {}
        joined = query(
            server,
            "trainwave_job_cost_dollars * on (job_id) group_left (job_rid, owner)"
            " trainwave_job_info",
        )
        assert len(joined) == len(query(server, "trainwave_job_cost_dollars"))
        assert all(sample["metric"]["job_rid"] for sample in joined)
        exporter.wait(
            lambda metrics: metrics.get(
                "trainwave_exporter_scrape_duration_seconds_count", format=form
            ),
            f"scrapes of {form} to be counted",
        )
        assert "error" not in (tmp_path / "log").read_text().lower()


def _by_state(result: list[dict[str, Any]]) -> dict[str, str]:
    return {sample["metric"]["state"]: sample["value"][1] for sample in result}
