"""Every fault at every endpoint that is read, in both dialects: what ``/metrics`` says of it.

The daemon is the real one; its loops are run by hand, on a clock that the test turns, against the
simulator. A fault must cost what it hits, be told, harm nothing else, and leave nothing behind.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from support.exporter import Metrics

from trainwave_exporter.config import load
from trainwave_exporter.daemon import Daemon
from trainwave_exporter.exposition import Format
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.simulator import Fault, Faults, SimulatedDialect, SimulatedWorld, Simulator
from trainwave_exporter.simulator.lifecycle import Status

START = 1_792_000_000
KEY = "matrix-key-4b1f"
READINGS = ("cpu", "memory", "network", "gpu_utilization", "gpu_memory", "disk")
LISTS = ("jobs", "projects", "organizations")
FULL = "MATRIX_FULL" in os.environ
"""Whether all six readings are tried, and not one for all: they take the same way."""
ENDPOINTS = (*LISTS, "job", *(f"metrics/{name}" for name in (READINGS if FULL else READINGS[:1])))
CASES = [
    (fault, dialect)
    for place, fault in enumerate(Fault)
    for turn, dialect in enumerate(SimulatedDialect)
    if FULL or place % 2 == turn
]
"""Every fault in both dialects, or in one of them by turns."""
EXPECTED = {
    Fault.TOO_MANY_REQUESTS: {"rate_limited"},
    Fault.SERVER_ERROR: {"server_error"},
    Fault.SLOW: {"timeout"},
    Fault.RESET: {"connection"},
    Fault.HALF_BODY: {"connection", "not_json"},
    Fault.WRONG_JSON: {"unexpected_shape", "ok"},
    Fault.HTML: {"not_json"},
    Fault.NULL_DATA: {"unexpected_shape"},
    Fault.SUCCESS_FALSE: {"bad_request", "unexpected_shape", "ok"},
    Fault.SHIFT: {"ok"},
    Fault.UNKNOWN_STATE: {"ok"},
    Fault.REDIRECT: {"redirect"},
    Fault.DOWN: {"connection"},
}
"""What a fault may be counted as. Of a reading's JSON no form is wrong, only unreadable; without
an envelope, what says nothing but ``error`` is just another form."""
LISTED = {"memory", "gpu_utilization"}
"""Readings that lists of jobs bring along, so that few or none are asked for."""
HARMLESS = {Fault.SHIFT, Fault.UNKNOWN_STATE}
REQUESTS = "trainwave_exporter_api_requests_total"
SUCCESS = "trainwave_exporter_loop_last_success_timestamp_seconds"


class Rounds:
    """A daemon whose loops a test runs."""

    def __init__(self, simulator: Simulator, url: str, patience: str) -> None:
        self.now = float(START)
        self.simulator = simulator
        flags = {
            "trainwave.api_url": url,
            "trainwave.timeout": patience,
            "trainwave.initial_rate_limit": "100000",
            "trainwave.rate_limit_share": "1",
            "storage.path": ":memory:",
            "fleet.staleness": "1d",
            "fleet.finished_retention": "7d",
        }
        self.daemon = Daemon(
            load(flags, {}, None),
            {"default": Key()},
            clock=Clock(time=self.clock, monotonic=self.clock, sleep=_skip_short, random=Random(1)),
        )
        self._loops = {loop.name: loop for loop in self.daemon.loops}
        (self._watch,) = self.daemon.runtimes

    def clock(self) -> float:
        return self.now

    async def round(self) -> Metrics:
        """Let a quarter of an hour pass, and do all that is due; return what a scrape would get."""
        self.now += 900
        self._end_a_job()
        # First the running list, which misses that job: so its details are asked for.
        for name in ("running", "readings", "sweep", "directory", "readings"):
            if name == "readings":
                await self._read_all()
            else:
                await self._finish({asyncio.ensure_future(self._loops[name].run())})
        for name in ("housekeeping", "ledger", "publication"):
            await self._loops[name].run()
        body = b"".join(self.daemon.exposition.answer.plain(Format.TEXT))
        return Metrics(body.decode())

    def _end_a_job(self) -> None:
        world = self.simulator.world
        world.advance()
        running = world.select(None, Status.RUNNING)
        world.stop(world.jobs[running[0]])

    async def _read_all(self) -> None:
        before = -1.0
        while before != (before := self._asked()):
            await self._loops["readings"].run()
            await self._finish({asyncio.ensure_future(self._watch.poller.settle())})

    def _asked(self) -> float:
        return float(self.simulator.stats.requests)

    async def _finish(self, tasks: set[asyncio.Future[None]]) -> None:
        """Wait for tasks; while a refusal blocks them, let that time pass at once."""
        while tasks:
            _, tasks = await asyncio.wait(tasks, timeout=0.05)
            if tasks and self._watch.budget.blocked_for:
                self.now += self._watch.budget.blocked_for + 61
                self._watch.budget.reserve("nothing", 0)  # has it look at the clock


async def _skip_short(seconds: float) -> None:
    """Wait, but not where requests are only spread over the second.

    The clock stands still meanwhile: what is answered then would turn it, and more become due.
    """
    if seconds > 1:
        await asyncio.sleep(seconds)


class Key:
    """A source of the key."""

    secrets = ()

    def __call__(self) -> str:
        return KEY


@asynccontextmanager
async def rounds(dialect: SimulatedDialect, patience: str) -> AsyncIterator[Rounds]:
    made: list[Rounds] = []
    world = SimulatedWorld(
        seed=4, jobs=8, history=3, start=START, clock=lambda: made[0].now if made else START
    )
    simulator = Simulator(world, dialect=dialect, keys=(KEY,), rate_limit=None, random=Random(2))
    async with simulator.serve() as url:
        made.append(Rounds(simulator, url, patience))
        daemon = made[0].daemon
        await daemon._ledger.open()
        daemon.exposition.apply(daemon._fleet.introduce())
        yield made[0]
        await made[0]._watch.poller.stop()
        await daemon._ledger.close()


def counted(metrics: Metrics) -> Counter[tuple[str, str]]:
    return Counter(
        {
            (labels["endpoint"], labels["outcome"]): int(value)
            for labels, value in metrics.all(REQUESTS)
        }
    )


def read_at(metrics: Metrics, reading: str) -> dict[str, float]:
    return metrics.by("job_id", "trainwave_job_readings_timestamp_seconds", metric=reading)


def shown(metrics: Metrics) -> set[str]:
    return set(metrics.by("job_id", "trainwave_job_info"))


@pytest.mark.parametrize(("fault", "dialect"), CASES)
async def test_a_fault_is_reported_and_costs_nothing_but_what_it_hits(
    fault: Fault, dialect: SimulatedDialect
) -> None:
    patience = "1s" if fault is Fault.SLOW else "10s"
    async with rounds(dialect, patience) as world:
        await world.round()
        before = await world.round()
        for endpoint in ENDPOINTS:
            world.simulator.faults = Faults({fault: 1.0}, slow_for=60)
            world.simulator.faulty = {endpoint}
            during = await world.round()
            world.simulator.faults = Faults()
            after = await world.round()
            check_during(fault, endpoint, before, during)
            check_after(endpoint, during, after, world.now)
            before = after
        assert world.simulator.foreign_origin.keys == []
        # It reads, and nothing else: whatever goes wrong, no job is made or stopped.
        assert world.simulator.stats.by_endpoint.keys().isdisjoint({"create", "stop", "other"})


def check_during(fault: Fault, endpoint: str, before: Metrics, during: Metrics) -> None:
    told = counted(during) - counted(before)
    of_fault = {outcome for where, outcome in told if where == endpoint}
    assert of_fault or endpoint.partition("/")[2] in LISTED, f"{endpoint} was not asked"
    assert of_fault <= EXPECTED[fault], endpoint
    assert {outcome for where, outcome in told if where != endpoint} <= {"ok"}, endpoint
    fails = fault not in HARMLESS
    # An error is no empty fleet, and only the list of jobs says whether all is known.
    assert shown(before) <= shown(during)
    assert during.get("trainwave_up", account="default") == float(
        not (fails and endpoint == "jobs")
    )
    for kind in ("project", "organization"):
        name = f"trainwave_{kind}_info"
        assert during.by(f"{kind}_id", name) == before.by(f"{kind}_id", name)
    if fault is Fault.UNKNOWN_STATE and endpoint == "jobs":
        unknown = "trainwave_exporter_unknown_states_total"
        assert sum(v for _, v in during.all(unknown)) > sum(v for _, v in before.all(unknown))
    reading = endpoint.partition("/")[2]
    for name in READINGS:
        stale = read_at(before, name)
        advanced = any(at > stale.get(job, 0) for job, at in read_at(during, name).items())
        if name == reading and fails:
            assert name in LISTED or not advanced, f"{name} was read"
        elif not (fails and endpoint == "jobs"):  # otherwise nothing else is asked
            assert advanced, f"{name} was not read"


def check_after(endpoint: str, during: Metrics, after: Metrics, now: float) -> None:
    told = counted(after) - counted(during)
    assert {outcome for _, outcome in told} == {"ok"}, endpoint
    assert after.get("trainwave_up", account="default") == 1
    finished = after.by("loop", SUCCESS, account="default")
    assert {finished[loop] for loop in ("running", "sweep", "directory")} == {now}
