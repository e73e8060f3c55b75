"""Sums without rounding errors, of floats that come and go."""

from __future__ import annotations

from collections import Counter
from math import inf, isfinite, nan

_BITS = 1074
"""Every finite float is a whole multiple of 2 to the minus this (IEEE 754, binary64)."""
_ONE = 1 << _BITS


class ExactSum:
    """The sum of all that was added and not removed, rounded once: whatever the order was.

    False when nothing is left.
    """

    __slots__ = ("_count", "_strange", "_units")

    def __init__(self) -> None:
        self._count = 0
        self._units = 0
        self._strange: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, value: float) -> None:
        """Add a number, be it infinite or none."""
        self._change(value, 1)

    def remove(self, value: float) -> None:
        """Take back a number that was added."""
        self._change(value, -1)

    @property
    def value(self) -> float:
        """The sum; infinity where it is beyond all floats."""
        strange = self._strange
        if strange["nan"] or (strange["inf"] and strange["-inf"]):
            return nan
        if strange["inf"] or strange["-inf"]:
            return inf if strange["inf"] else -inf
        try:
            return self._units / _ONE
        except OverflowError:
            return inf if self._units > 0 else -inf

    def _change(self, value: float, sign: int) -> None:
        self._count += sign
        if isfinite(value):
            numerator, denominator = value.as_integer_ratio()
            self._units += (sign * numerator) << (_BITS + 1 - denominator.bit_length())
        else:
            self._strange[str(value)] += sign
