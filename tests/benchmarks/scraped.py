"""A server of one kind, to be scraped: `python scraped.py KIND JOBS`; prints its port.

Kinds: `exporter` (ours, bytes ready) and `prometheus_client` (its own server, a custom collector).
"""

# ruff: noqa: T201  it prints its port

from __future__ import annotations

import asyncio
import sys
import threading

from measured_fleet import Peers, fleet
from prometheus_client import CollectorRegistry, start_http_server

from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.model import Appeared
from trainwave_exporter.runtime import event_loop
from trainwave_exporter.web import HtmlPage, WebServer


async def serve(jobs: int) -> None:
    """Serve what was published once, as between two changes."""
    exposition = Exposition(
        selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="bench")
    )
    exposition.apply([Appeared(job) for job in fleet(jobs, 0)])
    exposition.publish()
    server = WebServer(
        answer=lambda: exposition.answer,
        telemetry_path="/metrics",
        unready_reasons=list,
        page=lambda: HtmlPage("", ""),
        scraped=lambda _form, _seconds: None,
    )
    await server.start("127.0.0.1:0")
    print(server.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    kind, jobs = sys.argv[1], int(sys.argv[2])
    if kind == "exporter":
        event_loop.run(serve(jobs))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Peers(fleet(jobs, 0)))
    server, _ = start_http_server(0, "127.0.0.1", registry)
    print(server.server_port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
