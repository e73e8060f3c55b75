"""Names of a configuration that match nothing the keys see, and what they may have meant.

A budget for a project that does not exist would stand at zero for ever. Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.budget import Budget

KINDS: Final = ("organizations", "projects", "owners", "gpu_types")
"""The lists of a budget's scope."""


class Unmatched(Struct, frozen=True):
    """A name that matches nothing."""

    place: str
    """Where it is configured, such as ``budgets[research].projects``."""
    name: str
    nearest: str | None
    """The name that was probably meant."""
    account: str | None = None
    """The account that sees nothing for that."""

    @property
    def figure_name(self) -> str:
        """Both as one label."""
        return f"{self.place}: {self.name}"

    def __str__(self) -> str:
        """Say it in words."""
        hint = "" if self.nearest is None else f"; did you mean {self.nearest}?"
        return f"{self.place}: {self.name} matches nothing{hint}"


class Scope(Struct, frozen=True):
    """Which part of what a key sees is watched, by id or rid; None: all."""

    organization: str | None = None
    project: str | None = None


class Names(Struct, frozen=True, kw_only=True):
    """All names that are known, by the list of a scope they may stand in.

    A list that is missing is not known well enough to judge names by.
    """

    matching: Mapping[str, Collection[str]]
    hints: Mapping[str, str] = {}
    """Names that do not count in a scope, but point to one that does: an organization's, say."""


def unmatched_of_budget(budget: Budget, names: Names) -> list[Unmatched]:
    """Return the names in a budget's scope that match nothing."""
    return [
        Unmatched(place, name, nearest(name, names.matching[kind], names.hints))
        for kind in KINDS
        if kind in names.matching
        for place in [f"budgets[{budget.name}].{kind}"]
        for name in sorted(getattr(budget, kind))
        if name not in names.matching[kind]
    ]


def covers_nothing(budget: Budget, names: Names) -> bool:
    """Whether one of the lists in a budget's scope has no name that matches anything."""
    return any(
        getattr(budget, kind) and getattr(budget, kind).isdisjoint(names.matching[kind])
        for kind in KINDS
        if kind in names.matching
    )


def unmatched_of_account(account: str, scope: Scope, names: Names) -> Iterator[Unmatched]:
    """Yield the organization and the project of an account that match nothing."""
    for kind, name in (("organization", scope.organization), ("project", scope.project)):
        known = names.matching.get(kind)
        if name is not None and known is not None and name not in known:
            place = f"accounts[{account}].{kind}"
            yield Unmatched(place, name, nearest(name, known, names.hints), account)


def nearest(name: str, known: Collection[str], hints: Mapping[str, str]) -> str | None:
    """Return the known name that one is most likely to be a misspelling of."""
    folded = {hint.casefold(): meant for hint, meant in hints.items() if meant in known}
    folded |= {each.casefold(): each for each in sorted(known)}
    found = get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else None
