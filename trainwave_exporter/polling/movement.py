"""How fast readings change, learned from their answers. Pure arithmetic.

A change is told on a scale from 0 to 1, so that a utilization and a disk's bytes per second can be
set against each other: ratios as they are, anything else relative to its own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trainwave_exporter.model import Point, Quantity, Reading

NOISE: Final = 0.05
"""What goes up and down by less than this is a needle trembling, and no change."""
_HALF_LIFE: Final = 3600.0
"""Seconds after which what was learned counts half: jobs pass from one phase into another."""
_PRIOR_SECONDS: Final = 600.0
"""How long a reading must be watched until its own changes count as much as those of its like."""
_PRIOR_RATE: Final = 1 / 3600
"""Changes of full size a second, as long as nothing is known: one in an hour."""


class Movement:
    """How much something moved, while it was watched for how many seconds."""

    __slots__ = ("_moved", "_watched")

    def __init__(self) -> None:
        self._moved = 0.0
        self._watched = 0.0

    def add(self, distance: float, seconds: float) -> None:
        """Take in that it was ``distance`` (0 to 1) away after so many seconds."""
        seconds = max(0.0, seconds)
        kept = 0.5 ** (seconds / _HALF_LIFE)
        self._moved = self._moved * kept + distance
        self._watched = self._watched * kept + seconds

    def rate(self, prior: float = _PRIOR_RATE) -> float:
        """Return the changes of full size a second; ``prior`` is what its like do."""
        return (self._moved + _PRIOR_SECONDS * prior) / (self._watched + _PRIOR_SECONDS)


def distance(before: Reading, after: Reading) -> float:
    """Return how far a reading is from the one before, from 0 (not, or within `NOISE`) to 1.

    Of several devices or directions it is the mean. What cannot be compared did not move.
    """
    if before.quantity is not after.quantity:
        return 0.0
    known = {(point.device, point.direction): point.value for point in _told(before)}
    steps = [
        _step(known[key], point.value, after.quantity)
        for point in _told(after)
        if (key := (point.device, point.direction)) in known
    ]
    mean = sum(steps) / len(steps) if steps else 0.0
    return mean if mean > NOISE else 0.0


def differs(known: Reading, told: Reading) -> bool:
    """Whether one number for all devices contradicts what is known of each of them.

    Both are ratios. The API's one number is taken for the mean of the devices.
    """
    before, after = known.mean, told.mean
    return before is not None and after is not None and abs(before - after) > 2 * NOISE


def _told(reading: Reading) -> Sequence[Point]:
    return reading.rates if reading.quantity is Quantity.BYTES_TOTAL else reading.points


def _step(before: float, after: float, quantity: Quantity) -> float:
    step = abs(after - before)
    if quantity is not Quantity.RATIO:
        step /= max(abs(before), abs(after), 1.0)
    return min(1.0, step)
