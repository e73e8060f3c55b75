"""What the landing page tells: a summary of the exporter's work at one moment.

Times are Unix seconds, durations seconds; None means "not yet" or "not known".
"""

from __future__ import annotations

from msgspec import Struct


class AccountOverview(Struct, frozen=True, kw_only=True):
    """One account: whether it can be read, and what that costs."""

    name: str
    up: bool
    jobs_running: int
    jobs_known: int
    confirmed_at: float | None = None
    """When a sweep last succeeded."""
    requests_used: int
    """Requests sent in the last minute."""
    allowance: int
    """Requests a minute that the exporter may send."""
    limit: int
    """Requests a minute that the API grants the key."""
    dialect: str | None = None
    error: str | None = None


class LoopOverview(Struct, frozen=True, kw_only=True):
    """One polling loop of one account."""

    account: str
    name: str
    interval: float
    last_finished_at: float | None = None
    last_succeeded: bool | None = None
    stopped: bool = False
    """It has not finished for so long that it must be taken for dead."""


class Overview(Struct, frozen=True, kw_only=True):
    """The exporter as a whole."""

    version: str
    started_at: float
    now: float
    telemetry_path: str
    accounts: tuple[AccountOverview, ...] = ()
    loops: tuple[LoopOverview, ...] = ()
