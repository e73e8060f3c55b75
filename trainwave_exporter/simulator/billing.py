"""What is unusual about the bills of some jobs; in an ordinary world nothing is.

All of it follows from a job's own seed, so a world with unusual bills has the same jobs as one
without.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random

_FACTORS = (0.5, 0.75, 1.5, 2.0)
"""Prices that a job may change to, each a multiple of its offer's."""
_UNCHANGED_FOR = (1800, 4 * 3600)
_PAUSE = (60, 3 * 3600)


class Billing(Enum):
    """When the API reports what a job costs."""

    BY_SECOND = "at once"
    HOURLY = "when another hour is complete, and at its end"
    AT_END = "at its end"


@dataclass(frozen=True, slots=True)
class BillingMix:
    """How many jobs are unusual: parts of all jobs, but of the failed ones for `rerun`.

    A job is unusual in one way only, and what it costs is not corrected.
    """

    hourly: float = 0.0
    at_end: float = 0.0
    repriced: float = 0.0
    """Their price changes from time to time."""
    rerun: float = 0.0
    """They run once more, under the same id."""
    restarted: float = 0.0
    """Part of those that run once more whose cost and GPU hours are reported from zero again."""

    def draw(self, seed: int) -> JobBilling:
        """Draw what is unusual about the job of this seed."""
        if self == _ORDINARY_MIX:
            return ORDINARY
        random = Random(seed)
        kind = random.random()
        first, second = self.hourly, self.hourly + self.at_end
        third = second + self.repriced
        fails_again = random.random()
        return JobBilling(
            random,
            billing=(
                Billing.HOURLY
                if kind < first
                else Billing.AT_END
                if kind < second
                else Billing.BY_SECOND
            ),
            repriced=second <= kind < third,
            rerun=kind >= third and fails_again < self.rerun,
            restarted=random.random() < self.restarted,
        )


class JobBilling:
    """What is unusual about one job's bill."""

    def __init__(
        self, random: Random, *, billing: Billing, repriced: bool, rerun: bool, restarted: bool
    ) -> None:
        self._random = random
        self.billing = billing
        self.repriced = repriced
        self.rerun = rerun
        """Whether it runs once more if it fails."""
        self.restarted = restarted

    @property
    def corrigible(self) -> bool:
        """Whether its cost may be corrected, too."""
        return self.billing is Billing.BY_SECOND and not self.repriced and not self.rerun

    def next_price(self, offered: int, present: int) -> tuple[int, int]:
        """Return after how many seconds the price changes, and the new one."""
        prices = [int(offered * factor) for factor in (1.0, *_FACTORS)]
        return self._random.randint(*_UNCHANGED_FOR), self._random.choice(
            [price for price in prices if price != present]
        )

    def pause(self) -> int:
        """Return how many seconds after its failure it is launched again."""
        return self._random.randint(*_PAUSE)

    def course_random(self) -> Random:
        """Return what the course of another run is drawn with."""
        return self._random


ORDINARY = JobBilling(
    Random(0), billing=Billing.BY_SECOND, repriced=False, rerun=False, restarted=False
)
_ORDINARY_MIX = BillingMix()
