"""What was spent within a period, kept up to date as jobs are seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct

from trainwave_exporter.ledger.billing.accrual import accrued, may_accrue
from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds, cost_before
from trainwave_exporter.ledger.billing.job_entry import JobEntry, Labels
from trainwave_exporter.ledger.billing.job_meters import cost_so_far
from trainwave_exporter.ledger.billing.periods import Span
from trainwave_exporter.ledger.billing.stored_records import JobHistory
from trainwave_exporter.ledger.billing.units import HOUR


class Payer(Struct, frozen=True):
    """What a budget may be limited to."""

    organization_id: str | None
    labels: Labels
    described: bool = True
    """False: its GPU type may still become known."""


class PeriodSpend:
    """The micro-dollars spent within a span, net of corrections, by who paid them."""

    def __init__(self, span: Span, histories: Iterable[JobHistory], queue: int) -> None:
        """``histories``: those of all jobs whose cost may have changed within the span.

        ``queue``: the longest plausible queue, milliseconds.
        """
        self.span = span
        self._queue = queue
        self._of_jobs: dict[str, tuple[Payer, Bounds]] = {}
        self._before: dict[str, tuple[object, Bounds]] = {}
        self._lower: defaultdict[Payer, int] = defaultdict(int)
        self._upper: defaultdict[Payer, int] = defaultdict(int)
        self._accruing: dict[str, tuple[Payer, JobEntry]] = {}
        for history in histories:
            self.update(history.entry, partial(_same, history))

    def update(self, entry: JobEntry, history: Callable[[], JobHistory | None]) -> None:
        """Take over what has become of a job; its history is read only where it is needed."""
        if entry.cost is None:
            return
        value, before = cost_so_far(entry), self._spent_before(entry, entry.cost.last.at, history)
        known = self._of_jobs.get(entry.id)
        if known is not None:
            self._add(*known, sign=-1)
        payer = Payer(entry.organization_id, entry.labels, _described(entry))
        spent = Bounds(value - before.upper, value - before.lower)
        self._of_jobs[entry.id] = payer, spent
        self._add(payer, spent, sign=1)
        if may_accrue(entry):
            self._accruing[entry.id] = payer, entry
        else:
            self._accruing.pop(entry.id, None)

    def _add(self, payer: Payer, spent: Bounds, *, sign: int) -> None:
        self._lower[payer] += sign * spent.lower
        self._upper[payer] += sign * spent.upper

    def _spent_before(
        self, entry: JobEntry, seen_at: int, history: Callable[[], JobHistory | None]
    ) -> Bounds:
        """Return what a job cost before the span, computed again only when more is known of it."""
        begin, created = self.span.begin, entry.life.created
        if created is not None and created >= begin:
            return NOTHING
        assert entry.cost is not None  # noqa: S101 - it was looked at
        meter, gpus = entry.cost, None if entry.gpu is None else entry.gpu.last.rate
        # What is billed late, or waits for an explanation, may move the past.
        may_move = meter.behind or meter.pending or meter.last.finished
        late = meter.last.value if may_move else None
        # Between two prices, each report moves the moment at which the price changed.
        moving = meter.last.at if meter.anchor.rate != meter.last.rate else None
        reported = (entry.life, entry.run, meter.last.rate, gpus, moving)
        knowledge = (reported, meter.anchor, seen_at < begin, late)
        cached = self._before.get(entry.id)
        if cached is not None and cached[0] == knowledge:
            return cached[1]
        found = history()
        spent = NOTHING if found is None else cost_before(found, begin, self._queue)
        self._before[entry.id] = (knowledge, spent)
        return spent

    def spent(self, covers: Callable[[Payer], bool | None]) -> Bounds:
        """Return what was billed to the payers that are covered; None: it may be covered."""
        lower = upper = 0
        for payer, least in self._lower.items():
            covered = covers(payer)
            if covered is False:
                continue
            most = self._upper[payer]
            lower += least if covered else min(0, least)
            upper += most if covered else max(0, most)
        return Bounds(lower, upper)

    def accrued(self, covers: Callable[[Payer], bool | None], now: int) -> Bounds:
        """Return what these payers owe beyond their bills; None: one may be covered."""
        lower = upper = 0
        for payer, entry in self._accruing.values():
            covered = covers(payer)
            if covered is not False:
                owed = accrued(entry, self.span.begin, now)
                lower += owed.lower if covered else 0
                upper += owed.upper
        return Bounds(lower, upper)


def _described(entry: JobEntry) -> bool:
    """Tell whether a job's details are known, or will be within minutes as it is new."""
    if entry.described or entry.finished_seen != entry.first_seen:
        return True
    created = entry.life.created
    return created is not None and entry.first_seen - created <= HOUR


def _same(history: JobHistory) -> JobHistory:
    return history
