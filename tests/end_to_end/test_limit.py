"""A hundred requests a minute and sixty running jobs: the limit is kept, and states stay fresh."""

from __future__ import annotations

import time
from threading import Event

import pytest
from support.exporter import Exporter
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedWorld, Simulator

SECONDS = 110
OLDEST = 45


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(
    ("dialect", "page_cap", "history", "quirk"),
    [
        ("documented", 100, 150, None),
        ("deployed", 20, 150, "filter_ignored"),
        ("documented", 100, 150, "filter_empty"),
        ("deployed", 20, 300, "filter_empty"),
    ],
)
def test_the_limit_is_kept_and_states_and_costs_stay_fresh(
    dialect: str, page_cap: int, history: int, quirk: str | None
) -> None:
    world = SimulatedWorld(seed=7, jobs=75, history=history)  # a few of the jobs always wait to run
    simulator = Simulator(
        world,
        dialect=dialect,
        rate_limit=100,
        page_cap=page_cap,
        filter_ignored=quirk == "filter_ignored",
        filter_empty=quirk == "filter_empty",
    )
    began = time.monotonic()
    readings: list[tuple[dict[str, str], float]] = []
    ages: list[float] = []
    with (
        serving(simulator) as url,
        Exporter(f"--trainwave.api-url={url}", env={"TRAINWAVE_API_KEY": "demo-key"}) as exporter,
    ):
        exporter.wait_ready()
        pause = Event()
        while time.monotonic() - began < SECONDS:
            metrics = exporter.metrics()
            running = {
                labels["job_id"]
                for labels, value in metrics.all("trainwave_job_state", state="RUNNING")
                if value
            }
            assert len(running) >= 60
            confirmed = metrics.by(
                "job_id", "trainwave_job_readings_timestamp_seconds", metric="job"
            )
            ages.append(time.time() - min(confirmed[job_id] for job_id in running))
            readings = metrics.all("trainwave_job_cpu_utilization_ratio")
            pause.wait(1)
        stats = simulator.stats
        assert [at for at in stats.refused_times if at > began + 60] == []
        assert stats.busiest_minute <= 80
        assert max(ages) <= OLDEST
        assert readings  # what the lists left was put to use
        assert stats.busiest_minute >= 60
