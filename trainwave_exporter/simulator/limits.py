"""The rate limit: so many requests a minute for each key, in real time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

_MINUTE = 60


class LimitWindow(StrEnum):
    """Which minute counts."""

    FIXED = "fixed"
    """The one on the clock; the whole limit is free again when it turns."""
    SLIDING = "sliding"
    """The one just gone; each request is free again a minute after it was made."""


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """Whether a request is within the limit, and what the service says about it."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """Unix seconds when (the first) part of the limit is free again."""

    def headers(self, skew: float) -> Mapping[str, str]:
        """Return the headers, from a service whose clock is ahead by ``skew`` seconds."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(ceil(self.reset + skew)),
        }


class RateLimiter:
    """Counts requests by key. ``limit`` may be changed at any time; None is no limit."""

    def __init__(self, limit: int | None, window: LimitWindow) -> None:
        self.limit = limit
        self._window = window
        self._used: dict[str, deque[float]] = {}

    def charge(self, who: str, now: float) -> LimitDecision | None:
        """Count a request at ``now`` (Unix seconds), unless refused; None without a limit."""
        if self.limit is None:
            return None
        used = self._used.setdefault(who, deque())
        if self._window is LimitWindow.FIXED:
            begin = now // _MINUTE * _MINUTE
            while used and used[0] < begin:
                used.popleft()
        else:
            begin = now
            while used and used[0] <= now - _MINUTE:
                used.popleft()
        allowed = len(used) < self.limit
        if allowed:
            used.append(now)
        if self._window is LimitWindow.SLIDING and used:
            begin = used[0]
        return LimitDecision(allowed, self.limit, max(0, self.limit - len(used)), begin + _MINUTE)
