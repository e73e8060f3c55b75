"""What the ledger costs: 10,000 jobs that all changed, swept every 30 seconds.

Run by ``make bench``. Milliseconds depend on the machine; what counts is the share of one core at a
sweep every 30 seconds, and the ratios to peers measured in the same run: the bare SQLite statement
that upserts as many rows, and the exposition of the same changes.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace
from results import Table, publish

from trainwave_exporter.exposition import Format
from trainwave_exporter.ledger import LedgerOptions, Store, WatchedScope
from trainwave_exporter.ledger.billing.ledger_state import SeenJob
from trainwave_exporter.ledger.billing.units import milliseconds
from trainwave_exporter.ledger.ledger_writer import LedgerWriter, PendingObservations
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    Changed,
    Job,
    Quantity,
    Reading,
    Readings,
)

JOBS = 10_000
SWEEPS = 8
SWEEP_SECONDS = 30.0
START = 1_700_000_000.0


def fleet(sweep: int) -> list[Job]:
    """Return all jobs as a sweep sees them: every cost, GPU time and reading is new."""
    now = START + SWEEP_SECONDS * sweep
    return [
        Job(
            account="main",
            id=f"j-{number:05}",
            state="RUNNING",
            confirmed_at=now,
            project_id=f"p-{number % 40}",
            owner=f"owner-{number % 25}",
            gpu_type=("H100", "L40S", "A100 80GB")[number % 3],
            gpus=8.0,
            hourly_cost_dollars=3.6,
            cost_dollars=3.6 * (now - START + number) / 3600,
            gpu_hours=8 * (now - START + number) / 3600,
            created_at=START - number,
            started_at=START - number,
            readings=Readings(gpu_utilization=Reading(Quantity.RATIO, 0.02 * (number % 50), now)),
        )
        for number in range(JOBS)
    ]


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds that work takes, in all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def bare_sqlite(folder: Path) -> float:
    """Return the CPU seconds of one transaction that upserts as many rows of four numbers."""
    connection = sqlite3.connect(folder / "peer.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE peer (id TEXT PRIMARY KEY, a, b, c, d) WITHOUT ROWID")
    upsert = (
        "INSERT INTO peer VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET a = excluded.a, b = excluded.b, c = excluded.c, d = excluded.d"
    )

    def write(sweep: int) -> None:
        connection.execute("BEGIN")
        rows = [(f"j-{number:05}", sweep, sweep, sweep, sweep) for number in range(JOBS)]
        connection.executemany(upsert, rows)
        connection.execute("COMMIT")

    figures = [cpu_of(partial(write, sweep)) for sweep in range(SWEEPS)]
    connection.close()
    return statistics.median(figures[1:])


def main() -> None:
    """Measure and print."""
    sweeps = [fleet(sweep) for sweep in range(SWEEPS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = bare_sqlite(folder)
        writer = LedgerWriter(
            lambda: Store.open(folder), LedgerOptions(accounts={"main": WatchedScope()})
        )
        exposition = Exposition(
            selection=Selection(), max_jobs=0, telemetry=ExporterMetrics(version="bench")
        )

        def write(sweep: int) -> None:
            seen = PendingObservations(
                jobs={job.id: SeenJob(job, shown=True) for job in sweeps[sweep]},
                accounts={"main": AccountStatus(name="main", counted=True)},
            )
            now = milliseconds(START + SWEEP_SECONDS * sweep)
            writer.note(seen, now)
            writer.write(seen, now)
            writer.compute(now)
            exposition.apply(writer.changes())

        def show(sweep: int) -> None:
            changes = (
                [Appeared(job) for job in sweeps[0]]
                if not sweep
                else [Changed(a, b) for a, b in zip(sweeps[sweep - 1], sweeps[sweep], strict=True)]
            )
            exposition.apply(changes)
            exposition.publish()

        written, shown = [], []
        for sweep in range(SWEEPS):
            shown.append(cpu_of(partial(show, sweep)))
            written.append(cpu_of(partial(write, sweep)))
        ledger = statistics.median(written[1:])
        size = writer.size_bytes
        idle, busy = scrapes(exposition, writer, sweeps[-1])
        writer.close()
    exposed = statistics.median(shown[1:])
    publish(
        "ledger",
        f"The ledger: {JOBS:,} jobs that all changed",
        (
            f"CPU of a sweep, medians of {SWEEPS - 1}; its share of a core at a sweep every"
            f" {SWEEP_SECONDS:.0f} s is {100 * ledger / SWEEP_SECONDS:.1f} %. The first sweep took"
            f" {1000 * written[0]:.0f} ms; a job takes {size / JOBS:.0f} bytes."
        ),
        Table(
            ["", "CPU a sweep, ms", "ledger / this"],
            [
                ["ledger", f"{1000 * ledger:.0f}", "1.0"],
                [
                    f"bare upsert, SQLite {sqlite3.sqlite_version}",
                    f"{1000 * peer:.0f}",
                    f"{ledger / peer:.1f}",
                ],
                [
                    "exposition of the same sweep",
                    f"{1000 * exposed:.0f}",
                    f"{ledger / exposed:.1f}",
                ],
            ],
        ),
        "What a scrape is answered with, put together beside a ledger that writes all the time:",
        Table(
            ["", "p50, ms", "p99, ms"],
            [
                ["alone", f"{1000 * idle[0]:.2f}", f"{1000 * idle[1]:.2f}"],
                ["beside the ledger", f"{1000 * busy[0]:.2f}", f"{1000 * busy[1]:.2f}"],
            ],
        ),
    )


def scrapes(
    exposition: Exposition, writer: LedgerWriter, jobs: list[Job]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return p50 and p99 of a scrape's time alone, and beside a ledger that writes all the time."""
    exposition.answer.gzip(Format.TEXT)

    def measure() -> tuple[float, float]:
        times = []
        for _ in range(300):
            began = time.perf_counter()
            exposition.answer.gzip(Format.TEXT)
            times.append(time.perf_counter() - began)
        times.sort()
        return times[150], times[297]

    alone = measure()
    done = threading.Event()

    def write() -> None:
        later = 0
        while not done.is_set():
            later += 30
            now = START + SWEEP_SECONDS * SWEEPS + later
            moved = [replace(job, confirmed_at=now, cost_dollars=now - START) for job in jobs]
            seen = PendingObservations(jobs={job.id: SeenJob(job, shown=True) for job in moved})
            writer.write(seen, milliseconds(now))

    thread = threading.Thread(target=write)
    thread.start()
    beside = measure()
    done.set()
    thread.join()
    return alone, beside


if __name__ == "__main__":
    main()
