"""``kill -9`` at any instant: what was committed is there, whole, and nothing else is."""

from __future__ import annotations

import random
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from ledger.store_rig import JOBS, names, points_after, process, state_after

from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.store import Store

KILLS = 32

pytestmark = pytest.mark.usefixtures("untraced")


def killed_after(process: subprocess.Popen[str], numbers: int, seconds: float) -> int:
    """Kill a process a moment after it printed so many numbers; return the last one printed."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(numbers)]
    assert all(lines), "it ended by itself"
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    rest = process.communicate()[0]
    assert process.returncode == -9
    # A number that was cut off was committed, too, but does not count.
    return int((lines[-1] + rest).rpartition("\n")[0].split()[-1])


def test_every_batch_that_was_committed_is_there_and_none_is_there_in_part(tmp_path: Path) -> None:
    rng = random.Random(7)
    written = 0
    for _ in range(KILLS):
        writer = process("write", tmp_path)
        printed = killed_after(writer, rng.randint(1, 4), rng.uniform(0, 0.02))
        assert printed > written
        with closing(Store.open(tmp_path)) as store:
            state = store.load()
            written = state.corrections[0]
            assert printed <= written <= printed + 1
            assert state == state_after(written)
            histories = list(store.histories(0, 2**62))
            assert len(histories) == JOBS
            assert all(
                history.cost == history.gpu == points_after(written) for history in histories
            )
        with closing(sqlite3.connect(tmp_path / NAME)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_is_left_of_the_making_of_a_ledger_can_be_opened(tmp_path: Path) -> None:
    rng = random.Random(7)
    for turn in range(KILLS):
        folder = tmp_path / str(turn)
        folder.mkdir()
        making = killed_after(process("make", folder), rng.randint(1, 3), rng.uniform(0, 0.02))
        for path in folder.iterdir():
            assert int(path.name) <= making
            with closing(Store.open(path)) as store:
                assert store.load().corrections == (0, 0)
            assert names(path) == {NAME}
