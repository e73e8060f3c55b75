"""Whether the API's filter for running jobs can be used.

No source says whether the service honours ``status=running``. A filter that is ignored costs more
requests; one that hides running jobs is noticed only when the details of a missing job say that it
still runs. A job may start or end between two answers, so that one such case proves nothing.
"""

from __future__ import annotations

from typing import Final

RETEST_SECONDS: Final = 3600.0
"""Seconds after which a filter that failed is tried again."""
_WRONG_WALKS: Final = 2
"""So many walks in a row must be wrong."""


class FilterTrust:
    """Judges the filter by the details of jobs that the last walk missed."""

    def __init__(self) -> None:
        self._running = 0
        self._ended = 0
        self._wrong_walks = 0
        self._distrusted_at: float | None = None

    def usable(self, now: float) -> bool:
        """Whether to use the filter at ``now`` (Unix seconds)."""
        since = self._distrusted_at
        return since is None or not 0 <= now - since < RETEST_SECONDS

    def unlisted_answered(self, *, running: bool) -> None:
        """Note whether a job still runs that ran before the last filtered walk, which missed it."""
        if running:
            self._running += 1
        else:
            self._ended += 1

    def refused(self, now: float) -> None:
        """Note that the API refuses the filter."""
        self._distrusted_at = now

    def walked(self, now: float) -> None:
        """Judge the walk before, now that another filtered one is done."""
        if self._running or self._ended:
            self._wrong_walks = self._wrong_walks + 1 if self._running > self._ended else 0
        self._running = self._ended = 0
        self._distrusted_at = now if self._wrong_walks >= _WRONG_WALKS else None
