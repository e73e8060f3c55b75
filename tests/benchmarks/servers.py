"""Servers that benchmarks scrape, each a process of its own, and what they take of the machine."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measured_fleet import families_of_peers, fleet

from trainwave_exporter.exposition import Format

HERE: Final = Path(__file__).parent
NEEDED: Final = {
    "go": "golang-go",
    "nginx": "nginx-light",
    "/usr/share/gocode/src/github.com/prometheus/client_golang": (
        "golang-github-prometheus-client-golang-dev"
    ),
}
"""What the peers are made of, and the Debian packages that have it."""
ACCEPT: Final = {"Accept": Format.OPENMETRICS.value, "Accept-Encoding": "gzip"}
_START_SECONDS: Final = 600.0


@dataclass(frozen=True)
class Server:
    """A running server: the process that answers, and its port."""

    pid: int
    port: int

    @property
    def cpu(self) -> float:
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, field: str) -> float:
        """Return bytes: ``VmHWM`` for the peak, ``VmRSS`` for what is resident now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return 1024 * float(line.split()[1])
        raise LookupError(field)


@dataclass(frozen=True)
class Scrapes:
    """What some scrapes took: medians, in milliseconds, and the body of the last."""

    p50: float
    cpu: float
    body: bytes


def check_needed() -> None:
    """Exit, naming the Debian packages that are missing, if any is."""
    missing = [
        package
        for thing, package in NEEDED.items()
        if shutil.which(thing) is None and not Path(thing).exists()
    ]
    if missing:
        sys.exit(f"The peers need Debian's {' '.join(missing)}: apt-get install them first.")


@contextmanager
def python(kind: str, jobs: int) -> Iterator[Server]:
    """Run a server of ``scraped.py``."""
    command = [sys.executable, str(HERE / "scraped.py"), kind, str(jobs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.pid, int(process.stdout.readline()))
        finally:
            process.kill()


@contextmanager
def client_golang(jobs: int) -> Iterator[Server]:
    """Build and run the exporter in ``peer``, with the same series in gauges."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "peer")
        offline = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": ""}
        subprocess.run(
            ["go", "build", "-o", str(program), "main.go"],
            cwd=HERE / "peer",
            env={**os.environ, **offline, "GOCACHE": folder},
            check=True,
        )
        with subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                for family in families_of_peers(fleet(jobs, 0)):
                    json.dump(family, process.stdin)
                    process.stdin.write("\n")
                process.stdin.close()
                yield Server(process.pid, int(process.stdout.readline()))
            finally:
                process.kill()


@contextmanager
def nginx(body: bytes) -> Iterator[Server]:
    """Run nginx with one worker, which serves a body as a file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "metrics").write_bytes(body)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;\n"
            "events {}\n"
            "http { access_log off; sendfile on; open_file_cache max=9;"
            f" server {{ listen 127.0.0.1:{port}; root {folder};"
            " location /metrics { add_header Content-Encoding gzip; } } }\n"
        )
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", name]
        with subprocess.Popen(command) as process:
            try:
                while not (folder / "pid").exists():
                    time.sleep(0.01)
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                yield Server(int(children.split()[0]), port)
            finally:
                process.terminate()


def scrape(server: Server, times: int) -> Scrapes:
    """Scrape so many times, one after the other, after one that warms up."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_START_SECONDS)
    body, before = b"", 0.0
    spent: list[float] = []
    for turn in range(times + 1):
        if turn == 1:
            before = server.cpu
        began = time.perf_counter()
        connection.request("GET", "/metrics", headers=ACCEPT)
        body = connection.getresponse().read()
        spent.append(time.perf_counter() - began)
    connection.close()
    cpu = (server.cpu - before) / times
    return Scrapes(1000 * statistics.median(spent[1:]), 1000 * cpu, body)
