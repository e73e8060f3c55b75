"""An API whose answers a test makes up, in a thread, for exporters that run as processes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, Any]
"""Status, and what is sent as JSON."""


def listed(things: Sequence[Mapping[str, Any]], *, documented: bool, more: int = 0) -> Answer:
    """Return a whole list in one page; ``more``: by how many its count is too high."""
    page = {"count": len(things) + more, "next": None, "previous": None, "results": things}
    return 200, {"success": True, "data": page} if documented else page


@contextmanager
def serving(respond: Callable[[str], Answer]) -> Iterator[str]:
    """Serve on a free port what ``respond`` returns for a path; yield the API's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path.removeprefix("/api/v1")
            status, value = respond(path)
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-RateLimit-Limit", "100000")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
