"""Records of one kind, of which no more than the operator wants have series of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.metrics.catalog import Selection
from trainwave_exporter.metrics.overflow import Overflow, Overflows
from trainwave_exporter.model import OTHER, Record

R = TypeVar("R", bound=Record)


class Capped(Generic[R]):
    """At most ``limit`` records (0: all) are shown by themselves, the others are summed up as one.

    First come, first served, and who has a place keeps it. What is named ``other`` is in the sum.
    """

    def __init__(self, families: Families[R], selection: Selection, limit: int) -> None:
        shown = selection.among(families)
        self._limit = limit
        self._identity = families.identity
        self._own = Table(shown, families.labels, families.identity)
        self._overflow = Overflows(
            shown, families.labels, families.identity, summed=families.labels
        )
        self._waiting: dict[str, R] = {}

    def put(self, key: str, record: R) -> None:
        """Take a record in, in the place of the one with that key."""
        if OTHER in self._identity(record):
            self._overflow.put(key, record)
        elif key in self._own or (not self._waiting and not self.full):
            self._own.put(key, record)
        else:
            self._waiting[key] = record
            self._overflow.put(key, record)

    def remove(self, key: str) -> None:
        """Forget the record with that key, if there is one."""
        self._own.remove(key)
        self._overflow.remove(key)
        self._waiting.pop(key, None)

    def settle(self) -> Iterator[None]:
        """Give places that became free to those that wait, and sum up the others anew."""
        while self._waiting and not self.full:
            key = next(iter(self._waiting))
            self._own.put(key, self._waiting.pop(key))
            self._overflow.remove(key)
            yield
        yield from self._overflow.settle()

    def records(self) -> Iterator[R]:
        """Yield all that was put and not removed, those with a place first."""
        yield from self._own.records()
        yield from self._overflow.records()

    @property
    def full(self) -> bool:
        """Whether no other record would be shown by itself."""
        return 0 < self._limit <= len(self._own)

    @property
    def tables(self) -> tuple[Table[R], Table[Overflow]]:
        """What is rendered."""
        return self._own, self._overflow.table
