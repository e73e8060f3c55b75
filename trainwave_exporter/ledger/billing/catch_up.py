"""Which counters may be shown after a start: those that the API has brought up to date.

A ledger may be behind: it was restored from a backup, or the exporter was off. Shown as it is, a
counter might fall, and its way back up would look like money spent twice. So an account has
*caught up* when its first complete list since the start is written, with the labels of all jobs in
it; and a counter is shown when all accounts that reported its jobs have caught up. An account that
is down keeps its own counters hidden, and no other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.ledger.billing.units import milliseconds

PATIENCE: Final = milliseconds(900)
"""How long a job's GPU type is waited for before its money is counted without one; and how long
counters that no watched account reports wait for an account that is down.
"""


class CatchUp(Struct, frozen=True):
    """Which accounts have caught up since the exporter started, as of one time."""

    accounts: frozenset[str]
    """Those that are watched."""
    behind: frozenset[str]
    """Those of them that have not caught up yet."""
    reporting: Mapping[Labels, frozenset[str]] = {}
    """Which accounts report the jobs that are counted under each set of labels."""
    since: int | None = None
    """When the first batch was planned, milliseconds; None: none was."""
    patient: bool = True
    """Whether counters wait for accounts that may not report them at all."""

    @classmethod
    def start(cls, accounts: Iterable[str]) -> CatchUp:
        """Return the state at a start: none of these accounts has caught up."""
        watched = frozenset(accounts)
        return cls(watched, watched)

    @property
    def waits_for_any(self) -> bool:
        """Whether counters that no watched account reports have to wait.

        Any account might report them now; one that is down is waited for no longer than `PATIENCE`.
        """
        return self.patient and bool(self.behind)

    def waits(self, labels: Labels) -> bool:
        """Whether a counter has to wait."""
        reporting = self.reporting.get(labels, frozenset()) & self.accounts
        return not reporting.isdisjoint(self.behind) if reporting else self.waits_for_any

    def watching(self, accounts: Iterable[str]) -> CatchUp:
        """Return this without accounts that are watched no more; new accounts hide nothing."""
        watched = frozenset(accounts)
        return replace(self, accounts=watched, behind=self.behind & watched)

    def after(
        self,
        reporting: Mapping[Labels, frozenset[str]],
        listed: Collection[str],
        now: int,
    ) -> CatchUp:
        """Return the state after a batch is written that has the whole lists of ``listed``.

        ``reporting``: the accounts of the jobs in it, by labels.
        """
        if not self.behind:
            return self
        since = now if self.since is None else min(self.since, now)  # the clock may be set back
        more = {
            labels: self.reporting.get(labels, frozenset()) | accounts
            for labels, accounts in reporting.items()
        }
        return replace(
            self,
            behind=self.behind.difference(listed),
            reporting={**self.reporting, **more},
            since=since,
            patient=now - since < PATIENCE,
        )
