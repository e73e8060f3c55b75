"""The simulator as a server: keys, the rate limit and faults around the endpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from math import ceil
from random import Random
from typing import TypeAlias

from aiohttp import web

from trainwave_exporter.simulator.catalogue import Owner
from trainwave_exporter.simulator.dialects import RENDERERS
from trainwave_exporter.simulator.endpoints import CALLER, FAULT, ROOT, Endpoints, ProblemError
from trainwave_exporter.simulator.fault_responses import hang_up, instead, spoil
from trainwave_exporter.simulator.faults import Fault, Faults
from trainwave_exporter.simulator.foreign_origin import ForeignOrigin
from trainwave_exporter.simulator.ids import SimulatedDialect
from trainwave_exporter.simulator.limits import LimitDecision, LimitWindow, RateLimiter
from trainwave_exporter.simulator.shapes import Shape
from trainwave_exporter.simulator.stats import Stats
from trainwave_exporter.simulator.world import SimulatedWorld

_STRANGER = ""
"""Stands for all keys that are not valid: they share one limit."""
_NOT_A_KEY = ("invalid_api_key", "The provided API key is invalid or expired")
_SHUTDOWN_SECONDS = 0.1

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who a key belongs to."""

    label: str
    owner: Owner


class Simulator:
    """A Trainwave on a port of this machine.

    ``keys`` are the valid API keys, with a label for each in `stats` where a mapping is given.
    ``rate_limit`` is requests a minute for each key (None: no limit). `faults`, `faulty` and
    `rate_limit` may be changed while it serves. ``wall`` (Unix seconds) and ``monotonic`` are real
    time, which the rate limit and `stats` go by; the world has a clock of its own.
    """

    def __init__(
        self,
        world: SimulatedWorld,
        *,
        dialect: SimulatedDialect | str = SimulatedDialect.DOCUMENTED,
        keys: Mapping[str, str] | Iterable[str] = ("demo-key",),
        rate_limit: int | None = 100,
        window: LimitWindow | str = LimitWindow.FIXED,
        retry_after: bool = True,
        faults: Faults | None = None,
        page_cap: int = 100,
        filter_ignored: bool = False,
        filter_empty: bool = False,
        metric_shape: Shape | str = Shape.MIXED,
        random: Random | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.world = world
        self.faults = faults or Faults()
        self.faulty: Collection[str] | None = None
        """The endpoints, as `stats` names them, that `faults` happen to; None: all."""
        self.stats = Stats()
        self.foreign_origin = ForeignOrigin()
        """The other origin that the redirect fault leads to."""
        self._holders: dict[str, _Holder] = {}
        labels = keys.items() if isinstance(keys, Mapping) else ((key, None) for key in keys)
        for key, label in labels:
            self.add_key(key, label)
        self._limiter = RateLimiter(rate_limit, LimitWindow(window))
        self._retry_after = retry_after
        self._random = random or Random(world.seed)
        self._wall = wall
        self._monotonic = monotonic
        self._sleep = sleep
        self._renderer = RENDERERS[SimulatedDialect(dialect)]
        self._endpoints = Endpoints(
            world,
            self._renderer,
            page_cap=page_cap,
            filter_ignored=filter_ignored,
            filter_empty=filter_empty,
            shape=Shape(metric_shape),
            random=self._random,
        )
        self._names: dict[tuple[str, str], str] = {}

    # What may be changed while it serves (and `faults`)

    @property
    def rate_limit(self) -> int | None:
        """Requests a minute for each key; None for no limit."""
        return self._limiter.limit

    @rate_limit.setter
    def rate_limit(self, limit: int | None) -> None:
        self._limiter.limit = limit

    def add_key(self, key: str, label: str | None = None) -> None:
        """Make ``key`` valid; it belongs to one of the world's people."""
        owners = self.world.catalogue.owners
        place = len(self._holders)
        self._holders[key] = _Holder(label or f"key-{place + 1}", owners[place % len(owners)])

    def revoke_key(self, key: str) -> None:
        """Make ``key`` invalid; raises KeyError when it is so already."""
        del self._holders[key]

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while the context lasts; give the API's base URL, without a slash at its end.

        Port 0 is a free one. Raises OSError when the port is taken.
        """
        async with _listening(self.foreign_origin.application(), host, 0) as elsewhere:
            self.foreign_origin.url = elsewhere
            async with _listening(self._application(), host, port) as origin:
                yield origin + ROOT

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._receive])
        for name, method, path, handler in self._endpoints.routes():
            application.router.add_route(method, ROOT + path, handler)
            self._names[method, ROOT + path] = name
        return application

    @web.middleware
    async def _receive(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request: the one way through, for every request there is."""
        key = request.headers.get("X-API-KEY", "")
        holder = self._holders.get(key)
        endpoint = self._name(request)
        self.stats.arrive(endpoint, holder.label if holder else "", self._monotonic())
        faults = self.faults if self.faulty is None or endpoint in self.faulty else Faults()
        fault = faults.draw(self._random)
        status = 0
        try:
            if fault is Fault.DOWN:
                self.stats.by_fault[fault] += 1
                hang_up(request, reset=True)
                return web.Response()
            verdict = self._limiter.charge(key if holder else _STRANGER, self._wall())
            response: web.StreamResponse
            if verdict is not None and not verdict.allowed:
                response, fault = self._too_many(verdict), None
            elif holder is None:
                response, fault = self._error(401, *_NOT_A_KEY), None
            else:
                request[CALLER] = holder.owner
                response = await self._answer(request, handler, fault, faults.slow_for)
            response.headers.update(self._headers(verdict, faults.skew))
            delivered = await spoil(fault, request, response, self._random)
            if delivered is response:
                status = response.status
            return delivered
        finally:
            self.stats.leave(status, self._monotonic())

    def _name(self, request: web.Request) -> str:
        """Name the endpoint that a request is for."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource else ""
        return self._names.get((request.method, path), "other")

    def _too_many(self, verdict: LimitDecision) -> web.Response:
        wait = max(1, ceil(verdict.reset - self._wall()))
        return self._error(
            429,
            "rate_limit_exceeded",
            f"Too many requests. Expected available in {wait} seconds.",
            {"Retry-After": str(wait)} if self._retry_after else {},
        )

    async def _answer(
        self, request: web.Request, handler: Handler, fault: Fault | None, slow_for: float
    ) -> web.StreamResponse:
        if fault is not None:
            self.stats.by_fault[fault] += 1
            request[FAULT] = fault
        if fault is Fault.SLOW:
            await self._sleep(slow_for)
        elsewhere = self.foreign_origin.url + request.path
        answer = instead(fault, self._renderer, self._random, elsewhere)
        if answer is not None:
            return answer
        try:
            return await handler(request)
        except ProblemError as problem:
            return self._error(problem.status, problem.code, problem.message)
        except web.HTTPNotFound:
            if await _exists_with_slash(request):
                location = str(request.rel_url.with_path(request.path + "/", keep_query=True))
                return web.Response(status=301, headers={"Location": location})
            return self._error(404, "not_found", "Not found")
        except web.HTTPException as refusal:  # 405, and 413 for a body without end
            code = refusal.reason.lower().replace(" ", "_")
            allow = {k: v for k, v in refusal.headers.items() if k == "Allow"}
            return self._error(refusal.status, code, refusal.reason, allow)

    def _error(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        error = self._renderer.error(code, message)
        return web.json_response(error, status=status, headers=headers)

    def _headers(self, verdict: LimitDecision | None, skew: float) -> Mapping[str, str]:
        """Return what every response carries."""
        date = {"Date": formatdate(self._wall() + skew, usegmt=True)}
        return date if verdict is None else {**date, **verdict.headers(skew)}


async def _exists_with_slash(request: web.Request) -> bool:
    if request.path.endswith("/"):
        return False
    slashed = request.clone(rel_url=request.rel_url.with_path(request.path + "/"))
    match = await request.app.router.resolve(slashed)
    return not isinstance(match.http_exception, web.HTTPNotFound)


@asynccontextmanager
async def _listening(application: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Serve an application; give its origin."""
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()
