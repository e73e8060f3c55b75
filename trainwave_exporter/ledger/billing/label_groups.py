"""Under which labels money is counted when there are more sets of them than the operator wants.

First come, first served, and for good: once as many sets as wanted have a place of their own, that
of any other never gets one. So no counter falls: what was counted apart is so for ever, and what
was folded stays folded, after a restart, too, as the ledger holds all sets that have a place.
Another limit changes only where later growth is counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.model import OTHER


class Groups:
    """The sets of labels that have a place, of at most ``limit`` (0: any number)."""

    def __init__(self, known: Iterable[Labels], limit: int) -> None:
        self.limit = limit
        self._known = set(known)
        self._projects = {labels.project_id for labels in self._known}
        self._apart = sum(not _folded(labels) for labels in self._known)

    def copy(self) -> Groups:
        """Return the same, to give places that last no longer than that."""
        return Groups(self._known, self.limit)

    def place(self, labels: Labels) -> Labels:
        """Return what money of these labels is counted under, from now on.

        Those without a place are folded within their project, if that has one.
        """
        if labels in self._known:
            return labels
        if self.limit and self._apart >= self.limit:
            project = labels.project_id if labels.project_id in self._projects else OTHER
            labels = Labels(project, OTHER, OTHER)
        if labels not in self._known:
            self._known.add(labels)
            self._projects.add(labels.project_id)
            self._apart += not _folded(labels)
        return labels


def _folded(labels: Labels) -> bool:
    return labels.owner == OTHER and labels.gpu_type == OTHER
