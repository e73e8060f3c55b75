"""Names of a configuration that match nothing the keys see, and what they may have meant.

A budget for a project that does not exist would stand at zero for ever. Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.billing.budget import Budget, Doubts

KINDS: Final = ("organizations", "projects", "owners", "gpu_types")
"""The lists of a budget's scope."""
MATCHES_NOTHING: Final = "scope_matches_nothing"


class Unmatched(Struct, frozen=True, kw_only=True):
    """A configured name that matches nothing that is known."""

    kind: str
    """The setting it stands in, such as ``projects``."""
    name: str
    nearest: str | None
    """The name that was probably meant."""
    account: str | None = None
    """The account whose setting it is; None: it is a budget's."""
    budget: str | None = None
    """The budget whose setting it is; None: it is an account's."""

    @property
    def place(self) -> str:
        """Where it is configured, such as ``budgets[research].projects``."""
        owner = f"accounts[{self.account}]" if self.budget is None else f"budgets[{self.budget}]"
        return f"{owner}.{self.kind}"

    @property
    def figure_name(self) -> str:
        """The place and the name, as one label value."""
        return f"{self.place}: {self.name}"

    @property
    def hint(self) -> str:
        """The nearest name as a question, to be put after what is wrong; empty if there is none."""
        return "" if self.nearest is None else f"; did you mean {self.nearest}?"

    def __str__(self) -> str:
        """Return a sentence for a log."""
        return f"{self.figure_name} matches nothing{self.hint}"


class Scope(Struct, frozen=True):
    """Which part of what a key sees is watched, by id or rid; None: all."""

    organization: str | None = None
    project: str | None = None


class Names(Struct, frozen=True, kw_only=True):
    """All names that are known, by the setting they may stand in."""

    matching: Mapping[str, Collection[str]]
    """Names of a setting that is missing here are not judged."""
    hints: Mapping[str, str] = {}
    """Names that do not count in a scope, but point to one that does: an organization's, say."""


class Scopes(Struct, frozen=True, kw_only=True):
    """Names in scopes that match nothing, or may match nothing."""

    unmatched: Sequence[Unmatched] = ()
    """They match nothing."""
    undecided: Sequence[Unmatched] = ()
    """They match nothing so far, but not all names are known yet."""
    pending: Mapping[str, Sequence[str]] = {}
    """Why more names of a setting may become known. No reason: history may still name one, but
    its cost is within known bounds."""

    def covers_nothing(self, budget: Budget, accounts: Collection[str]) -> bool:
        """Whether a list of a budget's scope matches nothing at all.

        ``accounts`` may report jobs of it. What one of them is limited to may match nothing, too.
        """
        return any(each.account in accounts for each in self.unmatched) or any(
            not undecided for undecided in self._empty_lists(budget)
        )

    def doubts(self, budget: Budget, accounts: Collection[str]) -> Doubts:
        """Return why it is not known whether a budget covers anything."""
        undecided = [each for each in self.undecided if each.account in accounts]
        undecided += chain.from_iterable(self._empty_lists(budget))
        reasons = {reason for each in undecided for reason in self.pending[each.kind]}
        return Doubts(spend=sorted(reasons), history=bool(undecided))

    def _empty_lists(self, budget: Budget) -> Iterator[list[Unmatched]]:
        """Yield the undecided names of each list no name of which matches anything so far."""
        for kind in KINDS:
            unmatched, undecided = (
                [each for each in found if (each.budget, each.kind) == (budget.name, kind)]
                for found in (self.unmatched, self.undecided)
            )
            if 0 < len(getattr(budget, kind)) == len(unmatched) + len(undecided):
                yield undecided


def judged(
    candidates: Iterable[Unmatched],
    pending: Mapping[str, Sequence[str]],
    before: Collection[Unmatched],
) -> Scopes:
    """Return which of the names that match nothing so far may match something later.

    ``pending``: see `Scopes`. ``before``: those that were found to match nothing when all names
    were known. A later job whose GPU type is not known yet does not put them in doubt.
    """
    known = {each.figure_name for each in before}
    scopes: tuple[list[Unmatched], list[Unmatched]] = [], []
    for each in candidates:
        scopes[each.kind in pending and each.figure_name not in known].append(each)
    return Scopes(unmatched=scopes[0], undecided=scopes[1], pending=pending)


def unmatched_of_budget(budget: Budget, names: Names) -> list[Unmatched]:
    """Return the names in a budget's scope that match nothing."""
    return [
        Unmatched(
            kind=kind,
            name=name,
            nearest=nearest(name, names.matching[kind], names.hints),
            budget=budget.name,
        )
        for kind in KINDS
        if kind in names.matching
        for name in sorted(getattr(budget, kind))
        if name not in names.matching[kind]
    ]


def unmatched_of_account(account: str, scope: Scope, names: Names) -> Iterator[Unmatched]:
    """Yield the organization and the project of an account that match nothing."""
    for kind, name in (("organization", scope.organization), ("project", scope.project)):
        known = names.matching.get(kind)
        if name is not None and known is not None and name not in known:
            meant = nearest(name, known, names.hints)
            yield Unmatched(kind=kind, name=name, nearest=meant, account=account)


def nearest(name: str, known: Collection[str], hints: Mapping[str, str]) -> str | None:
    """Return the known name that one is most likely to be a misspelling of."""
    folded = {hint.casefold(): meant for hint, meant in hints.items() if meant in known}
    folded |= {each.casefold(): each for each in sorted(known)}
    found = get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else None
