"""How a budget is spread over readings, so that what is shown differs least from what is true.

Between two answers a reading drifts away from the truth in proportion to its age, to its rate of
change, and it matters by its weight. The sum of these errors is least when each is asked for at a
frequency proportional to the square root of weight times rate, within bounds (the freshness
problem of web crawlers; Cho and Garcia-Molina, 2003). Readings of like importance share a rank, so
that a fleet of any size is a few dozen numbers here. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from math import log2
from typing import Final

from msgspec import Struct

CEILING: Final = 4.0
"""No reading waits longer than so many rounds, where a round is all readings once."""
SPARED: Final = 0.6
"""The part of its requests that the planner has for readings in the worst case: state and details
of jobs may take the rest."""
_HIGHEST_RANK: Final = 60
_BISECTIONS: Final = 40


def rank_of(importance: float) -> int:
    """Return the rank of a weight times a rate; two ranks are a factor of four."""
    if importance <= 0:
        return -_HIGHEST_RANK
    return max(-_HIGHEST_RANK, min(_HIGHEST_RANK, round(log2(importance))))


class Allocation(Struct, frozen=True):
    """How often readings of each rank are asked for."""

    ideal: float
    """Seconds; no reading is asked for more often."""
    price: float
    """Seconds that a reading of rank 0 would wait without bounds; 0: there is enough for all."""
    ceiling: float
    """Seconds; no reading is asked for less often."""

    @property
    def ample(self) -> bool:
        """Whether every reading has the ideal interval."""
        return self.price == 0.0

    def interval(self, rank: int) -> float:
        """Return the seconds from one question for a reading to the next."""
        return min(self.ceiling, max(self.ideal, self.price / _root(rank)))

    def per_second(self, counts: Mapping[int, int]) -> float:
        """Return the requests a second that this takes; ``counts``: readings by rank."""
        return sum(number / self.interval(rank) for rank, number in counts.items())

    def expected_age(self, counts: Mapping[int, int]) -> float:
        """Return the mean age in seconds of readings so asked for: half their interval."""
        number = sum(counts.values())
        total = sum(self.interval(rank) * number for rank, number in counts.items())
        return total / number / 2 if number else 0.0


def allocate(counts: Mapping[int, int], per_second: float, ideal: float) -> Allocation:
    """Return the best allocation of so many requests a second to readings, counted by rank."""
    number = sum(counts.values())
    fair = number / per_second
    if fair <= ideal:
        return Allocation(ideal, 0.0, ideal)
    ceiling = CEILING * fair
    low, high = _prices(counts, ideal), _prices(counts, ceiling)
    least, most = min(low), max(high)
    for _ in range(_BISECTIONS):
        middle = (least * most) ** 0.5
        if Allocation(ideal, middle, ceiling).per_second(counts) > per_second:
            least = middle
        else:
            most = middle
    return Allocation(ideal, most, ceiling)


def longest_age(readings: int, requests_per_minute: float, ideal: float) -> float:
    """Return the seconds within which every reading is refreshed, at the worst.

    That is when details and states of jobs take all they may, and as many readings again are new
    and go first.
    """
    per_second = max(1.0, requests_per_minute) / 60.0
    ceiling = 1.0 if readings <= per_second * ideal else CEILING
    round_seconds = readings / (SPARED * per_second)
    return max(ideal, ceiling * round_seconds) + round_seconds


def _prices(counts: Iterable[int], interval: float) -> list[float]:
    """Return the prices at which each rank would have this interval."""
    return [interval * _root(rank) for rank in counts]


@cache
def _root(rank: int) -> float:
    """Return the square root of the importance that a rank stands for."""
    return float(2.0 ** (rank / 2))
