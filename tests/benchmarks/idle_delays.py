"""How long it takes until an idle GPU is seen: the real exporter, readings that stand still."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from support.fake_time import FakeTime
from support.still_fleet import START, Dialect, StillApi, StillJob, Window, still_jobs, watched

RUNNING: Final = 60
MEDIAN, P95 = 50, 90
"""Seconds that are aimed at."""
SEEDS: Final = range(1, 5)
PHASES: Final = {"first five minutes": (1, 300), "afterwards": (900, 1200)}
"""Seconds in which all jobs go idle, each at a random one."""
SLOWEST: Final = 200
"""Seconds given to see the last one."""
WARM_UP: Final = 120
"""Seconds in which requests are not counted: a start has a burst."""
HISTORY: Final = 2_000
Phase = Literal["first five minutes", "afterwards"]


@dataclass(frozen=True)
class Case:
    """One setting."""

    dialect: Dialect
    phase: Phase
    window: Window = "fixed"
    history: bool = False
    """Whether the details of finished jobs are wanted as well."""


@dataclass(frozen=True)
class Delays:
    """What was measured in it."""

    seconds: Sequence[int]
    """Of each idle job; `SLOWEST` where it was not seen by then."""
    per_minute: float
    """Requests of the exporter."""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20)[-1]


async def measure() -> dict[Case, Delays]:
    """Measure each case."""
    dialects: tuple[Dialect, ...] = ("documented", "deployed")
    phases: tuple[Phase, ...] = ("first five minutes", "afterwards")
    windows: tuple[Window, ...] = ("fixed", "sliding")
    cases = [Case(*each) for each in product(dialects, phases, windows)]
    cases += [Case(dialect, phases[0], history=True) for dialect in dialects]
    return {case: await _measured(case) for case in cases}


async def _measured(case: Case) -> Delays:
    between = PHASES[case.phase]
    length = between[1] + SLOWEST
    seconds: list[int] = []
    sent = 0
    for seed in SEEDS:
        jobs = still_jobs(RUNNING, between, seed)
        old = [StillJob(f"h-{n:04}", 8, 20.0, finished=True) for n in range(HISTORY * case.history)]
        api = StillApi(
            case.dialect,
            FakeTime(START),
            [*jobs, *old],
            window=case.window,
            all_change=seed % 2 == 0,
        )
        async with watched(api, [job.id for job in old]) as watch:
            await watch.run(length)
        seconds += [watch.delays.get(job.id, SLOWEST) for job in jobs]
        sent += sum(at >= START + WARM_UP for at in api.requests)
    return Delays(seconds, sent / (length - WARM_UP) * 60 / len(SEEDS))
