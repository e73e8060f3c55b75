"""Parses headers of the API: its clock, its rate limit, and ``Retry-After``.

All functions return ``None`` for a value that makes no sense. Names are looked up without regard to
case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from msgspec import Struct

_NUMBER = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*", re.ASCII)

_MILLISECONDS_FROM: Final = 1e11
"""As seconds, this would be in the year 5138; as milliseconds, it was in 1973."""


class RateHeaders(Struct, frozen=True):
    """``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (Unix seconds of the API's clock)."""

    limit: float | None
    remaining: float | None
    reset: float | None
    skew: float | None
    """Seconds the API's clock is ahead of ours, by its ``Date``."""
    at: float
    """When they arrived, Unix seconds of our clock."""

    @property
    def seconds_left(self) -> float | None:
        """Seconds from then until ``Reset``, negative if that was before; None: not reported."""
        return None if self.reset is None else self.reset - (self.skew or 0.0) - self.at


def rate_headers(headers: Mapping[str, str], now: float) -> RateHeaders:
    """Read the rate limit out of the headers of an answer that arrived at ``now``."""
    lowered = _lowered(headers)
    date = _date(lowered.get("date"))
    return RateHeaders(
        limit=_number(lowered.get("x-ratelimit-limit")),
        remaining=_number(lowered.get("x-ratelimit-remaining")),
        reset=_unix_seconds(_number(lowered.get("x-ratelimit-reset"))),
        skew=None if date is None else date - now,
        at=now,
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return ``Retry-After`` in seconds from now, whether reported as seconds or as a date.

    A date is the API's clock's, so it is measured against the ``Date`` of the same answer.
    """
    lowered = _lowered(headers)
    text = lowered.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return seconds
    date, sent = _date(text), _date(lowered.get("date"))
    return None if date is None else max(0.0, date - (now if sent is None else sent))


def _lowered(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _number(text: str | None) -> float | None:
    match = _NUMBER.fullmatch(text) if text else None
    return float(match[1]) if match else None


def _unix_seconds(number: float | None) -> float | None:
    """Return a time that may be reported in milliseconds, as JavaScript counts."""
    return number / 1000 if number is not None and number >= _MILLISECONDS_FROM else number


@lru_cache(maxsize=64)  # all answers of a second report the same
def _date(text: str | None) -> float | None:
    """Return an HTTP date as Unix seconds."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
