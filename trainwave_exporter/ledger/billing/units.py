"""Between the model's floats and the ledger's whole numbers.

Money is kept in micro-dollars, time in milliseconds, GPU time in GPU milliseconds, so that sums are
exact and the same in whichever order they are made.
"""

from __future__ import annotations

MICRO = 1_000_000
"""Micro-dollars in a dollar."""
HOUR = 3_600_000
"""Milliseconds in an hour."""
DAY = 24 * HOUR
"""Milliseconds in a day."""


def microdollars(dollars: float) -> int:
    """Return the nearest whole number of micro-dollars."""
    return round(dollars * MICRO)


def dollars(micro: int) -> float:
    """Return micro-dollars as dollars."""
    return micro / MICRO


def milliseconds(seconds: float) -> int:
    """Return the nearest whole number of milliseconds."""
    return round(seconds * 1000)


def seconds(milli: int) -> float:
    """Return milliseconds as seconds."""
    return milli / 1000


def gpu_milliseconds(hours: float) -> int:
    """Return the nearest whole number of GPU milliseconds in so many GPU hours."""
    return round(hours * HOUR)


def gpu_hours(milli: int) -> float:
    """Return GPU milliseconds as GPU hours."""
    return milli / HOUR
