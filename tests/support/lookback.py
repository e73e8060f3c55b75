"""A real Prometheus that is given what was scraped in the past."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.exporter import Metrics, wait_for
from support.prometheus_tools import tool


@contextmanager
def prometheus_of(
    suite: str, folder: Path, scrapes: Iterable[tuple[int, Metrics]], names: Iterable[str]
) -> Iterator[str]:
    """Run a Prometheus that has the samples of these names; give its URL.

    ``scrapes`` are in order of time, each with its Unix seconds. ``folder`` is made.
    """
    folder.mkdir()
    samples = folder / "samples"
    with samples.open("w") as file:
        for at, metrics in scrapes:
            for name in names:
                for labels, value in metrics.all(name):
                    pairs = (f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in labels.items())
                    file.write(f"{name}{{{','.join(pairs)}}} {value!r} {at}\n")
        file.write("# EOF\n")
    take_in(suite, samples, folder)
    with prometheus_in(suite, folder) as url:
        yield url


def take_in(suite: str, samples: Path, folder: Path) -> None:
    """Give the Prometheus of a folder, which does not run, samples in the form of OpenMetrics."""
    blocks = ["--max-block-duration=720h", "openmetrics", str(samples), str(folder / "data")]
    command = [tool(suite, "promtool"), "tsdb", "create-blocks-from", *blocks]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def prometheus_in(suite: str, folder: Path, *flags: str) -> Iterator[str]:
    """Run the Prometheus of a folder, which scrapes nothing; give its URL."""
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        tool(suite, "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        "--log.level=warn",
        *flags,
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_for(lambda: _ready(f"http://{address}"), "Prometheus to be ready")
            yield f"http://{address}"
        finally:
            process.kill()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def query_at(url: str, promql: str, at: float) -> list[dict[str, Any]]:
    """Return the vector that an expression comes to at an instant."""
    text = urllib.parse.urlencode({"query": promql, "time": at})
    with urllib.request.urlopen(f"{url}/api/v1/query?{text}", timeout=30) as answer:
        vector: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return vector
