"""Whether the API's filter for running jobs can be believed.

No source says whether the service honours ``status=running``. One that is ignored costs more, which
is reckoned with; one that hides running jobs shows only when a job that it does not name is asked
for and still runs. A job may start or end between two answers, so one such surprise proves nothing.
"""

from __future__ import annotations

from typing import Final

RETEST_SECONDS: Final = 3600.0
"""How long the filter goes unused before it gets another chance."""
_LIES: Final = 2
"""So many walks in a row must be wrong."""


class FilterTrust:
    """What is thought of the filter, from what unlisted jobs answered since the last walk."""

    def __init__(self) -> None:
        self._running = 0
        self._ended = 0
        self._lies = 0
        self._distrusted_at: float | None = None

    def usable(self, now: float) -> bool:
        """Whether to ask with the filter at ``now`` (Unix seconds)."""
        since = self._distrusted_at
        return since is None or not 0 <= now - since < RETEST_SECONDS

    def unlisted_answered(self, *, running: bool) -> None:
        """Note what a job answered that ran before the last filtered walk, which missed it."""
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
            self._lies = self._lies + 1 if self._running > self._ended else 0
        self._running = self._ended = 0
        self._distrusted_at = now if self._lies >= _LIES else None
