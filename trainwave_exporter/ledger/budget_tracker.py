"""Budgets and credit, and which of these figures are unknown, and why.

An unknown amount is absent, never guessed; an `UnknownFigure` says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from trainwave_exporter.ledger.billing.budget import Budget, Doubts, unknown
from trainwave_exporter.ledger.billing.job_entry import JobEntry, Labels
from trainwave_exporter.ledger.billing.ledger_state import LedgerState
from trainwave_exporter.ledger.billing.observe import ABSURD
from trainwave_exporter.ledger.billing.running_jobs import RunningJobs
from trainwave_exporter.ledger.billing.scopes import (
    KINDS,
    MATCHES_NOTHING,
    Names,
    Scopes,
    Unmatched,
    judged,
    unmatched_of_account,
    unmatched_of_budget,
)
from trainwave_exporter.ledger.billing.stored_records import (
    Balance,
    Batch,
    ProjectEntry,
    StoredState,
    UndescribedJobs,
)
from trainwave_exporter.ledger.billing.units import microdollars, milliseconds
from trainwave_exporter.ledger.budget_periods import BudgetPeriods
from trainwave_exporter.ledger.credit import Credit
from trainwave_exporter.ledger.ledger_options import LedgerOptions, WatchedScope
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import (
    AccountStatus,
    BudgetStatus,
    Funds,
    Organization,
    Project,
    UnknownFigure,
)

UNDESCRIBED: Final = 10_000
"""How many jobs without details are named at once, of each account."""
FAR_FUTURE: Final = 2**62
"""Milliseconds, later than anything in the store."""
WRITING_BOUND: Final = milliseconds(300)
"""Age of the newest write, in milliseconds, beyond which spend counts as unknown."""


class BudgetTracker:
    """Keeps what budgets and credit are computed from, and computes their records."""

    def __init__(self, options: LedgerOptions, counted: Mapping[str, int]) -> None:
        """Begin with nothing; ``counted``, kept by others: the accounts that are fully listed."""
        self._options = options
        self._counted = counted
        self._budgets = BudgetPeriods(options.budgets)
        self._credit = Credit()
        self._projects: dict[str, ProjectEntry] = {}
        self._organizations: dict[str, Organization] = {}
        self._project_accounts: dict[str, str] = {}
        """The accounts that report projects, by the ids of the projects."""
        self._rids: set[str] = set()
        """Readable ids of projects."""
        self._statuses: dict[str, AccountStatus] = {}
        self._listed: set[str] = set()
        """The accounts all of whose jobs were written after they were listed as a whole."""
        self._written_at: int | None = None
        self._stored_labels: set[Labels] | None = None
        """The labels of all jobs in the store; None: not read yet, which takes long."""
        self.undescribed: dict[str, UndescribedJobs] = {}
        """Finished jobs by account whose details are wanted."""
        self.unmatched: tuple[Unmatched, ...] = ()
        """Configured names that match nothing."""

    @property
    def projects(self) -> tuple[ProjectEntry, ...]:
        """All known projects."""
        return tuple(self._projects.values())

    def reconfigure(self, options: LedgerOptions) -> None:
        """Use these options from now on."""
        self._options = options
        self._budgets.reconfigure(options.budgets)
        self._listed &= options.accounts.keys()

    def begin(
        self,
        state: StoredState,
        longest_queue: int | None,
        billed: Mapping[tuple[str | None, str], int],
    ) -> None:
        """Start from a store; for ``longest_queue`` and ``billed``, see its methods."""
        self._projects = {project.id: project for project in state.projects}
        self._stored_labels = None
        self._budgets.begin(longest_queue)
        self._credit.begin(state.balances, billed)

    def note(
        self,
        accounts: Mapping[str, AccountStatus],
        projects: Mapping[str, Project],
        organizations: Mapping[str, Organization],
        gone: Iterable[str],
    ) -> None:
        """Take over records, without a store; ``gone``: organizations that nobody reports now."""
        self._statuses |= accounts
        self._listed &= self._counted.keys()
        for project in projects.values():
            self._project_accounts[project.id] = project.account
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
        """Return the projects that changed and all balances, which are to be written."""
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
        """Balances to be written once more, with the next batch that is not empty."""
        return tuple(self._credit.unwritten)

    def written(
        self,
        batch: Batch,
        before: Mapping[str, JobEntry | None],
        ledger_state: LedgerState,
        store: Store,
        now: int,
    ) -> None:
        """Take over a batch that was written; ``before``: its jobs as they were, if known.

        Raises `StoreError` when more of a job has to be read and cannot be.
        """
        self._projects |= {project.id: project for project in batch.projects}
        self._written_at = now
        if self._stored_labels is not None:
            self._stored_labels.update(entry.labels for entry in batch.jobs)
        self._listed |= self._counted.keys()
        self._credit.written(batch.balances)
        self._credit.seen(before, batch.jobs)
        self._credit.settle(now)
        whole = [o.id for o in self._organizations.values() if not self._doubts_of(o)]
        self._credit.sample(whole, ledger_state.live(), self._projects, now)
        self._budgets.seen(batch.jobs, store)

    def figures(
        self, store: Store | None, ledger_state: LedgerState | None, live: RunningJobs, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return all records as of now. Raises `StoreError` when the store cannot be read."""
        found: list[BudgetStatus | Funds | UnknownFigure] = self._funds(store, live, now)
        if store is not None and ledger_state is not None:
            wanted = self._budgets.wanted(now)
            self.undescribed = {
                account: store.undescribed(account, wanted, UNDESCRIBED)
                for account in self._options.accounts
            }
            found += self._statuses_of_budgets(store, ledger_state, live, now)
        return found

    def _funds(
        self, store: Store | None, live: RunningJobs, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return runway and reconciliation of credit, and which of these are unknown."""
        doubts = {
            organization.id: self._doubts_of(organization)
            for organization in self._organizations.values()
        }
        found: list[BudgetStatus | Funds | UnknownFigure] = []
        for fund, absent in self._credit.funds(store, live.runners(), self._projects, doubts, now):
            found += absent if fund is None else [fund, *absent]
        return found

    def _doubts_of(self, organization: Organization) -> list[str]:
        """Return why not all jobs of an organization are known."""
        whole = [
            name
            for name, watched in self._options.accounts.items()
            if watched.whole(organization)
            and (name == organization.account or watched.organization is not None)
        ]
        if not whole:
            return ["partial_view"]
        return min((self._unread([name]) for name in whole), key=len)

    def _statuses_of_budgets(
        self, store: Store, ledger_state: LedgerState, live: RunningJobs, now: int
    ) -> list[BudgetStatus | Funds | UnknownFigure]:
        """Return the budgets, and which of their figures are unknown."""
        opening, runners = ledger_state.unopened - ledger_state.regaining, live.runners()
        scopes = self._scopes(store, ledger_state, live)
        self.unmatched = tuple(scopes.unmatched)
        found: list[BudgetStatus | Funds | UnknownFigure] = [
            UnknownFigure(figure="scope", name=each.figure_name, reason=MATCHES_NOTHING)
            for each in scopes.unmatched
        ]
        detailed_since = store.pruned_before or 0
        for budget in self._options.budgets:
            accounts = self._accounts_of(budget)
            if scopes.covers_nothing(budget, accounts):
                found += unknown("budget", budget.name, [MATCHES_NOTHING])
                continue
            scope = scopes.doubts(budget, accounts)
            reasons = [*self._unread(accounts, opening), *self._unwritten(accounts, now)]
            reasons += scope.spend
            if self._budgets.begin_of(budget, now) < detailed_since:
                reasons.append("history_incomplete")
            doubts = Doubts(reasons, history=scope.history)
            status, figures = self._budgets.status(
                budget, store, runners, self._projects, doubts, now
            )
            found += [status, *figures]
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
        """Return why costs of known jobs are missing in the ledger."""
        written_at = self._written_at
        if written_at is not None and now - written_at > WRITING_BOUND:
            return ["ledger_failing"]
        if not self._listed.issuperset(self._counted.keys() & set(accounts)):
            return ["ledger_catching_up" if written_at is None else "ledger_failing"]
        return []

    def _accounts_of(self, budget: Budget) -> Collection[str]:
        """Return the accounts that may see jobs of a budget: all, unless some see all of them."""
        everyone = self._options.accounts
        reporters: set[str | None] = set()
        if budget.projects:
            reporters = {
                self._project_accounts.get(project.id)
                for project in self._projects.values()
                if not budget.projects.isdisjoint({project.id, *project.names})
            }
        elif budget.organizations:
            known = [self._organizations.get(each) for each in budget.organizations]
            reporters = {None if each is None else each.account for each in known}
        whole = {
            name for name in reporters if name is not None and everyone.get(name) == WatchedScope()
        }
        return whole if reporters and whole == reporters else everyone

    def _scopes(self, store: Store, ledger_state: LedgerState, live: RunningJobs) -> Scopes:
        """Return which configured names match nothing, or may match nothing."""
        names = self._names(store, ledger_state, live)
        candidates = [
            unmatched
            for name, watched in self._options.accounts.items()
            for unmatched in unmatched_of_account(name, watched.scope, names)
        ]
        for budget in self._options.budgets:
            candidates += unmatched_of_budget(budget, names)
        pending = self._pending(store, ledger_state) if candidates else {}
        return judged(candidates, pending, self.unmatched)

    def _names(self, store: Store, ledger_state: LedgerState, live: RunningJobs) -> Names:
        """Return all known names that a scope may contain."""
        labels = self._known_labels(store, {*ledger_state.series, *live.labels})
        projects = {label.project_id for label in labels} | self._projects.keys()
        reported = {project.organization_id for project in self._projects.values()}
        reported |= self._credit.organizations | self._organizations.keys()
        organizations = {each for each in reported if each is not None}
        matching: dict[str, Collection[str]] = {
            "organizations": organizations,
            "projects": projects.union(*(project.names for project in self._projects.values())),
            "owners": {label.owner for label in labels},
            "gpu_types": {label.gpu_type for label in labels},
        }
        if organizations or not labels:
            rids = {each.rid for each in self._organizations.values() if each.rid}
            matching["organization"] = organizations | rids
        if projects or not labels:
            matching["project"] = projects | self._rids
        hints = {each.name: each.id for each in self._organizations.values() if each.name}
        hints |= {each.name: each.id for each in self._projects.values() if each.name}
        return Names(matching=matching, hints=hints)

    def _known_labels(self, store: Store, counted: set[Labels]) -> set[Labels]:
        """Return all labels that are known, or enough of them to match all that is configured.

        History may be counted without a GPU type that its details reported later, and labels that
        have no series of their own are counted under others.
        """
        projects = {labels.project_id for labels in counted} | self._projects.keys()
        projects = projects.union(*(project.names for project in self._projects.values()))
        owners = {labels.owner for labels in counted}
        gpu_types = {labels.gpu_type for labels in counted}
        if all(
            budget.projects <= projects
            and budget.owners <= owners
            and budget.gpu_types <= gpu_types
            for budget in self._options.budgets
        ):
            return counted
        if self._stored_labels is None:
            self._stored_labels = {
                history.entry.labels for history in store.histories(0, FAR_FUTURE)
            }
        return counted | self._stored_labels

    def _pending(self, store: Store, ledger_state: LedgerState) -> dict[str, Sequence[str]]:
        """Return the settings of which not all names are known yet, and why."""
        accounts = self._options.accounts
        unread = self._unread(accounts, ledger_state.unopened - ledger_state.regaining)
        if unread:
            return dict.fromkeys((*KINDS, "organization", "project"), tuple(unread))
        pending: dict[str, Sequence[str]] = {}
        statuses = [self._statuses.get(name) for name in accounts]
        if not all(status and status.organizations_listed for status in statuses):
            pending |= dict.fromkeys(("organizations", "organization"), ("ledger_catching_up",))
        if not all(status and status.projects_listed for status in statuses):
            pending |= dict.fromkeys(("projects", "project"), ("ledger_catching_up",))
        if any(each.account in accounts and not each.described for each in ledger_state.live()):
            pending["gpu_types"] = ("ledger_catching_up",)
        elif not self._history_described(store):
            pending["gpu_types"] = ()
        return pending

    def _history_described(self, store: Store) -> bool:
        """Whether the GPU types of all finished jobs are known."""
        return all(
            not wanted.others
            and len(wanted.urgent) < UNDESCRIBED  # else there may be others
            and all(entry.described for entry in store.jobs(wanted.urgent).values())
            for wanted in self.undescribed.values()
        )


def _balance(organization: Organization) -> Balance | None:
    reported, at = organization.credit_balance_dollars, organization.confirmed_at
    if reported is None or at is None or abs(micro := microdollars(reported)) > ABSURD:
        return None
    return Balance(organization.id, milliseconds(at), micro)
