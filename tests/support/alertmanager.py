"""A real Alertmanager on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.exporter import wait_for
from support.prometheus_tools import tool


@contextmanager
def alertmanager(suite: str, folder: Path, config: Path) -> Iterator[str]:
    """Run an Alertmanager with that configuration; give its URL once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        tool(suite, "prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    url = f"http://{address}"
    with (
        (folder / "alertmanager.log").open("w") as log,
        subprocess.Popen(command, stderr=log) as process,
    ):
        try:
            wait_for(
                lambda: process.poll() is not None or _answers(f"{url}/-/ready"),
                "Alertmanager to be ready",
            )
            assert process.poll() is None, (folder / "alertmanager.log").read_text()
            yield url
        finally:
            process.kill()


def post_alerts(url: str, alerts: Sequence[Mapping[str, str]]) -> None:
    """Have alerts with these labels fire."""
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/api/v2/alerts", body, headers), timeout=5
    ):
        pass


def state_of(url: str, labels: Mapping[str, str]) -> str | None:
    """Return the state of the alert with these labels: unprocessed, active or suppressed."""
    known = [alert["status"]["state"] for alert in _alerts(url) if alert["labels"] == labels]
    return known[0] if known else None


def silencers(url: str, labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the labels of the alerts that keep the alert with these labels from being told."""
    alerts = _alerts(url)
    (known,) = (alert for alert in alerts if alert["labels"] == labels)
    by = known["status"]["inhibitedBy"]
    return [alert["labels"] for alert in alerts if alert["fingerprint"] in by]


def _alerts(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        alerts: list[dict[str, Any]] = json.load(answer)
    return alerts


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
