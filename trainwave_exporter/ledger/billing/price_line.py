"""The line that a price draws between two samples of a meter, and whether it explains a rise.

Pure functions; rises in the meter's units, rates in units an hour, times in milliseconds.
"""

from __future__ import annotations

from typing import Final

from trainwave_exporter.ledger.billing.job_entry import MeterSample
from trainwave_exporter.ledger.billing.units import HOUR

TOLERANCE: Final = 10_000
"""By how much a rise may miss the rate: a cent (costs come in whole ones), 10 GPU seconds."""
LATENCY: Final = 1000
"""Milliseconds by which an answer may be older than it seems."""

WATCHED: Final = HOUR // 4
"""Milliseconds for which a job that is watched may go unseen."""


def is_one_change(before: MeterSample, after: MeterSample) -> bool:
    """Return whether one change between two known prices explains what lies between."""
    rates = rates_of(before, after)
    if rates is None or rates[0] == rates[1]:
        return False
    rise, time = after.value - before.value, after.at - before.at
    return not exceeds(rise, rates[1], time) and not falls_short(rise, rates[0], time)


def rates_of(before: MeterSample, after: MeterSample) -> tuple[int, int] | None:
    """Return the lower and the higher of the rates reported; None: none was."""
    a, b = before.rate, after.rate
    if a is None or b is None:
        only = b if a is None else a
        return None if only is None else (only, only)
    return (a, b) if a <= b else (b, a)


def was_billed(before: MeterSample, then: MeterSample) -> bool:
    """Return whether a meter was being billed when it was seen, as far as is known."""
    return then.value > 0 and not then.finished and not stood_still(before, then)


def stood_still(before: MeterSample, then: MeterSample) -> bool:
    """Return whether a meter showed the same twice although its rate was known."""
    rates = rates_of(before, then)
    return (
        rates is not None
        and before.value == then.value
        and falls_short(0, rates[0], then.at - before.at)
    )


def exceeds(rise: int, rate: int, time: int) -> bool:
    """Return whether a meter rose by more than its rate explains."""
    return rise * HOUR > rate * (time + LATENCY) + TOLERANCE * HOUR


def falls_short(rise: int, rate: int, time: int) -> bool:
    """Return whether a meter rose by less than its rate says."""
    return rise * HOUR < rate * (time - LATENCY) - TOLERANCE * HOUR
