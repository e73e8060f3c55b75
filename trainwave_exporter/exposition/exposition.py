"""The façade of this room: changes go in, bytes ready to send come out."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, count
from secrets import token_hex
from typing import Any, NamedTuple, assert_never

from trainwave_exporter.exposition.answer import Answer, Section, Stretch, in_order
from trainwave_exporter.exposition.budgets import Budgets
from trainwave_exporter.exposition.compression import NOTHING, Cell, pressed
from trainwave_exporter.exposition.contract import Selection
from trainwave_exporter.exposition.families import OTHERS
from trainwave_exporter.exposition.jobs import Jobs
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.exposition.telemetry import Telemetry
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    BudgetStatus,
    Bygone,
    Change,
    Changed,
    Departed,
    Idleness,
    Job,
)

SLICE_SECONDS = 0.001
"""For how long a publication may keep the event loop to itself at a stretch."""
_STEP = 64
"""How many changes are taken over between two looks at the clock."""


class Store(NamedTuple):
    """Where records of one kind go."""

    put: Callable[[str, Any], None]
    """Takes a record in, in the place of the one with that key."""
    remove: Callable[[str], None]
    """Forgets the record with that key, if there is one."""


class Exposition:
    """What a scrape is answered with.

    Changes wait until they are published, all together: then what changed is written anew, and a
    new answer takes the place of the old one. A scrape finds it ready.
    """

    def __init__(self, *, selection: Selection, max_jobs: int, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._waiting: deque[Change] = deque()
        self._wanted: tuple[Selection, int] | None = None
        self._furnish(selection, max_jobs)
        self._own: dict[str, Cell] = {}
        self._process = token_hex(4)
        self._numbers = count()
        self._answer = self._answered(Stretch(()), Stretch(()))
        self.publish()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take changes over into the next answer; a `trainwave_exporter.model.ChangeListener`."""
        self._waiting += changes

    def retune(self, *, selection: Selection, max_jobs: int) -> None:
        """Show other metrics, and as many jobs, from the next publication on."""
        wanted = selection, max_jobs
        self._wanted = None if wanted == (self._selection, self._max_jobs) else wanted

    @property
    def answer(self) -> Answer:
        """What was published last."""
        return self._answer

    def publish(self) -> None:
        """Publish what changed, at once."""
        for _ in self._publication():
            pass

    async def publish_in_slices(self) -> None:
        """Publish what changed, and let others have a turn in between."""
        turn_ends = time.monotonic() + SLICE_SECONDS
        for _ in self._publication():
            if time.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + SLICE_SECONDS

    def _publication(self) -> Iterator[None]:
        """Publish in small steps. What comes in while it is written waits for the next time."""
        changed = bool(self._waiting) or self._wanted is not None
        if self._wanted is not None:
            self._refurnish(*self._wanted)
            self._wanted = None
        fleet = self._answer.fleet
        if changed:
            while self._waiting:
                for _ in range(min(_STEP, len(self._waiting))):
                    self._take(self._waiting.popleft())
                yield
            yield from self._jobs.settle()
            self._budgets.settle()
            self._telemetry.folded(self._jobs.folded, self._max_jobs)
            tables = [*self._jobs.tables, self._budgets.table, *self._others]
            for table in tables:
                yield from table.render()
            fleet = Stretch(in_order(_sections(tables)), fleet.forms)
        own = yield from self._own_sections()
        if changed or own != self._answer.own.sections:
            self._answer = self._answered(fleet, Stretch(own, fleet.forms))

    def _furnish(self, selection: Selection, max_jobs: int) -> None:
        """Make the tables, empty."""
        self._selection = selection
        self._max_jobs = max_jobs
        self._jobs = Jobs(selection, max_jobs)
        self._budgets = Budgets(selection)
        self._others: list[Table[Any]] = []
        self._stores: dict[type, Store] = {
            Job: Store(self._jobs.put, self._jobs.remove),
            Idleness: Store(self._jobs.put_idleness, self._jobs.remove_idleness),
            BudgetStatus: Store(self._budgets.put, self._budgets.remove),
        }
        for families in OTHERS:
            table = Table(selection.among(families), families.labels, families.identity)
            self._stores[families.record] = Store(table.put, table.remove)
            self._others.append(table)

    def _refurnish(self, selection: Selection, max_jobs: int) -> None:
        """Make the tables anew, and have all that was in them taken in before what waits."""
        tables = (table.records() for table in self._others)
        of_their_own = self._jobs.records(), self._budgets.records()
        known = [Appeared(record) for record in chain(*of_their_own, *tables)]
        self._furnish(selection, max_jobs)
        self._waiting.extendleft(reversed(known))

    def _take(self, change: Change) -> None:
        match change:
            case Appeared(record=record) | Changed(after=record):
                self._stores[type(record)].put(record.key, record)
                if isinstance(record, AccountStatus):
                    self._budgets.put_account(record)
            case Departed(record=record):
                self._stores[type(record)].remove(record.key)
                if isinstance(record, AccountStatus):
                    self._budgets.remove_account(record)
            case Bygone():
                pass  # not shown
            case _:
                assert_never(change)

    def _own_sections(self) -> Generator[None, None, tuple[Section, ...]]:
        """Return the exporter's own metrics as they are now, one at every step."""
        sections: list[Section] = []
        for description, samples in self._telemetry.collect():
            if samples and self._selection.keeps(description.name):
                cell = pressed(samples, self._own.get(description.name, NOTHING))
                sections.append(Section(description, (cell,)))
            yield
        self._own = {section.description.name: section.cells[0] for section in sections}
        return tuple(in_order(sections))

    def _answered(self, fleet: Stretch, own: Stretch) -> Answer:
        return Answer(fleet, own, f"{self._process}-{next(self._numbers)}")


def _sections(tables: Iterable[Table[Any]]) -> Iterator[Section]:
    """Yield the metrics of some tables; one that is in several has their samples in that order."""
    columns: defaultdict[Description, list[Cell]] = defaultdict(list)
    for table in tables:
        for place, family in enumerate(table.families):
            columns[family.description] += table.column(place)
    for description, cells in columns.items():
        yield Section(description, tuple(cells))
