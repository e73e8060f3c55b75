"""A SQLite file of the ledger: names, connections, and checks."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from trainwave_exporter.ledger.storage.errors import StoreError

_BUSY_SECONDS: Final = 2.0
"""How long the lock of another connection is waited for."""
OWNER_ONLY: Final = 0o600
"""The rights of a new file, as it holds the costs of everybody's jobs."""
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors that say nothing against the file itself."""


def wal_of(path: Path) -> Path:
    """Return the write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


def index_of(path: Path) -> Path:
    """Return the shared-memory index of a database's write-ahead log."""
    return path.with_name(path.name + "-shm")


def all_of(path: Path) -> str:
    """Return how to name all that is to be moved together with a database."""
    return f"{path.name} (and {wal_of(path).name}, {index_of(path).name}, if they are there)"


def has_log(path: Path) -> bool:
    """Whether a database's write-ahead log has anything in it."""
    try:
        return wal_of(path).stat().st_size > 0
    except OSError:
        return False


def identity(path: Path) -> tuple[int, int]:
    """Return what distinguishes a file from one that takes its place under the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlive a power cut."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


@contextmanager
def trouble_with(name: Path | str) -> Iterator[None]:
    """Turn errors within into a `StoreError` of one line that begins with ``name``."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror or error}") from None
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise StoreError(f"{name}: {error}") from None


def connect(path: Path, options: str) -> sqlite3.Connection:
    """Connect to a file with the options of an SQLite URI, such as ``mode=ro``."""
    return _connect(f"{path.absolute().as_uri()}?{options}")


def create(path: Path, like: Path) -> sqlite3.Connection:
    """Make a new, empty file and connect to it.

    SQLite gives what it lays beside it the same rights. Only its owner may read it, unless the
    owner gave the file that it is ``like`` other rights.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
    with suppress(FileNotFoundError):
        shutil.copymode(like, path)
    return connect(path, "mode=rw")


def connect_in_memory() -> sqlite3.Connection:
    """Connect to a database in no file."""
    return _connect(":memory:")


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address,
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # calls come one after the other, but of several threads
    )


def connect_left_alone(path: Path) -> sqlite3.Connection | None:
    """Return a connection that keeps another one's `close` from changing the file; None: in vain.

    The last connection that is closed writes the rest of its log into the file. One that can only
    read does not.
    """
    connection = connect(path, "mode=ro")
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        connection.close()
        return None
    return connection


def says_nothing_of_the_file(error: Exception) -> bool:
    """Whether an error is no sign of damage: it may pass without any change of the file."""
    # Its lowest byte is the kind. None: a text that Python cannot decode.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _PASSING


def verdict(connection: sqlite3.Connection) -> str:
    """Return the result of SQLite's quick check: ``ok``, or what is wrong."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return str(found)


def backfill(connection: sqlite3.Connection) -> bool:
    """Move what is in the log into the file, and empty the log; False while a reader needs it.

    Raises `sqlite3.OperationalError` where that is cut short, as by a full disk.

    So a file alone is nearly always the whole ledger: with its log lost nothing is lost, and with
    a copy put in its place no old log is taken for the copy's.
    """
    connection.execute("PRAGMA busy_timeout = 0")  # a reader may take its time
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")
    return not busy
