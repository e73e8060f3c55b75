"""The ledger's store, in SQLite: jobs with the samples of their meters, and all sums.

Calls come one after the other, from whichever thread; meanwhile other processes may read. A call
that fails raises `StoreError` and changes nothing; the store can be used again when the trouble is
over.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self

from trainwave_exporter.ledger.billing.stored_records import Batch
from trainwave_exporter.ledger.storage import database, generation, rescue
from trainwave_exporter.ledger.storage import ledger_file as file
from trainwave_exporter.ledger.storage import store_updates as updates
from trainwave_exporter.ledger.storage import write_note as note
from trainwave_exporter.ledger.storage.errors import LostStoreError, StoreError
from trainwave_exporter.ledger.storage.file_guard import FileGuard
from trainwave_exporter.ledger.storage.store_reader import StoreReader

_RANDOM_BYTES: Final = 4
"""By how much, at most, an opening raises the generation. Half a million openings fill a number."""


class Store(StoreReader):
    """The ledger's database; opened with `open` or `open_for_reading`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        place: Path | None = None,
        path: Path | None = None,
        hold: file.Hold | None = None,
    ) -> None:
        """``place``: where the ledger has to be; None in memory. ``path``: where it is.

        ``hold``: what keeps others from its folder; None where it is only read.
        """
        super().__init__(connection, path or place)
        self._place = place
        self._hold = hold
        self._generation = 0
        self.restored = False
        """Whether this ledger is older than the last one written here, so that it was restored."""
        self._guard = None if self._path is None else FileGuard(self._path)

    @classmethod
    def open(cls, folder: Path | None) -> Self:
        """Open the ledger in a folder, which is made if there is none; None: in memory.

        Raises `UnfitStoreError` if it must not be used, `StoreError` if it cannot be now.
        """
        if folder is None:
            return cls(file.open_in_memory())
        place = file.place_in(folder)
        with database.trouble_with(place):
            hold = file.Hold(place.parent)
            with file.undone_on_failure(hold.close):
                rescue.take_place(place)
                return cls._opened(place, place, hold)

    @classmethod
    def _opened(cls, place: Path, path: Path, hold: file.Hold) -> Self:
        connection = file.open_to_write(path)
        with file.undone_on_failure(connection.close):
            store = cls(connection, place, path, hold)
            store._begin()
            return store

    @classmethod
    def _of_memory(cls, held: Batch, now: int, number: int) -> Self:
        """Return a ledger in memory of all that is held there, which knows that its detail is lost.

        Its generation is the one that was last written, as it is to be taken for that.
        """
        store = cls(file.open_in_memory())
        store.write(held)
        store.give_up_detail(now)
        with store._transaction(number):
            pass
        return store

    def _begin(self) -> None:
        """Begin a generation that no copy of this ledger will reach, wherever that is used."""
        assert self._place is not None and self._path is not None  # noqa: S101, PT018 - a file
        found = file.generation_of(self._path, self._connection)
        noted = note.read(self._place) or note.Written(found, found)
        self.restored = noted.low > found
        self._generation = max(noted.low, found)  # a restored one stays one until it is written
        beyond = 1 + int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
        with self._transaction(max(noted.high, found) + beyond):
            pass

    @classmethod
    def open_for_reading(cls, folder: Path) -> Self:
        """Open the ledger in a folder as it is now, while an exporter may go on writing it.

        Raises `UnfitStoreError` if it must not be used, `StoreError` if there is none, or it cannot
        be read now, or it is not what an exporter last wrote there.
        """
        place = file.place_in(folder)
        with database.trouble_with(place):
            rescued = rescue.rescued_of(place)
            if rescued.exists():
                raise StoreError(
                    f"{place} was lost while in use, and what it held is in {rescued}; to make"
                    f" that the ledger, move {database.all_of(place)} away if the exporter runs,"
                    " or else start it"
                )
            before = note.read(place)
            connection = file.open_to_read(place)
            with file.undone_on_failure(connection.close):
                found = file.generation_of(place, connection)
                if not note.allows(before, found, after := note.read(place)):
                    wrote = after or before
                    raise StoreError(
                        f"{place} is not what an exporter last wrote here (generation"
                        f" {wrote and wrote.high}, and not {found}), but was put in its place;"
                        " start the exporter on it"
                    )
            return cls(connection, place)

    @property
    def size_bytes(self) -> int:
        """Bytes that the database and its write-ahead log take."""
        if self._path is None:
            with self._trouble():
                return self._number("PRAGMA page_count") * self._number("PRAGMA page_size")
        return sum(_size(part) for part in (self._path, database.wal_of(self._path)))

    @property
    def displaced(self) -> Path | None:
        """The file written in place of the ledger's own, which was lost; None: it was not."""
        return self._path if self._path != self._place else None

    @property
    def place_is_free(self) -> bool:
        """Whether no file bears the ledger's name: opened anew, this store will."""
        return self._place is not None and rescue.is_free(self._place)

    def write(self, batch: Batch) -> None:
        """Write a batch; when this returns, not even a power cut loses it."""
        self.check()
        with self._transaction() as connection:
            updates.write(connection, batch)

    def check(self) -> None:
        """Raise `LostStoreError` where the files are not what was last written."""
        if self._guard is not None:
            with self._trouble():
                if self._hold is None:  # whatever is written by others is not seen
                    self._guard.check_identity()
                else:
                    self._guard.check()

    def rescue(self, lost: LostStoreError, held: Batch, now: int) -> Store:
        """Return a store of another file that holds what this one held, and close this one.

        Where this one cannot be read any more, ``held`` is all there is: sums, and the jobs that
        are watched ``now`` (milliseconds). Other jobs that are over count as counted, and the
        breakdown of earlier spend is lost. Raises `StoreError` where the other file cannot be
        written; this store is then as it was.
        """
        place, hold = self._place, self._hold
        assert place is not None and hold is not None and self._guard is not None  # noqa: S101, PT018
        with self._trouble():
            if not hold.holds(place.parent):
                hold = file.Hold(place.parent)
            with file.undone_on_failure(hold.close if hold is not self._hold else lambda: None):
                if lost.readable:
                    path = rescue.write(place, self._connection)
                else:
                    with closing(self._of_memory(held, now, self._generation)) as memory:
                        path = rescue.write(place, memory._connection)  # noqa: SLF001 - its like
                store = self._opened(place, path, hold)
        left_alone = None
        if not lost.readable and self._path is not None and self._guard.pending:
            left_alone = database.connect_left_alone(self._path)
        self._connection.close()
        if left_alone is not None:
            left_alone.close()
        if hold is not self._hold and self._hold is not None:
            self._hold.close()
        return store

    def prune(self, before: int) -> int:
        """Drop detail of times before ``before``; return how many samples were dropped.

        From ``before`` on, each job's cost stays the same to the unit; earlier, it is unknown.
        The jobs themselves are kept, with their runs, as are all sums: a job that the API still
        lists, or lists again after a long silence, must be known, or it would be counted twice.
        """
        with self._transaction() as connection:
            return updates.prune(connection, before)

    def bound(self, now: int) -> None:
        """Drop utilization and idle intervals beyond their limits; ``now`` in milliseconds.

        Nothing is written where there is nothing to be dropped.
        """
        with self._trouble():
            if not updates.is_beyond_bounds(self._connection, now):
                return
        with self._transaction() as connection:
            updates.bound(connection, now)

    def give_up_detail(self, now: int) -> None:
        """Note that only sums are kept of the time before ``now``, and that these are complete."""
        with self._transaction() as connection:
            updates.give_up_detail(connection, now)

    def close(self) -> None:
        """Close the store, for good. Calls after the first do nothing."""
        self._connection.close()
        self._guard = None
        if self._hold is not None:
            self._hold.close()

    @contextmanager
    def _transaction(self, number: int | None = None) -> Iterator[sqlite3.Connection]:
        """Commit all that is written within, or nothing.

        ``number``: the generation to be written; if it is not given, the next one.
        """
        connection, guard, number = self._connection, self._guard, number or self._generation + 1
        with self._trouble():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                generation.write(
                    connection, number, in_file=guard is not None and not guard.pending
                )
                if self._place is not None:
                    note.announce(self._place, self._generation, number)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # some errors end it by themselves
                    connection.execute("ROLLBACK")
                raise
            self._generation = number
            if self._place is not None:
                note.settle(self._place, number)
            if guard is not None:
                guard.wrote(number, partial(database.backfill, connection))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
