"""A real Prometheus, the oldest and the newest, scrapes the exporter in both formats."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.exporter import Exporter, wait_for
from support.simulated import serving
from support.tools import tool

from trainwave_exporter.simulator import Simulator, World


@contextmanager
def prometheus(suite: str, folder: Path, target: str, scrape: str) -> Iterator[str]:
    """Run a Prometheus that scrapes ``target`` every second; give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: trainwave\n"
        f"{scrape}"
        f"    static_configs: [{{targets: ['{target}']}}]\n"
    )
    command = [
        tool(suite, "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://{address}"
        finally:
            process.kill()


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """Return the result of an instant query; empty while Prometheus starts."""
    try:
        with urllib.request.urlopen(
            f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}", timeout=5
        ) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return result
    except OSError:
        return []


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
    simulator = Simulator(World(seed=5, jobs=30), rate_limit=1000)
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
