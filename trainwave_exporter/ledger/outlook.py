"""What follows from the books: budgets, credit, and which of these figures are unknown, and why.

Money that is not known is absent, and never guessed; that it is absent is itself a record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from trainwave_exporter.ledger.book import Book
from trainwave_exporter.ledger.budget import Budget, Doubts
from trainwave_exporter.ledger.credit import Credit
from trainwave_exporter.ledger.entry import JobEntry
from trainwave_exporter.ledger.live import Live
from trainwave_exporter.ledger.observe import ABSURD
from trainwave_exporter.ledger.scopes import (
    Names,
    Unmatched,
    covers_nothing,
    unmatched_of_account,
    unmatched_of_budget,
)
from trainwave_exporter.ledger.store import Balance, Batch, ProjectEntry, State, Store, Undescribed
from trainwave_exporter.ledger.terms import Terms, Watched
from trainwave_exporter.ledger.tracker import BudgetTracker
from trainwave_exporter.ledger.units import microdollars, milliseconds
from trainwave_exporter.model import (
    AccountStatus,
    BudgetStatus,
    Funds,
    Organization,
    Project,
    UnknownFigure,
)

MATCHES_NOTHING: Final = "scope_matches_nothing"
UNDESCRIBED: Final = 10_000
"""How many jobs without details are named at once, of each account."""
WRITING_BOUND: Final = milliseconds(300)
"""How old the newest write may be before what is spent is not known any more."""
UNMATCHED_BOUND: Final = milliseconds(60)
"""How long a name has to match nothing before that is logged: lists come one after the other."""


class Outlook:
    """Keeps what budgets and credit are reckoned from."""

    def __init__(self, terms: Terms, counted: Mapping[str, int]) -> None:
        """Begin with nothing; ``counted``, kept by others: the accounts that are fully listed."""
        self._terms = terms
        self._counted = counted
        self._budgets = BudgetTracker(terms.budgets)
        self._credit = Credit()
        self._projects: dict[str, ProjectEntry] = {}
        self._organizations: dict[str, Organization] = {}
        self._seers: dict[str, str] = {}
        """The accounts that report projects, by the projects' ids."""
        self._rids: set[str] = set()
        """Readable ids of projects."""
        self._statuses: dict[str, AccountStatus] = {}
        self._listed: set[str] = set()
        """The accounts all of whose jobs were written after they were listed as a whole."""
        self._written_at: int | None = None
        self._unmatched_since: dict[Unmatched, int] = {}
        self.undescribed: dict[str, Undescribed] = {}
        """Finished jobs by account whose details are wanted."""
        self.unmatched: tuple[Unmatched, ...] = ()
        """Configured names that have matched nothing for a while."""

    @property
    def projects(self) -> tuple[ProjectEntry, ...]:
        """All that is known of projects."""
        return tuple(self._projects.values())

    def retune(self, terms: Terms) -> None:
        """Go by these terms from now on."""
        self._terms = terms
        self._budgets.retune(terms.budgets)
        self._listed &= terms.accounts.keys()

    def begin(
        self, state: State, longest_queue: int | None, billed: Mapping[tuple[str | None, str], int]
    ) -> None:
        """Go by a store; what it knows of queues and bills: see `Store`."""
        self._projects = {project.id: project for project in state.projects}
        self._budgets.begin(longest_queue)
        self._credit.begin(state.balances, billed)

    def note(
        self,
        accounts: Mapping[str, AccountStatus],
        projects: Mapping[str, Project],
        organizations: Mapping[str, Organization],
        gone: Iterable[str],
    ) -> None:
        """Take over what is true now, and needs no store; ``gone``: organizations."""
        self._statuses |= accounts
        self._listed &= self._counted.keys()
        for project in projects.values():
            self._seers[project.id] = project.account
            if project.rid is not None:
                self._rids.add(project.rid)
        for organization in organizations.values():
            self._organizations[organization.id] = organization
            if (balance := _balance(organization)) is not None:
                self._credit.balance(balance)
        for organization_id in gone:
            self._organizations.pop(organization_id, None)

    def to_write(
        self, projects: Mapping[str, Project], organizations: Mapping[str, Organization]
    ) -> tuple[tuple[ProjectEntry, ...], tuple[Balance, ...]]:
        """Return which projects, and all balances, that are to be written."""
        entries = [
            ProjectEntry(project.id, project.organization_id, project.name).after(
                self._projects.get(project.id)
            )
            for project in projects.values()
        ]
        balances = [_balance(organization) for organization in organizations.values()]
        return (
            tuple(entry for entry in entries if entry != self._projects.get(entry.id)),
            tuple(balance for balance in balances if balance is not None),
        )

    @property
    def settled(self) -> tuple[Balance, ...]:
        """Balances to be written once more, with whatever else there is to write."""
        return tuple(self._credit.unwritten)

    def written(
        self,
        batch: Batch,
        before: Mapping[str, JobEntry | None],
        book: Book,
        store: Store,
        now: int,
    ) -> None:
        """Take over what was written; ``before``: its jobs as they were, where they were known.

        Raises `StoreError` when more of a job has to be read and cannot be.
        """
        self._projects |= {project.id: project for project in batch.projects}
        self._written_at = now
        self._listed |= self._counted.keys()
        self._credit.written(batch.balances)
        self._credit.seen(before, batch.jobs)
        self._credit.settle(now)
        whole = [o.id for o in self._organizations.values() if not self._doubts_of(o)]
        self._credit.sample(whole, book.live(), self._projects, now)
        self._budgets.seen(batch.jobs, store)

    def figures(
        self, store: Store | None, book: Book | None, live: Live, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return all that is known now. Raises `StoreError` when the books cannot be read."""
        found: list[BudgetStatus | Funds | UnknownFigure] = self._funds(store, live, now)
        if store is not None and book is not None:
            wanted = self._budgets.wanted(now)
            self.undescribed = {
                account: store.undescribed(account, wanted, UNDESCRIBED)
                for account in self._terms.accounts
            }
            found += self._statuses_of_budgets(store, book, live, now)
        return found

    def _funds(
        self, store: Store | None, live: Live, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return what becomes of credit, and what of that is unknown."""
        doubts = {
            organization.id: self._doubts_of(organization)
            for organization in self._organizations.values()
        }
        found: list[BudgetStatus | Funds | UnknownFigure] = []
        for fund, unknown in self._credit.funds(store, live.runners(), self._projects, doubts, now):
            found += unknown if fund is None else [fund, *unknown]
        return found

    def _doubts_of(self, organization: Organization) -> list[str]:
        """Return why not all jobs of an organization are known."""
        whole = [
            name
            for name, watched in self._terms.accounts.items()
            if watched.whole(organization)
            and (name == organization.account or watched.organization is not None)
        ]
        if not whole:
            return ["partial_view"]
        return min((self._unread([name]) for name in whole), key=len)

    def _statuses_of_budgets(
        self, store: Store, book: Book, live: Live, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return the budgets, and which of their figures are unknown."""
        names = self._names(book, live)
        ready = self._counted.keys() >= self._terms.accounts.keys()
        unmatched = self._look_for_unmatched(names, now) if ready else []
        lost = {each.account for each in unmatched if each.account is not None}
        found: list[BudgetStatus | Funds | UnknownFigure] = [
            UnknownFigure(figure="scope", name=each.figure_name, reason=MATCHES_NOTHING)
            for each in unmatched
        ]
        runners, opening = live.runners(), book.unopened - book.regaining
        detailed_since = store.pruned_before or 0
        for budget in self._terms.budgets:
            accounts = self._accounts_of(budget)
            if ready and (covers_nothing(budget, names) or not lost.isdisjoint(accounts)):
                figure = UnknownFigure(figure="budget", name=budget.name, reason=MATCHES_NOTHING)
                found.append(figure)
                continue
            reasons = [*self._unread(accounts, opening), *self._unwritten(accounts, now)]
            if self._budgets.begin_of(budget, now) < detailed_since:
                reasons.append("history_incomplete")
            doubts = Doubts(reasons)
            status, unknown = self._budgets.status(
                budget, store, runners, self._projects, doubts, now
            )
            found += [status, *unknown]
        return found

    def _unread(self, accounts: Iterable[str], opening: Collection[str] = ()) -> list[str]:
        """Return why not all jobs of accounts are known.

        ``opening``: the accounts whose history was never read as a whole.
        """
        reasons = set()
        for name in accounts:
            if name in self._counted:
                continue
            status = self._statuses.get(name)
            if status is not None and status.expired:
                reasons.add("account_down")
            else:
                reasons.add("history_incomplete" if name in opening else "ledger_catching_up")
        return sorted(reasons)

    def _unwritten(self, accounts: Collection[str], now: int) -> list[str]:
        """Return why what jobs cost is not all in the ledger, though they are known."""
        written_at = self._written_at
        if written_at is not None and now - written_at > WRITING_BOUND:
            return ["ledger_failing"]
        if not self._listed.issuperset(self._counted.keys() & set(accounts)):
            return ["ledger_catching_up" if written_at is None else "ledger_failing"]
        return []

    def _accounts_of(self, budget: Budget) -> Collection[str]:
        """Return the accounts that may see jobs of a budget: all, unless some see all of them."""
        everyone = self._terms.accounts
        seers: set[str | None] = set()
        if budget.projects:
            seers = {
                self._seers.get(project.id)
                for project in self._projects.values()
                if not budget.projects.isdisjoint({project.id, *project.names})
            }
        elif budget.organizations:
            known = [self._organizations.get(each) for each in budget.organizations]
            seers = {None if each is None else each.account for each in known}
        whole = {name for name in seers if name is not None and everyone.get(name) == Watched()}
        return whole if seers and whole == seers else everyone

    def _names(self, book: Book, live: Live) -> Names:
        """Return what is known that a scope may name."""
        labels = {*book.series, *live.labels}
        projects = {label.project_id for label in labels} | self._projects.keys()
        told = {project.organization_id for project in self._projects.values()}
        told |= self._credit.organizations | self._organizations.keys()
        organizations = {each for each in told if each is not None}
        matching: dict[str, Collection[str]] = {
            "organizations": organizations,
            "projects": projects.union(*(project.names for project in self._projects.values())),
            "owners": {label.owner for label in labels},
        }
        if not any(wanted.urgent or wanted.others for wanted in self.undescribed.values()):
            matching["gpu_types"] = {label.gpu_type for label in labels}
        if organizations or not labels:
            rids = {each.rid for each in self._organizations.values() if each.rid}
            matching["organization"] = organizations | rids
        if projects or not labels:
            matching["project"] = projects | self._rids
        hints = {each.name: each.id for each in self._organizations.values() if each.name}
        hints |= {each.name: each.id for each in self._projects.values() if each.name}
        return Names(matching=matching, hints=hints)

    def _look_for_unmatched(self, names: Names, now: int) -> list[Unmatched]:
        """Return the configured names that match nothing; remember those that do so for long."""
        found = [
            unmatched
            for name, watched in self._terms.accounts.items()
            for unmatched in unmatched_of_account(name, watched.scope, names)
        ]
        for budget in self._terms.budgets:
            found += unmatched_of_budget(budget, names)
        self._unmatched_since = {each: self._unmatched_since.get(each, now) for each in found}
        self.unmatched = tuple(
            each for each, since in self._unmatched_since.items() if now - since >= UNMATCHED_BOUND
        )
        return found


def _balance(organization: Organization) -> Balance | None:
    reported, at = organization.credit_balance_dollars, organization.confirmed_at
    if reported is None or at is None or abs(micro := microdollars(reported)) > ABSURD:
        return None
    return Balance(organization.id, milliseconds(at), micro)
