"""Rescue of a ledger whose file was lost in use: its content is written to a file beside it.

The exporter goes on in that file. It becomes the ledger as soon as no file bears the ledger's name
any more, or at the next start, which puts aside a file that does.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import structlog

from trainwave_exporter.ledger.storage import copies, database
from trainwave_exporter.ledger.storage.errors import UnfitStoreError

log = structlog.get_logger()


def rescued_of(place: Path) -> Path:
    """Return where the content of a lost ledger is written to."""
    return place.with_name(place.name + ".rescued")


def write(place: Path, source: sqlite3.Connection) -> Path:
    """Write what a connection still reads of a lost ledger; return where to."""
    rescued = rescued_of(place)
    new = place.with_name(place.name + ".rescue")
    copies.copy_to(source, new, place)
    copies.remove(rescued)
    new.rename(rescued)
    database.sync_folder(place.parent)
    return rescued


def is_free(place: Path) -> bool:
    """Whether no file bears the ledger's name any more, but for an empty log."""
    return not os.path.lexists(place) and not database.has_log(place)


def take_place(place: Path) -> None:
    """Make a rescued ledger, if there is one, the ledger, and put aside what is in its place.

    If that is cut short at any instant, the next attempt completes it.
    """
    rescued = rescued_of(place)
    if not rescued.exists():
        return
    try:
        with closing(database.connect(rescued, "mode=rw")) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # what is in its log, too
            found = database.verdict(connection)
    except sqlite3.Error as error:
        if database.says_nothing_of_the_file(error):
            raise
        found = str(error)
    if found != "ok":
        raise UnfitStoreError(f"{rescued} is damaged ({found}); move it away")
    aside = None
    if not is_free(place):
        aside = next(name for name in _names(place) if not name.exists())
        for end in ("-shm", "-wal", ""):  # the file last: as long as it is there, so is its number
            with suppress(FileNotFoundError):
                place.with_name(place.name + end).rename(aside.with_name(aside.name + end))
    else:
        copies.remove(place)
    rescued.rename(place)
    database.sync_folder(place.parent)
    log.warning("ledger_rescued", ledger=str(place), set_aside=aside and str(aside))


def _names(place: Path) -> Iterator[Path]:
    for number in count(1):
        yield place.with_name(f"{place.name}.lost-{number}")
