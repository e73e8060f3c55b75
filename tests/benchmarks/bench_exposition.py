"""What it costs to keep answers ready, and to send them, against prometheus_client and nginx.

Run by ``make bench``. Milliseconds depend on the machine; what counts are the ratios to peers in
the same run.
"""

# ruff: noqa: T201  it prints what it measured

from __future__ import annotations

import http.client
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measured_fleet import Peers, fleet
from prometheus_client import CollectorRegistry, generate_latest

from trainwave_exporter.exposition import Exposition, Format, Selection, Telemetry
from trainwave_exporter.model import Appeared, Changed

RUNS = 5
SIZES = (100, 1_000, 10_000)
SCRAPED = 10_000
ACCEPT = {"Accept": Format.OPENMETRICS.value, "Accept-Encoding": "gzip"}


def median(work: Callable[[int], object]) -> float:
    """Return the median of the milliseconds that each run takes."""
    times = []
    for run in range(RUNS):
        began = time.perf_counter()
        work(run)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def brought_up_to_date(jobs: int) -> tuple[float, float, float, float]:
    """Return ms for all changed, a tenth changed and nothing changed, and the peer's for all."""
    sweeps = [fleet(jobs, minute) for minute in range(2)]
    exposition = Exposition(selection=Selection(), max_jobs=0, telemetry=Telemetry(version="bench"))
    exposition.apply([Appeared(job) for job in sweeps[1]])
    exposition.publish()
    exposition.answer.gzip(Format.OPENMETRICS)

    def publish(run: int, part: int) -> None:
        before, after = sweeps[(run + 1) % 2], sweeps[run % 2]
        pairs = zip(before[:part], after[:part], strict=True)
        exposition.apply([Changed(*pair) for pair in pairs])
        exposition.publish()

    registry = CollectorRegistry(auto_describe=False)
    peer = Peers(sweeps[0])
    registry.register(peer)
    return (
        median(lambda run: publish(run, jobs)),
        median(lambda run: publish(run, jobs // 10)),
        median(lambda run: publish(run, 0)),
        median(lambda _: generate_latest(registry)),
    )


@contextmanager
def server(kind: str) -> Iterator[tuple[int, int]]:
    """Run a server of one kind; give its process and port."""
    command = [sys.executable, str(Path(__file__).with_name("scraped.py")), kind, str(SCRAPED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def nginx(body: bytes) -> Iterator[tuple[int, int]]:
    """Run nginx with one worker, which serves a body as a file; give its worker and port."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "metrics").write_bytes(body)
        port = 18_080
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;\n"
            "events {}\n"
            f"http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{port};"
            f" root {folder}; location /metrics {{ add_header Content-Encoding gzip; }} }} }}\n"
        )
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", name]
        with subprocess.Popen(command) as process:
            try:
                while not (folder / "pid").exists():
                    time.sleep(0.01)
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                yield int(children.split()[0]), port
            finally:
                process.terminate()


def scraped(pid: int, port: int, times: int) -> tuple[float, float, bytes]:
    """Return the ms of a scrape's p50 and its server's CPU, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body, before = b"", 0.0
    spent: list[float] = []
    for turn in range(times + 1):
        if turn == 1:
            before = cpu(pid)  # the first one warms up
        began = time.perf_counter()
        connection.request("GET", "/metrics", headers=ACCEPT)
        body = connection.getresponse().read()
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent[1:]), 1000 * (cpu(pid) - before) / times, body


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    print(f"{platform.python_implementation()} {platform.python_version()}, medians of {RUNS}\n")
    print(
        "Bringing the answer up to date, packed, in ms (prometheus_client: written, not packed)\n"
    )
    print("| jobs | all changed | a tenth changed | nothing changed | prometheus_client | ratio |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for jobs in SIZES:
        full, tenth, none, peer = brought_up_to_date(jobs)
        print(
            f"| {jobs} | {full:.1f} | {tenth:.1f} | {none:.1f} | {peer:.0f} | {peer / full:.0f} |"
        )
    print(f"\nA scrape over HTTP, gzip, {SCRAPED} jobs, in ms\n")
    print("| server | p50 | CPU | MB |\n| --- | ---: | ---: | ---: |")
    with server("exporter") as (pid, port):
        p50, used, body = scraped(pid, port, 200)
    print(f"| exporter | {p50:.2f} | {used:.2f} | {len(body) / 1e6:.2f} |")
    with server("prometheus_client") as (pid, port):
        other, busy, theirs = scraped(pid, port, RUNS)
    print(f"| prometheus_client | {other:.0f} | {busy:.0f} | {len(theirs) / 1e6:.2f} |")
    print(f"\nprometheus_client / exporter: p50 {other / p50:.0f}, CPU {busy / used:.0f}")
    if shutil.which("nginx") is None:
        print("nginx is not installed: not measured")
        return
    with nginx(body) as (pid, port):
        file, least, _ = scraped(pid, port, 200)
    print(f"nginx, the same bytes: p50 {file:.2f}, CPU {least:.2f}; ours / nginx: {p50 / file:.1f}")


if __name__ == "__main__":
    main()
