"""Everything goes wrong at once, for long; then nothing works at all; then all is well again."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from threading import Event

import pytest
from support.exporter import AT_ONCE_SECONDS, Exporter, Metrics, wait_for
from support.simulated import Served, served

from trainwave_exporter.simulator import (
    Faults,
    SimulatedDialect,
    SimulatedWorld,
    Simulator,
    parse_faults,
)

SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "30"))
KEY = "endurance-key-5f3c9a"
STALENESS = 30
"""Seconds: several sweeps, of which one in twelve fails even after three tries of each page."""
FAULTS = "all=0.35,slow_for=4s"
CENT = 0.01
LIVE = ("SUBMIT_CODE", "LAUNCHING", "RUNNING", "UPLOADING")


class Ledger:
    """What each job may truly have cost lately, by the simulator's expected totals."""

    def __init__(self, api: Served, dialect: SimulatedDialect) -> None:
        self._api = api
        self._dialect = dialect
        self._dollars: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.live: set[str] = set()

    def write(self) -> None:
        expected_totals = self._api.do(lambda simulator: simulator.world.expected_totals())
        now = time.monotonic()
        first = not self._dollars
        for job in expected_totals.jobs.values():
            written = self._dollars[job.ids[self._dialect]]
            if not (first or written):  # it began since, and may have been seen then
                written.append((now, 0.0))
            written.append((now, job.total.dollars))
        self.live = {
            job.ids[self._dialect]
            for job in expected_totals.jobs.values()
            if job.state.name in LIVE
        }

    def check(self, exporter: Exporter, window: float) -> Metrics:
        """Assert that every cost shown was true within the last seconds; return all that is."""
        self.write()
        metrics = exporter.metrics()
        self.write()  # what is shown may be younger than what was written before
        since = time.monotonic() - window
        shown = metrics.by("job_id", "trainwave_job_cost_dollars")
        for job_id, dollars in shown.items():
            lately = [d for at, d in self._dollars[job_id] if at >= since]
            assert min(lately) - CENT <= dollars <= max(lately) + CENT, (job_id, dollars, lately)
        return metrics


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.parametrize("dialect", ["documented", "deployed"])
def test_no_fault_costs_a_job_or_a_cent(dialect: str) -> None:
    world = SimulatedWorld(seed=3, jobs=40, speed=20)
    simulator = Simulator(world, dialect=dialect, keys=(KEY,), rate_limit=100_000, page_cap=30)
    flags = (
        "--polling.running-interval=2s",
        "--polling.sweep-interval=6s",
        "--polling.directory-interval=5s",
        "--polling.readings-interval=5s",
        "--trainwave.timeout=2s",
        f"--fleet.staleness={STALENESS}s",
        "--fleet.finished-retention=7d",
        "--log.level=debug",
    )
    with (
        served(simulator) as api,
        Exporter(
            f"--trainwave.api-url={api.url}", *flags, env={"TRAINWAVE_API_KEY": KEY}
        ) as exporter,
    ):
        ledger = Ledger(api, SimulatedDialect(dialect))
        ledger.write()
        exporter.wait_ready()
        simulator.faults = parse_faults(FAULTS)
        pause = Event()
        began = time.monotonic()
        shown: set[str] = set()
        while (
            time.monotonic() - began < SECONDS or simulator.stats.by_fault.total() <= SECONDS
        ):  # a busy machine takes longer to meet as many
            metrics = ledger.check(exporter, window=60)
            assert len(metrics.all("trainwave_job_cost_dollars")) >= 40
            now_shown = set(metrics.by("job_id", "trainwave_job_info"))
            assert shown - now_shown == set(), "a job was lost"
            shown = now_shown
            pause.wait(0.5)
        assert len(simulator.stats.by_fault) == len(Faults(parse_faults(FAULTS).rates).rates)

        # Nothing works any more: after the bound, jobs are gone and the truth stays.
        simulator.faults = parse_faults("down=1")
        down = exporter.wait(
            lambda m: not m.all("trainwave_job_info"), "the jobs to go", STALENESS + 30
        )
        assert down.get("trainwave_up", account="default") == 0
        assert down.all("trainwave_job_cost_dollars") == []
        assert down.all("trainwave_jobs") == []

        # All is well again, without a restart.
        simulator.faults = Faults()
        ledger.write()
        back = exporter.wait(
            lambda m: (
                m.get("trainwave_up", account="default") == 1
                and ledger.live <= set(m.by("job_id", "trainwave_job_info"))
            ),
            "the jobs to return",
            90,
        )
        costs = ledger.check(exporter, window=60).all("trainwave_job_cost_dollars")
        assert len(costs) >= len(ledger.live)
        assert simulator.foreign_origin.keys == []
        log = "".join(exporter.raw_log)
        assert KEY not in log + back.text + exporter.get("/")[1]
        assert "Traceback" not in log
        per_minute = len(exporter.raw_log) / (time.monotonic() - began) * 60
        assert per_minute < 60, "a log storm"
        code, seconds = exporter.terminate()
        assert (code, seconds < AT_ONCE_SECONDS) == (0, True)
    wait_for(lambda: exporter.process.poll() is not None, "the process to end")
