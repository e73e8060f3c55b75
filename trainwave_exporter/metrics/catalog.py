"""The metric table: every metric there is, and which of them an operator wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import TypeVar

from msgspec import Struct

from trainwave_exporter.exposition.family import Family
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.metrics.exporter import ExporterMetrics
from trainwave_exporter.metrics.families import FAMILIES

R = TypeVar("R")

INDISPENSABLE = frozenset({"trainwave_up", "trainwave_exporter_build_info"})
"""Metrics that cannot be denied: without them nothing else can be judged."""


@cache
def catalog() -> tuple[Description, ...]:
    """Return every metric, the exporter's own included, in order of name."""
    known = [family.description for families in FAMILIES for family in families]
    own = [description for description, _ in ExporterMetrics(version="").collect()]
    return tuple(sorted([*known, *own], key=lambda description: description.name))


class Selection(Struct, frozen=True):
    """Which metrics are exposed: those allowed (none named: all) and not denied.

    Both hold names in which ``*`` stands for any text; ValueError for one that fits no metric.
    """

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.allow, *self.deny):
            if not any(fnmatchcase(metric.name, pattern) for metric in catalog()):
                raise ValueError(f'no metric is called "{pattern}"')

    def keeps(self, name: str) -> bool:
        """Return whether the metric of that name is exposed."""
        if name in INDISPENSABLE:
            return True
        allowed = not self.allow or any(fnmatchcase(name, pattern) for pattern in self.allow)
        return allowed and not any(fnmatchcase(name, pattern) for pattern in self.deny)

    def among(self, families: Iterable[Family[R]]) -> list[Family[R]]:
        """Return the families that are exposed."""
        return [family for family in families if self.keeps(family.name)]
