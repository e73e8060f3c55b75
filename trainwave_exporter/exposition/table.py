"""The written samples of many objects: a grid of cells, of which only those that changed are new.

Nothing here knows a particular metric, or that there are jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, Generic, TypeVar

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.compression import NOTHING, Cell, pressed
from trainwave_exporter.exposition.family import Family
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

SIZE = 256
"""How many objects a block has when it is made by parting one of twice as many."""
_NOT_ASKED: Final[Any] = object()
"""Stands for what an object shows that was not asked yet; unlike all that one can show."""


class Block(Generic[R]):
    """Objects that are next to each other in order of their keys, and a cell for each family.

    What an object shows in each family is remembered: only objects that changed are asked again,
    and only cells are written in which one shows something else than before.
    """

    __slots__ = ("_columns", "cells", "changed", "identities", "keys", "moved", "records", "shown")

    def __init__(self, families: int) -> None:
        self.keys: list[str] = []
        self.records: list[R] = []
        self.identities: list[bytes] = []
        self.shown: list[list[Any]] = [[] for _ in range(families)]
        self._columns: list[list[Any]] = [self.keys, self.records, self.identities, *self.shown]
        self.cells: list[Cell] = [NOTHING] * families
        self.changed: set[str] = set()
        self.moved = False
        """Whether objects came or went, or are named otherwise."""

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: str) -> tuple[int, bool]:
        """Return the place of a key, and whether an object is there now."""
        place = bisect_left(self.keys, key)
        return place, place < len(self.keys) and self.keys[place] == key

    def insert(self, place: int, key: str, record: R, identity: bytes) -> None:
        """Take an object in."""
        what: tuple[Any, ...] = key, record, identity
        for column, entry in zip_longest(self._columns, what, fillvalue=_NOT_ASKED):
            column.insert(place, entry)
        self.changed.add(key)
        self.moved = True

    def delete(self, place: int) -> None:
        """Forget an object."""
        self.changed.discard(self.keys[place])
        for column in self._columns:
            del column[place]
        self.moved = True

    def part(self) -> Block[R]:
        """Give the upper half to a new block."""
        upper = Block[R](len(self.shown))
        for column, above in zip(self._columns, upper._columns, strict=True):
            above.extend(column[SIZE:])
            del column[SIZE:]
        upper.changed = self.changed.intersection(upper.keys)
        self.changed -= upper.changed
        self.moved = upper.moved = True
        return upper

    def absorb(self, upper: Block[R]) -> None:
        """Take over all that the next block has."""
        for column, above in zip(self._columns, upper._columns, strict=True):
            column.extend(above)
        self.changed |= upper.changed
        self.moved = True

    def render(self, families: Sequence[Family[R]]) -> Iterator[None]:
        """Write anew what changed, a cell at every step.

        One stays the same object if its lines are the same.
        """
        places = self._changed_places()
        records = self.records if places is None else [self.records[place] for place in places]
        for number, family in enumerate(families):
            column = self.shown[number]
            shown = [*map(family.writer.shown, records)]
            before = column if places is None else [column[place] for place in places]
            if self.moved or shown != before:
                if places is None:
                    column[:] = shown
                else:
                    for place, one in zip(places, shown, strict=True):
                        column[place] = one
                lines = family.writer.lines(column, self.identities)
                self.cells[number] = pressed(lines, self.cells[number])
                yield
        self.changed.clear()
        self.moved = False

    def _changed_places(self) -> list[int] | None:
        """Return the places of what changed; None if that is all of them."""
        if len(self.changed) == len(self.keys):
            return None
        return [bisect_left(self.keys, key) for key in self.changed]


class Table(Generic[R]):
    """The samples of all objects of one kind, in order of their keys.

    So the lines show what there is, not how it came about. ``render`` brings the cells up to date
    with what was put and removed.
    """

    def __init__(
        self,
        families: Iterable[Family[R]],
        labels: tuple[str, ...],
        identity: Callable[[R], LabelValues],
    ) -> None:
        self.families = tuple(families)
        self._labels = labels
        self._identity = identity
        self._blocks = [Block[R](len(self.families))]
        self._floors: list[str] = [""]  # the keys of a block are not below its floor
        self._stale: set[Block[R]] = set()

    def __len__(self) -> int:
        """How many objects there are."""
        return sum(map(len, self._blocks))

    def __contains__(self, key: str) -> bool:
        """Whether there is an object with that key."""
        return self._blocks[bisect_right(self._floors, key) - 1].find(key)[1]

    def put(self, key: str, record: R) -> None:
        """Take an object in, in the place of the one with that key."""
        number = bisect_right(self._floors, key) - 1
        block = self._blocks[number]
        self._stale.add(block)
        values = self._identity(record)
        place, there = block.find(key)
        if not there:
            block.insert(place, key, record, self._named(values))
            if len(block) > 2 * SIZE:
                self._part(number)
            return
        if self._identity(block.records[place]) != values:
            block.identities[place] = self._named(values)
            block.moved = True
        block.records[place] = record
        block.changed.add(key)

    def remove(self, key: str) -> None:
        """Forget an object, known or not."""
        number = bisect_right(self._floors, key) - 1
        block = self._blocks[number]
        place, there = block.find(key)
        if not there:
            return
        self._stale.add(block)
        block.delete(place)
        for upper in (number + 1, number):
            if 0 < upper < len(self._blocks) and self._small(upper):
                self._unite(upper)

    def records(self) -> Iterator[R]:
        """Yield all objects, in order of their keys."""
        for block in self._blocks:
            yield from block.records

    def render(self) -> Iterator[None]:
        """Bring all cells up to date, one at every step."""
        for block in self._stale:
            yield from block.render(self.families)
        self._stale = set()

    def column(self, place: int) -> list[Cell]:
        """Return the cells of the family in that place."""
        return [cell for block in self._blocks if (cell := block.cells[place]) is not NOTHING]

    def _named(self, values: LabelValues) -> bytes:
        return text.utf8(text.labels(self._labels, values))

    def _small(self, number: int) -> bool:
        """Return whether a block and the one before it could as well be one."""
        return len(self._blocks[number - 1]) + len(self._blocks[number]) <= SIZE

    def _part(self, number: int) -> None:
        """Move the upper half of a block to one of its own."""
        upper = self._blocks[number].part()
        self._blocks.insert(number + 1, upper)
        self._floors.insert(number + 1, upper.keys[0])
        self._stale.add(upper)

    def _unite(self, number: int) -> None:
        """Move what is in a block to the one before it."""
        lower, upper = self._blocks[number - 1], self._blocks.pop(number)
        del self._floors[number]
        lower.absorb(upper)
        self._stale.discard(upper)
        self._stale.add(lower)
