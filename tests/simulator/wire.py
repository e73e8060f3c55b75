"""A clock to turn by hand, and a plain client: what the tests of the simulator have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct
from yarl import URL

from trainwave_exporter.simulator import SimulatedWorld, Simulator

START = 1_711_011_600  # 2024-03-21T09:00:00Z
KEY = "key-one"


class Clock:
    """Stands still until it is turned."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sleep:
    """Sleeps until it is cancelled."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.over.set()


class Answer(Struct):
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any
    """None where the body is no JSON."""

    @property
    def data(self) -> Any:
        """What is asked for, out of the envelope of the documented dialect."""
        return self.json["data"]


class Client:
    """Asks, and takes what it gets: follows no redirect, judges no status."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(
        self, path: str, method: str = "GET", *, key: str | None = KEY, **options: Any
    ) -> Answer:
        headers = {} if key is None else {"X-API-KEY": key}
        async with self.session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **options
        ) as response:
            body = await response.read()
            try:
                json = await response.json(content_type=None)
            except ValueError:
                json = None
            return Answer(response.status, response.headers, body, json)

    async def send(
        self, method: str, path: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request on a connection of its own, and leave it to the caller."""
        url = URL(self.url + path)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        head = f"{method} {url.path_qs} HTTP/1.1\r\nHost: {url.authority}\r\nX-API-KEY: {KEY}\r\n"
        writer.write(f"{head}\r\n".encode())
        return reader, writer

    async def rows(self, path: str = "/jobs/") -> list[Any]:
        """Every row of a list, walked by offset, in either dialect."""
        rows: list[Any] = []
        while True:
            answer = await self.ask(f"{path}{'&' if '?' in path else '?'}offset={len(rows)}")
            page = answer.json.get("data", answer.json)
            rows += page["results"]
            if len(rows) >= page["count"]:
                return rows


def small_world(clock: Clock | None = None, **options: Any) -> SimulatedWorld:
    """A world that begins at `START` and stands still unless its clock is turned."""
    plain: dict[str, Any] = {"seed": 7, "jobs": 12, "start": START, "clock": clock or Clock()}
    return SimulatedWorld(**plain | options)


@asynccontextmanager
async def serving(
    world: SimulatedWorld | None = None, **options: Any
) -> AsyncIterator[tuple[Simulator, Client]]:
    """A simulator with one key and no rate limit unless told, and a client of it."""
    simulator = Simulator(
        world or small_world(), **{"keys": {KEY: "one"}, "rate_limit": None} | options
    )
    async with served(simulator) as client:
        yield simulator, client


@asynccontextmanager
async def served(simulator: Simulator) -> AsyncIterator[Client]:
    """A client of a simulator."""
    async with simulator.serve() as url, aiohttp.ClientSession() as session:
        yield Client(session, url)
