"""Jobs for the store's tests, and processes that write until they are killed.

``python -m ledger.store_rig write FOLDER`` goes on with the ledger in a folder, ``make FOLDER``
makes one after the other in folders within it, and ``read FOLDER`` finds the last batch.
Each prints the number of what it did on the standard output.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from trainwave_exporter.ledger.billing.job_entry import (
    JobEntry,
    Labels,
    Life,
    Meter,
    MeterKind,
    MeterSample,
    SeriesEntry,
    Totals,
)
from trainwave_exporter.ledger.billing.stored_records import (
    Balance,
    Batch,
    DroppedSamples,
    KeptSample,
    ProjectEntry,
    StoredState,
)
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.store import Store

DAY = 86_400_000
NOW = 20_000 * DAY
MINUTE = 60_000
LABELS = Labels("p-1", "ada", "H100")
JOBS = 100
KEPT = 5
"""After so many batches the samples of each job and meter are dropped, and others begin."""
NOBODY = 65534


def sample(at: int, value: int, *, finished: bool = False) -> MeterSample:
    """Return a sample of a meter that grows by a unit in a millisecond."""
    return MeterSample(at, value, 3_600_000, finished)


def job(job_id: str = "j-1", **fields: Any) -> JobEntry:
    """Return a running job that was just seen for the first time."""
    described: dict[str, Any] = {
        "account": "research",
        "labels": LABELS,
        "organization_id": None,
        "name": None,
        "life": Life(),
        "first_seen": NOW,
        "last_seen": NOW,
        "series": LABELS,
    }
    return JobEntry(id=job_id, **{**described, **fields})


def seen(job_id: str, *samples: MeterSample, **fields: Any) -> Batch:
    """Return the batch of a job whose cost was seen so, each sample kept."""
    meter = Meter(samples[-1], samples[-1])
    described = {
        "first_seen": samples[0].at,
        "last_seen": samples[-1].at,
        "finished_seen": next((s.at for s in samples if s.finished), None),
    }
    entry = job(job_id, cost=meter, **{**described, **fields})
    return Batch(jobs=[entry], points=[KeptSample(job_id, MeterKind.COST, s) for s in samples])


def numbered(number: int) -> Batch:
    """Return the batch of this number, counted from one."""
    at = NOW + number * MINUTE
    shown = sample(at, number * MINUTE)
    meter = Meter(shown, shown)
    jobs = [
        job(f"j-{i}", last_seen=at, cost=meter, gpu=meter, totals=Totals(cost=number))
        for i in range(JOBS)
    ]
    return Batch(
        jobs=jobs,
        points=[KeptSample(entry.id, meter, shown) for entry in jobs for meter in MeterKind],
        dropped=[
            DroppedSamples(entry.id, meter, 0, NOW)
            for entry in jobs
            for meter in MeterKind
            if number % KEPT == 0
        ],
        series=[SeriesEntry(labels=LABELS, totals=Totals(cost=number * JOBS), opened_at=0)],
        corrections=(number, number * 2),
        opened=[("research", number)],
        projects=[ProjectEntry("p-1", None, f"project {number}")],
        balances=[Balance("o-1", NOW, number)],
    )


def state_after(number: int) -> StoredState:
    """Return what a store has to load after the batches up to this one."""
    batch = numbered(number)
    assert batch.corrections is not None
    earlier = frozenset(f"project {n}" for n in range(1, number))
    return StoredState(
        series=tuple(batch.series),
        live=tuple(batch.jobs),
        corrections=batch.corrections,
        dearest=3_600_000,
        opened=dict(batch.opened),
        projects=(ProjectEntry("p-1", None, f"project {number}", earlier),),
        balances=tuple(batch.balances),
    )


def points_after(number: int) -> tuple[MeterSample, ...]:
    """Return what has to be kept of each job's meters after the batches up to this one."""
    return tuple(
        sample(NOW + n * MINUTE, n * MINUTE)
        for n in range(max(1, number // KEPT * KEPT), number + 1)
    )


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, and be someone for whom that counts."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder's ledger, as a backup may that hangs."""
    with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def log_kept(folder: Path) -> Iterator[None]:
    """Read from a folder's ledger, so that what is written meanwhile stays in its log."""
    with closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", uri=True)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM ledger").fetchall()
        yield


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder, but the note of the last generation."""
    return {path.name for path in folder.iterdir()} - {f"{NAME}-generation"}


def process(task: str, folder: Path) -> subprocess.Popen[str]:
    """Start a process that does this to a folder, or to the ledger in it."""
    command = [sys.executable, "-m", "ledger.store_rig", task, str(folder)]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    )


def _write(folder: Path) -> None:
    store = Store.open(folder)
    written = store.load().corrections[0]
    for number in count(written + 1):
        store.write(numbered(number))
        print(number, flush=True)  # noqa: T201 - to whom kills it


def _make(folder: Path) -> None:
    for number in count(1):
        print(number, flush=True)  # noqa: T201 - to whom kills it
        Store.open(folder / str(number)).close()


def _read(folder: Path) -> None:
    state = Store.open_for_reading(folder).load()
    number = state.corrections[0]
    assert state == state_after(number)
    print(number)  # noqa: T201 - to whom started it


if __name__ == "__main__":
    {"write": _write, "make": _make, "read": _read}[sys.argv[1]](Path(sys.argv[2]))
