"""Days, weeks, months and years of a time zone: when they begin and end. Pure functions.

A local day begins when its midnight first comes, or, where clocks skip it, when they do. So days
follow one another without gap or overlap, whatever clocks are set to, and with them all the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)

_SPAN: Final = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(?:-W(?P<week>[0-9]{2})|-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?"
)
_EXPECTED: Final = (
    "expected a year, month, day or ISO week, as 2026, 2026-11, 2026-11-23 or 2026-W47"
)


class Period(StrEnum):
    """The length of a budget's period. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Span(Struct, frozen=True):
    """A stretch of time in milliseconds since 1970, its begin included, its end not."""

    begin: int
    end: int


def span_of(period: Period, zone: ZoneInfo, at: int) -> Span:
    """Return the period that contains the instant ``at`` (milliseconds) in a zone."""
    day = _day_of(at, zone)
    if period is Period.DAY:
        return _span(day, day + _DAY, zone)
    if period is Period.WEEK:
        monday = day - day.weekday() * _DAY
        return _span(monday, monday + _WEEK, zone)
    return _month(day.year, day.month, zone)


def parse_span(text: str, zone: ZoneInfo) -> Span:
    """Return the year, month, day or ISO week that a text names, such as 2026-11 or 2026-W47.

    Raises `ValueError`, which says what was expected.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(_EXPECTED)
    year, week, month, day = (int(part or 0) for part in found.groups())
    try:
        if found["week"]:
            monday = date.fromisocalendar(year, week, 1)
            return _span(monday, monday + _WEEK, zone)
        if found["day"]:
            first = date(year, month, day)
            return _span(first, first + _DAY, zone)
        if found["month"]:
            return _month(year, month, zone)
        return _span(date(year, 1, 1), date(year + 1, 1, 1), zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{_EXPECTED}; there is no {text}") from None


def days(span: Span, zone: ZoneInfo) -> Iterator[tuple[str, Span]]:
    """Yield the local days in a span, each with its ISO date, cut at the ends of the span."""
    day = _day_of(span.begin, zone)
    begin = span.begin
    while begin < span.end:
        end = min(_midnight(day + _DAY, zone), span.end)
        if begin < end:  # a zone that changes sides of the date line skips a day
            yield day.isoformat(), Span(begin, end)
        begin, day = end, day + _DAY


def _month(year: int, month: int, zone: ZoneInfo) -> Span:
    return _span(date(year, month, 1), date(year + month // 12, month % 12 + 1, 1), zone)


def _span(first: date, after: date, zone: ZoneInfo) -> Span:
    return Span(_midnight(first, zone), _midnight(after, zone))


def _day_of(at: int, zone: ZoneInfo) -> date:
    """Return the day that contains an instant, which clocks set back may show the day before."""
    day = datetime.fromtimestamp(at // 1000, zone).date()
    return day + _DAY if at >= _midnight(day + _DAY, zone) else day


def _midnight(day: date, zone: ZoneInfo) -> int:
    """Return when a local day begins."""
    # Of two midnights this is the first; one that is skipped counts by the offset before, which
    # makes it the instant of the change.
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000
