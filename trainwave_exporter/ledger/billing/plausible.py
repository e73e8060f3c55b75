"""Plausibility of reported amounts: one that no price explains waits for a second report.

An amount may be wrong in one answer (a unit mistaken, a field mixed up) and right in the next.
Counters cannot fall, so one such answer would stay in them for ever. A pure function.
"""

from __future__ import annotations

from typing import Final

from trainwave_exporter.ledger.billing.job_entry import (
    Meter,
    MeterKind,
    MeterSample,
    UnconfirmedValue,
)
from trainwave_exporter.ledger.billing.late_bills import Origin
from trainwave_exporter.ledger.billing.units import HOUR, MICRO

_GENEROUS: Final = 2
"""A meter may rise by so many times what its highest price explains, and `_SLACK`."""
_SLACK: Final = {MeterKind.COST: MICRO, MeterKind.GPU: HOUR}
"""A dollar, or a GPU hour."""


def plausible(
    kind: MeterKind, known: Meter | None, new: MeterSample, origin: Origin, dearest: int | None
) -> bool:
    """Return whether a meter may show this, by the highest price known of the job.

    ``dearest``: the highest of any job, for one without a price of its own. A bill may come late,
    for all the time since the job began. Where neither a price nor a begin is known, there is
    nothing to judge by.
    """
    rates = [new.rate]
    if known is not None:
        rates += [known.anchor.rate, known.last.rate]
    rate = max((rate for rate in rates if rate), default=0) or dearest
    if not rate:
        return True
    slack = _SLACK[kind]
    begun = origin.created or origin.started  # launching may be billed, too
    since_begun = None if begun is None else rate * max(0, new.at - begun) // HOUR + slack
    if known is None:
        return since_begun is None or new.value <= _GENEROUS * since_begun
    return new.value <= max(
        known.last.value + _growth(kind, rate, new.at - known.last.at), since_begun or 0
    )


def confirmed(
    kind: MeterKind, unconfirmed: UnconfirmedValue, new: MeterSample, dearest: int | None
) -> bool:
    """Return whether a second report confirms the first, which was too high to be believed."""
    most = unconfirmed.value + _growth(kind, new.rate or dearest or 0, new.at - unconfirmed.at)
    return unconfirmed.value <= new.value <= most


def _growth(kind: MeterKind, rate: int, time: int) -> int:
    return _GENEROUS * rate * max(0, time) // HOUR + _SLACK[kind]
