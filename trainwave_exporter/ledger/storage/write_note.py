"""A note of a ledger's last generation, beside it: an older file in its place is noticed.

The note is a range of generations. Before a commit it goes from the last one that is surely in the
ledger to the one about to be; after the commit it is that one alone. So the ledger is within the
range at any instant, also where the exporter is killed, and a reader need not wait for anything.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from trainwave_exporter.ledger.storage import database


class Written(Struct, frozen=True):
    """The generations between which a ledger is, both included."""

    low: int
    high: int


def path_of(place: Path) -> Path:
    """Return where the note of a ledger is."""
    return place.with_name(place.name + "-generation")


def read(place: Path) -> Written | None:
    """Return what is noted of a ledger; None where nothing is known."""
    try:
        low, high = map(int, path_of(place).read_bytes().split())
    except (OSError, ValueError):
        return None
    return Written(low, high)


def announce(place: Path, low: int, high: int) -> None:
    """Note which generation is in the ledger and which is about to be, on disk.

    Raises `StoreError` where that cannot be done: nothing must be written then.
    """
    with database.trouble_with(path_of(place)):
        _write(place, Written(low, high), sync=True)


def settle(place: Path, generation: int) -> None:
    """Note the generation that was written. If that fails, the range stays wider."""
    with suppress(OSError):
        _write(place, Written(generation, generation), sync=False)


def allows(before: Written | None, found: int, after: Written | None) -> bool:
    """Whether a ledger may be of a generation, by notes read before and after it was opened."""
    return (before is None or before.low <= found) and (after is None or found <= after.high)


def _write(place: Path, written: Written, *, sync: bool) -> None:
    """Overwrite the note in place; its length is fixed, so it is empty at no instant."""
    text = b"%020d %020d\n" % (written.low, written.high)
    note = os.open(path_of(place), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _rights(place))
    try:
        done = 0
        while done < len(text):  # all at once, unless the file must not grow
            done += os.pwrite(note, text[done:], done)
        if sync:
            os.fdatasync(note)
    finally:
        os.close(note)


def _rights(place: Path) -> int:
    """Return the rights of a new note: whoever may read the ledger may read it, too."""
    with suppress(OSError):
        return stat.S_IMODE(place.stat().st_mode)
    return database.OWNER_ONLY
