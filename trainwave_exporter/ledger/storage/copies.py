"""Copies of a ledger's file, made beside it: each whole, on disk, and never in another's place."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Final

import structlog

from trainwave_exporter.ledger.storage import database
from trainwave_exporter.ledger.storage.errors import StoreError

log = structlog.get_logger()

_CHUNK_BYTES: Final = 1 << 20
_SPARE_BYTES: Final = 1 << 20
"""Bytes that a copy leaves free on the disk, for the migration that comes after it."""


def copy_to(source: sqlite3.Connection, target: Path, like: Path) -> None:
    """Write what a connection sees to a file of another name, on disk and found to be whole.

    It gets the rights of the file that it is ``like``, if that is there. Raises `StoreError` where
    there is no room for it; ``target`` is then left as it was.
    """
    with database.trouble_with(target):
        _check_room(source, target)
        remove(target)
        with closing(database.create(target, like)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # the file alone is all of it
            found = database.verdict(copy)
        if found != "ok":
            raise StoreError(f"{target} cannot be copied whole ({found})")
        with target.open("r+b") as written:
            os.fsync(written.fileno())


def remove(path: Path) -> None:
    """Remove a database and what SQLite laid beside it."""
    for end in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def before_migration(path: Path, source: sqlite3.Connection, version: int) -> Path:
    """Keep a ledger of an earlier version beside its file; return the name of the copy.

    A copy that is there already is kept: where it has the same content nothing is written, and
    else the new one gets a number. One that was cut short has another name, and is made anew.
    """
    new = path.with_name(f"{path.name}.copy")
    copy_to(source, new, path)
    with database.trouble_with(new):
        for target in _names(path, version):
            if not target.exists():
                new.rename(target)
                break
            if _is_same(new, target):
                new.unlink()
                break
        database.sync_folder(path.parent)
    log.info("ledger_copied", copy=str(target), version=version, reason="migration")
    return target


def newest_before(path: Path, version: int) -> Path | None:
    """Return the newest copy of a ledger that an exporter up to this version can use."""
    found = [
        ((int(match[1]), int(match[2] or 1)), copy)
        for copy in path.parent.glob(f"{path.name}.v*")
        if (match := re.fullmatch(r"v(\d+)(?:-(\d+))?", copy.name[len(path.name) + 1 :]))
        and int(match[1]) <= version
    ]
    return max(found)[1] if found else None


def _names(path: Path, version: int) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.v{version}")
    for number in count(2):
        yield path.with_name(f"{path.name}.v{version}-{number}")


def _is_same(one: Path, other: Path) -> bool:
    """Whether two databases hold the same, but for counters in their headers."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while chunk := first.read(_CHUNK_BYTES):
            match = second.read(_CHUNK_BYTES)
            if first.tell() == len(chunk):
                chunk, match = _without_counters(chunk), _without_counters(match)
            if chunk != match:
                return False
    return True


def _without_counters(header: bytes) -> bytes:
    """Return the begin of a database without the bytes that a change of journal mode changes."""
    return header[:18] + header[20:24] + header[28:92] + header[100:]


def _check_room(source: sqlite3.Connection, target: Path) -> None:
    (pages,), (size,) = (
        source.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
    )
    needed, free = pages * size + _SPARE_BYTES, shutil.disk_usage(target.parent).free
    if free < needed:
        raise StoreError(
            f"{target} needs {needed:,} bytes of disk space, and {free:,} are free; free some"
        )
