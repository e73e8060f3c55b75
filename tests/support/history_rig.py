"""An exporter's first start on a long history: an API on loopback, and a clock that is stepped.

The API is written from the vendor's reference, in both of its dialects. It knows nothing of bounds
or budgets; what the jobs cost within a month is worked out by whoever describes them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct

from support.fake_time import FakeTime, settle
from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.config import Settings
from trainwave_exporter.daemon.wiring import policy
from trainwave_exporter.fleet import Fleet, Observation, TimePassed
from trainwave_exporter.ledger import Budget, Ledger, LedgerOptions, Store, WatchedScope
from trainwave_exporter.model import (
    Appeared,
    BudgetStatus,
    Change,
    Changed,
    Departed,
    Record,
    UnknownFigure,
)
from trainwave_exporter.polling import AccountPoller, Intervals, WatchScope


class PastJob(Struct, frozen=True, kw_only=True):
    """A job that ran for so many hours; times are UTC, such as 2026-10-31T20:00."""

    created: str
    started: str
    hours: float
    gpus: int = 8
    gpu_dollars: float = 2.0
    """What one GPU costs in an hour."""

    @property
    def began_at(self) -> float:
        """When it began to run, Unix seconds."""
        return unix(self.started)

    @property
    def ended_at(self) -> float:
        """When it ended."""
        return self.began_at + 3600 * self.hours

    @property
    def price(self) -> float:
        """What it costs in an hour."""
        return self.gpus * self.gpu_dollars


def unix(text: str) -> float:
    """Return the Unix time of a time of day in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def iso(at: float) -> str:
    """Return a Unix time as the API spells it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class HistoryApi:
    """The service, with finished jobs, newest first, and some that run and cost nothing."""

    def __init__(
        self,
        jobs: Iterable[PastJob],
        *,
        deployed: bool,
        time: FakeTime,
        limit: int = 100,
        page_cap: int = 100,
        running: int = 0,
    ) -> None:
        self._deployed = deployed
        self._time = time
        self._limit = limit
        self._page_cap = page_cap
        past = sorted(jobs, key=lambda job: job.created, reverse=True)
        self._jobs = {f"j-{number}": job for number, job in enumerate(past)}
        self._running = [f"j-run-{number}" for number in range(running)]
        self._sent: deque[float] = deque()
        self.most_in_a_minute = 0
        self.asked: Counter[str] = Counter()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/jobs/", self._list)
        application.router.add_get("/jobs/{id}/", self._detail)
        application.router.add_get("/{name}/", self._empty)
        application.router.add_get("/metrics/{name}/", self._reading)
        return application

    async def _list(self, request: web.Request) -> web.Response:
        self._count("list")
        ids = list(self._running)
        if request.query.get("status") != "running":
            ids += self._jobs
        offset = int(request.query.get("offset", "0"))
        size = min(int(request.query.get("limit", "20")), self._page_cap)
        page = ids[offset : offset + size]
        more = "somewhere" if offset + size < len(ids) else None
        results = [self._told(job_id, detail=False) for job_id in page]
        return self._answer({"count": len(ids), "next": more, "previous": None, "results": results})

    async def _detail(self, request: web.Request) -> web.Response:
        self._count("detail")
        return self._answer(self._told(request.match_info["id"], detail=True))

    async def _empty(self, _request: web.Request) -> web.Response:
        self._count("directory")
        return self._answer({"count": 0, "next": None, "previous": None, "results": []})

    async def _reading(self, _request: web.Request) -> web.Response:
        self._count("reading")
        return self._answer({"value": 50.0})

    def _told(self, job_id: str, *, detail: bool) -> dict[str, Any]:
        job = self._jobs.get(job_id)
        gpus, price, cost, hours = 1, 0.0, 0.0, 1.0
        created = iso(self._time.now - 3600)
        if job is not None:
            gpus, price, hours = job.gpus, job.price, job.gpus * job.hours
            cost, created = job.price * job.hours, iso(unix(job.created))
        state = "RUNNING" if job is None else "SUCCESS" if self._deployed else "COMPLETED"
        told: dict[str, Any] = {"id": job_id, "rid": job_id, "state": state, "created_at": created}
        if self._deployed:
            return told | {
                "project": {"id": "p-1", "rid": "vision", "name": "Vision"},
                "config": {"id": "c", "rid": "c", "name": job_id, "expires_at": -1},
                "cloud_offer": {"cpus": 8, "memory_mb": 65536, "gpu_type": "H100", "gpus": gpus},
                "total_cost": round(100 * cost),
                "cost_per_hour": price,
            }
        told |= {"project": "p-1", "total_cost": cost}
        if not detail:
            return told | {"owner": {"id": "u-1", "username": "ada"}, "gpu_hours": hours}
        times: dict[str, Any] = {"started_at": created, "finished_at": None}
        if job is not None:
            times = {"started_at": iso(job.began_at), "finished_at": iso(job.ended_at)}
        hardware = {"name": job_id, "gpu_type": "H100", "gpus": gpus, "cpu_cores": 8}
        return told | times | hardware | {"memory_gb": 64, "cost_per_hour": price}

    def _answer(self, data: dict[str, Any]) -> web.Response:
        body = data if self._deployed else {"success": True, "data": data}
        return web.json_response(body, headers={"X-RateLimit-Limit": str(self._limit)})

    def _count(self, kind: str) -> None:
        self.asked[kind] += 1
        self._sent.append(self._time.now)
        while self._sent[0] <= self._time.now - 60:
            self._sent.popleft()
        self.most_in_a_minute = max(self.most_in_a_minute, len(self._sent))


class FirstStart:
    """The real poller, fleet and ledger, second by second."""

    def __init__(
        self, api: HistoryApi, time: FakeTime, url: str, budgets: Sequence[Budget]
    ) -> None:
        self.api = api
        self._time = time
        self._began_at = time.now
        self._shown: dict[tuple[type, str], Record] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        settings = Settings()
        self._budget = RateBudget(clock=time.as_clock())
        self._fleet = Fleet(
            accounts=("a",), policy=policy(settings), observe=lambda _: None, now=time.now
        )
        self._ledger = Ledger(
            open_store=partial(Store.open, None),
            options=LedgerOptions(budgets=tuple(budgets), accounts={"a": WatchedScope()}),
            publish=self._show,
            observe=lambda _: None,
            clock=time.as_clock(),
        )
        polling = settings.polling
        self._client = Client(
            account="a",
            base_url=url,
            key=lambda: "key",
            budget=self._budget,
            observe=lambda _: None,
            clock=time.as_clock(),
        )
        self._poller = AccountPoller(
            account="a",
            client=self._client,
            budget=self._budget,
            fleet=self._fleet,
            report=self._report,
            observe=lambda _: None,
            scope=WatchScope(),
            intervals=Intervals(
                running=polling.running_interval,
                sweep=polling.sweep_interval,
                directory=polling.directory_interval,
                readings=polling.readings_interval,
            ),
            undescribed=partial(self._ledger.undescribed, "a"),
            clock=time.as_clock(),
        )

    @property
    def minutes(self) -> float:
        """How long ago it began."""
        return (self._time.now - self._began_at) / 60

    async def second(self) -> None:
        """Let a second go by."""
        number = round(self._time.now - self._began_at)
        for loop in self._poller.loops:
            if number % int(loop.interval) == 0:
                self._spawn(loop.run())
        await self._settle()
        if number % 5 == 0:
            self._report(TimePassed({"a": max(300.0, self._poller.readings_max_age)}))
            await self._ledger.run()
        await self._time.advance(1)
        await self._settle()

    async def until(self, minutes: float) -> None:
        """Let time go by until so many minutes after the start."""
        while self.minutes < minutes:
            await self.second()

    def budget(self, name: str = "all") -> BudgetStatus | None:
        """Return what is shown of a budget."""
        found = self._shown.get((BudgetStatus, name))
        assert found is None or isinstance(found, BudgetStatus)
        return found

    def unknown(self, figure: str) -> set[str]:
        """Return the reasons for which a figure is unknown."""
        return {
            record.reason
            for record in self._shown.values()
            if isinstance(record, UnknownFigure) and record.figure == figure
        }

    async def close(self) -> None:
        """Stop all of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._poller.stop()
        await self._ledger.close()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self) -> None:
        await settle()
        while self._budget._in_flight:
            await settle()

    def _report(self, observation: Observation) -> None:
        changes = self._fleet.apply(observation, self._time.now)
        self._ledger.apply(changes)
        self._poller.apply(changes)

    def _show(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Appeared(record) | Changed(_, record):
                    self._shown[type(record), record.key] = record
                case Departed(record):
                    del self._shown[type(record), record.key]
                case _:
                    pass


@asynccontextmanager
async def first_start(
    jobs: Iterable[PastJob], now: str, budgets: Sequence[Budget], **options: Any
) -> AsyncIterator[FirstStart]:
    """Start on a history at a time; ``options``: those of `HistoryApi`."""
    time = FakeTime(unix(now))
    api = HistoryApi(jobs, time=time, **options)
    server = TestServer(api.application())
    await server.start_server()
    started = FirstStart(api, time, str(server.make_url("")).rstrip("/"), budgets)
    try:
        yield started
    finally:
        await started.close()
        await server.close()
