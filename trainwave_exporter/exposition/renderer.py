"""Bytes kept for every object: rendered when it changes, joined when they are asked for.

Nothing here knows a particular metric, or that there are jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Generic, TypeAlias, TypeVar

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.family import Family
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

Row: TypeAlias = tuple[bytes, ...]


class Table(Generic[R]):
    """The rendered samples of all objects of one kind: a row for each, a column for each family.

    Rows stand in order of their keys, so that the bytes tell what there is, not how it came about.
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
        self._nothing: Row = (b"",) * len(self.families)
        self._rows: dict[str, Row] = {}
        self._in_order = True
        self._columns: list[bytes | None] = [*self._nothing]

    def put(self, key: str, record: R) -> None:
        """Render an object, in the place of what was rendered of it before."""
        identity = text.labels(self._labels, self._identity(record))
        after = tuple([_rendered(family, identity, record) for family in self.families])
        before = self._rows.get(key)
        if before is None:
            before, self._in_order = self._nothing, False
        self._rows[key] = after
        self._spoil(before, after)

    def remove(self, key: str) -> None:
        """Forget an object, known or not."""
        self._spoil(self._rows.pop(key, self._nothing), self._nothing)

    def column(self, place: int) -> bytes:
        """Return all samples of the family in that place, the same bytes until one changes."""
        column = self._columns[place]
        if column is None:
            if not self._in_order:
                self._rows = {key: self._rows[key] for key in sorted(self._rows)}
                self._in_order = True
            column = self._columns[place] = b"".join([row[place] for row in self._rows.values()])
        return column

    def _spoil(self, before: Row, after: Row) -> None:
        """Have the columns that differ joined anew."""
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self._columns[place] = None


def _rendered(family: Family[R], identity: str, record: R) -> bytes:
    name, names = family.name, family.labels
    comma = "," if identity else ""
    return text.encoded(
        [
            f"{name}{suffix}{{{identity}{_further(comma, names, values)}}} {text.number(value)}\n"
            for suffix, values, value in family.samples(record)
        ]
    )


@lru_cache(maxsize=1024)
def _further(comma: str, names: tuple[str, ...], values: LabelValues) -> str:
    """Return a family's own labels, to follow those of the identity; most repeat all the time."""
    further = text.labels(names, values) if values else ""
    return f"{comma}{further}" if further else ""
