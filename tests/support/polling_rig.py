"""An API on loopback that tests bend as they like, and a poller in front of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from aiohttp import web

from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.fleet import Fleet, JobsSeen, Observation, Policy, SweepEnded, SweepFailed
from trainwave_exporter.model import ChangeListener, Fact, Job
from trainwave_exporter.polling import AccountPoller, Intervals, WatchScope
from trainwave_exporter.runtime.clock import Clock


class Wanted(NamedTuple):
    """Finished jobs whose details are wanted."""

    urgent: Sequence[str] = ()
    others: Sequence[str] = ()


class Api:
    """A service in the documented dialect, with a list of jobs that tests write to.

    Its switches are the doubts of the vendor's material: filters ignored, counts that are wrong.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.projects: list[dict[str, Any]] = [
            {"id": "p-1", "name": "vision", "organization": "o-1"}
        ]
        self.organizations: list[dict[str, Any]] = [
            {"id": "o-1", "name": "lab", "computed_credit_balance": 12345}
        ]
        self.offers: list[dict[str, Any]] = []
        self.bare = False
        """Whether answers come without an envelope, as in the deployed dialect."""
        self.details: dict[str, dict[str, Any]] = {}
        self.readings: dict[tuple[str, str], Any] = {}
        self.asked: Counter[str] = Counter()
        self.queries: list[dict[str, str]] = []
        self.page_cap = 100
        self.filter = "honoured"
        self.count_offset = 0
        self.offset_ignored = False
        self.hide_once: set[str] = set()
        self.failing: dict[str, int] = {}
        self.headers: dict[str, str] = {}
        """Of every good answer."""
        self.hold: asyncio.Event | None = None
        self.url = ""

    def add(self, job_id: str, state: str = "RUNNING", **fields: Any) -> None:
        """Put a job into the list, complete with what makes its details unneeded."""
        now = time.time()
        job: dict[str, Any] = {
            "id": job_id,
            "rid": job_id,
            "state": state,
            "project": "p-1",
            "name": job_id,
        }
        job |= {"gpus": 1, "cost_per_hour": 2.5, "total_cost": 1.0, "created_at": _iso(now - 60)}
        job |= {"started_at": None if state == "LAUNCHING" else _iso(now - 30)}
        self.jobs[job_id] = job | fields

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/jobs/", self._list_jobs)
        application.router.add_get("/jobs/{id}/", self._get_job)
        application.router.add_get("/projects/", self._list_projects)
        application.router.add_get("/organizations/", self._list_organizations)
        application.router.add_get("/offers/", self._list_offers)
        application.router.add_get("/metrics/{name}/", self._get_metric)
        return application

    async def _list_jobs(self, request: web.Request) -> web.Response:
        self.asked["jobs"] += 1
        self.queries.append(dict(request.query))
        if self.hold is not None:
            await self.hold.wait()
        if refusal := self._refusal("jobs"):
            return refusal
        found = list(self.jobs.values())
        if self.filter == "refused" and "status" in request.query:
            error = {"code": "bad_request", "message": "no such filter"}
            return web.json_response({"success": False, "error": error}, status=400)
        if request.query.get("status") == "running" and self.filter != "ignored":
            wanted = "RUNNING" if self.filter == "honoured" else "running"
            found = [job for job in found if job["state"] == wanted]
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        if self.offset_ignored:
            first = [found[n]["id"] for n in range(min(limit, self.page_cap, len(found)))]
            shown = [self.jobs[job_id] for job_id in first]
            return self._data({"next": "somewhere", "previous": None, "results": shown})
        page = found[offset : offset + min(limit, self.page_cap)]
        shown = [job for job in page if job["id"] not in self.hide_once]
        self.offset_ignored = False
        self.hide_once -= {job["id"] for job in page}
        return self._data(
            {
                "count": len(found) + self.count_offset,
                "next": None,
                "previous": None,
                "results": shown,
            }
        )

    async def _get_job(self, request: web.Request) -> web.Response:
        self.asked["job"] += 1
        job_id = request.match_info["id"]
        if refusal := self._refusal("job"):
            return refusal
        if job_id not in self.jobs:
            return web.json_response(
                {"success": False, "error": {"code": "not_found", "message": "no such job"}},
                status=404,
            )
        return self._data(self.jobs[job_id] | self.details.get(job_id, {}))

    async def _list_projects(self, _request: web.Request) -> web.Response:
        self.asked["projects"] += 1
        return self._refusal("projects") or self._data(self.projects)

    async def _list_organizations(self, _request: web.Request) -> web.Response:
        self.asked["organizations"] += 1
        return self._refusal("organizations") or self._data(self.organizations)

    async def _list_offers(self, _request: web.Request) -> web.Response:
        self.asked["offers"] += 1
        return self._refusal("offers") or self._data(self.offers)

    async def _get_metric(self, request: web.Request) -> web.Response:
        self.asked["metrics"] += 1
        if self.hold is not None:
            await self.hold.wait()
        if refusal := self._refusal("metrics"):
            return refusal
        name, job_id = request.match_info["name"], request.query["job_id"]
        return self._data(self.readings.get((name, job_id), {"value": 50.0}))

    def _data(self, data: Any) -> web.Response:
        whole = data if self.bare else {"success": True, "data": data}
        return web.json_response(whole, headers=self.headers)

    def _refusal(self, endpoint: str) -> web.Response | None:
        status = self.failing.get(endpoint)
        if status is None:
            return None
        error = {"code": "trouble", "message": "so it is"}
        return web.json_response({"success": False, "error": error}, status=status)


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class Watch:
    """A poller with its fleet, on a clock that tests can set forward."""

    def __init__(self, api: Api, **options: Any) -> None:
        self.api = api
        self.shift = 0.0
        self.facts: list[Fact] = []
        self.observations: list[Observation] = []
        share, limit = options.pop("share", 1.0), options.pop("limit", 100_000)
        clock = Clock(time=self.clock, monotonic=self.clock, random=Random(1))
        self.budget = RateBudget(share=share, initial_limit=limit, max_in_flight=16, clock=clock)
        self.client = Client(
            account="a",
            base_url=api.url,
            key=lambda: "key",
            budget=self.budget,
            observe=self.facts.append,
            clock=replace(clock, sleep=_at_once),
        )
        self.fleet = Fleet(
            accounts=("a",),
            policy=Policy(
                finished_retention=3600,
                staleness=300,
                directory_staleness=900,
                listed_at_least_every=1200,
                vanish_after_sweeps=3,
            ),
            observe=self.facts.append,
            now=self.clock(),
        )
        self.undescribed: list[str] = []
        self.urgent: list[str] = []
        self.poller = AccountPoller(
            account="a",
            client=self.client,
            budget=self.budget,
            fleet=self.fleet,
            report=self._report,
            observe=self.facts.append,
            scope=WatchScope(**options),
            intervals=Intervals(running=30, sweep=600, directory=300, readings=60),
            undescribed=lambda: Wanted(urgent=self.urgent, others=self.undescribed),
            clock=replace(clock, sleep=self._pause),
        )
        self.pauses: list[float] = []
        """Seconds that the poller waited between two batches of requests."""
        self.listeners: list[ChangeListener] = [self.poller.apply]

    def clock(self) -> float:
        return time.time() + self.shift

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await _at_once(seconds)

    async def run(self, *names: str) -> None:
        """Run loops once, by name, and wait for all they set going."""
        for name in names:
            (loop,) = (loop for loop in self.poller.loops if loop.name == name)
            await loop.run()
            await self.settle()

    async def settle(self) -> None:
        async with asyncio.timeout(10):
            await self.poller.settle()

    def error(self, name: str) -> str | None:
        (loop,) = (loop for loop in self.poller.loops if loop.name == name)
        return loop.last_error

    def stopped(self) -> set[str]:
        return {loop.name for loop in self.poller.loops if loop.stopped}

    def states(self) -> dict[str, str]:
        return {job.id: job.state for job in self.fleet.jobs("a")}

    def job(self, job_id: str) -> Job:
        job = self.fleet.job(job_id)
        assert job is not None
        return job

    def ended(self) -> list[SweepEnded | SweepFailed]:
        return [seen for seen in self.observations if isinstance(seen, SweepEnded | SweepFailed)]

    def walks(self) -> list[tuple[frozenset[str], bool, bool]]:
        """What successful walks came to: ids seen, full, complete."""
        ended = [seen for seen in self.observations if isinstance(seen, SweepEnded)]
        return [(each.seen, each.full, each.complete) for each in ended]

    def pages(self) -> list[JobsSeen]:
        return [seen for seen in self.observations if isinstance(seen, JobsSeen)]

    def _report(self, observation: Observation) -> None:
        self.observations.append(observation)
        changes = self.fleet.apply(observation, self.clock())
        for listener in self.listeners:
            listener(changes)


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)
