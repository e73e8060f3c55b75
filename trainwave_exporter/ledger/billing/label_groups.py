"""The labels that money is counted under when there are more sets than the operator wants.

The first sets of labels get series of their own, up to the limit, and keep them for ever. Jobs with
other labels are summed up in overflow series (`OTHER`), also for ever. So no counter falls, not
even after a restart, as the ledger holds all sets that have a series. Another limit changes only
where later growth is counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.model import OTHER


class Groups:
    """The sets of labels that have series, of at most ``limit`` of their own (0: any number)."""

    def __init__(self, known: Iterable[Labels], limit: int) -> None:
        self.limit = limit
        self._known = set(known)
        self._projects = {labels.project_id for labels in self._known}
        self._apart = sum(not _is_overflow(labels) for labels in self._known)

    def copy(self) -> Groups:
        """Return a copy, for places that are not given for good."""
        return Groups(self._known, self.limit)

    def place(self, labels: Labels) -> Labels:
        """Return the labels under which money of these is counted from now on.

        Beyond the limit, that is the overflow series of their project, if that has a series.
        """
        if labels in self._known:
            return labels
        if self.limit and self._apart >= self.limit:
            project = labels.project_id if labels.project_id in self._projects else OTHER
            labels = Labels(project, OTHER, OTHER)
        if labels not in self._known:
            self._known.add(labels)
            self._projects.add(labels.project_id)
            self._apart += not _is_overflow(labels)
        return labels


def _is_overflow(labels: Labels) -> bool:
    return labels.owner == OTHER and labels.gpu_type == OTHER
