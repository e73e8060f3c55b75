"""The note of what was last written: an older file is noticed, and nothing else is taken for one.

Whatever instant the exporter is killed at, or a report looks at.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest
from ledger.interrupted import at_call, killed
from ledger.store_rig import numbered, process, state_after
from ledger.test_store_trouble import room_up_to

from trainwave_exporter.ledger.storage import write_note as note
from trainwave_exporter.ledger.storage.errors import StoreError
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.ledger.storage.write_note import Written

FOREIGN = "is not what an exporter last wrote here"
MOST = 120
"""More calls than a task comes to."""


def filled(folder: Path) -> None:
    """Make a ledger with the first batch, and lay a copy of it beside the folder."""
    with closing(Store.open(folder)) as store:
        store.write(numbered(1))
    shutil.copyfile(folder / NAME, folder.parent / "older")


def copies(folder: Path) -> list[Path]:
    """Return as many copies of a folder as there may be calls."""
    found = [folder.with_name(f"{folder.name}-{number}") for number in range(MOST)]
    for copy in found:
        shutil.copytree(folder, copy)
    return found


def read(folder: Path) -> int:
    """Return the number of the last batch, as a report finds it."""
    with closing(Store.open_for_reading(folder)) as store:
        state = store.load()
    number = state.corrections[0]
    assert state == state_after(number)
    return number


def opened(folder: Path) -> tuple[int, bool]:
    """Return likewise what a start finds, and whether it takes it for restored."""
    with closing(Store.open(folder)) as store:
        return store.load().corrections[0], store.restored


def restored(folder: Path) -> None:
    """Put the older copy in the ledger's place, as the docs say."""
    for end in ("-wal", "-shm"):
        (folder / f"{NAME}{end}").unlink(missing_ok=True)
    shutil.copyfile(folder.parent / "older", folder / NAME)


def is_taken(folder: Path) -> bool:
    """Whether a report takes the ledger for what was last written."""
    try:
        read(folder)
    except StoreError as error:
        if FOREIGN not in str(error):
            raise
        return False
    return True


def refused(folder: Path) -> str:
    with pytest.raises(StoreError, match=FOREIGN) as caught:
        Store.open_for_reading(folder)
    return str(caught.value)


# Killed


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("task", ["open", "write"])
def test_killed_at_any_step_a_ledger_can_be_read_and_opened(task: str, tmp_path: Path) -> None:
    filled(tmp_path / "data")
    folders = copies(tmp_path / "data")
    done = killed(task, folders)
    assert done > 10
    found = set()
    for folder in folders[: done + 1]:
        number = read(folder)
        assert read(folder) == number
        assert opened(folder) == (number, False)
        assert read(folder) == number
        found.add(number)
    assert found == ({1, 2} if task == "write" else {1})


@pytest.mark.usefixtures("untraced")
def test_killed_at_any_step_a_restored_ledger_is_one_until_it_is_written(tmp_path: Path) -> None:
    filled(tmp_path / "data")
    with closing(Store.open(tmp_path / "data")) as store:
        store.write(numbered(2))
    restored(tmp_path / "data")
    folders = copies(tmp_path / "data")
    done = killed("open", folders)
    known = []
    for folder in folders[: done + 1]:
        known.append(is_taken(folder))
        assert opened(folder) == (1, not known[-1])
        assert read(folder) == 1
    written = known.index(True)
    assert 0 < written <= done
    assert all(known[written:])


# Read beside an exporter


def test_a_reader_finds_a_ledger_at_any_step_of_a_write(tmp_path: Path) -> None:
    found = []

    def look() -> None:
        found.append(read(tmp_path))

    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
        for number in count(2):
            with at_call(number - 1, look) as reached:
                store.write(numbered(number))
            if not reached():
                break
            assert found[-1] in {number - 1, number}
            assert read(tmp_path) == number
    assert len(found) > 10
    assert {there - before for before, there in enumerate(found, 1)} == {0, 1}


def test_a_reader_finds_a_ledger_at_any_step_of_a_start(tmp_path: Path) -> None:
    filled(tmp_path / "data")
    for number in count(1):
        found: list[int] = []
        with at_call(number, lambda: found.append(read(tmp_path / "data"))) as reached:  # noqa: B023
            Store.open(tmp_path / "data").close()
        if not reached():
            break
        assert found == [1]
    assert number > 10


