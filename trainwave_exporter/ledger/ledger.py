"""The façade of this package: changes of the fleet go in, changes of records about money come out.

`Ledger.apply` only notes what was seen; `Ledger.run`, called again and again, writes it in a
thread, so that neither a slow disk nor the computing holds up a scrape. Observations that cannot be
written are kept (of each job the newest is enough, for costs are totals) and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import assert_never

import structlog
from msgspec import Struct

from trainwave_exporter.ledger.billing.ledger_state import SeenJob
from trainwave_exporter.ledger.billing.observe import irrelevant
from trainwave_exporter.ledger.billing.scopes import Unmatched
from trainwave_exporter.ledger.billing.stored_records import UndescribedJobs
from trainwave_exporter.ledger.billing.units import milliseconds
from trainwave_exporter.ledger.ledger_options import LedgerOptions
from trainwave_exporter.ledger.ledger_writer import LedgerWriter, PendingObservations
from trainwave_exporter.ledger.storage.errors import LostStoreError, StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    Change,
    Changed,
    ChangeListener,
    Departed,
    Departure,
    FactListener,
    HistoricalJob,
    Job,
    KnownRun,
    LedgerRun,
    Organization,
    Project,
    Record,
)
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.failure_log import FailureLog

log = structlog.get_logger()

RETRY_SECONDS = 5.0
"""How long after a failure the store is tried again."""
CLOSE_TIMEOUT_SECONDS = 1.5
"""How long a shutdown waits for the last samples to be written."""
_NOTHING_WANTED = UndescribedJobs()
_PUBLISHED_AT_ONCE = 256
"""Changes that are published in one turn of the event loop: a millisecond or two."""


class _Done(Struct, frozen=True):
    """The result of one turn of the thread."""

    changes: tuple[Change, ...]
    written: bool
    error: StoreError | None
    seconds: float
    size_bytes: int
    unmatched: tuple[Unmatched, ...]


class Ledger:
    """Listens to the fleet, and keeps account of money and GPU time."""

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        options: LedgerOptions,
        publish: ChangeListener,
        observe: FactListener,
        clock: Clock,
        read_store: Callable[[], Store] | None = None,
    ) -> None:
        """``publish`` receives changes of the ledger's records, within the event loop.

        Until ``open_store`` succeeds, the content of the store of ``read_store`` is shown.
        """
        self._writer = LedgerWriter(open_store, options, read_store=read_store)
        self._options = options
        self._publish = publish
        self._observe = observe
        self._clock = clock
        self._seen = PendingObservations()
        self._unpublished: list[Change] = []
        self._turn: asyncio.Future[_Done] | None = None
        self._not_before = clock.monotonic()
        self._failures = FailureLog("ledger", clock.monotonic, level="error")
        self._unmatched: tuple[Unmatched, ...] = ()
        self._clock_set = 0

    async def open(self) -> None:
        """Open the store; raise `UnfitStoreError` if it must not be used.

        Other trouble (a full disk, say) is no reason not to start: `run` tries again, and what can
        be read meanwhile is shown.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._writer.open)
        except UnfitStoreError:
            raise
        except StoreError as error:
            self._failed(error)

    def apply(self, changes: Iterable[Change]) -> None:
        """Note what changed; a `trainwave_exporter.model.ChangeListener`."""
        for change in changes:
            match change:
                case Changed(before=Job() as before, after=Job() as after) if irrelevant(
                    before, after
                ):
                    pass
                case Appeared(record=record) | Changed(after=record):
                    self._note(record, shown=True)
                case Departed(record=Job() as job, reason=Departure.EXPIRED | Departure.UNWATCHED):
                    self._seen.hidden.add(job.id)
                case Departed(record=record) | HistoricalJob(record=record):
                    self._note(record, shown=False)
                case _:
                    assert_never(change)

    def _note(self, record: Record, *, shown: bool) -> None:
        seen = self._seen
        match record:
            case Job():
                new = SeenJob(record, shown, self._clock_set)
                seen.jobs[record.id] = new.after(seen.jobs.get(record.id))
                seen.hidden.discard(record.id)
            case AccountStatus():
                seen.accounts[record.name] = record
            case Project() if shown:
                seen.projects[record.id] = record
            case Organization() if shown:
                seen.organizations[record.id] = record
                seen.gone.discard(record.id)
            case Organization():
                seen.organizations.pop(record.id, None)
                seen.gone.add(record.id)
            case _:
                pass  # no money in it

    def clock_set(self, seconds: float) -> None:
        """Note that the wall clock was set by so much; negative: back."""
        self._clock_set += milliseconds(seconds)

    def reconfigure(self, options: LedgerOptions) -> None:
        """Use other options from the next turn on."""
        self._options = options

    def undescribed(self, account: str) -> UndescribedJobs:
        """Return finished jobs of an account whose details are wanted."""
        return self._writer.undescribed.get(account, _NOTHING_WANTED)

    def known_run(self, job_id: str) -> KnownRun | None:
        """Return start and price of the present run of a job; None if it is over or unknown."""
        return self._writer.known_run(job_id)

    async def run(self) -> None:
        """Write what was noted, and publish the changes of records. One call at a time.

        Never raises `StoreError`: trouble with the store is logged, counted and tried again.
        """
        if self._turn is not None:  # a turn that was cancelled is still under way
            return
        seen, self._seen = self._seen, PendingObservations()
        now, writing = milliseconds(self._clock.time()), self._clock.monotonic() >= self._not_before
        turn = asyncio.get_running_loop().run_in_executor(None, self._work, seen, now, writing)
        turn.add_done_callback(lambda turn: self._finish(turn, seen))
        self._turn = turn
        await asyncio.shield(turn)
        await self._publish_changes()

    async def _publish_changes(self) -> None:
        """Publish what was computed, and give others their turn in between."""
        while self._unpublished:
            part, self._unpublished = (
                self._unpublished[:_PUBLISHED_AT_ONCE],
                self._unpublished[_PUBLISHED_AT_ONCE:],
            )
            self._publish(part)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Write what was noted, if that is quickly done, and close the store."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                if self._turn is not None:
                    await asyncio.wait([self._turn])
                await self.run()
                await asyncio.get_running_loop().run_in_executor(None, self._writer.close)
        except TimeoutError:
            log.warning("ledger_not_closed", waiting=len(self._seen.jobs))

    def _work(self, seen: PendingObservations, now: int, writing: bool) -> _Done:
        """Do a turn's work; in a thread."""
        began = self._clock.monotonic()
        error = None
        self._writer.reconfigure(self._options)
        self._writer.note(seen, now)
        try:
            if writing:
                self._writer.write(seen, now)
        except StoreError as failure:
            error = failure
        try:
            self._writer.compute(now)
        except StoreError as failure:
            error = error or failure
        return _Done(
            changes=self._writer.changes(),
            written=writing and error is None,
            error=error,
            seconds=self._clock.monotonic() - began,
            size_bytes=self._writer.size_bytes,
            unmatched=self._writer.unmatched,
        )

    def _finish(self, turn: asyncio.Future[_Done], seen: PendingObservations) -> None:
        """Take over the result of a turn; note again what it could not write."""
        self._turn = None
        if turn.cancelled() or turn.exception() is not None:
            self._seen = self._seen.after(seen)
            return
        done = turn.result()
        if not done.written:
            self._seen = self._seen.after(seen)
        recovered = done.written and self._failures.failing
        if done.error is not None:
            self._failed(done.error)
        elif recovered:
            self._failures.recovered()
        self._unpublished += done.changes
        self._warn(done.unmatched)
        if done.error is not None or recovered or (done.written and seen):
            self._observe(
                LedgerRun(
                    succeeded=done.written,
                    seconds=done.seconds,
                    finished_at=self._clock.time(),
                    waiting=len(self._seen.jobs),
                    size_bytes=done.size_bytes,
                    lost=isinstance(done.error, LostStoreError),
                )
            )

    def _warn(self, unmatched: tuple[Unmatched, ...]) -> None:
        """Log the configured names that match nothing, each once for as long as that is so."""
        for each in unmatched:
            if each not in self._unmatched:
                facts = {"setting": each.place, "value": each.name, "nearest": each.nearest}
                log.warning("scope_matches_nothing", **facts)
        self._unmatched = unmatched

    def _failed(self, error: StoreError) -> None:
        """Log the failure, and wait before the next attempt to write."""
        self._not_before = self._clock.monotonic() + RETRY_SECONDS
        self._failures.failed(str(error), cause=str(error))
