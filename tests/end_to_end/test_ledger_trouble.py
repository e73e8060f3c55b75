"""The ledger cannot be written for a while: all else goes on, nothing is lost or counted twice."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from support.audit_verdict import check_chargeback, check_counters
from support.exporter import Metrics, wait_for
from support.watched_world import COST, COUNTERS, WAITING, Watch, watching

from trainwave_exporter.simulator import SimulatedDialect

pytestmark = pytest.mark.long

HOUR = 3600
WRITES = "trainwave_exporter_ledger_writes_total"
Trouble: TypeAlias = Callable[[Watch], AbstractContextManager[None]]


@contextmanager
def full_disk(watch: Watch) -> Iterator[None]:
    """Let the exporter add nothing to any file, be it running or yet to start."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for pid in watch.exporter.pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    yield
    for pid in watch.exporter.pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked_database(watch: Watch) -> Iterator[None]:
    """Hold the lock of the ledger's file, as a backup may that hangs."""
    with closing(sqlite3.connect(watch.ledger / "ledger.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with watching(tmp_path, SimulatedDialect.DOCUMENTED, seed=5, jobs=6, history=20) as watch:
        yield watch


def failures(watch: Watch) -> float:
    return watch.exporter.metrics().get(WRITES, outcome="error") or 0


def counters(metrics: Metrics) -> dict[str, float]:
    return {series: value for name in COUNTERS for series, value in metrics.series(name)}


def look_in_vain(watch: Watch) -> None:
    """Let an hour pass, and see that all is shown as it is, but for what must be written first."""
    before = failures(watch)
    counted = list(watch.exporter.metrics().series(COST))
    watch.go_on(HOUR)
    watch.see(sure=False)
    failed = watch.wait(
        lambda m: m.get(WAITING) and (m.get(WRITES, outcome="error") or 0) > before, "a failure"
    )
    assert failed.get("trainwave_up") == 1
    shown = failed.by("job_id", "trainwave_job_cost_dollars")
    for job_id in watch.audit.live:
        told = watch.audit.jobs[job_id].looks[-1]
        assert (told.at, round(shown[job_id] * 1_000_000)) == (watch.now, told.cost)
    assert list(failed.series(COST)) == counted


@pytest.mark.parametrize("trouble", [full_disk, locked_database])
@pytest.mark.parametrize("killed", [False, True], ids=["goes-on", "is-killed"])
def test_what_cannot_be_written_is_shown_reported_once_and_counted_when_it_can(
    watch: Watch, trouble: Trouble, killed: bool
) -> None:
    watch.exporter.ensure_running()
    first = watch.look()
    check_counters(first, watch.audit, None)
    with trouble(watch):
        for _ in range(3):
            look_in_vain(watch)
        assert len(watch.exporter.events("ledger_failing")) == 1
        if killed:
            watch.kill(answered=True)
    watch.go_on(HOUR)
    watch.exporter.ensure_running()
    second = watch.look()
    check_counters(second, watch.audit, first)
    watch.go_on(HOUR)
    check_counters(watch.look(), watch.audit, second)
    check_chargeback(watch.ledger, watch.audit)
    assert watch.fallen == []
    assert len(watch.exporter.events("ledger_failing")) == 1
    assert len(watch.exporter.events("ledger_recovered")) == (0 if killed else 1)


@pytest.mark.parametrize("trouble", [full_disk, locked_database])
def test_what_can_only_be_read_at_the_start_is_shown_and_goes_on_later(
    watch: Watch, trouble: Trouble
) -> None:
    watch.exporter.ensure_running()
    first = watch.look()
    watch.exporter.terminate()
    watch.go_on(HOUR)
    with trouble(watch):
        watch.exporter.ensure_running()
        shown = counters(watch.wait(counters, "what the ledger will hold"))
        assert all(shown[series] >= value for series, value in counters(first.metrics).items())
        for _ in range(2):
            look_in_vain(watch)
        assert counters(watch.exporter.metrics()) == shown
    watch.go_on(HOUR)
    second = watch.look()
    check_counters(second, watch.audit, first)
    check_chargeback(watch.ledger, watch.audit)
    assert watch.fallen == []
    (failing,) = watch.exporter.events("ledger_failing")
    assert failing["error"].endswith("; it can be read only, and what is seen waits")
    assert len(watch.exporter.events("ledger_recovered")) == 1


def test_a_folder_that_cannot_be_made_yet_does_not_keep_the_exporter_from_starting(
    watch: Watch,
) -> None:
    watch.ledger.touch()  # a file where the folder has to be
    watch.exporter.ensure_running()
    look_in_vain(watch)
    watch.ledger.unlink()
    check_counters(watch.look(), watch.audit, None)
    check_chargeback(watch.ledger, watch.audit)
    assert len(watch.exporter.events("ledger_failing")) == 1
    assert len(watch.exporter.events("ledger_recovered")) == 1


def log_removed(path: Path, _older: bytes) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def removed(path: Path, _older: bytes) -> None:
    path.unlink()


def overwritten(path: Path, older: bytes) -> None:
    path.write_bytes(older)


def report(watch: Watch) -> subprocess.CompletedProcess[str]:
    command = ["report", f"--storage.path={watch.ledger}", "--period=2026", "--format=csv"]
    return subprocess.run(
        [sys.executable, "-m", "trainwave_exporter", *command, "--time-zone=UTC"],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("lost", [log_removed, removed, overwritten])
@pytest.mark.parametrize("end", ["killed", "terminated"])
def test_files_that_are_lost_in_use_lose_nothing(
    watch: Watch, lost: Callable[[Path, bytes], None], end: str
) -> None:
    path = watch.ledger / "ledger.sqlite3"
    watch.exporter.ensure_running()
    watch.look()
    older = path.read_bytes()
    watch.go_on(HOUR)
    before = watch.look()
    counted, reported, found = counters(before.metrics), report(watch), b""
    lost(path, older)
    watch.wait(lambda m: m.get(WRITES, outcome="error"), "a failure")
    (failing,) = wait_for(lambda: watch.exporter.events("ledger_failing"), "the log to say so")
    assert "ledger.sqlite3" in failing["error"]
    assert "while in use" in failing["error"]
    if lost is overwritten:
        watch.wait(lambda m: m.get("trainwave_exporter_ledger_lost") == 1, "the gauge to say so")
        refused = report(watch)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "ledger.sqlite3.rescued" in refused.stderr
        found = path.read_bytes()
    else:
        watch.wait(lambda m: m.get("trainwave_exporter_ledger_lost") == 0, "the end of it")
        assert report(watch).stdout == reported.stdout
    watch.go_on(HOUR)
    watch.see(sure=False)
    if end == "killed":
        watch.kill(answered=True)
    else:
        watch.exporter.terminate()
    watch.exporter.ensure_running()
    after = watch.look()
    assert all(counters(after.metrics)[series] >= value for series, value in counted.items())
    check_counters(after, watch.audit, before)
    assert watch.fallen == []
    if lost is overwritten:  # be it in the middle of a write: nothing is written there any more
        assert path.with_name(f"{path.name}.lost-1").read_bytes() == found
    else:
        check_chargeback(watch.ledger, watch.audit)


def test_a_damaged_file_stops_the_start_and_stays_as_it_is(watch: Watch) -> None:
    watch.exporter.ensure_running()
    watch.look()
    watch.exporter.kill()
    path = watch.ledger / "ledger.sqlite3"
    content = path.read_bytes()
    damaged = content[:100] + bytes(len(content) - 100)
    path.write_bytes(damaged)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TRAINWAVE_")}
    start = subprocess.run(
        [sys.executable, "-m", "trainwave_exporter", f"--storage.path={watch.ledger}"],
        env={**clean, "TRAINWAVE_API_KEY": "trouble-key-71b0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert start.returncode == 1
    (line,) = start.stderr.splitlines()
    assert line.startswith(f"trainwave-exporter: error: {path} is damaged")
    assert path.read_bytes() == damaged
