"""The credit of organizations: how long it lasts, and whether it falls by what is billed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing import reconciliation
from trainwave_exporter.ledger.billing.accrual import AWAY, accrued
from trainwave_exporter.ledger.billing.budget import unknown
from trainwave_exporter.ledger.billing.job_entry import Correction, JobEntry
from trainwave_exporter.ledger.billing.job_meters import cost_so_far
from trainwave_exporter.ledger.billing.running_jobs import RunningJob, lasts_until
from trainwave_exporter.ledger.billing.stored_records import Balance, ProjectEntry, organization_of
from trainwave_exporter.ledger.billing.units import HOUR, dollars, seconds
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import Funds, UnknownFigure

_Payer = tuple[str | None, str]
"""The organization that jobs report, and their project."""


class _Billed(Struct, frozen=True):
    """The reported cost of all jobs of an organization at one moment."""

    at: int
    micro: int
    rate: int
    """By how much that grows in an hour while bills come continuously."""
    accrued: int = 0
    """Amount accrued beyond that; the credit may have fallen by it already, or not."""

    def by(self, at: int) -> int:
        """Return the amount billed by another moment close by, earlier or later."""
        return self.micro + self.rate * (at - self.at) // HOUR


class Credit:
    """Keeps the balances of organizations, and what their jobs were billed when they were read."""

    def __init__(self) -> None:
        self._balances: dict[str, list[Balance]] = {}
        self._billed: defaultdict[_Payer, int] = defaultdict(int)
        self._payers: dict[_Payer, str | None] = {}
        self._samples: dict[str, deque[_Billed]] = {}
        self._unwritten: list[Balance] = []

    def begin(self, balances: Iterable[Balance], billed: Mapping[_Payer, int]) -> None:
        """Start from a store: its balances, then those seen since, and the bills of its jobs."""
        self._billed.clear()
        self._billed.update(billed)
        self._payers.clear()
        self._samples.clear()
        since, self._balances = self._balances, {}
        for balance in chain(balances, *since.values()):
            self.balance(balance)

    @property
    def organizations(self) -> set[str]:
        """All organizations that jobs report."""
        return {organization_id for organization_id, _ in self._billed if organization_id}

    def balance(self, reported: Balance) -> None:
        """Take in a reported balance."""
        known = self._balances.get(reported.organization_id, [])
        self._balances[reported.organization_id] = reconciliation.kept(known, reported)

    def seen(self, before: Mapping[str, JobEntry | None], entries: Iterable[JobEntry]) -> None:
        """Take over what jobs are billed by now; ``before``: those of them that were known."""
        for entry in entries:
            known = before.get(entry.id)
            if known is not None:
                self._billed[_payer(known)] -= cost_so_far(known)
            self._billed[_payer(entry)] += cost_so_far(entry)

    def sample(
        self,
        organizations: Iterable[str],
        live: Iterable[JobEntry],
        projects: Mapping[str, ProjectEntry],
        now: int,
    ) -> None:
        """Note what the jobs of these organizations, all of which are known, are billed now."""
        self._resolve(projects)
        totals: defaultdict[str | None, int] = defaultdict(int)
        rates: defaultdict[str | None, int] = defaultdict(int)
        owed: defaultdict[str | None, int] = defaultdict(int)
        for payer, micro in self._billed.items():
            totals[self._payers[payer]] += micro
        for entry in live:
            meter = entry.cost
            if meter is None or not meter.last.rate or entry.running_since is None:
                continue
            paying = organization_of(*_payer(entry), projects)
            if paying is None:
                return  # it may be any of them
            if now - meter.last.at > AWAY:
                continue  # nothing more is reported of it
            if meter.behind:
                owed[paying] += accrued(entry, 0, now).upper
            else:
                rates[paying] += meter.last.rate
                totals[paying] += meter.last.rate * (now - meter.last.at) // HOUR
        for organization_id in organizations:
            known = self._samples.setdefault(organization_id, deque())
            while known and not now - 3 * reconciliation.SETTLING <= known[0].at < now:
                known.popleft()
            if known and known[-1].at >= now:
                known.pop()
            known.append(
                _Billed(
                    now,
                    totals[organization_id],
                    rates[organization_id],
                    owed[organization_id],
                )
            )

    def _resolve(self, projects: Mapping[str, ProjectEntry]) -> None:
        """Look up who pays; where that became known or changed, earlier sums do not count."""
        for payer, micro in self._billed.items():
            paying = organization_of(*payer, projects)
            before = self._payers.get(payer, paying)
            self._payers[payer] = paying
            if before == paying or not micro:
                continue
            for organization_id in {before, paying} - {None}:
                assert organization_id is not None  # noqa: S101 - it was taken out
                self._samples.pop(organization_id, None)
                known = self._balances.get(organization_id, [])
                known[:] = [replace(balance, billed=None) for balance in known]
                self._unwritten += known

    @property
    def unwritten(self) -> Sequence[Balance]:
        """Balances whose billed amount became known, or unknown, since they were written."""
        return self._unwritten

    def written(self, balances: Collection[Balance]) -> None:
        """Note that these were written."""
        self._unwritten = [balance for balance in self._unwritten if balance not in balances]

    def settle(self, now: int) -> None:
        """Add to balances what was billed when they were read, where that is known by now."""
        for organization_id, known in self._balances.items():
            samples = self._samples.get(organization_id, ())
            for place, balance in enumerate(known):
                if balance.billed is not None or now - balance.at < reconciliation.SETTLING:
                    continue
                near = [
                    (sample.by(balance.at), sample.accrued)
                    for sample in samples
                    if abs(sample.at - balance.at) <= reconciliation.SETTLING
                ]
                if near:
                    lower = min(billed for billed, _ in near)
                    upper = max(billed + owed for billed, owed in near)
                    known[place] = replace(balance, billed=(lower, upper))
                    self._unwritten.append(known[place])

    def funds(
        self,
        store: Store | None,
        runners: Sequence[RunningJob],
        projects: Mapping[str, ProjectEntry],
        doubts: Mapping[str, Sequence[str]],
        now: int,
    ) -> Iterator[tuple[Funds | None, list[UnknownFigure]]]:
        """Yield runway and reconciliation of each organization's credit, and which are unknown.

        ``doubts``: by organization, why not all its jobs are known; empty where they are.
        """
        oldest = min((known[0].at for known in self._balances.values() if known), default=now)
        corrections = [] if store is None else store.corrections(oldest, now + 1)
        paying = self._paying(corrections, store, projects)
        for organization_id, reasons in doubts.items():
            balances = self._balances.get(organization_id)
            if not balances:
                continue
            own = [
                runner
                for runner in runners
                if organization_of(runner.organization_id, runner.labels.project_id, projects)
                == organization_id
            ]
            further = [
                *["price_unknown"] * any(runner.overdue(now) for runner in own),
                *["balance_unconfirmed"] * self._unconfirmed(balances, own),
            ]
            runway = unknown("credit_runway", organization_id, [*reasons, *further])
            if reasons:
                yield None, [*runway, *unknown("credit_reconciliation", organization_id, reasons)]
                continue
            lasts = None if further else lasts_until(balances[-1].micro, own, now)
            own_corrections = [each for each, payer in paying if payer == organization_id]
            compared = reconciliation.difference(balances, own_corrections)
            fund = Funds(
                organization_id=organization_id,
                exhausted_at=None if lasts is None else seconds(lasts),
                difference_dollars=None if compared is None else dollars(compared),
            )
            missing = ["balances_not_settled"] * (compared is None)
            yield fund, [*runway, *unknown("credit_reconciliation", organization_id, missing)]

    def _paying(
        self,
        corrections: Sequence[Correction],
        store: Store | None,
        projects: Mapping[str, ProjectEntry],
    ) -> list[tuple[Correction, str | None]]:
        """Return corrections with the organizations whose credit they changed."""
        if store is None or not corrections:
            return []
        entries = store.jobs({correction.job_id for correction in corrections})
        return [(c, organization_of(*_payer(entries[c.job_id]), projects)) for c in corrections]

    def _unconfirmed(self, balances: Sequence[Balance], own: Iterable[RunningJob]) -> bool:
        """Whether the newest balance fell too far to be believed without a second report."""
        samples = self._samples.get(balances[-1].organization_id)
        if not samples or len(balances) < 2:
            return False
        burn = sum(runner.rate for runner in own)
        return reconciliation.is_implausible(balances[-2], balances[-1], burn, samples[-1].micro)


def _payer(entry: JobEntry) -> _Payer:
    return _who_pays(entry.organization_id, entry.labels.project_id)


def _who_pays(organization_id: str | None, project_id: str) -> _Payer:
    """Return what identifies who pays: the project only where the organization is not reported."""
    return organization_id, "" if organization_id else project_id
