"""Which counters may be shown after a start: those that the API has brought up to date.

A ledger may be older than what was shown before: restored from a backup, or written by nobody while
the exporter was off. Shown as it is, a counter would fall, and what it then makes up for would seem
to be spent a second time. So an account has *caught up* when its first complete list since the
start is booked, with the labels of all jobs in it; and a counter is shown when all accounts that
reported its jobs have. An account that is down keeps its own counters hidden, and no other's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.ledger.billing.units import milliseconds

PATIENCE: Final = milliseconds(900)
"""How long it is waited for a job's GPU type before its money is counted without one, and for an
account that is down by counters that no watched account reported.
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
    """Whether it is waited for accounts that may not report a counter at all."""

    @classmethod
    def start(cls, accounts: Iterable[str]) -> CatchUp:
        """Return that none of these accounts has caught up."""
        watched = frozenset(accounts)
        return cls(watched, watched)

    @property
    def waits_for_any(self) -> bool:
        """Whether what belongs to no account that is watched has to wait.

        Any account might report it now; one that is down is not waited for longer than `PATIENCE`.
        """
        return self.patient and bool(self.behind)

    def waits(self, labels: Labels) -> bool:
        """Whether a counter has to wait."""
        reporting = self.reporting.get(labels, frozenset()) & self.accounts
        return not reporting.isdisjoint(self.behind) if reporting else self.waits_for_any

    def watching(self, accounts: Iterable[str]) -> CatchUp:
        """Wait no longer for accounts that are watched no more; those that are new hide nothing."""
        watched = frozenset(accounts)
        return replace(self, accounts=watched, behind=self.behind & watched)

    def after(
        self,
        reporting: Mapping[Labels, frozenset[str]],
        listed: Collection[str],
        now: int,
    ) -> CatchUp:
        """Return what holds once a batch is written that has whole lists of these accounts.

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
