"""A ledger of an earlier version is copied before it is migrated, whatever instant is the last."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ledger.interrupted import killed
from ledger.store_rig import names
from ledger.test_store_schema import DUMPS, OVER, RUNNING, STATE, restore
from ledger.test_store_trouble import room_up_to
from structlog.testing import capture_logs

from trainwave_exporter.ledger.billing.stored_records import Batch, ProjectEntry
from trainwave_exporter.ledger.storage import copies
from trainwave_exporter.ledger.storage import ledger_file as file
from trainwave_exporter.ledger.storage.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.schema import STEPS
from trainwave_exporter.ledger.storage.store import Store

EARLIER = sorted(path for path in DUMPS.iterdir() if path.stem != str(len(STEPS)))
NEWEST = len(STEPS)
MOST = 180
"""More calls than a migration comes to."""


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("dump", EARLIER, ids=lambda dump: dump.stem)
def test_an_earlier_version_is_kept_beside_and_said_to_be(dump: Path, tmp_path: Path) -> None:
    restore(dump, tmp_path)
    path, copy = tmp_path / file.NAME, tmp_path / f"{file.NAME}.v{dump.stem}"
    before = dumped(path)
    with capture_logs() as logs:
        Store.open(tmp_path).close()
    assert names(tmp_path) == {file.NAME, copy.name}
    assert (version(path), version(copy), dumped(copy)) == (NEWEST, int(dump.stem), before)
    copied, migrated = logs
    assert (copied["event"], copied["copy"]) == ("ledger_copied", str(copy))
    assert (migrated["event"], migrated["copy"]) == ("ledger_migrated", str(copy))
    assert (migrated["from_version"], migrated["to_version"]) == (int(dump.stem), NEWEST)
    assert migrated["go_back"] == (
        f"stop the exporter, and move {file.NAME} (and {file.NAME}-wal, {file.NAME}-shm, if they"
        f" are there) away, and {copy.name} to {file.NAME}"
    )


def test_what_is_in_the_log_is_in_the_copy(tmp_path: Path) -> None:
    lived, left = tmp_path / "lived", tmp_path / "left"
    for folder in (lived, left):
        folder.mkdir()
    restore(EARLIER[-1], lived)
    with closing(sqlite3.connect(lived / file.NAME, isolation_level=None)) as exporter:
        exporter.execute("PRAGMA journal_mode = WAL")
        exporter.execute("UPDATE projects SET name = 'only in the log'")
        for name in (file.NAME, f"{file.NAME}-wal"):
            (left / name).write_bytes((lived / name).read_bytes())
    Store.open(left).close()
    assert any("only in the log" in line for line in dumped(left / f"{file.NAME}.v2"))


def test_one_that_is_up_to_date_and_a_new_one_need_no_copy(tmp_path: Path) -> None:
    for _ in range(2):
        Store.open(tmp_path).close()
    assert names(tmp_path) == {file.NAME}


def test_a_copy_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """Who went back, and on again, has what was counted in between in a copy of its own."""
    path = tmp_path / file.NAME
    for number, name in enumerate(("first", "second", "second", "third")):
        path.unlink(missing_ok=True)
        restore(EARLIER[-1], tmp_path)
        with closing(sqlite3.connect(path, isolation_level=None)) as older:
            older.execute("UPDATE projects SET name = ?", (name,))
        Store.open(tmp_path).close()
        kept = sorted(found for found in names(tmp_path) if ".v2" in found)
        assert len(kept) == (1, 2, 2, 3)[number]
    for name, copy in zip(("first", "second", "third"), ("v2", "v2-2", "v2-3"), strict=True):
        assert any(f"'{name}'" in line for line in dumped(tmp_path / f"{file.NAME}.{copy}"))
    assert copies.newest_before(path, 2) == tmp_path / f"{file.NAME}.v2-3"
    assert copies.newest_before(path, 1) is None


def test_without_room_for_a_copy_nothing_is_changed(tmp_path: Path) -> None:
    restore(EARLIER[-1], tmp_path)
    before = (tmp_path / file.NAME).read_bytes()
    for size in (0, 5000, len(before) - 1):
        with room_up_to(size), pytest.raises(StoreError, match=r"disk I/O error|full") as caught:
            Store.open(tmp_path)
        assert type(caught.value) is StoreError  # it is tried again
        assert (tmp_path / file.NAME).read_bytes() == before
        assert not [name for name in names(tmp_path) if ".v2" in name]
    Store.open(tmp_path).close()
    assert names(tmp_path) == {file.NAME, f"{file.NAME}.v2"}


def test_room_is_looked_for_before_a_byte_is_written(tmp_path: Path) -> None:
    """A database that says to be of more pages than any disk has room for."""
    with closing(sqlite3.connect(tmp_path / "huge", isolation_level=None)) as huge:
        huge.execute("PRAGMA page_size = 4096")
        huge.execute("CREATE TABLE words (word)")
    with (tmp_path / "huge").open("r+b") as header:
        header.seek(28)
        header.write((2**31).to_bytes(4, "big"))
    os.truncate(tmp_path / "huge", 4096 * 2**31)  # a sparse file of 8 TiB
    with (
        closing(sqlite3.connect(f"file:{tmp_path / 'huge'}?mode=ro", uri=True)) as huge,
        pytest.raises(StoreError, match=r"needs 8,79\d,\d+,\d+,\d+ bytes of disk space, and"),
    ):
        copies.copy_to(huge, tmp_path / "copy", tmp_path / "huge")
    assert names(tmp_path) == {"huge"}


def test_an_older_exporter_names_the_copy_to_go_back_to(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    restore(EARLIER[-1], tmp_path)
    Store.open(tmp_path).close()
    with pytest.raises(UnfitStoreError) as caught:
        file.open_to_write(path, STEPS[:-1])
    assert str(caught.value) == (
        f"{path} is of version {NEWEST}, and this exporter knows none after {NEWEST - 1}; use a"
        f" newer one; or, to go back to what the ledger was before, move {file.NAME} (and"
        f" {file.NAME}-wal, {file.NAME}-shm, if they are there) away, and {file.NAME}.v2 to"
        f" {file.NAME}"
    )
    path.rename(tmp_path / "away")
    (tmp_path / f"{file.NAME}.v2").rename(path)
    file.open_to_write(path, STEPS[:-1]).close()
    with closing(Store.open(tmp_path)) as store:  # and on again
        assert store.load() == STATE
        assert store.restored


def check_whole(folder: Path, number: int) -> None:
    """Insist on a ledger that is of one version or the other, and on copies that are whole."""
    assert version(folder / file.NAME) in {number, NEWEST}
    copied = folder / f"{file.NAME}.v{number}"
    if version(folder / file.NAME) == NEWEST:
        assert copied.exists()
    if copied.exists():
        assert version(copied) == number


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("dump", EARLIER, ids=lambda dump: dump.stem)
def test_killed_at_any_step_a_migration_leaves_the_old_ledger_or_the_new(
    dump: Path, tmp_path: Path
) -> None:
    number, seen = int(dump.stem), set()
    folders = [tmp_path / str(step) for step in range(1, MOST + 1)]
    for folder in folders:
        folder.mkdir()
        restore(dump, folder)
    done = killed("open", folders)
    assert done > 30
    for folder in folders[: done + 1]:
        crashed = folder / "crashed"  # what is looked at is changed by looking
        crashed.mkdir()
        for part in folder.glob(f"{file.NAME}*"):
            (crashed / part.name).write_bytes(part.read_bytes())
        check_whole(crashed, number)
        seen.add((version(crashed / file.NAME), len(list(folder.glob("*.v*")))))
        with closing(Store.open(folder)) as store:
            assert store.load() == STATE
            assert store.jobs(["j-running", "j-over"]) == {"j-running": RUNNING, "j-over": OVER}
            store.write(Batch(projects=[ProjectEntry("p-9", None, "goes on")]))
        check_whole(folder, number)
        assert names(folder) == {file.NAME, f"{file.NAME}.v{number}", "crashed"}
    assert seen == {(number, 0), (number, 1), (NEWEST, 1)}


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("dump", EARLIER, ids=lambda dump: dump.stem)
def test_killed_within_its_script_a_migration_leaves_the_old_ledger(
    dump: Path, tmp_path: Path
) -> None:
    """The script is one transaction, of some 7,000 steps of SQLite's virtual machine."""
    number, logged, found = int(dump.stem), 0, []
    folders = [tmp_path / str(step) for step in range(1, 120)]
    for folder in folders:
        folder.mkdir()
        restore(dump, folder)
    done = killed("migrate", folders)
    assert done > 50
    for folder in folders[: done + 1]:
        log = folder / f"{file.NAME}-wal"
        logged += log.exists() and log.stat().st_size > 0
        with closing(sqlite3.connect(folder / file.NAME)) as crashed:
            found += crashed.execute("PRAGMA user_version").fetchone()
            assert crashed.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with closing(Store.open(folder)) as store:
            assert store.load() == STATE
            assert store.jobs(["j-running", "j-over"]) == {"j-running": RUNNING, "j-over": OVER}
        assert names(folder) == {file.NAME, f"{file.NAME}.v{number}"}
    old = found.count(number)
    assert old > 50
    assert found == [number] * old + [NEWEST] * (len(found) - old)
    assert logged > 10  # parts of the transaction were written, and count for nothing
