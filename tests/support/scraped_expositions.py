"""Expositions that stand still, scraped by a real Prometheus with rules, and what panels show."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.exporter import wait_for
from support.panel_queries import ask
from support.rule_set_ups import CLASHING, OPERATOR
from support.scraping import configured, query

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.txt"
BEFORE = Path(__file__).parents[1] / "deploy" / "v0_1_0"
"""Rules, dashboards, the example for Alertmanager, and an exposition of version 0.1.0."""
RANGE_SECONDS = 60

Json = dict[str, Any]


@contextmanager
def serving(text: str) -> Iterator[str]:
    """Serve an exposition while the context lasts; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def target(address: str, pod: str = "exporter-0", *, clashing: bool = False) -> Json:
    """Return a target as a ServiceMonitor makes it."""
    labels = {**OPERATOR, "pod": pod, **(CLASHING if clashing else {})}
    return {"targets": [address], "labels": labels}


class Scraped:
    """A Prometheus whose targets a test can change."""

    def __init__(self, url: str, targets: Path) -> None:
        self.url = url
        self._targets = targets

    def scrape(self, *targets: Json) -> None:
        """Scrape these from now on; returns once they are."""
        self._targets.write_text(json.dumps(targets))
        addresses = {address for each in targets for address in each["targets"]}
        wait_for(
            lambda: {each["metric"]["instance"] for each in self.query("up == 1")} == addresses,
            "targets to be scraped",
        )

    def query(self, promql: str) -> list[Json]:
        return query(self.url, promql)

    def value(self, promql: str) -> float:
        """Return the only value of a query."""
        [sample] = self.query(promql)
        return float(sample["value"][1])

    def full(
        self, boards: Mapping[str, Json], **variables: str
    ) -> dict[tuple[str, str, str], list[Json]]:
        """Return the series of all queries of dashboards that yield any, as they are now."""
        now = time.time()
        found = {}
        for uid, board in boards.items():
            for panel in board["panels"]:
                for one in panel["targets"]:
                    promql = filled(one["expr"], variables)
                    series = ask(self.url, "query", {"query": promql, "time": now})["result"]
                    if series:
                        found[uid, panel["title"], one["refId"]] = series
        return found


def filled(promql: str, variables: Mapping[str, str]) -> str:
    """Fill in what is chosen, all where nothing is, and Grafana's own intervals."""
    chosen = {"__range": f"{RANGE_SECONDS}s", "__rate_interval": "10s", "job": "j-train"}
    for name in ("cluster", "account", "organization", "project", "owner", "gpu_type", "instance"):
        chosen[name] = ".*"
    for name, value in sorted({**chosen, **variables}.items(), key=lambda each: -len(each[0])):
        promql = promql.replace(f"${name}", value)
    return promql


@contextmanager
def scraped(
    suite: str,
    folder: Path,
    rules: Mapping[str, str],
    *,
    cluster: str = "",
    federated: str = "",
    honor_labels: bool = True,
) -> Iterator[Scraped]:
    """Run a Prometheus that scrapes each second, and judges ``rules``, texts by file name.

    ``cluster`` is its external label; ``federated`` another Prometheus, or several, by commas, from
    which it takes what they scrape in place of exporters.
    """
    folder.mkdir(exist_ok=True)
    for name, text in rules.items():
        (folder / name).write_text(text)
    targets = folder / "targets.json"
    targets.write_text("[]")
    scrape: Json = {"job_name": "trainwave", "honor_labels": honor_labels}
    if federated:
        addresses = [url.removeprefix("http://") for url in federated.split(",")]
        scrape |= {
            "job_name": "federation",
            "metrics_path": "/federate",
            "params": {"match[]": ['{job="trainwave"}']},
            "static_configs": [{"targets": addresses}],
        }
    else:
        scrape |= {"file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}]}
    external = {"external_labels": {"cluster": cluster}} if cluster else {}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s", **external},
        "rule_files": [str(folder / name) for name in rules],
        "scrape_configs": [scrape],
    }
    with ExitStack() as stack:
        url = stack.enter_context(configured(suite, folder, json.dumps(config)))
        yield Scraped(url, targets)
