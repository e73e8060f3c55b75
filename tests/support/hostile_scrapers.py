"""A crowd that holds connections to an exporter and does nothing good with them.

As a program (``python -m support.hostile_scrapers HOST PORT``) it goes on until it is killed: what
it takes to do harm is not to be the time of whoever suffers it. Who is dropped comes again.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from struct import pack
from threading import Event

_ASKED = "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {}\r\n\r\n"
_NEVER_READ = [_ASKED.format(coding).encode() for coding in ("identity", "zstd", "gzip")]
_HALF_SENT = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-"
_IDLE = b""
_CUT_SHORT = 20
"""Scrapes in a round of which nothing is fetched but the connection reset."""
_CROWD = [*_NEVER_READ * 67, *[_HALF_SENT] * 300, *[_IDLE] * 300]
_AT_ONCE = 40
"""Connections that are made in a round."""
_ROUND_SECONDS = 0.2
_ADDRESSES = [f"127.0.0.{number}" for number in range(2, 32)]
_RESET = pack("ii", 1, 0)


@contextmanager
def hostile_scrapers(host: str, port: int) -> Iterator[None]:
    """Run the program."""
    command = [sys.executable, "-m", "support.hostile_scrapers", host, str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
            assert process.poll() is None, "the hostile scrapers gave up"
        finally:
            process.kill()


def _connect(exporter: tuple[str, int], client: str, data: bytes) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(1)
    connection.bind((client, 0))
    with suppress(OSError):  # it is dropped as it comes, which the poll will tell
        connection.connect(exporter)
        connection.sendall(data)
    return connection


def main(host: str, port: int) -> None:
    """Hold as many connections as there is a crowd, in rounds."""
    addresses = cycle(_ADDRESSES)
    away = deque(_CROWD)
    held: dict[int, tuple[socket.socket, bytes]] = {}
    poll = select.poll()
    pause = Event()
    while True:
        began = time.monotonic()
        for _ in range(min(_AT_ONCE, len(away))):
            harm = away.popleft()
            connection = _connect((host, port), next(addresses), harm)
            held[connection.fileno()] = connection, harm
            poll.register(connection, select.POLLRDHUP)
        for _ in range(_CUT_SHORT):
            connection = _connect((host, port), next(addresses), _NEVER_READ[-1])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()
        pause.wait(max(0.0, _ROUND_SECONDS - (time.monotonic() - began)))
        for descriptor, _ in poll.poll(0):
            poll.unregister(descriptor)
            connection, harm = held.pop(descriptor)
            connection.close()
            away.append(harm)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
