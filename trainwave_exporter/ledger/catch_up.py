"""Which counters may be shown after a start: those that the API has brought up to date.

A ledger may be older than what was shown before: restored from a backup, or written by nobody while
the exporter was off. Shown as it is, a counter would fall, and what it then makes up for would seem
to be spent a second time. So an account has *caught up* when its first complete list since the
start is booked, with the labels of all jobs in it; and a counter is shown when all accounts that
reported its jobs have. An account that is down keeps its own counters hidden, and no other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from trainwave_exporter.ledger.book import PATIENCE
from trainwave_exporter.ledger.entry import Labels


class CatchUp:
    """Follows which accounts have caught up since the exporter started."""

    def __init__(self, accounts: Iterable[str]) -> None:
        """``accounts``: the names of those that are watched."""
        self._accounts = frozenset(accounts)
        self._behind = set(self._accounts)
        self._reporting: dict[Labels, frozenset[str]] = {}
        self._since: int | None = None

    @property
    def behind(self) -> frozenset[str]:
        """The accounts that have not caught up yet."""
        return frozenset(self._behind)

    def retune(self, accounts: Iterable[str]) -> None:
        """Wait no longer for accounts that are watched no more; those that are new hide nothing."""
        self._accounts = frozenset(accounts)
        self._behind &= self._accounts

    def begin(self, accounts: Mapping[Labels, frozenset[str]]) -> None:
        """Take over which accounts report the jobs that are counted under each set of labels."""
        self._reporting = dict(accounts)

    def include(self, accounts: Mapping[Labels, frozenset[str]]) -> None:
        """Take over likewise what was counted since."""
        if self._behind:
            for labels, more in accounts.items():
                self._reporting[labels] = self._reporting.get(labels, frozenset()) | more

    def caught_up(self, accounts: Collection[str]) -> bool:
        """Take over which accounts have; return whether one of them had not before."""
        more = not self._behind.isdisjoint(accounts)
        self._behind.difference_update(accounts)
        return more

    def waits(self, labels: Labels, now: int) -> bool:
        """Whether a counter has to wait; ``now`` in milliseconds."""
        reporting = self._reporting.get(labels, frozenset()) & self._accounts
        if reporting:
            return not reporting.isdisjoint(self._behind)
        return self.waits_for_any(now)

    def waits_for_any(self, now: int) -> bool:
        """Whether what belongs to no account that is watched has to wait.

        Any account might report it now; one that is down is not waited for longer than `PATIENCE`.
        """
        if self._since is None or now < self._since:
            self._since = now
        return bool(self._behind) and now - self._since < PATIENCE
