"""The whole way of an answer, from bytes to an exposition, for answers that nobody would give.

`Pipeline` wires the rooms up as the daemon does, but for polling: what a test sends is read by the
client, applied to the fleet, booked by the ledger and published. `readable` insists that two other
programs' parsers can read what comes out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Self, cast

import httpx
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from support.fake_time import START
from trainwave_exporter.api import Client, RateBudget, TrainwaveError
from trainwave_exporter.exposition import Format
from trainwave_exporter.fleet import (
    Fleet,
    JobsSeen,
    Observation,
    OrganizationsSeen,
    Policy,
    ProjectsSeen,
    ReadingSeen,
    SweepEnded,
    TimePassed,
)
from trainwave_exporter.ledger import Ledger, LedgerOptions, Store, WatchedScope
from trainwave_exporter.metrics import ExporterMetrics, Exposition, Selection
from trainwave_exporter.model import Exchange, Fact, Metric
from trainwave_exporter.runtime.clock import Clock

ACCOUNT = "a"
WAYS = ("jobs", "job", "projects", "organizations", *(f"metrics/{metric}" for metric in Metric))
"""The endpoints that are read."""
OUTCOMES = frozenset(
    {
        "ok",
        "timeout",
        "connection",
        "not_json",
        "unexpected_shape",
        "too_large",
        "unsupported_encoding",
        "redirect",
        "invalid_key",
        "forbidden",
        "rate_limited",
        "not_found",
        "bad_request",
        "server_error",
    }
)
"""How an exchange can have come out, each with its leaf of the error tree (but for ``ok``)."""


class Pipeline:
    """Client, fleet, ledger and exposition of one account, on a clock that every wait turns."""

    def __init__(self) -> None:
        self.now = START
        self.facts: list[Fact] = []
        self.telemetry = ExporterMetrics(version="0")
        self.exposition = Exposition(
            selection=Selection(allow=(), deny=()), max_jobs=100, telemetry=self.telemetry
        )
        self.fleet = Fleet(
            accounts=(ACCOUNT,),
            policy=Policy(
                finished_retention=3600,
                staleness=300,
                directory_staleness=900,
                listed_at_least_every=1200,
                vanish_after_sweeps=1,
            ),
            observe=self._observe,
            now=self.now,
        )
        clock = Clock(time=self.clock, monotonic=self.clock, sleep=self._sleep, random=Random(1))
        self.ledger = Ledger(
            open_store=partial(Store.open, None),
            options=LedgerOptions(accounts={ACCOUNT: WatchedScope()}),
            publish=self.exposition.apply,
            observe=self._observe,
            clock=clock,
        )
        self._answer = httpx.Response(503)
        self._client = Client(
            account=ACCOUNT,
            base_url="http://api.test/api/v1",
            key=lambda: "key",
            budget=RateBudget(clock=clock),
            observe=self._observe,
            clock=clock,
            transport=httpx.MockTransport(lambda _: self._respond()),
        )
        self._body, self._status, self._headers = b"", 200, dict[str, str]()

    async def __aenter__(self) -> Self:
        await self.ledger.open()
        self.exposition.apply(self.fleet.introduce())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await self.ledger.close()

    def clock(self) -> float:
        """Return the time, Unix seconds."""
        return self.now

    async def answer(
        self, way: str, body: bytes, status: int = 200, headers: dict[str, str] | None = None
    ) -> str:
        """Have one endpoint asked and answered so; return the outcome that was counted last.

        Whatever is raised but errors of the tree passes through.
        """
        self._body, self._status, self._headers = body, status, headers or {}
        self.now += 5
        try:
            for observation in await self._ask(way):
                self._report(observation)
        except TrainwaveError:
            pass
        exchanges = [fact for fact in self.facts if isinstance(fact, Exchange)]
        self.facts.clear()
        return exchanges[-1].outcome

    async def publish(self) -> dict[Format, str]:
        """Let the ledger write and time pass; return what a scrape would get."""
        await self.ledger.run()
        self._report(TimePassed({ACCOUNT: 600}))
        self.exposition.publish()
        answer = self.exposition.answer
        return {form: b"".join(answer.plain(form)).decode() for form in Format}

    async def _ask(self, way: str) -> list[Observation]:
        client, at = self._client, self.now
        match way:
            case "jobs":
                page = await client.list_jobs()
                ids = frozenset(job.id for job in page.items)
                return [
                    JobsSeen(ACCOUNT, page.items, at),
                    SweepEnded(ACCOUNT, at, ids, full=True, complete=page.last),
                ]
            case "job":
                job = await client.get_job("j-1")
                return [JobsSeen(ACCOUNT, (job,), at, details=True)]
            case "projects":
                projects = await client.list_projects()
                return [ProjectsSeen(ACCOUNT, projects.items, complete=projects.last)]
            case "organizations":
                found = await client.list_organizations()
                return [OrganizationsSeen(ACCOUNT, found.items, complete=found.last)]
            case _:
                metric = Metric(way.partition("/")[2])
                reading = await client.get_metric("j-1", metric)
                return [] if reading is None else [ReadingSeen(ACCOUNT, "j-1", metric, reading)]

    def _report(self, observation: Observation) -> None:
        changes = self.fleet.apply(observation, self.now)
        self.exposition.apply(changes)
        self.ledger.apply(changes)

    def _observe(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.telemetry.observe(fact)

    def _respond(self) -> httpx.Response:
        stream = httpx.ByteStream(self._body)
        return httpx.Response(self._status, headers=self._headers, stream=stream)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


Parse = Callable[[str], Any]


def readable(scrape: dict[Format, str]) -> int:
    """Parse a scrape in both formats; return how many samples there are."""
    parse: dict[Format, Parse] = {
        Format.TEXT: cast("Parse", parser.text_string_to_metric_families),
        Format.OPENMETRICS: cast("Parse", openmetrics.text_string_to_metric_families),
    }
    counts = [sum(len(family.samples) for family in parse[form](scrape[form])) for form in Format]
    assert counts[0] == counts[1]
    return int(counts[0])


Scenario = Callable[[Pipeline], Awaitable[None]]


async def run(scenario: Scenario) -> None:
    """Run a scenario on a pipeline of its own."""
    async with Pipeline() as pipeline:
        await scenario(pipeline)
