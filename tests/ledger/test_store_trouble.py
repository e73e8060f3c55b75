"""Files that are no ledger, disks that fail, folders that are held: nothing is lost or overwritten.

Unfit files must stay byte for byte as they are; other trouble must pass without a trace.
"""

from __future__ import annotations

import os
import random
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.store_rig import (
    NOW,
    job,
    locked,
    log_kept,
    names,
    numbered,
    process,
    read_only,
    sample,
    state_after,
)

from trainwave_exporter.ledger.billing.job_entry import MeterKind
from trainwave_exporter.ledger.billing.stored_records import Batch, KeptSample
from trainwave_exporter.ledger.storage import generation
from trainwave_exporter.ledger.storage.errors import LostStoreError, StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.schema import STEPS
from trainwave_exporter.ledger.storage.store import Store

REMEDY = (
    "; move ledger.sqlite3 (and ledger.sqlite3-wal, ledger.sqlite3-shm, if they are there) away,"
    " to begin a new ledger or to restore a copy"
)


def filled(folder: Path) -> Path:
    """Make a ledger of some hundred pages, and return its file."""
    with closing(Store.open(folder)) as store:
        store.write(numbered(1))
        store.write(Batch(jobs=[job(f"more-{i}", finished_seen=NOW) for i in range(2000)]))
    return folder / NAME


@cache
def whole() -> bytes:
    """Return the bytes of such a file."""
    with TemporaryDirectory() as name:
        return filled(Path(name)).read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the ledger's files in a folder, but the one that SQLite makes up anew of the log."""
    found = {name for name in names(folder) if name.startswith(NAME)} - {f"{NAME}-shm"}
    return {name: (folder / name).read_bytes() for name in found}


def leave(folder: Path, left: Path) -> None:
    """Make another folder as it would be if the exporter that uses this one were killed now."""
    left.mkdir()
    for name, content in contents(folder).items():
        (left / name).write_bytes(content)


def damage(path: Path, at: int, length: int, seed: int = 0) -> None:
    """Overwrite some bytes in the middle of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(seed).randbytes(length))


def unfit(attempt: Callable[[Path], Store], folder: Path) -> str:
    """Return why the ledger in a folder must not be used."""
    with pytest.raises(UnfitStoreError) as caught:
        attempt(folder)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return message


def refused(folder: Path) -> str:
    """Return why a ledger is unfit; neither to write nor to read it may touch a byte of it."""
    before = contents(folder)
    messages = [
        unfit(attempt, folder) for attempt in (Store.open, Store.open_for_reading, Store.open)
    ]
    after = contents(folder)
    assert {name: after.pop(name, None) for name in before} == before
    assert all(not content for content in after.values())
    assert len(set(messages)) == 1
    return messages[0]


def failing(attempt: Callable[[], object], match: str) -> None:
    """Expect an error that may pass, with a message of one line."""
    with pytest.raises(StoreError, match=match) as caught:
        attempt()
    assert type(caught.value) is StoreError
    assert "\n" not in str(caught.value)


@contextmanager
def room_up_to(size: int) -> Iterator[None]:
    """Let no file grow beyond this, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Files that are no ledger


