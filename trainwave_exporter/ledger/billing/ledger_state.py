"""The ledger's state in memory: what the store holds of the jobs that are watched, and of all sums.

`LedgerState.plan` turns what was seen into one batch for the store, and changes nothing but which
labels are counted apart; when the batch is written, `LedgerState.adopt` takes it over. So a write
that fails leaves the state as the store is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.catch_up import PATIENCE, CatchUp
from trainwave_exporter.ledger.billing.idleness import abandoned
from trainwave_exporter.ledger.billing.job_entry import (
    ANEW,
    JobEntry,
    Labels,
    MeterKind,
    SeriesEntry,
    Totals,
)
from trainwave_exporter.ledger.billing.label_groups import Groups
from trainwave_exporter.ledger.billing.observe import observe
from trainwave_exporter.ledger.billing.stored_records import (
    Batch,
    IdleIntervalUpdate,
    KeptSample,
    StoredState,
    UtilizationUpdate,
)
from trainwave_exporter.ledger.billing.units import microdollars, milliseconds
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import Job

OPENING: Final = milliseconds(150)
"""How long a new series is shown as zero, so that every scraper sees it begin there."""

LEAST_REMEMBERED: Final = 1000
"""How many jobs that are not shown any more are remembered at least."""

_DETAILS: Final = (
    *("name", "organization_id", "owner", "gpu_type", "gpus", "hourly_cost_dollars"),
    *("created_at", "started_at", "finished_at"),
)
"""Fields that the details of a job may report, and a list may not."""


class SeenJob(Struct, frozen=True):
    """A job as the API last reported it."""

    job: Job
    shown: bool
    """It is on show, so its details are asked for, and it will be reported again soon."""
    clock_set: int = 0
    """By how much the wall clock was set since the exporter started, milliseconds."""

    def after(self, older: SeenJob | None) -> SeenJob:
        """Return this with the details that only an older report had, which is not written yet.

        A list may name a job that is not shown right after its details came.
        """
        if self.shown or older is None or not (self.job.finished and older.job.finished):
            return self
        known, job = older.job, self.job
        missing = {
            field: getattr(known, field) for field in _DETAILS if getattr(job, field) is None
        }
        return replace(self, job=replace(job, **missing))


class LedgerState:
    """The jobs that are watched, and all sums."""

    def __init__(self, stored: StoredState, accounts: Iterable[str], rules: WasteRules) -> None:
        """Start from the content of a store. ``accounts``: the names of those that are polled."""
        self._rules = rules
        self._accounts = frozenset(accounts)
        self._entries = {entry.id: entry for entry in stored.live}
        self._clock_set: dict[str, int] = {}
        """By how much the wall clock had been set when each job was last seen, milliseconds."""
        self._uncounted = {entry.id for entry in stored.live if entry.series is None}
        self._left = dict.fromkeys(sorted(self._entries, key=self._last_seen))
        """Jobs that are not shown, as none is at first, in the order in which they left."""
        self._most_shown = max(LEAST_REMEMBERED, len(self._left))
        self._given_up: frozenset[str] = frozenset()
        """Those of them that are forgotten as soon as they are counted."""
        self.series = {entry.labels: entry for entry in stored.series}
        self.groups = Groups(self.series, rules.max_groups)
        self.corrections = stored.corrections
        self.dearest = stored.dearest
        """The highest price ever seen of a job, micro-dollars an hour; 0: none was."""
        self.dearest_offer = 0
        """The highest price on offer, likewise."""
        self._opened = {name: at for name, at in stored.opened.items() if at != ANEW}
        self._regaining = stored.opened.keys() - self._opened.keys()
        self._counted_before = dict(stored.counted_before)
        self._hidden = {
            labels: self.unopened
            for labels, entry in self.series.items()
            if entry.opened_at is None
        }
        """Series not shown yet, and the accounts that have to be opened first."""
        self._opening = {labels for labels, entry in self.series.items() if entry.opened_at}
        """Series that begin at zero."""
        self._unseen = frozenset(self._opening)
        """Those of them that have not been shown since the exporter started."""

    def reconfigure(self, accounts: Iterable[str], rules: WasteRules) -> None:
        """Go by these rules from now on, and wait for what these accounts report."""
        self._accounts = frozenset(accounts)
        self._rules = rules
        self.groups.limit = rules.max_groups

    def unknown(self, job_ids: Iterable[str]) -> list[str]:
        """Return those of the jobs that only the store may know."""
        return [job_id for job_id in job_ids if job_id not in self._entries]

    def entry(self, job_id: str) -> JobEntry | None:
        """Return what is kept of a job that is watched."""
        return self._entries.get(job_id)

    def live(self) -> Iterator[JobEntry]:
        """Yield the jobs that are not over."""
        return (entry for entry in self._entries.values() if not entry.finished)

    def forget(self, before: int) -> list[str]:
        """Forget jobs that no account has reported since, but those that have to be counted yet.

        Return their ids. The store knows them, should they be reported again.
        """
        return self._drop(
            entry.id
            for entry in self._entries.values()
            if entry.last_seen < before and entry.series is not None
        )

    def leave(self, job_ids: Iterable[str]) -> list[str]:
        """Note that jobs are not shown any more; return the ids of those that are forgotten.

        Most come back, such as when their account can be read again. So as many are remembered as
        were ever shown at once, those that left last. An API that makes up ever new jobs cannot
        fill the memory with them.
        """
        for job_id in job_ids:
            if job_id in self._entries:
                self._left.pop(job_id, None)
                self._left[job_id] = None
        self._most_shown = max(self._most_shown, len(self._entries) - len(self._left))
        beyond = list(islice(self._left, max(0, len(self._left) - self._most_shown)))
        self._given_up = frozenset(self._uncounted.intersection(beyond))
        return self._drop(self._given_up.symmetric_difference(beyond))

    def _drop(self, job_ids: Iterable[str]) -> list[str]:
        dropped = list(job_ids)
        for job_id in dropped:
            self._entries.pop(job_id, None)
            self._clock_set.pop(job_id, None)
            self._left.pop(job_id, None)
        return dropped

    def _last_seen(self, job_id: str) -> int:
        return self._entries[job_id].last_seen

    @property
    def unopened(self) -> frozenset[str]:
        """The accounts whose history has not been read as a whole yet."""
        return self._accounts - self._opened.keys()

    @property
    def regaining(self) -> frozenset[str]:
        """Those of them whose history was read before the ledger was restored."""
        return self.unopened & self._regaining

    def plan(
        self,
        seen: Mapping[str, SeenJob],
        stored: Mapping[str, JobEntry],
        counted: Mapping[str, int],
        now: int,
        catch_up: CatchUp,
    ) -> tuple[Batch, CatchUp]:
        """Return the batch to be written after these jobs were seen, and who has caught up with it.

        ``stored``: what the store knows of the `unknown` among them. ``counted``: the accounts all
        of whose jobs are listed, and since when. ``catch_up``: who has caught up before. Times are
        milliseconds.
        """
        dearest = max(
            [self.dearest, self.dearest_offer, *(_price(item.job) for item in seen.values())]
        )
        outcomes = [
            observe(
                self._entries.get(job_id) or stored.get(job_id),
                item.job,
                self._rules,
                dearest or None,
                item.clock_set - self._clock_set.get(job_id, item.clock_set),
            )
            for job_id, item in seen.items()
        ]
        corrected = [correction for outcome in outcomes for correction in outcome.corrections]
        up, down = self.corrections
        up += sum(max(0, correction.micro) for correction in corrected)
        down += sum(max(0, -correction.micro) for correction in corrected)
        count = _Count(self.series, self.groups)
        jobs: dict[str, JobEntry] = {}
        entries = [self._entries[job_id] for job_id in self._uncounted - seen.keys()]
        for entry in [outcome.entry for outcome in outcomes] + entries:
            before = self._entries.get(entry.id) or stored.get(entry.id)
            # Nobody asks for the details of a job that is not shown, or of an account not polled.
            asked = entry.id not in seen or seen[entry.id].shown
            asked_since = max(entry.first_seen, counted.get(entry.account, now))
            patient = (
                (asked or entry.account in self.regaining)
                and entry.account in self._accounts
                and abs(now - asked_since) < PATIENCE
                and entry.id not in self._given_up
            )
            left = entry if asked else abandoned(entry)
            if before is None and self._is_counted(left):
                counted_entry = replace(left, series=self.groups.place(left.labels))
            else:
                counted_entry = count.entered(before, left, patient=patient)
            if counted_entry != before:
                jobs[entry.id] = counted_entry
        listed = self._listed(jobs, counted, now)
        opened = dict.fromkeys(self.unopened & listed, now)
        ahead = catch_up.after(accounts_by_labels(jobs.values()), listed, now)
        batch = Batch(
            jobs=tuple(jobs.values()),
            points=tuple(point for outcome in outcomes for point in outcome.points),
            dropped=tuple(drop for outcome in outcomes for drop in outcome.dropped),
            idled=tuple(
                IdleIntervalUpdate(o.entry.id, interval) for o in outcomes for interval in o.idled
            ),
            used=tuple(
                UtilizationUpdate(o.entry.id, bucket) for o in outcomes for bucket in o.used
            ),
            series=self._opened_series(count.series, jobs, opened, ahead, now),
            corrections=(up, down) if (up, down) != self.corrections else None,
            corrected=corrected,
            runs=[outcome.closed for outcome in outcomes if outcome.closed is not None],
            opened=tuple(opened.items()),
        )
        return batch, ahead

    def adopt(self, batch: Batch, seen: Mapping[str, SeenJob], catch_up: CatchUp) -> None:
        """Take over a batch that was written, and who has caught up with it."""
        for entry in batch.jobs:
            self._entries[entry.id] = entry
            if entry.series is None:
                self._uncounted.add(entry.id)
            else:
                self._uncounted.discard(entry.id)
        for job_id, item in seen.items():
            if item.shown:
                self._left.pop(job_id, None)
            elif job_id in self._uncounted:
                self._left[job_id] = None
            else:
                self._drop([job_id])
            if item.job.finished or not item.shown:
                self._clock_set.pop(job_id, None)
            else:
                self._clock_set[job_id] = item.clock_set
        reporters = accounts_by_labels(batch.jobs)
        for series in batch.series:
            self.series[series.labels] = series
            if series.opened_at is None:
                known = self._hidden.get(series.labels, frozenset())
                self._hidden[series.labels] = known | reporters.get(series.labels, frozenset())
                continue
            self._hidden.pop(series.labels, None)
            if series.opened_at:
                self._opening.add(series.labels)
            else:
                self._opening.discard(series.labels)
        self._unseen = frozenset(filter(catch_up.waits, self._opening))
        self.corrections = batch.corrections or self.corrections
        self.dearest = max([self.dearest, *(_price(item.job) for item in seen.values())])
        self._opened.update(batch.opened)
        self._regaining -= self._opened.keys()

    def _listed(
        self, jobs: Mapping[str, JobEntry], counted: Mapping[str, int], now: int
    ) -> frozenset[str]:
        """Return the accounts whose whole history is counted once these jobs are.

        Jobs that came after the first list of all may still wait to be counted.
        """
        waited_for = {
            entry.account
            for job_id in self._uncounted | jobs.keys()
            if (entry := jobs.get(job_id) or self._entries[job_id]).series is None
            and entry.first_seen <= counted.get(entry.account, now)
        }
        return frozenset(counted.keys() - waited_for)

    def _is_counted(self, entry: JobEntry) -> bool:
        """Whether a job that is not known was counted already, before the ledger was lost."""
        before = self._counted_before.get(entry.account)
        return before is not None and entry.finished and (entry.life.created or 0) < before

    def held(self) -> Batch:
        """Return all that is in memory, as it was last written."""
        meters = [
            (entry, kind, meter)
            for entry in self._entries.values()
            for kind, meter in ((MeterKind.COST, entry.cost), (MeterKind.GPU, entry.gpu))
            if meter is not None
        ]
        return Batch(
            jobs=tuple(self._entries.values()),
            points=tuple(
                KeptSample(entry.id, kind, meter.anchor, entry.run) for entry, kind, meter in meters
            ),
            series=tuple(self.series.values()),
            corrections=self.corrections,
            opened=(*self._opened.items(), *((name, ANEW) for name in self._regaining)),
        )

    def lost(self, now: int) -> None:
        """Note that the ledger was lost: jobs that it knew before ``now`` are counted already."""
        self._counted_before = dict.fromkeys(self._opened, now)

    def _opened_series(
        self,
        grown: Mapping[Labels, SeriesEntry],
        jobs: Mapping[str, JobEntry],
        opened: Mapping[str, int],
        catch_up: CatchUp,
        now: int,
    ) -> tuple[SeriesEntry, ...]:
        """Return the series to be written, with those opened whose time has come.

        A series found before its account is opened is history, and opens in full. One that comes
        later begins at zero: from when counters are first shown, and until all scrapers saw it
        there. Where the exporter stopped meanwhile, it begins at zero again.
        """
        reporters = accounts_by_labels(jobs.values())
        unopened = self.unopened - opened.keys()
        waiting = self._hidden.keys() | self._opening
        series = {labels: self.series[labels] for labels in waiting} | dict(grown)
        for labels, entry in series.items():
            if entry.opened_at is None:
                awaited = self._hidden.get(labels, frozenset()) | reporters.get(labels, frozenset())
                if awaited.isdisjoint(unopened):
                    is_history = labels in self._hidden or not awaited.isdisjoint(opened)
                    series[labels] = replace(entry, opened_at=0 if is_history else now)
            elif labels in self._unseen:
                if not catch_up.waits(labels):
                    series[labels] = replace(entry, opened_at=now)
            elif entry.opened_at and not 0 <= now - entry.opened_at < OPENING:
                series[labels] = replace(entry, opened_at=0)
        return tuple(entry for labels, entry in series.items() if entry != self.series.get(labels))


def reopening(state: StoredState) -> Batch:
    """Return the batch to be written to a restored ledger, so that its accounts are read anew.

    A series that came up since the copy was made was most likely shown already: so it opens in
    full, as history does.
    """
    return Batch(
        series=tuple(replace(entry, opened_at=None) for entry in state.series if entry.opened_at),
        opened=tuple((name, ANEW) for name in state.opened),
    )


def _price(job: Job) -> int:
    return microdollars(job.hourly_cost_dollars or 0.0)


def accounts_by_labels(entries: Iterable[JobEntry]) -> dict[Labels, frozenset[str]]:
    """Return the accounts that report jobs, by the labels that those are counted under."""
    reporters: dict[Labels, frozenset[str]] = {}
    for entry in entries:
        if entry.series is not None:
            known = reporters.get(entry.series, frozenset())
            reporters[entry.series] = known | {entry.account}
    return reporters


class _Count:
    """Adds what jobs have grown by to the sums of their labels."""

    def __init__(self, known: Mapping[Labels, SeriesEntry], groups: Groups) -> None:
        self._known = known
        self._groups = groups
        self.series: dict[Labels, SeriesEntry] = {}
        """Those that changed."""

    def entered(self, before: JobEntry | None, entry: JobEntry, *, patient: bool) -> JobEntry:
        """Count a job, if its labels are known by now, and return its entry as it is then."""
        if entry.series is None:
            if patient and not entry.labels.gpu_type:
                return entry
            growth = entry.totals
        elif before is not None and before.totals != entry.totals:
            growth = entry.totals - before.totals
        else:
            return entry
        labels = self._groups.place(entry.labels)
        known = self.series.get(labels) or self._known.get(labels) or SeriesEntry(labels=labels)
        if growth != Totals() or labels not in self._known:
            self.series[labels] = replace(known, totals=known.totals + growth)
        return entry if entry.series == labels else replace(entry, series=labels)
