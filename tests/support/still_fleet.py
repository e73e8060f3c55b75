"""A fleet whose readings stand still until they change at once, and the exporter in front of it.

The API is written from the vendor's material alone and shares nothing with the package's simulator,
whose readings always move. It speaks either dialect over HTTP on loopback, limits requests by a
fixed minute or by the minute just gone, and refuses what is beyond. Time is turned by hand, second
by second, so that minutes take seconds and every run is the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from math import ceil
from random import Random
from typing import Any, Final, Literal

from aiohttp import web

from support.fake_time import FakeTime, settle
from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.config import Settings
from trainwave_exporter.fleet import Fleet, Observation, Policy, TimePassed
from trainwave_exporter.ledger.billing.stored_records import UndescribedJobs
from trainwave_exporter.model import Fact, Metric, ReadingReplaced
from trainwave_exporter.polling import AccountPoller, Intervals, WatchScope

Dialect = Literal["documented", "deployed"]
Window = Literal["fixed", "sliding"]

LIMIT: Final = 100
ALLOWED: Final = 80
"""Requests a minute that the exporter may send by default: 80 % of the limit."""
START: Final = 1_700_000_040.0
"""At a full minute, so that fixed windows begin with the run."""
_BUSY: Final = 90.0
_STILL: Final = {
    "cpu": 40.0,
    "memory": 8.0,
    "network": 1e6,
    "gpu_memory": 12.0,
    "disk": 2e6,
}


@dataclass
class StillJob:
    """A job whose GPUs are all at 90 % until ``idle_from``, then all at 0."""

    id: str
    gpus: int
    price: float
    idle_from: float = float("inf")
    """Unix seconds."""
    finished: bool = False

    def reading(self, metric: str, now: float, *, all_change: bool) -> Any:
        """Return what the metric endpoint answers; ``all_change``: not GPU utilization alone."""
        idle = now >= self.idle_from
        if metric == "gpu_utilization":
            value = 0.0 if idle else _BUSY
            return {str(gpu): value for gpu in range(self.gpus)} if self.gpus > 1 else value
        return 0.0 if idle and all_change else _STILL[metric]


@dataclass
class StillApi:
    """The service. ``others``: requests a second that somebody else makes with the same key."""

    dialect: Dialect
    time: FakeTime
    jobs: Sequence[StillJob]
    window: Window = "fixed"
    all_change: bool = False
    others: float = 0.0
    requests: list[float] = field(default_factory=list)
    """When each request of the exporter came."""
    refused: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    _used: deque[float] = field(default_factory=deque)
    _others_since: float = START

    def __post_init__(self) -> None:
        self._by_id = {job.id: job for job in self.jobs}

    def application(self) -> web.Application:
        """Return the endpoints."""
        application = web.Application(middlewares=[self._limit])
        application.router.add_get("/jobs/", self._list_jobs)
        application.router.add_get("/jobs/{id}/", self._get_job)
        application.router.add_get("/projects/", self._list_projects)
        application.router.add_get("/organizations/", self._list_organizations)
        application.router.add_get("/metrics/{name}/", self._get_metric)
        return application

    @web.middleware
    async def _limit(self, request: web.Request, handler: Any) -> web.StreamResponse:
        now = self.time.now
        self.requests.append(now)
        while self.others and self._others_since + 1 / self.others <= now:
            self._others_since += 1 / self.others
            self._used.append(self._others_since)
        begin = now // 60 * 60 if self.window == "fixed" else now - 60
        while self._used and (self._used[0] < begin or self._used[0] <= now - 60):
            self._used.popleft()
        if len(self._used) >= LIMIT:
            self.refused += 1
            answer: web.StreamResponse = web.json_response({"detail": "too many"}, status=429)
        else:
            self._used.append(now)
            answer = await handler(request)
        reset = begin + 60 if self.window == "fixed" else now + 60
        answer.headers["X-RateLimit-Limit"] = str(LIMIT)
        answer.headers["X-RateLimit-Remaining"] = str(max(0, LIMIT - len(self._used)))
        answer.headers["X-RateLimit-Reset"] = str(ceil(reset))
        answer.headers["Date"] = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
        return answer

    async def _list_jobs(self, request: web.Request) -> web.Response:
        self.asked["jobs"] += 1
        status = request.query.get("status")
        found = [job for job in self.jobs if not (status == "running" and job.finished)]
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        return self._page([self._job(job) for job in found[offset : offset + limit]], len(found))

    async def _get_job(self, request: web.Request) -> web.Response:
        self.asked["job"] += 1
        found = self._by_id[request.match_info["id"]]
        return self._data(self._job(found, details=True))

    async def _list_projects(self, _: web.Request) -> web.Response:
        self.asked["projects"] += 1
        return self._page([{"id": "p-1", "rid": "vision", "name": "Vision"}], 1)

    async def _list_organizations(self, _: web.Request) -> web.Response:
        self.asked["organizations"] += 1
        return self._page([{"id": "o-1", "rid": "acme", "name": "Acme"}], 1)

    async def _get_metric(self, request: web.Request) -> web.Response:
        metric, job_id = request.match_info["name"], request.query["job_id"]
        self.asked[metric] += 1
        value = self._by_id[job_id].reading(metric, self.time.now, all_change=self.all_change)
        return self._data(value if isinstance(value, dict) else {"value": value})

    def _job(self, job: StillJob, *, details: bool = False) -> dict[str, Any]:
        hours = (self.time.now - START) / 3600 + 1
        shown: dict[str, Any] = {"id": job.id, "rid": job.id, "created_at": _iso(START - 3660)}
        hardware = {"gpu_type": "RTX A5000", "gpus": job.gpus}
        if self.dialect == "deployed":
            return shown | {
                "state": "SUCCESS" if job.finished else "RUNNING",
                "project": {"id": "p-1", "rid": "vision", "name": "Vision"},
                "config": {"id": "c-1", "rid": "c-1", "name": job.id, "cpus": 8, **hardware},
                "cloud_offer": {
                    "cpus": 8,
                    "memory_mb": 64_000,
                    "gpu_memory_mb": 24_000,
                    **hardware,
                },
                "cost_per_hour": job.price,
                "total_cost": round(100 * job.price * hours),
            }
        shown |= {
            "state": "COMPLETED" if job.finished else "RUNNING",
            "project": "p-1",
            "owner": {"id": "u-1", "email": "ada@example.com", "username": "ada"},
            "total_cost": job.price * hours,
            "gpu_hours": job.gpus * hours,
        }
        if not job.finished:
            utilization = 0.0 if self.time.now >= job.idle_from else _BUSY
            shown["metrics"] = {"gpu_utilization": utilization, "memory_usage": _STILL["memory"]}
        if details:
            shown |= {"name": job.id, "cost_per_hour": job.price, "cpu_cores": 8, "memory_gb": 64}
            shown |= hardware | {"started_at": _iso(START - 3600)}
            shown |= {"finished_at": _iso(START - 60) if job.finished else None}
        return shown

    def _page(self, found: list[dict[str, Any]], count: int) -> web.Response:
        return self._data({"count": count, "next": None, "previous": None, "results": found})

    def _data(self, data: Any) -> web.Response:
        documented = self.dialect == "documented"
        return web.json_response({"success": True, "data": data} if documented else data)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class StillWatch:
    """The exporter's poller, client, budget and fleet with all defaults, stepped by seconds."""

    def __init__(self, api: StillApi, url: str, history: Sequence[str] = ()) -> None:
        """``history`` names jobs that are not shown and whose details are wanted."""
        self.api = api
        self._time = time = api.time
        settings = Settings()
        polling = settings.polling
        self._budget = RateBudget(clock=time.as_clock())
        self.fleet = Fleet(
            accounts=("a",),
            policy=Policy(
                finished_retention=settings.fleet.finished_retention,
                staleness=settings.fleet.staleness,
                directory_staleness=900,
                listed_at_least_every=1200,
                vanish_after_sweeps=settings.fleet.vanish_after_sweeps,
            ),
            observe=lambda _: None,
            now=time.now,
        )
        client = Client(
            account="a",
            base_url=url,
            key=lambda: "key",
            budget=self._budget,
            observe=lambda _: None,
            clock=time.as_clock(),
        )
        self.poller = AccountPoller(
            account="a",
            client=client,
            budget=self._budget,
            fleet=self.fleet,
            report=self._report,
            observe=self._observe,
            scope=WatchScope(),
            intervals=Intervals(
                running=polling.running_interval,
                sweep=polling.sweep_interval,
                directory=polling.directory_interval,
                readings=polling.readings_interval,
            ),
            undescribed=lambda: UndescribedJobs(others=history),
            clock=time.as_clock(),
        )
        self.second = 0
        self.delays: dict[str, int] = {}
        """Seconds from each job's going idle until it was shown."""
        self.ages: dict[Metric, list[float]] = {metric: [] for metric in Metric}
        """Of each reading that was replaced: how old it had become."""
        self._loops: set[asyncio.Task[None]] = set()

    async def run(self, seconds: int) -> None:
        """Let so many seconds pass."""
        for _ in range(seconds):
            for loop in self.poller.loops:
                if self.second % int(loop.interval) == 0:
                    task = asyncio.create_task(loop.run())
                    self._loops.add(task)
                    task.add_done_callback(self._loops.discard)
            if self.second % 5 == 0:
                self._report(TimePassed({"a": max(300.0, self.poller.readings_max_age)}))
            await settle()
            while self._budget._in_flight:
                await settle()
            self.second += 1
            self._look()
            await self._time.advance(1)

    async def stop(self) -> None:
        """End all that is under way."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.poller.stop()

    def unread(self) -> int:
        """Return how many readings of running jobs were never answered."""
        return sum(
            job.readings.get(metric) is None
            for job in self.fleet.jobs("a")
            if job.running
            for metric in Metric
        )

    def oldest(self, metric: Metric) -> float:
        """Return the age of the oldest reading of a running job, shown or not."""
        return max(
            self._time.now - (START if reading is None else reading.at)
            for job in self.fleet.jobs("a")
            if job.running
            for reading in [job.readings.get(metric)]
        )

    def _look(self) -> None:
        """Note which idle jobs are shown so by now, at the end of a second."""
        for job in self.api.jobs:
            if job.id in self.delays or self._time.now < job.idle_from:
                continue
            known = self.fleet.job(job.id)
            reading = None if known is None else known.readings.get(Metric.GPU_UTILIZATION)
            if reading is not None and all(point.value < 0.05 for point in reading.points):
                self.delays[job.id] = int(self._time.now + 1 - job.idle_from)

    def _observe(self, fact: Fact) -> None:
        if isinstance(fact, ReadingReplaced):
            self.ages[fact.metric].append(fact.age)

    def _report(self, observation: Observation) -> None:
        self.poller.apply(self.fleet.apply(observation, self._time.now))


def still_jobs(number: int, idle_between: tuple[float, float], seed: int) -> list[StillJob]:
    """Return running jobs of 1, 2, 4 and 8 GPUs that go idle at random within these seconds."""
    random = Random(seed)
    jobs = []
    for n in range(number):
        gpus = random.choice((1, 1, 2, 4, 8))
        idle_from = START + random.randint(*map(int, idle_between))
        price = gpus * random.choice((0.5, 2.5, 4.5))
        jobs.append(StillJob(f"j-{n:03}", gpus, price, idle_from))
    return jobs


@asynccontextmanager
async def watched(api: StillApi, history: Sequence[str] = ()) -> AsyncIterator[StillWatch]:
    """Serve the API on loopback and put the exporter in front of it."""
    runner = web.AppRunner(api.application(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    watch = StillWatch(api, f"http://{host}:{port}", history)
    try:
        yield watch
    finally:
        await watch.stop()
        await runner.cleanup()
