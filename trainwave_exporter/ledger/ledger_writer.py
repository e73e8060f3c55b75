"""Writes what was seen to the store, and returns the records that follow from it.

Nothing here knows of threads or of the event loop; all calls come one after the other. Figures of
running jobs alone (burn, credit runway) need no store, and go on when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from trainwave_exporter.ledger.billing import published_records as records
from trainwave_exporter.ledger.billing.catch_up import CatchUp
from trainwave_exporter.ledger.billing.job_entry import JobEntry
from trainwave_exporter.ledger.billing.label_groups import Groups
from trainwave_exporter.ledger.billing.ledger_state import LedgerState, SeenJob, reopening
from trainwave_exporter.ledger.billing.published_records import PublishedRecords
from trainwave_exporter.ledger.billing.running_jobs import RunningJobs
from trainwave_exporter.ledger.billing.scopes import Unmatched
from trainwave_exporter.ledger.billing.stored_records import Batch, UndescribedJobs
from trainwave_exporter.ledger.billing.units import (
    DAY,
    HOUR,
    dollars,
    microdollars,
    milliseconds,
    seconds,
)
from trainwave_exporter.ledger.budget_tracker import BudgetTracker
from trainwave_exporter.ledger.ledger_options import LedgerOptions
from trainwave_exporter.ledger.storage.errors import LostStoreError, StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import (
    AccountStatus,
    Burn,
    Change,
    Corrections,
    Idleness,
    KnownRun,
    Organization,
    Project,
    Record,
    UnknownFigure,
)

BUDGET_INTERVAL: Final = milliseconds(10)
"""How often budgets and credit are computed."""
CLEANUP_INTERVAL: Final = HOUR
"""How often what is too old is dropped."""
FORGET_AFTER: Final = 2 * DAY
"""For how long jobs that no account reports any more are remembered outside the store."""


class PendingObservations(Struct, kw_only=True):
    """Observations since the last turn; of each record only the newest version."""

    jobs: dict[str, SeenJob] = field(default_factory=dict)
    projects: dict[str, Project] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    accounts: dict[str, AccountStatus] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Jobs that are not shown while their account cannot be read; most of them will be again."""
    gone: set[str] = field(default_factory=set)
    """Organizations that no account reports any more."""

    def __bool__(self) -> bool:
        """Whether there is anything to be noted."""
        return any(getattr(self, name) for name in self.__struct_fields__)

    def after(self, older: PendingObservations) -> PendingObservations:
        """Return these together with older ones that could not be written."""
        jobs = dict(older.jobs)
        for job_id, item in self.jobs.items():
            jobs[job_id] = item.after(jobs.get(job_id))
        return PendingObservations(
            jobs=jobs,
            projects=older.projects | self.projects,
            organizations=older.organizations | self.organizations,
            accounts=older.accounts | self.accounts,
            hidden=self.hidden | (older.hidden - self.jobs.keys()),
            gone=self.gone | (older.gone - self.organizations.keys()),
        )


