"""How a budget of requests is divided among the readings of running jobs. Pure arithmetic.

A reading drifts away from the truth with its age, and the error matters by the reading's
importance: the weight of its metric times the hourly price of its job. The weighted error is least
when each reading is requested at a frequency proportional to the square root of its importance
(the freshness problem of web crawlers; Cho and Garcia-Molina, 2003). Bounds keep this fair: no
reading waits longer than a few rounds, and GPU utilization, on which an idle verdict depends, no
longer than `GPU_SECONDS` as long as the budget can give that. How much a reading moved before
plays no part: a GPU that was busy for hours goes idle at once. Readings of like importance share a
rank, so that a fleet of any size is a few dozen numbers here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from math import log2
from typing import Final, TypeAlias

from msgspec import Struct

from trainwave_exporter.model import Metric

CEILING: Final = 4.0
"""No reading waits longer than so many rounds, where a round is all readings once."""
GPU_SECONDS: Final = 75.0
"""No GPU utilization waits longer than this, as long as all can be read so often within
`GPU_SHARE` of the budget."""
WEIGHTS: Final[Mapping[Metric, float]] = {
    Metric.CPU: 64.0,
    Metric.MEMORY: 1.0,
    Metric.NETWORK: 1.0,
    Metric.GPU_UTILIZATION: 512.0,
    Metric.GPU_MEMORY: 1.0,
    Metric.DISK: 1.0,
}
"""Importance of each metric, beside the price of its job.

Idle time and waste follow from GPU utilization, and what a job that does not use its GPUs does
instead shows in its CPU utilization; the others describe a job and decide nothing. By the square
root, GPU utilization is requested 23 times as often as these, and CPU utilization 8 times.
"""
CHEAPEST: Final = 0.1
"""Jobs below this price, in dollars per hour, or of unknown price have the importance of this."""
GPU_SHARE: Final = 0.75
"""The part of the requests for readings that GPU utilization may take while others are due."""
SPARED: Final = 0.6
"""The part of its requests that the planner has for readings in the worst case: state and details
of jobs may take the rest."""
_HIGHEST_RANK: Final = 60
_BISECTIONS: Final = 40

Counts: TypeAlias = Mapping[Metric, Mapping[int, int]]
"""How many readings there are, by metric and rank."""


def rank_of(metric: Metric, hourly_cost_dollars: float | None) -> int:
    """Return the rank of a reading by its importance; from one rank to the next it doubles."""
    importance = WEIGHTS[metric] * max(hourly_cost_dollars or 0.0, CHEAPEST)
    return min(_HIGHEST_RANK, round(log2(importance)))


class Allocation(Struct, frozen=True, kw_only=True):
    """How often readings are requested. All figures are seconds."""

    ideal: float
    """No reading is requested more often."""
    price: float = 0.0
    """What a reading of rank 0 would wait without bounds; 0: there is enough for all."""
    ceiling: float = 0.0
    """No reading is requested less often."""
    gpu_ceiling: float = 0.0
    """The same of GPU utilization."""

    @property
    def ample(self) -> bool:
        """Whether every reading has the ideal interval."""
        return self.price == 0.0

    def interval(self, metric: Metric, rank: int) -> float:
        """Return the seconds from one request for a reading to the next."""
        ceiling = self.gpu_ceiling if metric is Metric.GPU_UTILIZATION else self.ceiling
        return max(self.ideal, min(ceiling, self.price / _root(rank)))

    def per_second(self, counts: Counts) -> float:
        """Return the requests a second that this takes."""
        return sum(number / interval for number, interval in self._intervals(counts))

    def expected_age(self, counts: Counts) -> float:
        """Return the mean age of readings so requested: half their interval."""
        intervals = self._intervals(counts)
        number = sum(number for number, _ in intervals)
        return sum(number * each for number, each in intervals) / number / 2 if number else 0.0

    def _intervals(self, counts: Counts) -> list[tuple[int, float]]:
        return [
            (number, self.interval(metric, rank))
            for metric, ranks in counts.items()
            for rank, number in ranks.items()
        ]


def allocate(counts: Counts, per_second: float, ideal: float) -> Allocation:
    """Return the best allocation of so many requests a second."""
    number = sum(sum(ranks.values()) for ranks in counts.values())
    fair = number / per_second
    if fair <= ideal:
        return Allocation(ideal=ideal)
    gpus = sum(counts.get(Metric.GPU_UTILIZATION, {}).values())
    ceiling = CEILING * fair
    gpu_ceiling = max(ideal, min(ceiling, _gpu_ceiling(gpus / (GPU_SHARE * per_second))))
    bounded: Counter[tuple[float, float]] = Counter()
    for metric, ranks in counts.items():
        bound = gpu_ceiling if metric is Metric.GPU_UTILIZATION else ceiling
        for rank, readings in ranks.items():
            bounded[_root(rank), bound] += readings
    groups = [(root, bound, readings) for (root, bound), readings in bounded.items()]
    least = ideal * min(root for root, _ in bounded)
    most = ceiling * max(root for root, _ in bounded)
    for _ in range(_BISECTIONS):
        price = (least * most) ** 0.5
        spent = sum(
            readings / max(ideal, min(bound, price / root)) for root, bound, readings in groups
        )
        if spent > per_second:
            least = price
        else:
            most = price
    return Allocation(ideal=ideal, price=most, ceiling=ceiling, gpu_ceiling=gpu_ceiling)


def requests_per_minute(requests: int, interval: float) -> float:
    """Return the requests a minute of a list of so many requests, walked every so many seconds.

    A list that is walked less than once a minute still needs all of its requests in that minute.
    """
    return requests * max(1.0, 60.0 / interval)


def round_seconds(readings: int, rate: float, ideal: float) -> float:
    """Return how long a round of so many readings takes at ``rate`` requests a minute.

    No less than the ``ideal`` interval in seconds; a rate below one counts as one.
    """
    return max(ideal, 60.0 * readings / max(1.0, rate))


def longest_age(readings: int, requests_per_minute: float, ideal: float) -> float:
    """Return the seconds within which every reading is refreshed, at the worst.

    That is when details and states of jobs take all they may, and as many readings again are new
    and go first.
    """
    per_second = max(1.0, requests_per_minute) / 60.0
    ceiling = 1.0 if readings <= per_second * ideal else CEILING
    round_seconds = readings / (SPARED * per_second)
    return max(ideal, ceiling * round_seconds) + round_seconds


def _gpu_ceiling(fair: float) -> float:
    """Return how long a GPU utilization may wait where, all alike, each would wait ``fair``.

    As long as that is less than `GPU_SECONDS`, nobody waits longer. The scarcer requests are beyond
    that, the more may those of cheap jobs wait so that dear ones do not.
    """
    return max(GPU_SECONDS, fair * min(CEILING, fair / GPU_SECONDS))


@cache
def _root(rank: int) -> float:
    """Return the square root of the importance that a rank stands for."""
    return float(2.0 ** (rank / 2))
