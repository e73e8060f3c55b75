"""Who is told of alerts: a receiver of Alertmanager's webhooks that keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Told:
    """One alert within a notification."""

    at: float
    """When it came (Unix seconds)."""
    receiver: str
    status: str
    """``firing`` or ``resolved``."""
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        """The name of the alert."""
        return self.labels["alertname"]


@dataclass
class Webhook:
    """What was told so far, oldest first."""

    url: str
    told: list[Told] = field(default_factory=list)

    def of(self, name: str, since: float = 0.0, **labels: str) -> list[Told]:
        """Return what was told, from then on, of firing alerts with this name and these labels."""
        return [
            told
            for told in list(self.told)
            if told.name == name
            and told.at >= since
            and told.status == "firing"
            and labels.items() <= told.labels.items()
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Listen on a free port while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()
            now = time.time()
            received.told.extend(_alerts(body, now))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Webhook(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def _alerts(body: dict[str, Any], now: float) -> Iterator[Told]:
    for alert in body["alerts"]:
        yield Told(now, body["receiver"], alert["status"], alert["labels"], alert["annotations"])
