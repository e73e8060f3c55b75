"""The façade of this package: changes go in, bytes ready to send come out."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, count
from secrets import token_hex
from typing import Any, NamedTuple, assert_never

from trainwave_exporter.exposition.answer import BodyStretch, ScrapeAnswer, Section, in_order
from trainwave_exporter.exposition.compression import NOTHING, Cell, pressed
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.exposition.text import Description
from trainwave_exporter.metrics.budget_table import Budgets
from trainwave_exporter.metrics.capped_table import Capped
from trainwave_exporter.metrics.catalog import Selection
from trainwave_exporter.metrics.exporter import ExporterMetrics
from trainwave_exporter.metrics.families import CAPPED, OTHERS
from trainwave_exporter.metrics.job_table import Jobs
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    BudgetStatus,
    Change,
    Changed,
    Departed,
    HistoricalJob,
    Idleness,
    Job,
    Organization,
    Project,
    ProjectTally,
    Spend,
    UnknownFigure,
)

SLICE_SECONDS = 0.001
"""For how long a publication may keep the event loop to itself at a stretch."""
_STEP = 64
"""How many changes are taken over between two looks at the clock."""
_GROUPS = {
    Organization: "organization",
    Project: "project",
    ProjectTally: "project",
    Spend: "spend",
    UnknownFigure: "unknown_figure",
}
"""Kinds of which there may be more than wanted. Of the jobs of a project, and of money, those who
count them know which are summed up: their counters may not fall."""


class TableStore(NamedTuple):
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

    def __init__(
        self,
        *,
        selection: Selection,
        max_jobs: int,
        max_groups: int = 0,
        telemetry: ExporterMetrics,
    ) -> None:
        """``max_jobs``, ``max_groups``: so many have series of their own; 0: all."""
        self._telemetry = telemetry
        self._waiting: deque[Change] = deque()
        self._wanted: tuple[Selection, int, int] | None = None
        self._furnish(selection, max_jobs, max_groups)
        self._own: dict[str, Cell] = {}
        self._process = token_hex(4)
        self._numbers = count()
        self._answer = self._answered(BodyStretch(()), BodyStretch(()))
        self.publish()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take changes over into the next answer; a `trainwave_exporter.model.ChangeListener`."""
        self._waiting += changes

    def reconfigure(self, *, selection: Selection, max_jobs: int, max_groups: int = 0) -> None:
        """Show other metrics, and as many jobs and groups, from the next publication on."""
        wanted = selection, max_jobs, max_groups
        present = self._selection, self._max_jobs, self._max_groups
        self._wanted = None if wanted == present else wanted

    @property
    def answer(self) -> ScrapeAnswer:
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
            for capped in self._capped.values():
                yield from capped.settle()
            self._tell_caps()
            capped_tables = chain.from_iterable(capped.tables for capped in self._capped.values())
            others = [*self._others.values(), *capped_tables]
            tables = [*self._jobs.tables, self._budgets.table, *others]
            for table in tables:
                yield from table.render()
            fleet = BodyStretch(in_order(_sections(tables)), fleet.forms)
        own = yield from self._own_sections()
        if changed or own != self._answer.own.sections:
            self._answer = self._answered(fleet, BodyStretch(own, fleet.forms))

    def _furnish(self, selection: Selection, max_jobs: int, max_groups: int) -> None:
        """Make the tables, empty."""
        self._selection = selection
        self._max_jobs = max_jobs
        self._max_groups = max_groups
        self._jobs = Jobs(selection, max_jobs, max_groups)
        self._budgets = Budgets(selection)
        self._others: dict[type, Table[Any]] = {}
        self._capped: dict[type, Capped[Any]] = {}
        self._stores: dict[type, TableStore] = {
            Job: TableStore(self._jobs.put, self._jobs.remove),
            Idleness: TableStore(self._jobs.put_idleness, self._jobs.remove_idleness),
            BudgetStatus: TableStore(self._budgets.put, self._budgets.remove),
        }
        for families in OTHERS:
            table = Table(selection.among(families), families.labels, families.identity)
            self._stores[families.record] = TableStore(table.put, table.remove)
            self._others[families.record] = table
        for families in CAPPED:
            capped = Capped(families, selection, max_groups)
            self._stores[families.record] = TableStore(capped.put, capped.remove)
            self._capped[families.record] = capped

    def _tell_caps(self) -> None:
        """Note of which kinds there are as many as may have series of their own."""
        self._telemetry.jobs_in_overflow(self._jobs.in_overflow, self._max_jobs)
        reached = dict.fromkeys(_GROUPS.values(), False)
        for record, kind in _GROUPS.items():
            if record in self._capped:
                reached[kind] |= self._capped[record].full
            else:
                reached[kind] |= 0 < self._max_groups <= len(self._others[record])
        for kind, full in reached.items():
            self._telemetry.capped(kind, reached=full)

    def _refurnish(self, selection: Selection, max_jobs: int, max_groups: int) -> None:
        """Make the tables anew, and have all that was in them taken in before what waits."""
        tables = [table.records() for table in self._others.values()]
        tables += [capped.records() for capped in self._capped.values()]
        of_their_own = self._jobs.records(), self._budgets.records()
        known = [Appeared(record) for record in chain(*of_their_own, *tables)]
        self._furnish(selection, max_jobs, max_groups)
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
            case HistoricalJob():
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

    def _answered(self, fleet: BodyStretch, own: BodyStretch) -> ScrapeAnswer:
        return ScrapeAnswer(fleet, own, f"{self._process}-{next(self._numbers)}")


def _sections(tables: Iterable[Table[Any]]) -> Iterator[Section]:
    """Yield the metrics of some tables; one that is in several has their samples in that order."""
    columns: defaultdict[Description, list[Cell]] = defaultdict(list)
    for table in tables:
        for place, family in enumerate(table.families):
            columns[family.description] += table.column(place)
    for description, cells in columns.items():
        yield Section(description, tuple(cells))
