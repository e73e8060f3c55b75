"""A real Prometheus that scrapes, and judges rules if it is given any."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.prometheus_tools import tool


@contextmanager
def prometheus(
    suite: str,
    folder: Path,
    target: str,
    scrape: str = "",
    *,
    labels: Mapping[str, str] | None = None,
    rules: Sequence[Path] = (),
    alertmanager: str | None = None,
) -> Iterator[str]:
    """Run a Prometheus that scrapes ``target`` every second; give its URL.

    ``scrape`` is further lines of its scrape configuration, ``labels`` are those of the target.
    ``rules`` are judged every second; ``alertmanager`` is the URL of who is told of alerts.
    """
    told = [alertmanager.removeprefix("http://")] if alertmanager else []
    config = (
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: {json.dumps([str(path) for path in rules])}\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: {json.dumps(told)}}}]}}]}}\n"
        "scrape_configs:\n"
        "  - job_name: trainwave\n"
        f"{scrape}"
        f"    static_configs: [{{targets: ['{target}'], labels: {json.dumps(labels or {})}}}]\n"
    )
    with configured(suite, folder, config) as url:
        yield url


@contextmanager
def configured(suite: str, folder: Path, text: str) -> Iterator[str]:
    """Run a Prometheus with that configuration; give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(text)
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
