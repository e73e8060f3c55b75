"""The step from one sample of a meter to the next: which are kept, and what is a correction."""

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.ledger.billing.job_entry import Meter, MeterSample


class Step(Struct, frozen=True):
    """What one more sample changes in a meter."""

    meter: Meter
    kept: tuple[MeterSample, ...] = ()
    """Samples to be kept besides those kept already; the last is the anchor."""
    dropped: int | None = None
    """From when on samples kept before are not to be kept any more; None: all stay."""
    corrections: tuple[int, ...] = ()
    """By how much the meter changed otherwise than by its rate; negative when downwards."""


def nonzero(*amounts: int) -> tuple[int, ...]:
    """Return the amounts that are not zero."""
    return tuple(amount for amount in amounts if amount)
