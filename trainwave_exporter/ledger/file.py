"""The ledger's file: how it is held, made, examined and opened.

A file that is not fit is left byte for byte as it is. A new one is given its name only when it is
whole, so that whatever bears the name was a ledger once.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from trainwave_exporter.ledger.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.schema import APPLICATION_ID, STEPS, is_ledger, migrate, version

NAME: Final = "ledger.sqlite3"
_BUSY_SECONDS: Final = 2.0
"""How long the lock of another connection is waited for."""
_CACHE_KIBIBYTES: Final = 16_384
"""Room for what a sweep of many jobs changes, so that it goes to the disk once."""
_LOG_BYTES: Final = 16 << 20
"""What the write-ahead log is cut back to after it had to grow."""
_USE_LOG: Final = "PRAGMA journal_mode = WAL"
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
_REMEDY: Final = f"move {NAME}* away, to begin a new ledger or to restore a copy"


def place_in(folder: Path) -> Path:
    """Return where the ledger of a folder is, or has to be made; links are followed."""
    return Path(os.path.realpath(folder / NAME))


def wal_of(path: Path) -> Path:
    """Return the write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


@contextmanager
def trouble_with(name: Path | str) -> Iterator[None]:
    """Turn what goes wrong within, with what is so called, into a `StoreError` of one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror or error}") from None
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise StoreError(f"{name}: {error}") from None


@contextmanager
def undone_on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Undo what was done before, if what is within fails."""
    try:
        yield
    except BaseException:
        undo()
        raise


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from one that takes its place under the same name."""
    found = path.stat()
    return found.st_dev, found.st_ino


def hold(folder: Path) -> int:
    """Make the folder and hold it against other exporters, until what is returned is closed.

    When the process dies, however that happens, the system lets go of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with undone_on_failure(partial(os.close, held)):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UnfitStoreError(
            f"{folder} is in use by another exporter; give each a folder of its own"
        ) from None
    return held


def open_in_memory() -> sqlite3.Connection:
    """Return a new ledger that is in no file."""
    connection = _connect(":memory:")
    _prepare(connection, STEPS)
    return connection


def open_to_write(path: Path, steps: Sequence[str] = STEPS) -> sqlite3.Connection:
    """Open the ledger's file, which is made if there is none, and bring it up to date."""
    if not path.exists():
        _make(path, steps)
    # Where there is no log, the file is all there is to read, and nothing has to be laid beside it.
    with closing(_connect(_uri(path, "mode=ro" if _has_log(path) else "immutable=1"))) as found:
        _examine(path, found, len(steps))
    connection = _connect(_uri(path, "mode=rw"))
    with undone_on_failure(connection.close):
        _prepare(connection, steps)
    return connection


def open_to_read(path: Path, steps: Sequence[str] = STEPS) -> sqlite3.Connection:
    """Open the ledger's file as it is now; what is written later is not seen."""
    if not path.exists():
        raise StoreError(f"{path.parent}: there is no ledger")
    if wal_of(path).exists():
        try:
            return _open_to_read(path, "mode=ro", steps)
        except sqlite3.OperationalError as error:
            # On a full disk, an attempt to write leaves an empty log that cannot be used, either.
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY or _has_log(path):
                raise
    # Where nobody has it open, nothing needs to be laid beside it, nor could it be on a backup.
    return _open_to_read(path, "immutable=1", steps)


def _open_to_read(path: Path, options: str, steps: Sequence[str]) -> sqlite3.Connection:
    connection = _connect(_uri(path, options))
    with undone_on_failure(connection.close):
        connection.execute("BEGIN")
        _examine(path, connection, len(steps))
        if version(connection) < len(steps):
            raise StoreError(f"{path} is of an older version; start the exporter on it once")
    return connection


def _make(path: Path, steps: Sequence[str]) -> None:
    """Make a new ledger. What an attempt leaves that was cut short, the next one clears away."""
    if _has_log(path):
        raise UnfitStoreError(
            f"{wal_of(path)} is part of a ledger whose {path.name} is gone; keep them together"
        )
    new = path.with_name(path.name + ".new")
    for left in path.parent.glob(f"{new.name}*"):
        left.unlink()
    with closing(_connect(_uri(new, "mode=rwc"))) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection, steps)
        connection.execute(_USE_LOG)  # now, as from then on the file alone may not be all of it
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _examine(path: Path, connection: sqlite3.Connection, newest: int) -> None:
    """Raise `UnfitStoreError` if the file must not be used. Writes nothing.

    The file is read through SQLite only: closing it otherwise would lift this process's locks.
    """
    if path.stat().st_size == 0:
        raise UnfitStoreError(f"{path} is empty; {_REMEDY}")
    try:
        if not is_ledger(connection):
            raise UnfitStoreError(f"{path} is no ledger; {_REMEDY}")
        if (found := version(connection)) > newest:
            raise UnfitStoreError(
                f"{path} is of version {found}, and this exporter knows none after {newest};"
                f" use a newer one, or {_REMEDY}"
            )
        if found < 1:
            raise UnfitStoreError(f"{path} is damaged (of version {found}); {_REMEDY}")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        # Its lowest byte tells the kind. None: a text that Python cannot decode.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _PASSING:
            raise
        verdict = str(error)
    if verdict != "ok":
        raise UnfitStoreError(f"{path} is damaged ({verdict.splitlines()[-1]}); {_REMEDY}")


def _prepare(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    connection.execute(_USE_LOG)  # a restored copy may do without
    connection.execute("PRAGMA synchronous = FULL")  # what is committed outlives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    migrate(connection, steps)
    # To begin is not enough: that works with a file that was opened to be read only, as it stays.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {len(steps)}")  # fails where it cannot be written
    connection.execute("ROLLBACK")


def _connect(address: str) -> sqlite3.Connection:
    return sqlite3.connect(
        address,
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions begin and end where the code says so
        check_same_thread=False,  # calls come one after the other, but of several threads
    )


def _uri(path: Path, options: str) -> str:
    return f"{path.absolute().as_uri()}?{options}"


def _has_log(path: Path) -> bool:
    try:
        return wal_of(path).stat().st_size > 0
    except FileNotFoundError:
        return False
