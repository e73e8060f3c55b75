"""What it costs to keep answers ready, to send them, and to have them in memory.

Run by ``make bench``. Peers, in the same run: prometheus_client's collector, an exporter made with
client_golang, and nginx with the same bytes in a file. ``EXPOSITION_JOBS`` sets the largest fleet.
"""

from __future__ import annotations

import gzip
import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from measured_fleet import Peers, fleet
from prometheus_client import CollectorRegistry, generate_latest
from results import Goal, Table, chart, publish
from servers import Scrapes, check_needed, client_golang, nginx, python, scrape

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
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


class Update(NamedTuple):
    """Milliseconds until what changed can be scraped, and what the peer takes for everything."""

    everything: float
    tenth: float
    nothing: float
    peer: float
    peer_packed: float
    """The same, packed as the peer's own server packs it."""


def brought_up_to_date(jobs: int) -> Update:
    """Measure with all, a tenth and none of so many jobs changed."""
    sweeps = [fleet(jobs, minute) for minute in range(2)]
    exposition = Exposition(
        selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="bench")
    )
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
    written = generate_latest(registry)
    peer = median(lambda _: generate_latest(registry))
    return Update(
        everything=median(lambda run: renew(run, jobs)),
        tenth=median(lambda run: renew(run, jobs // 10)),
        nothing=median(lambda run: renew(run, 0)),
        peer=peer,
        peer_packed=peer + median(lambda _: gzip.compress(written)),
    )


def update() -> None:
    """Measure how long it takes until what changed can be scraped."""
    rows, goals, curves = [], [], dict[str, list[tuple[float, float]]]()
    for jobs in SIZES:
        took = brought_up_to_date(jobs)
        figures = [f"{took.everything:.1f}", f"{took.tenth:.1f}", f"{took.nothing:.2f}"]
        ratios = [took.peer / took.everything, took.peer_packed / took.everything]
        peer = [f"{took.peer:,.0f}", f"{took.peer_packed:,.0f}"]
        rows.append([f"{jobs:,}", *figures, *peer, *(f"{ratio:.0f}" for ratio in ratios)])
        times = {
            "all changed": took.everything,
            "a tenth changed": took.tenth,
            "prometheus_client": took.peer,
        }
        for name, milliseconds in times.items():
            curves.setdefault(name, []).append((float(jobs), milliseconds))
        if jobs >= SCRAPED:
            goals.append(
                Goal(
                    f"body brought up to date, prometheus_client / ours, {jobs:,} jobs",
                    ratios[0],
                    at_least=80,
                    why_missed=(
                        "to read thirty values off each record takes Python longer than the bound"
                        f" leaves; with both bodies packed, as scraped, it is {ratios[1]:.0f}"
                    ),
                    explained=20,
                )
            )
    publish(
        "exposition_update",
        "Bringing the answer up to date",
        (
            "Milliseconds, medians of five. Ours is packed by then; prometheus_client's is written"
            " only, and packed in the column after that. So this is the cost of a cycle by what"
            " changed in it."
        ),
        Table(
            [
                "jobs",
                "all changed",
                "a tenth",
                "nothing",
                "prometheus_client",
                "and packed",
                "theirs / ours",
                "packed",
            ],
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
        goals=goals,
    )


def scrapes() -> None:
    """Measure what a scrape takes."""
    with python("prometheus_client", SCRAPED) as server:
        peer = scrape(server, RUNS)
    with client_golang(SCRAPED) as server:
        golang = scrape(server, RUNS)
    with python("exporter", SCRAPED) as server:
        body = scrape(server, 50).body
        with nginx(body) as other:  # by turns, as both are over before the machine's mood changes
            pairs = [(scrape(server, 100), scrape(other, 100)) for _ in range(RUNS)]
    ours, file = (median_of(each) for each in zip(*pairs, strict=True))
    to_file = statistics.median(mine.p50 / theirs.p50 for mine, theirs in pairs)
    check_same(ours, peer, golang)
    named = {"ours": ours, "prometheus_client": peer, f"client_golang, {go()}": golang}
    rows = [_row(name, each, ours) for name, each in named.items()]
    rows.append(_row(f"nginx {nginx_version()}, the same bytes in a file", file, ours))
    publish(
        "exposition_scrape",
        f"A scrape over HTTP of {SCRAPED:,} jobs, gzip, bytes ready",
        (
            "Milliseconds, of the client's clock and of the server's CPU: medians of five, of ours"
            " and nginx of five turns of a hundred each. All serve the same samples of jobs; who"
            " packs harder has less to send."
        ),
        Table(["", "p50", "CPU", "MB", "p50, theirs / ours", "CPU, theirs / ours"], rows),
        packages=PACKAGES,
        goals=[
            Goal("scrape p50, client_golang / ours", golang.p50 / ours.p50, at_least=300),
            Goal("scrape CPU, client_golang / ours", golang.cpu / ours.cpu, at_least=500),
            Goal(
                "scrape p50, ours / nginx, median of turns",
                to_file,
                at_most=1.5,
                why_missed=(
                    "it depends on where the kernel has both sides of nginx's sendfile run: it is"
                    " 0.5 to 2 from one run to the next"
                ),
                explained=2.5,
            ),
        ],
    )


def median_of(scrapes: Sequence[Scrapes]) -> Scrapes:
    """Return the medians of several measurements."""
    return Scrapes(
        p50=statistics.median(each.p50 for each in scrapes),
        cpu=statistics.median(each.cpu for each in scrapes),
        body=scrapes[0].body,
    )


def check_same(*scrapes: Scrapes) -> None:
    """Assert that each body tells the same of jobs: who serves less, or else, is no peer."""
    first, *others = [samples(each.body) for each in scrapes]
    for other in others:
        assert other == first, f"the peers tell otherwise: {sorted(other ^ first)[:4]}"


def samples(body: bytes) -> set[tuple[bytes, tuple[bytes, ...], float]]:
    """Return name, labels in order and value of all samples of jobs; an empty label is none."""
    found = re.findall(rb"^(trainwave_job_\w+){(.*)} (\S+)$", gzip.decompress(body), re.MULTILINE)
    return {
        (name, tuple(sorted(re.findall(rb'\w+="(?:[^"\\]|\\.)+"', labels))), float(value))
        for name, labels, value in found
    }


def sizes() -> None:
    """Measure what a scrape takes by the size of its body."""
    rows, curve = [], []
    for jobs in SIZES:
        with python("exporter", jobs) as server:
            took = scrape(server, 50)
        megabytes = len(took.body) / 1e6
        curve.append((megabytes, took.p50))
        rows.append(
            [f"{jobs:,}", f"{megabytes:.2f}", f"{took.p50:.2f}", f"{took.p50 / megabytes:.2f}"]
        )
    publish(
        "exposition_size",
        "A scrape by its size",
        (
            "Gzip, as in the section before; medians of fifty, in milliseconds. Of a small body"
            " most is what a request costs whatever its size."
        ),
        Table(["jobs", "MB", "p50", "ms a MB"], rows),
        chart(
            "exposition_size.svg",
            "Milliseconds of a scrape, by MB",
            {"scrape": curve},
            x="MB",
            y="ms",
            logarithmic=True,
        ),
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
        golang = scrape(server, RUNS)  # takes minutes with a large fleet
        theirs = server.memory("VmHWM")
    each = (resident - bare) / (LARGEST - 100) / 1000
    publish(
        "exposition_memory",
        f"Memory with {LARGEST:,} jobs, while scraped",
        "Of each job in as many series as in the sections before.",
        Table(
            ["", "peak MB", "scrape p50, ms"],
            [
                ["ours", f"{peak / 1e6:.0f}", f"{ours.p50:.1f}"],
                ["client_golang", f"{theirs / 1e6:.0f}", f"{golang.p50:.0f}"],
            ],
        ),
        f"Each job is told in {ours_series()} series.",
        packages=PACKAGES,
        goals=[
            Goal(
                f"peak memory, ours / client_golang, {LARGEST:,} jobs", peak / theirs, at_most=0.3
            ),
            Goal(
                "resident memory a job, beyond that of 100",
                each,
                at_most=3,
                unit=" KB",
            ),
        ],
    )


def ours_series() -> int:
    """Return how many series a job of the fleet has."""
    exposition = Exposition(
        selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="bench")
    )
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
    sizes()
    memory()
    update()


if __name__ == "__main__":
    main()
