"""Notices that another program removed, replaced or overwrote the files of a ledger in use.

SQLite does not: it goes on writing to a file that has lost its name, and reads what it finds. So
the files are compared with what they were after the last write. Where they differ, their content
decides: a generation number in the ledger, which each write raises. Other programs may read, and
even write, by SQLite's rules.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from trainwave_exporter.ledger import database
from trainwave_exporter.ledger.errors import LostStoreError


class _Found(Struct, frozen=True):
    """What the file system says of one file."""

    identity: tuple[int, int]
    content: tuple[int, int]
    """Its size and when it was last written to, in nanoseconds."""


class _Files(Struct, frozen=True):
    """A database and the two files beside it; None where there is none."""

    main: _Found | None
    log: _Found | None
    index: tuple[int, int] | None
    """Identity of the shared-memory index of the log; its content is SQLite's own business."""

    @property
    def identities(self) -> tuple[object, ...]:
        """What tells these files from others of the same names."""
        return (self.main and self.main.identity, self.log and self.log.identity, self.index)


class FileGuard:
    """Remembers how a ledger's files were left, and says when they are not as they were."""

    def __init__(self, path: Path) -> None:
        """Begin with the files as they are."""
        self._path = path
        self._left = _files(path)
        self._generation = 0
        self._alone: int | None = 0

    @property
    def pending(self) -> bool:
        """Whether part of the ledger is in its log only, as a reader needs the file as it was."""
        return self._alone != self._generation

    def left(self, generation: int, *, backfilled: bool) -> None:
        """Take the files as they are for what was left by a write of this generation.

        ``backfilled``: the main file alone holds all of it.
        """
        found = _files(self._path)
        if found.identities == self._left.identities:
            self._left = found
        # Else that write may have gone to files without a name: `check` will say so.
        self._generation = generation
        self._alone = generation if backfilled else _generation(self._path, "immutable=1")

    def check_identity(self) -> None:
        """Raise `LostStoreError` where the file is gone, or there is another of its name."""
        found = _files(self._path)
        if found.identities[0] != self._left.identities[0]:
            text = f"{self._path} was removed or replaced while in use"
            raise LostStoreError(text, readable=True)

    def check(self) -> None:
        """Raise `LostStoreError` where the files are not what was last written."""
        found = _files(self._path)
        if found == self._left:
            return
        path, left = self._path, self._left
        self.check_identity()
        alone = _generation(path, "immutable=1")
        if alone != self._alone:
            raise LostStoreError(f"{path} was overwritten while in use")
        whole = alone == self._generation
        if found.identities != left.identities:
            side = database.index_of(path) if found.index != left.index else database.wal_of(path)
            empty = found.log is None or found.log.content[0] == 0
            raise LostStoreError(
                f"{side} was removed or replaced while in use",
                on_disk=whole and empty,
                readable=True,
            )
        if not whole and _generation(path, "mode=ro") != self._generation:
            raise LostStoreError(f"{database.wal_of(path)} was overwritten while in use")
        self._left = found  # another program used it by SQLite's rules


def _files(path: Path) -> _Files:
    log, index = _found(database.wal_of(path)), _found(database.index_of(path))
    return _Files(_found(path), log, None if index is None else index.identity)


def _found(path: Path) -> _Found | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Found((found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns))


def _generation(path: Path, options: str) -> int | None:
    """Return the generation of a ledger that is whole; None for anything else."""
    try:
        with closing(database.connect(path, options)) as connection:
            connection.execute("BEGIN")
            if database.verdict(connection) != "ok":
                return None
            return database.generation(connection)
    except (sqlite3.Error, UnicodeError) as error:
        if database.says_nothing_of_the_file(error) and not _reading_failed(error):
            raise
        return None


def _reading_failed(error: Exception) -> bool:
    """Whether a page was not where the log's index says it is: a log that was cut short."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
