"""The façade of this room: changes go in, bytes ready to send come out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, assert_never

from trainwave_exporter.exposition.compression import Deflater, Member, deflate
from trainwave_exporter.exposition.contract import Selection
from trainwave_exporter.exposition.families import OTHERS
from trainwave_exporter.exposition.formats import Format
from trainwave_exporter.exposition.jobs import Jobs
from trainwave_exporter.exposition.renderer import Table
from trainwave_exporter.exposition.telemetry import Telemetry
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.model import Appeared, Bygone, Change, Changed, Departed, Idleness, Job

_END = {Format.TEXT: b"", Format.OPENMETRICS: b"# EOF\n"}


class Store(NamedTuple):
    """Where records of one kind go."""

    put: Callable[[str, Any], None]
    """Takes a record in, in the place of the one with that key."""
    remove: Callable[[str], None]
    """Forgets the record with that key, if there is one."""


class Exposition:
    """What a scrape is answered with.

    A batch of changes is in the next answer as a whole. The fleet's part of an answer is put
    together and deflated once, until it changes; the exporter's own metrics follow it, always new.
    """

    def __init__(self, *, selection: Selection, max_jobs: int, telemetry: Telemetry) -> None:
        self._selection = selection
        self._max_jobs = max_jobs
        self._telemetry = telemetry
        self._deflater = Deflater()
        self._parts: dict[Format, list[bytes]] = {}
        self._members: dict[Format, Member] = {}
        self._jobs = Jobs(selection, max_jobs)
        self._others: list[Table[Any]] = []
        self._stores: dict[type, Store] = {
            Job: Store(self._jobs.put, self._jobs.remove),
            Idleness: Store(self._jobs.put_idleness, self._jobs.remove_idleness),
        }
        for families in OTHERS:
            table = Table(selection.among(families), families.labels, families.identity)
            self._stores[families.record] = Store(table.put, table.remove)
            self._others.append(table)
        telemetry.folded(self._jobs.folded, max_jobs)

    def apply(self, changes: Iterable[Change]) -> None:
        """Take changes over into the next answer; a `trainwave_exporter.model.ChangeListener`."""
        for change in changes:
            match change:
                case Appeared(record=record) | Changed(after=record):
                    self._stores[type(record)].put(record.key, record)
                case Departed(record=record):
                    self._stores[type(record)].remove(record.key)
                case Bygone():
                    pass  # not shown
                case _:
                    assert_never(change)
        self._jobs.settle()
        self._telemetry.folded(self._jobs.folded, self._max_jobs)
        self._parts.clear()
        self._members.clear()

    def body(self, format: Format) -> list[bytes]:  # noqa: A002  the word for it
        """Return the answer in parts, to be sent one after the other."""
        return [*self._fleet(format), self._own(format)]

    def compressed(self, format: Format) -> list[bytes]:  # noqa: A002  as above
        """Return the answer as one gzip member, in parts."""
        member = self._members.get(format)
        if member is None:
            fleet = self._fleet(format)
            member = self._members[format] = Member().extended(fleet, self._deflater(fleet))
        own = self._own(format)
        return member.extended([own], [deflate(own)]).closed()

    def _fleet(self, form: Format) -> list[bytes]:
        """Return what is known of the fleet: families in order of name, each under its header."""
        if form not in self._parts:
            columns: defaultdict[Description, list[bytes]] = defaultdict(list)
            tables: list[Table[Any]] = [*self._jobs.tables, *self._others]
            for table in tables:
                for place, family in enumerate(table.families):
                    if column := table.column(place):
                        columns[family.description].append(column)
            self._parts[form] = [
                part
                for description in sorted(columns, key=_name)
                for part in (description.header(form), *columns[description])
            ]
        return self._parts[form]

    def _own(self, form: Format) -> bytes:
        """Return the exporter's own metrics, and the end of the answer."""
        shown = [
            (description, samples)
            for description, samples in self._telemetry.collect()
            if samples and self._selection.keeps(description.name)
        ]
        shown.sort(key=lambda metric: metric[0].name)
        lines = [description.header(form) + samples for description, samples in shown]
        return b"".join([*lines, _END[form]])


def _name(description: Description) -> str:
    return description.name
