"""The generation of a ledger: one per file, and none for a file of parts of two."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from ledger.store_rig import log_kept, numbered

from trainwave_exporter.ledger.storage import generation
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.store import Store

PAGE = 4096


def pages(content: bytes) -> list[bytes]:
    """Return the pages of a file; each snapshot has those of the largest, the last ones empty."""
    return [content[at : at + PAGE] for at in range(0, len(content), PAGE)]


def changed(before: list[bytes], after: list[bytes]) -> list[int]:
    """Return the numbers of the pages that are not the same."""
    assert len(before) == len(after)
    return [n for n, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]


def laid_over(content: list[bytes], other: list[bytes], numbers: Iterable[int]) -> list[bytes]:
    """Return pages with some of them from another file."""
    taken = set(numbers)
    return [other[n] if n in taken else page for n, page in enumerate(content)]


def read(path: Path, content: list[bytes]) -> int | None:
    """Return the generation of a file of these pages."""
    path.write_bytes(b"".join(content))
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return generation.read(connection)


def snapshots(folder: Path, *, kept: bool) -> list[list[bytes]]:
    """Return a file as it was after each of some writes; ``kept``: two at a time came to it."""
    found = []
    with closing(Store.open(folder)) as store:
        store.write(numbered(1))
        for number in range(1, 7):
            if kept:
                with log_kept(folder):
                    store.write(numbered(2))  # the same points again: nothing grows
            store.write(numbered(1 + number % 2))
            found.append(pages((folder / NAME).read_bytes()))
    assert len({len(content) for content in found}) == 1
    return found


@pytest.mark.parametrize("kept", [False, True])
def test_an_older_file_laid_under_the_pages_of_a_write_is_none(tmp_path: Path, kept: bool) -> None:
    """As when another program overwrites the file right before pages are moved there."""
    files = snapshots(tmp_path, kept=kept)
    generations = [read(tmp_path / "each", content) or 0 for content in files]
    assert all(0 < one < other for one, other in pairwise(generations))
    for last in range(2, len(files)):
        moved = changed(files[last - 1], files[last])
        assert moved
        for older in range(last - 1):
            mixed = laid_over(files[older], files[last], moved)
            assert read(tmp_path / "mixed", mixed) is None
        assert laid_over(files[last - 1], files[last], moved) == files[last]


@pytest.mark.parametrize("kept", [False, True])
def test_a_file_with_only_some_pages_of_a_write_is_of_that_before_or_of_it(
    tmp_path: Path, kept: bool
) -> None:
    """As while pages are moved there, or when that is cut short; the rest is in the log."""
    before, after = snapshots(tmp_path, kept=kept)[-2:]
    either = {read(tmp_path / "one", before), read(tmp_path / "other", after)}
    numbers = changed(before, after)
    found = set()
    for some in [*(numbers[:n] for n in range(len(numbers))), *combinations(numbers, 1)]:
        found.add(read(tmp_path / "some", laid_over(before, after, some)))
    assert found == either


def test_a_ledger_without_its_numbers_has_none(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as connection:
        for table in generation.TABLES:
            assert generation.read(connection) is not None
            row = connection.execute(f"SELECT * FROM {table}").fetchone()
            connection.execute(f"DELETE FROM {table}")
            assert generation.read(connection) is None
            connection.execute(f"INSERT INTO {table} VALUES (?, ?)", row)
