"""The generation of a ledger: the number of its last write, in the ledger itself.

Each write raises it, so two states of one ledger differ by it. It stands in two tables, and so on
two pages of the file. A write changes one of them: the same one again until all that was written
before is in the file, then the other. Each also repeats the number of the other. So if another
program lays an older copy over the file while pages are moved into it, the numbers contradict each
other, whichever pages come from which file.
"""

from __future__ import annotations

import sqlite3
from typing import Final

TABLES: Final = ("generation_a", "generation_b")


def read(connection: sqlite3.Connection) -> int | None:
    """Return the number of the last write; None: this is no whole ledger, or parts of two."""
    found = _found(connection)
    if len(found) < len(TABLES):
        return None
    (before, _, _), (last, previous, _) = found
    return last if previous == before else None


def write(connection: sqlite3.Connection, generation: int, *, in_file: bool) -> None:
    """Set the generation of the ledger; ``in_file``: all that was written before is in the file."""
    (before, _, other), (last, _, same) = _found(connection)
    table, previous = (other, last) if in_file else (same, before)
    connection.execute(
        f"UPDATE {table} SET number = ?, previous = ?",  # noqa: S608 - our own names
        (generation, previous),
    )


def _found(connection: sqlite3.Connection) -> list[tuple[int, int, str]]:
    """Return number, previous number and name of each table, the newest number last."""
    union = " UNION ALL ".join(
        f"SELECT number, previous, '{table}' FROM {table}"  # noqa: S608 - our own names
        for table in TABLES
    )
    return sorted(connection.execute(union))