def test_a_ledger_may_be_written_at_any_step_of_a_reader(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        written = 1
        store.write(numbered(1))

        def write() -> None:
            nonlocal written
            for _ in range(2):
                written += 1
                store.write(numbered(written))

        for number in count(1):
            before = written
            with at_call(number, write) as reached:
                found = read(tmp_path)
            assert before <= found <= written
            if not reached():
                break
        assert number > 5


@pytest.mark.usefixtures("untraced")
def test_a_reader_finds_a_ledger_whenever_another_process_writes_it(tmp_path: Path) -> None:
    writer = process("write", tmp_path)
    assert writer.stdout is not None
    first = int(writer.stdout.readline())
    found = first
    for _ in range(40):
        number = read(tmp_path)
        assert number >= found
        found = number
    writer.kill()
    writer.communicate()
    assert found > first
    assert read(tmp_path) >= found


# Another file in the ledger's place


@pytest.mark.parametrize("ended", [True, False], ids=["closed", "killed"])
def test_an_older_copy_is_noticed_after_the_exporter_ended(ended: bool, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    if ended:
        with closing(Store.open(folder)) as store:
            store.write(numbered(2))
    else:
        writer = process("write", folder)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
        writer.communicate()
    (folder / f"{NAME}-wal").unlink(missing_ok=True)
    restored(folder)
    assert "start the exporter on it" in refused(folder)
    assert opened(folder) == (1, True)
    assert read(folder) == 1
    assert opened(folder) == (1, False)


def test_a_newer_copy_of_another_exporter_is_noticed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    filled(folder)
    shutil.copytree(folder, elsewhere)
    with closing(Store.open(elsewhere)) as store:
        store.write(numbered(2))
    shutil.copyfile(elsewhere / NAME, folder / NAME)
    refused(folder)
    assert opened(folder) == (2, False)
    assert read(folder) == 2


# The note itself


@pytest.mark.parametrize("text", [None, b"", b"1", b"\0" * 42, b"one two\n", b"1 2 3\n"], ids=str)
def test_without_a_note_any_ledger_is_taken(text: bytes | None, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    path = note.path_of(folder / NAME)
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    assert note.read(folder / NAME) is None
    assert read(folder) == 1
    assert opened(folder) == (1, False)
    assert note.read(folder / NAME) is not None


def test_after_each_write_the_note_says_what_is_there(tmp_path: Path) -> None:
    place = tmp_path / NAME
    with closing(Store.open(tmp_path)) as store:
        first = note.read(place)
        assert first is not None
        for number in range(1, 4):
            store.write(numbered(number))
            last = first.low + number
            assert note.read(place) == Written(last, last)
        assert len(note.path_of(place).read_bytes()) == 42


def test_a_note_is_of_the_same_length_whatever_it_says(tmp_path: Path) -> None:
    place = tmp_path / NAME
    for low, high in ((0, 0), (9, 10), (2**62, 2**63 - 1)):
        note.announce(place, low, high)
        assert note.read(place) == Written(low, high)
        note.settle(place, high)
        assert note.read(place) == Written(high, high)
        assert len(note.path_of(place).read_bytes()) == 42


def test_what_cannot_be_announced_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    filled(folder)
    path = note.path_of(folder / NAME)
    with closing(Store.open(folder)) as store:
        path.unlink()
        path.mkdir()
        with pytest.raises(StoreError, match=f"^{path}: Is a directory$"):
            store.write(numbered(2))
        assert store.load() == state_after(1)
        assert read(folder) == 1
        path.rmdir()
        store.write(numbered(2))
        assert read(folder) == 2
    assert opened(folder) == (2, False)


@pytest.mark.parametrize("room", [0, 1, 10, 41])
def test_a_disk_that_is_full_at_any_byte_of_the_note_leaves_one_that_holds(
    room: int, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    filled(folder)
    with closing(Store.open(folder)) as store:
        with (
            room_up_to(room),
            pytest.raises(StoreError, match=r"-generation: File too large$"),
        ):
            store.write(numbered(2))
        assert read(folder) == 1
        store.write(numbered(2))
    assert opened(folder) == (2, False)


@pytest.mark.parametrize("after", [True, False], ids=["goes-on", "ends"])
def test_a_note_that_cannot_be_settled_still_holds(after: bool, tmp_path: Path) -> None:
    """Only the copy from right before the last write is taken for the ledger then."""
    folder = tmp_path / "data"
    filled(folder)
    with closing(Store.open(folder)) as store, ExitStack() as full:
        first = note.read(folder / NAME)
        assert first is not None
        last = first.low + 1
        with at_call(2, lambda: full.enter_context(room_up_to(0)), {"pwrite"}) as reached:
            store.write(numbered(2))
        assert reached()
        full.close()
        assert note.read(folder / NAME) == Written(first.low, last)
        assert read(folder) == 2
        if after:
            store.write(numbered(3))
            assert note.read(folder / NAME) == Written(last + 1, last + 1)
    assert read(folder) == (3 if after else 2)
    restored(folder)
    refused(folder)
    assert opened(folder) == (1, True)
