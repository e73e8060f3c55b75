"""Notices that another program removed, replaced or overwrote the files of a ledger in use.

SQLite does not: it goes on writing to a file that has lost its name, and reads what it finds. So
the files are compared with what they were after the last write, and their content with what it has
to be: by the number in the ledger that each write raises, since a file that is overwritten during a
write looks as it was left. Other programs may read, and even write, by SQLite's rules.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from trainwave_exporter.ledger.storage import database, generation
from trainwave_exporter.ledger.storage.errors import LostStoreError


class _Found(Struct, frozen=True):
    """The state of one file, by the file system."""

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
        """What distinguishes these files from others of the same names."""
        return (self.main and self.main.identity, self.log and self.log.identity, self.index)


class FileGuard:
    """Remembers how a ledger's files were left, and raises an error if they are not so now."""

    def __init__(self, path: Path) -> None:
        """Begin with the files as they are."""
        self._path = path
        self._left = _files(path)
        self._generation = -1
        """The generation that was written last; -1: none yet."""
        alone = _generation(path, "mode=ro&immutable=1")
        self._in_file = alone or 0
        """The oldest generation that the file alone may be of; it may be of any written since."""
        self._torn = alone is None
        """Whether moving pages into it was cut short, so that it may be of no one generation."""

    @property
    def pending(self) -> bool:
        """Whether part of the ledger may be in its log only."""
        return self._in_file != self._generation

    def wrote(self, number: int, backfill: Callable[[], bool]) -> None:
        """Note that this generation is in the log, and have it moved into the file.

        ``backfill`` does so, and returns whether all of it is there. Nothing is moved into a file
        that another program wrote to: it may hold another ledger, and would become a mixture of
        both; `check` finds out. A file that lost its name may well be written to.
        """
        self._generation = number
        main, left = _found(self._path), self._left.main
        if main and left and main.identity == left.identity and main != left:
            return
        try:
            if backfill():
                self._in_file, self._torn = number, False
        except sqlite3.OperationalError:  # a full disk, say: what is committed is safe in the log
            self._torn = True
        found = _files(self._path)
        if found.identities == self._left.identities:
            self._left = found
        # Else that write may have gone to files without a name: `check` will say so.

    def check_identity(self) -> None:
        """Raise `LostStoreError` where the file is gone, or there is another of its name."""
        self._check_identity(_files(self._path))

    def _check_identity(self, found: _Files) -> None:
        if found.identities[0] != self._left.identities[0]:
            text = f"{self._path} was removed or replaced while in use"
            raise LostStoreError(text, readable=True)

    def check(self) -> None:
        """Raise `LostStoreError` where the files are not what was last written."""
        found = _files(self._path)
        self._check_identity(found)
        path, left = self._path, self._left
        # Also where they look as they were left: that may have been after they were overwritten.
        try:
            alone = _generation(path, "mode=ro&immutable=1", whole=found != left)
        except sqlite3.Error:
            self.check_identity()  # it may have been removed just now
            raise
        if not (self._torn if alone is None else self._in_file <= alone <= self._generation):
            self.check_identity()
            raise LostStoreError(f"{path} was overwritten while in use")
        if found == left:
            return
        whole = alone == self._generation
        if found.identities != left.identities:
            side = database.index_of(path) if found.index != left.index else database.wal_of(path)
            empty = found.log is None or found.log.content[0] == 0
            raise LostStoreError(
                f"{side} was removed or replaced while in use",
                on_disk=whole and empty,
                readable=True,
            )
        if not whole and _generation(path, "mode=ro", whole=True) != self._generation:
            part = path if alone is None else database.wal_of(path)
            raise LostStoreError(f"{part} was overwritten while in use")
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


def _generation(path: Path, options: str, *, whole: bool = False) -> int | None:
    """Return the generation of a ledger; None for anything else, and for parts of two.

    ``whole``: only if SQLite finds nothing wrong with any of its pages, either.
    """
    try:
        with closing(database.connect(path, options)) as connection:
            connection.execute("BEGIN")
            if whole and database.verdict(connection) != "ok":
                return None
            return generation.read(connection)
    except (sqlite3.Error, UnicodeError) as error:
        if database.says_nothing_of_the_file(error) and not _reading_failed(error):
            raise
        return None


def _reading_failed(error: Exception) -> bool:
    """Whether a page was not where the log's index says it is: a log that was cut short."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
