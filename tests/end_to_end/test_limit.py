"""A hundred requests a minute and sixty running jobs: the limit is kept, and states stay fresh."""

from __future__ import annotations

import time
from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest
from support.exporter import Exporter
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedWorld, Simulator

SECONDS = 110
OLDEST = 45
HISTORY = {"documented": 150, "deployed": 150, "filter empty": 150, "deployed, much history": 300}
SIMULATORS: dict[str, dict[str, Any]] = {
    "documented": {"dialect": "documented", "page_cap": 100},
    "deployed": {"dialect": "deployed", "page_cap": 20, "filter_ignored": True},
    "filter empty": {"dialect": "documented", "page_cap": 100, "filter_empty": True},
    "deployed, much history": {"dialect": "deployed", "page_cap": 20, "filter_empty": True},
}


class Account:
    """An exporter in front of an API that behaves in one way, and how old its jobs became."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        # A few of the jobs always wait to run.
        world = SimulatedWorld(seed=7, jobs=75, history=HISTORY[name])
        self.simulator = Simulator(world, rate_limit=100, **SIMULATORS[name])
        url = stack.enter_context(serving(self.simulator))
        self.exporter = stack.enter_context(
            Exporter(f"--trainwave.api-url={url}", env={"TRAINWAVE_API_KEY": "demo-key"})
        )
        self.ages: list[float] = []
        self.utilizations = 0

    def look(self) -> None:
        """Note how old the oldest running job is."""
        metrics = self.exporter.metrics()
        running = {
            labels["job_id"]
            for labels, value in metrics.all("trainwave_job_state", state="RUNNING")
            if value
        }
        assert len(running) >= 60
        confirmed = metrics.by("job_id", "trainwave_job_readings_timestamp_seconds", metric="job")
        self.ages.append(time.time() - min(confirmed[job_id] for job_id in running))
        self.utilizations = len(metrics.all("trainwave_job_cpu_utilization_ratio"))


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 90)
def test_the_limit_is_kept_and_states_and_costs_stay_fresh() -> None:
    began = time.monotonic()
    with ExitStack() as stack:
        accounts = {name: Account(name, stack) for name in SIMULATORS}
        for account in accounts.values():
            account.exporter.wait_ready()
        pause = Event()
        while time.monotonic() - began < SECONDS:
            for account in accounts.values():
                account.look()
            pause.wait(1)
        for name, account in accounts.items():
            stats = account.simulator.stats
            assert [at for at in stats.refused_times if at > began + 60] == [], name
            assert 60 <= stats.busiest_minute <= 80, name
            assert max(account.ages) <= OLDEST, name
            assert account.utilizations, name  # what the lists left was put to use
