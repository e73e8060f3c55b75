"""The ledger's file: how it is held, made, examined, migrated and opened.

A file that is not fit is left byte for byte as it is. A new one is given its name only when it is
whole, so that whatever bears the name was a ledger once. One of an earlier version is copied
before it is migrated.
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
from weakref import finalize

import structlog

from trainwave_exporter.ledger.storage import copies, database, generation
from trainwave_exporter.ledger.storage.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.schema import (
    APPLICATION_ID,
    STEPS,
    is_ledger,
    migrate,
    version,
)

log = structlog.get_logger()

NAME: Final = "ledger.sqlite3"
_CACHE_KIBIBYTES: Final = 16_384
"""Room for the changes of a sweep over many jobs, so that they go to the disk once."""
_LOG_BYTES: Final = 16 << 20
"""Size that the write-ahead log is cut back to after it had to grow."""
_USE_LOG: Final = "PRAGMA journal_mode = WAL"
_REMEDY: Final = (
    f"move {database.all_of(Path(NAME))} away, to begin a new ledger or to restore a copy"
)


def place_in(folder: Path) -> Path:
    """Return where the ledger of a folder is, or has to be made; links are followed."""
    return Path(os.path.realpath(folder / NAME))


@contextmanager
def undone_on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Call ``undo`` if the block within fails."""
    try:
        yield
    except BaseException:
        undo()
        raise


class Hold:
    """Locks a folder, which is made if there is none, against other exporters until it is closed.

    When the process dies, however that happens, the system lets go of it. Raises
    `UnfitStoreError` where another exporter holds it.
    """

    def __init__(self, folder: Path) -> None:
        """Lock it from now on."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with undone_on_failure(partial(os.close, held)):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnfitStoreError(
                f"{folder} is in use by another exporter; give each a folder of its own"
            ) from None
        self._identity = database.identity(folder)
        # One that is dropped without being closed must not go on holding it, either.
        self.close = finalize(self, os.close, held)

    def holds(self, folder: Path) -> bool:
        """Whether it is this folder that is held, and not one of the same name before."""
        try:
            return database.identity(folder) == self._identity
        except OSError:
            return False


def open_in_memory() -> sqlite3.Connection:
    """Return a new ledger that is in no file."""
    connection = database.connect_in_memory()
    _prepare(connection)
    _begin(connection, STEPS)
    return connection


def open_to_write(path: Path, steps: Sequence[str] = STEPS) -> sqlite3.Connection:
    """Open the ledger's file, which is made if there is none, and bring it up to date."""
    if not path.exists():
        _make(path, steps)
    _check_is_file(path)
    # Where there is no log, the file is all there is to read, and nothing has to be laid beside it.
    options = "mode=ro" if database.has_log(path) else "mode=ro&immutable=1"
    with closing(database.connect(path, options)) as found:
        _examine(path, found, len(steps))
        before = version(found)
        copy = None
        if before < len(steps):
            copy = copies.before_migration(path, found, before)
    connection = database.connect(path, "mode=rw")
    with undone_on_failure(connection.close):
        _prepare(connection)
        migrate(connection, steps)
        _check_writable(connection)
    if copy is not None:
        log.info(
            "ledger_migrated",
            from_version=before,
            to_version=len(steps),
            copy=str(copy),
            go_back=f"stop the exporter, and {_go_back(path, copy)}",
        )
    return connection


def open_to_read(path: Path, steps: Sequence[str] = STEPS) -> sqlite3.Connection:
    """Open the ledger's file as it is now; what is written later is not seen."""
    if not path.exists():
        raise StoreError(f"{path.parent}: there is no ledger")
    _check_is_file(path)
    if database.wal_of(path).exists():
        try:
            return _open_to_read(path, "mode=ro", steps)
        except sqlite3.OperationalError as error:
            # On a full disk, an attempt to write leaves an empty log that cannot be used, either.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if busy or database.has_log(path):
                raise
    # Where nobody has it open, nothing needs to be laid beside it, nor could it be on a backup.
    return _open_to_read(path, "mode=ro&immutable=1", steps)


def _open_to_read(path: Path, options: str, steps: Sequence[str]) -> sqlite3.Connection:
    connection = database.connect(path, options)
    with undone_on_failure(connection.close):
        connection.execute("BEGIN")
        _examine(path, connection, len(steps))
        if version(connection) < len(steps):
            raise StoreError(f"{path} is of an older version; start the exporter on it once")
    return connection


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a directory; move it away")


def _make(path: Path, steps: Sequence[str]) -> None:
    """Make a new ledger. What is left of an attempt that was cut short is removed first."""
    if database.has_log(path):
        raise UnfitStoreError(
            f"{database.wal_of(path)} is part of a ledger whose {path.name} is gone;"
            " keep them together"
        )
    new = path.with_name(path.name + ".new")
    copies.remove(new)
    with closing(database.create(new, path)) as connection:
        _begin(connection, steps)
        connection.execute(_USE_LOG)  # now, as from then on the file alone may not be all of it
    new.rename(path)
    database.sync_folder(path.parent)


def _begin(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Make an empty database a ledger."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    migrate(connection, steps)


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
            raise UnfitStoreError(_newer(path, found, newest))
        if found < 1:
            raise UnfitStoreError(f"{path} is damaged (of version {found}); {_REMEDY}")
        verdict = database.verdict(connection)
    except (sqlite3.Error, UnicodeError) as error:
        if database.says_nothing_of_the_file(error):
            raise
        verdict = str(error)
    if verdict != "ok":
        raise UnfitStoreError(f"{path} is damaged ({verdict.splitlines()[-1]}); {_REMEDY}")


def generation_of(path: Path, connection: sqlite3.Connection) -> int:
    """Return the number that each write of a ledger raises."""
    if connection.execute("SELECT count(*) FROM ledger").fetchone() == (0,):
        raise UnfitStoreError(f"{path} is damaged (its table ledger has no row); {_REMEDY}")
    found = generation.read(connection)
    if found is None:
        raise UnfitStoreError(f"{path} is damaged (part of it is of another copy); {_REMEDY}")
    return found


def _newer(path: Path, found: int, newest: int) -> str:
    """Return what to do about a ledger of a newer exporter."""
    copy = copies.newest_before(path, newest)
    known = f"{path} is of version {found}, and this exporter knows none after {newest};"
    if copy is None:
        return f"{known} use a newer one, or {_REMEDY}"
    return (
        f"{known} use a newer one; or, to go back to what the ledger was before,"
        f" {_go_back(path, copy)}"
    )


def _go_back(path: Path, copy: Path) -> str:
    return f"move {database.all_of(path)} away, and {copy.name} to {path.name}"


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(_USE_LOG)  # a restored copy may do without
    connection.execute("PRAGMA synchronous = FULL")  # what is committed outlives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `database.backfill`


def _check_writable(connection: sqlite3.Connection) -> None:
    # To begin is not enough: that works with a file that was opened to be read only, as it stays.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {version(connection)}")  # fails if it is read-only
    connection.execute("ROLLBACK")
