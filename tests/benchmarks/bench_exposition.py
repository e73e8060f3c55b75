"""What it costs to keep answers ready, to send them, and to have them in memory.

Run by ``make bench``. Peers, in the same run: prometheus_client's collector, an exporter made with
client_golang, and nginx with the same bytes in a file. ``EXPOSITION_JOBS`` sets the largest fleet.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Final

from measured_fleet import Peers, fleet
from prometheus_client import CollectorRegistry, generate_latest
from results import Table, chart, publish
from servers import Scrapes, check_needed, client_golang, nginx, python, scrape

from trainwave_exporter.exposition import Exposition, Format, Selection, Telemetry
from trainwave_exporter.model import Appeared, Changed

RUNS: Final = 5
SCRAPED: Final = 10_000
LARGEST: Final = int(os.environ.get("EXPOSITION_JOBS", "100000"))
SIZES: Final = tuple(size for size in (100, 1_000, 10_000, 100_000) if size <= LARGEST)
PACKAGES: Final = ("prometheus-client", "aiohttp", "isal")


def median(work: Callable[[int], object], runs: int = RUNS) -> float:
    """Return the median of the milliseconds that each run takes."""
    times = []
    for run in range(runs):
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

    def renew(run: int, part: int) -> None:
        before, after = sweeps[(run + 1) % 2], sweeps[run % 2]
        pairs = zip(before[:part], after[:part], strict=True)
        exposition.apply([Changed(*pair) for pair in pairs])
        exposition.publish()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Peers(sweeps[0]))
    return (
        median(lambda run: renew(run, jobs)),
        median(lambda run: renew(run, jobs // 10)),
        median(lambda run: renew(run, 0)),
        median(lambda _: generate_latest(registry)),
    )


def update() -> None:
    """Measure how long it takes until what changed can be scraped."""
    rows, curves = [], dict[str, list[tuple[float, float]]]()
    for jobs in SIZES:
        full, tenth, none, peer = brought_up_to_date(jobs)
        figures = [f"{full:.1f}", f"{tenth:.1f}", f"{none:.2f}", f"{peer:.0f}"]
        rows.append([f"{jobs:,}", *figures, f"{peer / full:.1f}"])
        times = {"all changed": full, "a tenth changed": tenth, "prometheus_client": peer}
        for name, milliseconds in times.items():
            curves.setdefault(name, []).append((float(jobs), milliseconds))
    publish(
        "exposition_update",
        "Bringing the answer up to date",
        "Milliseconds, medians of five; ours is packed as well, prometheus_client's written only."
        " Goal: at least 80 times as fast with all jobs changed.",
        Table(
            ["jobs", "all changed", "a tenth", "nothing", "prometheus_client", "theirs / ours"],
            rows,
        ),
        chart(
            "exposition_update.svg",
            "Milliseconds until what changed can be scraped",
            curves,
            x="jobs",
            y="ms",
            logarithmic=True,
        ),
        packages=PACKAGES,
    )


def scrapes() -> None:
    """Measure what a scrape takes."""
    with python("exporter", SCRAPED) as server:
        ours = scrape(server, 200)
    with python("prometheus_client", SCRAPED) as server:
        peer = scrape(server, RUNS)
    with client_golang(SCRAPED) as server:
        golang = scrape(server, RUNS)
    with nginx(ours.body) as server:
        file = scrape(server, 200)
    named = {"ours": ours, "prometheus_client": peer, f"client_golang, {go()}": golang}
    rows = [_row(name, each, ours) for name, each in named.items()]
    rows.append(_row(f"nginx {nginx_version()}, the same bytes in a file", file, ours))
    publish(
        "exposition_scrape",
        f"A scrape over HTTP of {SCRAPED:,} jobs, gzip, bytes ready",
        "Milliseconds, of the client's clock and of the server's CPU. Goals against client_golang:"
        " at least 300 times in p50, 500 times in CPU; against nginx: at most 1.5 times its p50.",
        Table(["", "p50", "CPU", "MB", "p50, theirs / ours", "CPU, theirs / ours"], rows),
        f"p50, ours / nginx: {ours.p50 / file.p50:.2f}.",
        packages=PACKAGES,
    )


def _row(name: str, scrapes: Scrapes, ours: Scrapes) -> list[str]:
    return [
        name,
        f"{scrapes.p50:.2f}",
        f"{scrapes.cpu:.2f}",
        f"{len(scrapes.body) / 1e6:.2f}",
        f"{scrapes.p50 / ours.p50:,.2f}",
        f"{scrapes.cpu / max(ours.cpu, 1e-9):,.2f}",
    ]


def memory() -> None:
    """Measure what the largest fleet takes while it is scraped."""
    with python("exporter", 100) as server:
        scrape(server, 3)
        bare = server.memory("VmRSS")
    with python("exporter", LARGEST) as server:
        ours = scrape(server, RUNS)
        peak, resident = server.memory("VmHWM"), server.memory("VmRSS")
    with client_golang(LARGEST) as server:
        golang = scrape(server, RUNS)
        theirs = server.memory("VmHWM")
    each = (resident - bare) / (LARGEST - 100) / 1000
    publish(
        "exposition_memory",
        f"Memory with {LARGEST:,} jobs, while scraped",
        "Goals: a peak of at most 0.3 times that of client_golang, and at most 3 KB a job.",
        Table(
            ["", "peak MB", "scrape p50, ms"],
            [
                ["ours", f"{peak / 1e6:.0f}", f"{ours.p50:.1f}"],
                ["client_golang", f"{theirs / 1e6:.0f}", f"{golang.p50:.0f}"],
            ],
        ),
        f"Ours / client_golang: {peak / theirs:.2f}. Resident, beyond what 100 jobs take:"
        f" {each:.1f} KB a job, of which each is told in {ours_series()} series.",
        packages=PACKAGES,
    )


def ours_series() -> int:
    """Return how many series a job of the fleet has."""
    exposition = Exposition(selection=Selection(), max_jobs=0, telemetry=Telemetry(version="bench"))
    exposition.apply([Appeared(job) for job in fleet(1, 0)])
    exposition.publish()
    body = b"".join(exposition.answer.plain(Format.TEXT))
    return body.count(b'job_id="')


def go() -> str:
    """Return which Go and which library the peer is made with."""
    compiler = subprocess.run(["go", "version"], check=True, capture_output=True, text=True)
    library = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "golang-github-prometheus-client-golang-dev"],
        check=True,
        capture_output=True,
        text=True,
    )
    return f"{library.stdout.strip()} on {compiler.stdout.split()[2]}"


def nginx_version() -> str:
    """Return which nginx serves the file."""
    told = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True)
    return told.stderr.strip().rpartition("/")[2]


def main() -> None:
    """Measure and publish."""
    check_needed()
    scrapes()
    memory()
    update()


if __name__ == "__main__":
    main()
