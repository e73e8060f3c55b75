"""Logs of something that fails for a while: that it began, goes on and why, and recovered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

SUMMARY_SECONDS: Final = 300.0
"""How often what goes on failing is logged again."""


class FailureLog:
    """Logs ``…_failing``, ``…_still_failing`` and ``…_recovered``, not every failure.

    A cause that was not logged within the last five minutes is logged at once: who reads the log
    must not take an invalid key for an outage that came before it.
    """

    def __init__(
        self,
        subject: str,
        monotonic: Callable[[], float],
        *,
        level: str = "warning",
        **fields: object,
    ) -> None:
        """``subject`` begins the names of the events; ``fields`` are part of each line."""
        self._subject = subject
        self._monotonic = monotonic
        self._level = level
        self._fields = fields
        self._since: float | None = None
        self._logged_at = 0.0
        self._causes: set[str] = set()
        self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether it failed since it last worked."""
        return self._since is not None

    def failed(self, error: str, *, cause: str = "", bug: BaseException | None = None) -> None:
        """Take in a failure; ``cause`` names its kind, as texts of one kind may vary.

        ``bug``: an error nobody expected, whose traceback is logged with the first of its cause.
        """
        now = self._monotonic()
        self._failures += 1
        if self._since is None:
            self._since = self._logged_at = now
            self._causes = {cause}
            self._write("failing", self._level, error=error, exc_info=bug)
            return
        due = now - self._logged_at >= SUMMARY_SECONDS
        if due:
            self._logged_at = now
            self._causes.clear()
        if not due and cause in self._causes:
            return
        new = cause not in self._causes and not due
        self._causes.add(cause)
        self._write(
            "still_failing",
            self._level,
            failures=self._failures,
            seconds=round(now - self._since),
            error=error,
            exc_info=bug if new else None,
        )

    def recovered(self) -> None:
        """Note that it works (again)."""
        if self._since is None:
            return
        seconds = round(self._monotonic() - self._since)
        self._write("recovered", "info", failures=self._failures, seconds=seconds)
        self._since = None
        self._failures = 0

    def _write(self, what: str, level: str, **fields: object) -> None:
        getattr(log, level)(f"{self._subject}_{what}", **self._fields, **fields)
