"""The written samples of many objects: a grid of cells, of which only those that changed are new.

Nothing here knows a particular metric, or that there are jobs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.compression import NOTHING, Cell, pressed
from trainwave_exporter.exposition.family import Family
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

SIZE = 256
"""How many objects a block has when it is made by parting one of twice as many."""


class Block(Generic[R]):
    """Objects that are next to each other in order of their keys, and a cell for each family."""

    __slots__ = ("cells", "identities", "keys", "records")

    def __init__(
        self, keys: list[str], records: list[R], identities: list[bytes], cells: list[Cell]
    ) -> None:
        self.keys = keys
        self.records = records
        self.identities = identities
        self.cells = cells

    def render(self, families: Iterable[Family[R]]) -> None:
        """Write all samples anew; a cell stays the same object if its lines are the same."""
        records, identities = self.records, self.identities
        self.cells = [
            pressed(family.lines(records, identities), before)
            for family, before in zip(families, self.cells, strict=True)
        ]


class Table(Generic[R]):
    """The samples of all objects of one kind, in order of their keys.

    So the lines tell what there is, not how it came about. ``render`` brings the cells up to date
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
        self._blocks: list[Block[R]] = [self._block()]
        self._floors: list[str] = [""]  # the keys of a block are not below its floor
        self._stale: set[Block[R]] = set()

    def put(self, key: str, record: R) -> None:
        """Take an object in, in the place of the one with that key."""
        number = bisect_right(self._floors, key) - 1
        block = self._blocks[number]
        self._stale.add(block)
        values = self._identity(record)
        place = bisect_left(block.keys, key)
        if place < len(block.keys) and block.keys[place] == key:
            if self._identity(block.records[place]) != values:
                block.identities[place] = self._named(values)
            block.records[place] = record
            return
        block.keys.insert(place, key)
        block.records.insert(place, record)
        block.identities.insert(place, self._named(values))
        if len(block.keys) > 2 * SIZE:
            self._part(number)

    def remove(self, key: str) -> None:
        """Forget an object, known or not."""
        number = bisect_right(self._floors, key) - 1
        block = self._blocks[number]
        place = bisect_left(block.keys, key)
        if place == len(block.keys) or block.keys[place] != key:
            return
        self._stale.add(block)
        del block.keys[place], block.records[place], block.identities[place]
        for upper in (number + 1, number):
            if 0 < upper < len(self._blocks) and self._small(upper):
                self._unite(upper)

    def records(self) -> Iterator[R]:
        """Yield all objects, in order of their keys."""
        for block in self._blocks:
            yield from block.records

    def render(self) -> Iterator[None]:
        """Bring all cells up to date, a block at every step."""
        for block in self._stale:
            block.render(self.families)
            yield
        self._stale = set()

    def column(self, place: int) -> list[Cell]:
        """Return the cells of the family in that place."""
        return [cell for block in self._blocks if (cell := block.cells[place]) is not NOTHING]

    def _block(self) -> Block[R]:
        return Block([], [], [], [NOTHING] * len(self.families))

    def _named(self, values: LabelValues) -> bytes:
        return text.utf8(text.labels(self._labels, values))

    def _small(self, number: int) -> bool:
        """Tell whether a block and the one before it could as well be one."""
        return len(self._blocks[number - 1].keys) + len(self._blocks[number].keys) <= SIZE

    def _part(self, number: int) -> None:
        """Move the upper half of a block to one of its own."""
        lower, upper = self._blocks[number], self._block()
        upper.keys, upper.records = lower.keys[SIZE:], lower.records[SIZE:]
        upper.identities = lower.identities[SIZE:]
        del lower.keys[SIZE:], lower.records[SIZE:], lower.identities[SIZE:]
        self._blocks.insert(number + 1, upper)
        self._floors.insert(number + 1, upper.keys[0])
        self._stale.add(upper)

    def _unite(self, number: int) -> None:
        """Move what is in a block to the one before it."""
        lower, upper = self._blocks[number - 1], self._blocks.pop(number)
        del self._floors[number]
        lower.keys += upper.keys
        lower.records += upper.records
        lower.identities += upper.identities
        self._stale.discard(upper)
        self._stale.add(lower)