class LedgerWriter:
    """Writes observations to the store, and keeps the records that are shown of it."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        options: LedgerOptions,
        *,
        read_store: Callable[[], Store] | None = None,
    ) -> None:
        """``open_store`` may be called again and again, until the store can be opened.

        ``read_store`` opens it to be read only until then; None where that is of no use.
        """
        self._open_store = open_store
        self._read_store = read_store
        self._options = options
        self._store: Store | None = None
        self._writable = False
        self._state: LedgerState | None = None
        self._lost: str | None = None
        """An error text: how the ledger's file was lost, while another one is written instead."""
        self._restored = False
        """Whether the ledger is known to be restored, and `reopening` is not written to it yet."""
        self._catch_up = CatchUp.start(options.accounts)
        self._waiting = True
        """Whether counters were hidden when they were last looked at."""
        self._unknown: dict[str, UnknownFigure] = {}
        """The unknown figures that are shown, by key, besides those of budgets and credit."""
        self._implausible: dict[str, str] = {}
        """The accounts of jobs whose reported cost waits for a second report, by the jobs' ids."""
        self._dearest_offer = 0
        """The highest price on offer, micro-dollars an hour; 0: none is known."""
        self._counted: dict[str, int] = {}
        """Accounts all of whose jobs are listed, and since when, milliseconds."""
        self._budget_tracker = BudgetTracker(options, self._counted)
        self._live = RunningJobs()
        self._published = PublishedRecords()
        self._figures: set[tuple[type[Record], str]] = set()
        """The records of budgets and credit that are shown."""
        self._computed_at = 0
        self._tidied_at: int | None = None

    @property
    def undescribed(self) -> Mapping[str, UndescribedJobs]:
        """Finished jobs by account whose details are wanted."""
        return self._budget_tracker.undescribed

    @property
    def unmatched(self) -> tuple[Unmatched, ...]:
        """Configured names that match nothing."""
        return self._budget_tracker.unmatched

    def known_run(self, job_id: str) -> KnownRun | None:
        """Return start and price of the present run of a job; None if it is over or unknown."""
        entry = None if self._state is None else self._state.entry(job_id)
        if entry is None or entry.finished or entry.running_since is None:
            return None
        rate = entry.idle_estimate.earlier_price
        if rate is None and entry.cost is not None:
            rate = entry.cost.last.rate
        return KnownRun(seconds(entry.running_since), None if rate is None else dollars(rate))

    @property
    def size_bytes(self) -> int:
        """Bytes that the store takes; 0 while it cannot be opened."""
        return 0 if self._store is None else self._store.size_bytes

    def reconfigure(self, options: LedgerOptions) -> None:
        """Use these options from now on."""
        if options == self._options:
            return
        self._options = options
        for name in self._counted.keys() - options.accounts.keys():
            del self._counted[name]
        self._budget_tracker.reconfigure(options)
        self._catch_up = self._catch_up.watching(options.accounts)
        self._waiting = True
        if self._state is not None:
            self._state.reconfigure(options.accounts, options.rules)
        self._computed_at = 0

    def open(self) -> None:
        """Open the store, if it is not. Raises `StoreError`, or `UnfitStoreError`.

        That it can only be read now is an error, too; but its content is used.
        """
        if self._writable and self._store is not None:
            if self._store.displaced is None or not self._store.place_is_free:
                return
            self._let_go()  # what was rescued becomes the ledger
        elif self._store is not None:
            self._store.check()  # with another file, counters that are shown might fall
        try:
            store = self._open_store()
        except UnfitStoreError:
            raise
        except StoreError as error:
            if not self._read():
                raise
            raise StoreError(f"{error}; it can be read only, and what is seen waits") from None
        self._begin(store)
        self._writable = True
        self._lost = None

    def _let_go(self) -> None:
        """Close the store, to open it anew."""
        self.close()
        self._store = None
        self._writable = False

    def _read(self) -> bool:
        """Open the store at least to be read, if it is not open, and return whether it is."""
        if self._store is None and self._read_store is not None:
            with suppress(StoreError):  # why it cannot be written says more
                self._begin(self._read_store())
        return self._store is not None

    def _begin(self, store: Store) -> None:
        """Use this store from now on, which may hold more than the one before."""
        self._restored = self._restored or store.restored
        try:
            if self._restored:
                store.write(reopening(store.load()))
            stored_state, accounts = store.load(), store.accounts_by_labels()
            self._budget_tracker.begin(stored_state, store.longest_queue(), store.billed())
        except StoreError:
            store.close()
            raise
        self.close()
        self._store = store
        self._state = LedgerState(stored_state, self._options.accounts, self._options.rules)
        self._restored = False
        self._catch_up = replace(self._catch_up, reporting=accounts)

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def note(self, seen: PendingObservations, now: int) -> None:
        """Take over observations, as far as no store is needed. ``now`` is in milliseconds."""
        for name, status in seen.accounts.items():
            offered = microdollars(status.dearest_offer_dollars or 0.0)
            self._dearest_offer = max(self._dearest_offer, offered)
            if status.counted:
                self._counted.setdefault(name, now)
            else:
                self._counted.pop(name, None)
        self._budget_tracker.note(seen.accounts, seen.projects, seen.organizations, seen.gone)
        for job_id in seen.hidden:
            self._live.remove(job_id)
            self._published.hide(Idleness, job_id)
        for item in seen.jobs.values():
            if item.job.id in seen.hidden:
                continue
            if item.shown:
                self._live.put(item.job)
            else:
                self._live.remove(item.job.id)

    def write(self, seen: PendingObservations, now: int) -> None:
        """Write what was seen. Raises `StoreError` when that cannot be done now."""
        try:
            self.open()
        except StoreError:
            self._foresee(seen, now)
            raise
        self._check(now)
        try:
            self._write(seen, now)
        except StoreError:
            self._check(now)  # its file may have been lost since
            raise
        if self._lost is not None:
            raise LostStoreError(self._lost)

    def _write(self, seen: PendingObservations, now: int) -> None:
        state, store = self._state, self._store
        assert state is not None and store is not None  # noqa: S101, PT018 - it is open
        stored, batch, catch_up = self._plan(state, store, seen, now)
        projects, balances = self._budget_tracker.to_write(seen.projects, seen.organizations)
        batch = replace(batch, projects=projects, balances=balances)
        if batch != Batch():
            batch = replace(batch, balances=(*balances, *self._budget_tracker.settled))
            store.write(batch)
        before = {entry.id: state.entry(entry.id) or stored.get(entry.id) for entry in batch.jobs}
        state.adopt(batch, seen.jobs, catch_up)
        self._show_idleness(batch, seen.jobs, seen.hidden)
        self._show_counters(state, batch, catch_up)
        for entry in batch.jobs:
            if entry.unconfirmed_cost is None:
                self._implausible.pop(entry.id, None)
            else:
                self._implausible[entry.id] = entry.account
        self._forgotten(state.leave(seen.hidden))
        self._budget_tracker.written(batch, before, state, store, now)
        self._tidy(state, store, now)

    def _plan(
        self, state: LedgerState, store: Store, seen: PendingObservations, now: int
    ) -> tuple[Mapping[str, JobEntry], Batch, CatchUp]:
        """Return the jobs that only the store knows, the batch to be written, and who caught up."""
        stored = store.jobs(state.unknown(seen.jobs))
        state.dearest_offer = self._dearest_offer
        return stored, *state.plan(seen.jobs, stored, self._counted, now, self._catch_up)

    def _check(self, now: int) -> None:
        """Raise `LostStoreError` if the file of the store is lost; what it held is kept then."""
        state, store = self._state, self._store
        assert state is not None and store is not None  # noqa: S101, PT018 - it is open
        try:
            store.check()
        except LostStoreError as lost:
            self._save(lost, state, store, now)
            raise LostStoreError(self._lost or f"{lost}; opened anew, it holds all") from None

    def _save(self, lost: LostStoreError, state: LedgerState, store: Store, now: int) -> None:
        """Keep what a lost file held. Raises `LostStoreError` where that is not possible now."""
        if lost.on_disk:
            self._let_go()
            return
        held = replace(state.held(), projects=self._budget_tracker.projects)
        try:
            self._store = store.rescue(lost, held, now)
        except StoreError as error:
            text = f"{lost}, and what it held cannot be written elsewhere: {error}"
            raise LostStoreError(text) from None
        if not lost.readable:
            state.lost(now)
            self._budget_tracker.begin(
                self._store.load(), self._store.longest_queue(), self._store.billed()
            )
        self._lost = (
            f"{lost}; the exporter goes on in {self._store.displaced}, which becomes the ledger"
            " as soon as nothing bears its name, or at the next start"
        )

    def _foresee(self, seen: PendingObservations, now: int) -> None:
        """Show the counters that a ledger that can only be read will have once it can be written.

        They are computed once; until then, they stand still.
        """
        state, store = self._state, self._store
        if state is None or store is None or not self._catch_up.behind or not self._counted:
            return
        # Times stand still, too, so that nothing is counted under labels that may yet change.
        _, batch, catch_up = self._plan(state, store, seen, min(now, *self._counted.values()))
        self._show_counters(state, batch, catch_up)

    def _show_counters(self, state: LedgerState, batch: Batch, catch_up: CatchUp) -> None:
        """Show the counters after a batch, as far as their accounts have caught up."""
        changed = {series.labels: series for series in batch.series}
        if self._waiting or catch_up.behind != self._catch_up.behind:
            changed = state.series | changed
        for labels, series in changed.items():
            if series.opened_at is not None and not catch_up.waits(labels):
                self._published.show(records.spend(series))
        self._catch_up = catch_up
        self._waiting = catch_up.waits_for_any
        if not self._waiting:
            up, down = batch.corrections or state.corrections
            self._published.show(Corrections(up=dollars(up), down=dollars(down)))

    def _show_unknown(self, now: int) -> None:
        """Show of which accounts counters, costs, spend rates or waste are unknown, and why."""
        reason = "ledger_catching_up" if self._writable else "ledger_unavailable"
        figures = [
            UnknownFigure(figure="spend", name=account, reason=reason)
            for account in self._catch_up.behind
        ]
        figures += [
            UnknownFigure(figure="cost", name=account, reason="implausible_amount")
            for account in set(self._implausible.values())
        ]
        figures += [
            UnknownFigure(figure=figure, name=account, reason="price_unknown")
            for figure, account in self._without_price(now)
        ]
        unknown = {figure.key: figure for figure in figures}
        for key in self._unknown.keys() - unknown.keys():
            self._published.hide(UnknownFigure, key)
        for figure in unknown.values():
            self._published.show(figure)
        self._unknown = unknown

    def _without_price(self, now: int) -> set[tuple[str, str]]:
        """Return which figures of which accounts lack the price of a running job."""
        found = set()
        for job_id, runner in self._live.overdue(now).items():
            found.add(("burn", runner.account))
            entry = None if self._state is None else self._state.entry(job_id)
            if entry is not None and entry.idle_estimate.unpriced_idle:
                found.add(("waste", runner.account))
        return found

    def _tidy(self, state: LedgerState, store: Store, now: int) -> None:
        """Drop what is too old, now and then; not by a clock that was just set."""
        since = now - (now if self._tidied_at is None else self._tidied_at)
        if self._tidied_at is None or not 0 <= since < 2 * CLEANUP_INTERVAL:
            self._tidied_at = now
        elif since >= CLEANUP_INTERVAL:
            self._tidied_at = now
            self._forgotten(state.forget(now - FORGET_AFTER))
            store.bound(now)
            if self._options.retention:
                store.prune(now - self._options.retention)

    def _forgotten(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            self._implausible.pop(job_id, None)

    def compute(self, now: int) -> None:
        """Compute the figures as of now. Raises `StoreError` when the store cannot be read."""
        self._show_burn(now)
        self._show_unknown(now)
        if not 0 <= now - self._computed_at < BUDGET_INTERVAL:
            self._computed_at = now
            try:
                self._show_figures(now)
            except StoreError:
                if self._writable:
                    self._check(now)  # its file may have been lost since
                raise

    def changes(self) -> tuple[Change, ...]:
        """Return the changes of the records that are shown, since the last call."""
        return self._published.take()

    def _show_idleness(
        self, batch: Batch, seen: Mapping[str, SeenJob], hidden: Collection[str]
    ) -> None:
        for entry in batch.jobs:
            if entry.id not in hidden and (entry.id not in seen or seen[entry.id].shown):
                idleness = records.idleness(entry, self._options.rules)
                if idleness is not None:
                    self._published.show(idleness)
        for job_id, item in seen.items():
            if not item.shown:
                self._published.hide(Idleness, job_id)

    def _show_burn(self, now: int) -> None:
        silent = self._options.accounts.keys() - self._counted.keys()
        known = self._state.series if self._state is not None else {}
        limit = self._options.rules.max_groups
        if limit and len(self._live.labels) > 2 * limit:
            self._live.forget_idle(known)
        # Some of these labels may still become others: they take no places from counters.
        groups = Groups((), limit) if self._state is None else self._state.groups.copy()
        shown = set()
        for labels, rate in self._live.burn(silent, now, groups.place).items():
            if rate or labels in known:
                burn = records.burn(labels, rate)
                shown.add(burn.key)
                self._published.show(burn)
        self._published.retain(Burn, shown)

    def _show_figures(self, now: int) -> None:
        """Show budgets and credit, and which figures of theirs are unknown."""
        found = self._budget_tracker.figures(self._store, self._state, self._live, now)
        for record in found:
            self._published.show(record)
        shown: set[tuple[type[Record], str]] = {(type(record), record.key) for record in found}
        for kind, key in self._figures - shown:
            self._published.hide(kind, key)
        self._figures = shown