@pytest.mark.parametrize("text", ["dear diary,\n" * 500, "x", "SQLite format 3\0", "\0" * 4096])
def test_a_file_of_something_else_is_no_ledger(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert refused(tmp_path).endswith(REMEDY)


def test_an_empty_file_may_have_been_a_ledger(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    assert refused(tmp_path) == f"{tmp_path / NAME} is empty{REMEDY}"


def test_the_database_of_another_program_is_no_ledger(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / NAME)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE jobs (key); ")
        assert "is no ledger" in refused(tmp_path)
    assert refused(tmp_path) == f"{tmp_path / NAME} is no ledger{REMEDY}"


def test_a_ledger_of_a_newer_exporter_is_left_to_that(tmp_path: Path) -> None:
    newer = len(STEPS) + 1
    with closing(sqlite3.connect(filled(tmp_path))) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
        assert f"of version {newer}, and" in refused(tmp_path)
    assert f"of version {newer}, and this exporter knows none after" in refused(tmp_path)


@pytest.mark.parametrize("version", [-1, 0])
def test_a_ledger_has_a_version(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(filled(tmp_path))) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert f"is damaged (of version {version}); move" in refused(tmp_path)


def test_a_ledger_without_what_there_is_one_of_is_damaged(tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled(tmp_path), isolation_level=None)) as connection:
        connection.execute("DELETE FROM ledger")
    for attempt in (Store.open, Store.open_for_reading):
        assert "is damaged (its table ledger has no row); move" in unfit(attempt, tmp_path)


def test_a_ledger_of_parts_of_two_copies_is_damaged(tmp_path: Path) -> None:
    """As an exporter that is killed may leave one that was overwritten in use."""
    with closing(sqlite3.connect(filled(tmp_path), isolation_level=None)) as connection:
        for table in generation.TABLES:
            connection.execute(f"UPDATE {table} SET previous = previous - 1")
    for attempt in (Store.open, Store.open_for_reading):
        message = unfit(attempt, tmp_path)
        assert "is damaged (part of it is of another copy); move" in message


def test_a_damaged_header_is_found_at_the_start(tmp_path: Path) -> None:
    damage(filled(tmp_path), 47, 1)  # the format of the schema
    assert "is damaged (unsupported file format)" in refused(tmp_path)


def test_damage_is_found_at_the_start(tmp_path: Path) -> None:
    path = filled(tmp_path)
    damage(path, path.stat().st_size // 2, 4096)
    message = refused(tmp_path)
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith(f"){REMEDY}")


def test_nothing_is_laid_beside_a_file_that_is_not_used(tmp_path: Path) -> None:
    path = filled(tmp_path)
    damage(path, path.stat().st_size // 2, 4096)
    unfit(Store.open, tmp_path)
    path.write_bytes(whole())
    damage(path, 68, 4)  # whose it is
    unfit(Store.open, tmp_path)
    assert names(tmp_path) == {NAME}


def test_half_a_ledger_is_damaged(tmp_path: Path) -> None:
    path = filled(tmp_path)
    os.truncate(path, path.stat().st_size // 2)
    assert "is damaged" in refused(tmp_path)


def test_a_damaged_ledger_with_a_log_keeps_both(tmp_path: Path) -> None:
    lived, copied = tmp_path / "lived", tmp_path / "copied"
    filled(lived)
    with closing(Store.open(lived)) as store, log_kept(lived):
        store.write(numbered(2))
        leave(lived, copied)
    damage(copied / NAME, (copied / NAME).stat().st_size // 2, 20_000)
    assert "is damaged" in refused(copied)


@given(part=st.floats(0, 1), length=st.integers(1, 9000), seed=st.integers(0, 99))
def test_whatever_is_damaged_is_refused_or_can_be_read(part: float, length: int, seed: int) -> None:
    """Whatever goes wrong is a `StoreError`."""
    with TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / NAME
        path.write_bytes(whole())
        damage(path, round(part * (path.stat().st_size - length)), length, seed)
        before = path.read_bytes()
        try:
            store = Store.open(folder)
        except StoreError:
            assert path.read_bytes() == before
            return
        with closing(store), suppress(StoreError):
            store.load()
            store.jobs(["j-1", "more-1"])
            store.write(numbered(2))


def test_damage_that_comes_later_is_an_error_then_and_unfit_at_the_next_start(
    tmp_path: Path,
) -> None:
    path = filled(tmp_path)
    with closing(Store.open(tmp_path)) as store:
        damage(path, 4096, path.stat().st_size - 4096)
        failing(store.load, rf"^{path}: .*malformed$")
        with pytest.raises(LostStoreError, match=f"^{path} was overwritten while in use$"):
            store.write(Batch(jobs=[job("more-7")]))
        failing(lambda: list(store.histories(0, NOW)), r"malformed$")
        failing(lambda: store.history("more-7"), r"malformed$")
        failing(lambda: store.jobs(["more-7"]), r"malformed$")
    assert "is damaged" in refused(tmp_path)


def test_a_log_without_its_ledger_is_not_mixed_into_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / f"{NAME}-wal"
    log.write_bytes(b"committed")
    assert "is part of a ledger whose ledger.sqlite3 is gone" in unfit(Store.open, tmp_path)
    assert contents(tmp_path) == {log.name: b"committed"}
    log.write_bytes(b"")
    Store.open(tmp_path).close()


def test_a_copy_restored_from_a_backup_is_as_good_as_before(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path / "lived")) as store:
        store.write(numbered(1))
        (tmp_path / "copied").mkdir()
        with (
            closing(sqlite3.connect(tmp_path / "lived" / NAME)) as source,
            closing(sqlite3.connect(tmp_path / "copied" / NAME)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
    with closing(Store.open(tmp_path / "copied")) as store:
        assert store.load() == state_after(1)
        store.write(numbered(2))
        assert (tmp_path / "copied" / f"{NAME}-wal").exists()
        with closing(Store.open_for_reading(tmp_path / "copied")) as reader:
            assert reader.load() == state_after(2)


# Folders


def test_two_exporters_do_not_share_a_folder(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        message = unfit(Store.open, tmp_path)
        assert message == f"{tmp_path} is in use by another exporter; give each a folder of its own"
        store.write(numbered(1))
    with closing(Store.open(tmp_path)) as store:
        assert store.load() == state_after(1)


def test_a_store_that_is_dropped_holds_its_folder_no_longer(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.write(numbered(1))
    del store
    Store.open(tmp_path).close()


def test_a_ledger_may_be_a_link_to_where_it_is(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / NAME).symlink_to(there / NAME)
    with closing(Store.open(here)) as store:
        store.write(numbered(1))
        assert "in use" in unfit(Store.open, there)
        assert store.size_bytes == sum(len(content) for content in contents(there).values())
    assert (here / NAME).is_symlink()
    with closing(Store.open(there)) as store:
        assert store.load() == state_after(1)


def test_a_folder_that_cannot_be_made_can_be_tried_again(open_folder: Path) -> None:
    folder = open_folder / "ledger"
    with read_only(open_folder):
        failing(lambda: Store.open(folder), rf"^{folder / NAME}: Permission denied$")
    Store.open(folder).close()


def test_a_folder_that_cannot_be_written_can_be_tried_again(open_folder: Path) -> None:
    with read_only(open_folder):
        failing(lambda: Store.open(open_folder), "Permission denied|Read-only file system")
    path = filled(open_folder)
    path.chmod(0o644)  # whoever may not write here may read it
    with read_only(open_folder):
        before = contents(open_folder)
        failing(lambda: Store.open(open_folder), "unable to open|readonly")
        assert contents(open_folder) == before
    log = open_folder / f"{NAME}-wal"
    log.write_bytes(b"not to be had without a place for what goes with it")
    with read_only(open_folder):
        failing(lambda: Store.open(open_folder), "unable to open database file")
        failing(lambda: Store.open_for_reading(open_folder), "unable to open database file")
    log.unlink()
    path.chmod(0)
    with read_only(open_folder):
        failing(lambda: Store.open(open_folder), "unable to open database file")
        failing(lambda: Store.open_for_reading(open_folder), "unable to open database file")
    path.chmod(0o644)
    with closing(Store.open(open_folder)) as store:
        assert store.load() == state_after(1)


def test_what_a_killed_exporter_left_read_only_is_not_taken_to_be_writable(
    open_folder: Path,
) -> None:
    """It can be opened, but would then stay read-only even when it can be written again."""
    lived, left = open_folder / "lived", open_folder / "left"
    left.mkdir()
    with closing(Store.open(lived)) as store, log_kept(lived):
        store.write(numbered(1))
        for path in lived.iterdir():
            (left / path.name).write_bytes(path.read_bytes())
    with read_only(left):
        failing(lambda: Store.open(left), "attempt to write a readonly database")
        with closing(Store.open_for_reading(left)) as reader:
            assert reader.load() == state_after(1)
    with closing(Store.open(left)) as store:
        store.write(numbered(2))
        assert store.load() == state_after(2)


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failing(lambda: Store.open(tmp_path / "file"), "File exists")
    failing(lambda: Store.open(tmp_path / "file" / "below"), "Not a directory")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.close()
    store.close()
    failing(store.load, "closed database")
    failing(lambda: store.write(Batch()), "closed database")


# Disks that are full, and locks


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
        with room_up_to((tmp_path / f"{NAME}-wal").stat().st_size + 1000):
            for _ in range(3):
                failing(lambda: store.write(numbered(2)), "disk I/O error|full")
                assert store.load() == state_after(1)
            failing(lambda: store.prune(NOW), "disk I/O error|full")
        assert store.load() == state_after(1)
        store.write(numbered(2))
    with closing(Store.open(tmp_path)) as store:
        assert store.load() == state_after(2)


def test_what_only_the_log_has_room_for_is_written_all_the_same(tmp_path: Path) -> None:
    """It goes into the file when that has room again; until then, both together are the ledger."""
    path = filled(tmp_path)
    more = Batch(jobs=[job(f"yet-more-{i}", finished_seen=NOW) for i in range(200)])
    with closing(Store.open(tmp_path)) as store:
        with room_up_to(path.stat().st_size):
            store.write(more)
            assert (tmp_path / f"{NAME}-wal").stat().st_size > 0
            assert len(store.jobs(["yet-more-0", "yet-more-199"])) == 2
            store.check()
            leave(tmp_path, tmp_path / "left")
        store.write(Batch())
        assert (tmp_path / f"{NAME}-wal").stat().st_size == 0
    with closing(Store.open(tmp_path / "left")) as store:
        assert len(store.jobs(["yet-more-0", "yet-more-199"])) == 2


def test_what_is_written_to_a_full_disk_is_gone_when_the_process_dies(tmp_path: Path) -> None:
    left = tmp_path / "left"
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
        with room_up_to((tmp_path / f"{NAME}-wal").stat().st_size + 5000):
            failing(lambda: store.write(numbered(2)), "disk I/O error|full")
        leave(tmp_path, left)
    with closing(Store.open(left)) as store:
        assert store.load() == state_after(1)


def test_a_new_ledger_on_a_full_disk_can_be_tried_again(tmp_path: Path) -> None:
    for size in (0, 1, 5000):
        with room_up_to(size):
            failing(lambda: Store.open(tmp_path), "disk I/O error|full")
        assert not (tmp_path / NAME).exists()
    Store.open(tmp_path).close()
    assert names(tmp_path) == {NAME}


def test_a_database_that_may_not_grow_loses_nothing_either() -> None:
    with closing(Store.open(None)) as store:
        store.write(numbered(1))
        pages = store._number("PRAGMA page_count")
        assert store._number(f"PRAGMA max_page_count = {pages}") == pages
        failing(lambda: store.write(numbered(2)), "ledger in memory: database or disk is full")
        assert store.load() == state_after(1)
        store._number(f"PRAGMA max_page_count = {pages * 2}")
        store.write(numbered(2))
        assert store.load() == state_after(2)


def test_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    left = tmp_path / "left"
    with closing(Store.open(tmp_path)) as store, log_kept(tmp_path):
        store.write(numbered(1))
        leave(tmp_path, left)
    with room_up_to(0):  # a log that was left is read with the help of another file
        failing(lambda: Store.open(left), "disk I/O error|full")
        failing(lambda: Store.open_for_reading(left), "disk I/O error|full")
    with closing(Store.open(left)) as store:
        assert store.load() == state_after(1)


def test_a_ledger_on_a_full_disk_can_be_read(tmp_path: Path) -> None:
    filled(tmp_path)
    with room_up_to(1):
        for _ in range(2):
            failing(lambda: Store.open(tmp_path), "disk I/O error|full")
            with closing(Store.open_for_reading(tmp_path)) as reader:
                assert reader.load() == state_after(1)
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(2))
        assert store.load() == state_after(2)


def test_what_an_attempt_to_make_a_ledger_left_is_cleared_away(tmp_path: Path) -> None:
    for end in ("", "-journal", "-wal"):
        (tmp_path / f"{NAME}.new{end}").write_text("half of it")
    Store.open(tmp_path).close()
    assert names(tmp_path) == {NAME}


def test_another_connection_that_holds_the_database_is_waited_out(tmp_path: Path) -> None:
    filled(tmp_path)
    with locked(tmp_path):
        failing(lambda: Store.open(tmp_path), "database is locked")
    with closing(Store.open(tmp_path)) as store:
        with locked(tmp_path):
            failing(lambda: store.write(numbered(2)), "database is locked")
            assert store.load() == state_after(1)
        store.write(numbered(2))
        assert store.load() == state_after(2)


# Batches that cannot be stored


def test_a_batch_is_written_whole_or_not_at_all() -> None:
    stray = KeptSample("never heard of", MeterKind.COST, sample(NOW, 1))
    huge = sample(NOW, 2**63)
    with closing(Store.open(None)) as store:
        store.write(numbered(1))
        for batch, reason in (
            (Batch(jobs=[job("new")], points=[stray], corrections=(7, 7)), "NOT NULL"),
            (
                Batch(jobs=[job("new")], points=[KeptSample("new", MeterKind.COST, huge)]),
                "too large",
            ),
            (Batch(jobs=[job("new"), job("newer", name="\ud800")]), "surrogates not allowed"),
        ):
            failing(partial(store.write, batch), reason)
            assert store.load() == state_after(1)
            assert not store.jobs(["new"])


# Reading beside a writer


def test_a_reader_sees_the_ledger_as_it_was_and_does_not_stop_the_writer(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
        with closing(Store.open_for_reading(tmp_path)) as reader:
            store.write(numbered(2))
            assert reader.load() == state_after(1)
            assert store.load() == state_after(2)
            with closing(Store.open_for_reading(tmp_path)) as later:
                assert later.load() == state_after(2)
                assert list(later.histories(0, 2 * NOW)) == list(store.histories(0, 2 * NOW)) != []
            failing(lambda: reader.write(numbered(3)), "transaction")
            assert reader.size_bytes == store.size_bytes
            assert reader.pruned_before is None


def test_a_reader_in_another_process_sees_what_was_written(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        for number in range(1, 4):
            store.write(numbered(number))
            assert process("read", tmp_path).communicate()[0] == f"{number}\n"
        store.write(numbered(4))
    assert process("read", tmp_path).communicate()[0] == "4\n"


def test_the_ledger_of_an_exporter_that_was_killed_can_be_read(tmp_path: Path) -> None:
    left = tmp_path / "left"
    with closing(Store.open(tmp_path)) as store, log_kept(tmp_path):
        store.write(numbered(1))
        leave(tmp_path, left)
    for _ in range(2):
        with closing(Store.open_for_reading(left)) as reader:
            assert reader.load() == state_after(1)
    with closing(Store.open(left)) as store:
        assert store.load() == state_after(1)
    assert contents(left).keys() == {NAME}


def test_there_has_to_be_a_ledger_to_be_read(tmp_path: Path) -> None:
    failing(lambda: Store.open_for_reading(tmp_path), "there is no ledger$")
    failing(lambda: Store.open_for_reading(tmp_path / "nowhere"), "there is no ledger$")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_or_replaced_while_in_use_is_reported(
    tmp_path: Path, replaced: bool
) -> None:
    """What is written to it would be lost, and nobody would know."""
    path = tmp_path / NAME
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
        copy = path.read_bytes()
        path.unlink()
        if replaced:
            path.write_bytes(copy)
        with pytest.raises(StoreError, match="was removed or replaced while in use"):
            store.write(numbered(2))


def test_a_report_lays_nothing_beside_a_ledger_that_nobody_has_open(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
    with closing(Store.open_for_reading(tmp_path)) as store:
        assert store.load() == state_after(1)
        assert names(tmp_path) == {NAME}
