"""What the whole exporter takes at work: a process of its own that watches a simulated fleet.

Run by ``make bench``. ``DAEMON_SECONDS`` says how long each part is watched (a minute). The API is
the simulator, in another process; that it answers within milliseconds makes it hard, not easy.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from results import Goal, Table, publish
from servers import Server, scrape
from support.exporter import Exporter, Metrics, wait_for

from trainwave_exporter.cli import event_loop

SECONDS: Final = float(os.environ.get("DAEMON_SECONDS", "60"))
RUNS: Final = 5
KEY: Final = "demo-key"
RUNNING: Final = 12_000
"""More than can be asked for as often as configured; some of them always wait to run."""
A_SECOND: Final = 1_000
"""Requests that are allowed."""
WARM_UP: Final = 4
"""Minutes' worth of requests beforehand: the first minute begins with a burst and ends idle, and it
takes some more until that is levelled out."""
SHARE: Final = 0.8
IN_FLIGHT: Final = 64
PACKAGES: Final = ("aiohttp", "httpx", "httpx-aiohttp", "msgspec", "uvloop")


class Measured(Exporter):
    """The exporter as it is."""

    def __init__(self, api_url: str, folder: str, *flags: str) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        super().__init__(
            f"--trainwave.api-url={api_url}",
            f"--storage.path={folder}",
            *flags,
            env={"TRAINWAVE_API_KEY": KEY, "PYTHONPATH": path},
        )

    @property
    def server(self) -> Server:
        """The process as servers are measured."""
        return Server(self.process.pid, urlsplit(self.url).port or 0)

    def own(self, *names: str) -> Metrics:
        """Scrape a few metrics only."""
        query = "&".join(f"name[]={name}" for name in names)
        status, body = self.get(f"/metrics?{query}")
        assert status == 200
        return Metrics(body)

    def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return the samples of one metric."""
        return self.own(name).all(name)

    def requests(self) -> float:
        """Return how many requests were sent so far."""
        return sum(value for _, value in self.series("trainwave_exporter_api_requests_total"))


class Watched(Measured):
    """The exporter, with a heartbeat."""

    program = ("watched_daemon",)

    def longest_block(self) -> float:
        """Return the seconds for which the loop was busy at most since asked the last time."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        return float(self.process.stdout.readline())


@contextmanager
def simulated(*flags: str) -> Iterator[str]:
    """Run a simulated Trainwave; yields the URL of its API."""
    command = [sys.executable, "-m", "trainwave_exporter", "simulator", "--port=0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()


def at_work() -> None:
    """Measure what it takes to ask a thousand times a second, and what that does to scrapes."""
    limit = int(60 * A_SECOND / SHARE)
    fleet = f"--jobs={RUNNING}", "--history=0", "--dialect=deployed", "--metric-shape=value"
    with (
        simulated(*fleet, f"--rate-limit={limit}") as api_url,
        tempfile.TemporaryDirectory() as folder,
        Watched(api_url, folder, f"--trainwave.initial-rate-limit={limit}") as exporter,
    ):
        wait_for(
            lambda: exporter.requests() >= WARM_UP * 60 * A_SECOND,
            "the waves of the start to level out",
            600,
            pause=1,
        )
        exporter.longest_block()
        before, cpu, began = exporter.requests(), exporter.server.cpu, time.monotonic()
        scrapes = paced(exporter.server, SECONDS)
        seconds = time.monotonic() - began
        requests, cpu = exporter.requests() - before, exporter.server.cpu - cpu
        block = exporter.longest_block()
    with simulated(*fleet, "--rate-limit=0") as api_url:
        bare = event_loop.run(bare_loop(api_url, int(requests)))
        through_httpx = event_loop.run(httpx_loop(api_url, int(requests) // 4))
    scrapes.sort()
    p50, p99 = (1000 * scrapes[int(part * len(scrapes))] for part in (0.5, 0.99))
    each, pace = cpu / requests, requests / seconds
    publish(
        "daemon_at_work",
        f"{pace:,.0f} requests a second: {RUNNING:,} jobs",
        (
            f"For {seconds:.0f} s, scraped four times a second. The peer is a bare loop of aiohttp"
            " on uvloop that asks for the same readings and reads the answers. The event loop is"
            " measured in processor time of its thread between two turns of a heartbeat every 2 ms."
        ),
        Table(
            ["", "requests/s", "CPU a request, µs", "part of a core"],
            [
                [
                    "exporter",
                    f"{requests / seconds:,.0f}",
                    f"{1e6 * each:.0f}",
                    f"{cpu / seconds:.2f}",
                ],
                ["bare loop", "", f"{1e6 * bare:.0f}", ""],
                ["the same through httpx", "", f"{1e6 * through_httpx:.0f}", ""],
            ],
        ),
        Table(
            ["scrape p50, ms", "p99, ms", "longest block of the loop, ms"],
            [[f"{p50:.1f}", f"{p99:.1f}", f"{1000 * block:.1f}"]],
        ),
        packages=PACKAGES,
        goals=[
            Goal(
                "requests a second with the whole pipeline at work",
                pace,
                at_least=0.95 * A_SECOND,
            ),
            Goal(
                "scrape p99 meanwhile",
                p99,
                at_most=30,
                unit=" ms",
                why_missed="a scrape waits for what the loop is at, at the longest for a block",
            ),
            Goal(
                "longest block of the event loop meanwhile",
                1000 * block,
                at_most=50,
                unit=" ms",
                why_missed="not traced to single turns; a publication was seen in many of the long",
            ),
            Goal(
                "CPU of a cycle a request, ours / bare aiohttp",
                each / bare,
                at_most=3,
                why_missed=(
                    "on uvloop aiohttp takes so little that httpx as the interface alone takes"
                    f" {through_httpx / bare:.1f} times as much"
                ),
            ),
        ],
    )


def paced(server: Server, seconds: float) -> list[float]:
    """Scrape four times a second; return what each took, in seconds."""
    spent = []
    pause = time.monotonic()
    ends = pause + seconds
    while pause < ends:
        spent.append(scrape(server, 1).p50 / 1000)
        pause += 0.25
        time.sleep(max(0.0, pause - time.monotonic()))
    return spent


async def bare_loop(api_url: str, requests: int) -> float:
    """Ask for as many readings and do nothing with them; return CPU seconds a request."""
    ids = await _running(api_url)
    headers = {"X-API-Key": KEY}
    turn = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def ask() -> None:
            for number in turn:
                url = f"{api_url}/metrics/gpu_utilization/?job_id={ids[number % len(ids)]}"
                async with session.get(url) as answer:
                    await answer.read()

        began = time.process_time()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        return (time.process_time() - began) / requests


async def httpx_loop(api_url: str, requests: int) -> float:
    """Do the same through httpx on the same transport; return CPU seconds a request."""
    ids = await _running(api_url)
    turn = iter(range(requests))
    async with httpx.AsyncClient(
        headers={"X-API-Key": KEY}, transport=AiohttpTransport(limits=httpx.Limits())
    ) as client:

        async def ask() -> None:
            for number in turn:
                url = f"{api_url}/metrics/gpu_utilization/?job_id={ids[number % len(ids)]}"
                await client.get(url)

        began = time.process_time()
        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
        return (time.process_time() - began) / requests


async def _running(api_url: str) -> list[str]:
    async with (
        aiohttp.ClientSession(headers={"X-API-Key": KEY}) as session,
        session.get(f"{api_url}/jobs/") as answer,
    ):
        listed = await answer.json()
    return [job["id"] for job in listed["results"]]


def start() -> None:
    """Measure the time from the start of the process to the first job that can be scraped."""
    times = []
    with simulated("--jobs=100", "--history=0", "--rate-limit=0") as api_url:
        for _ in range(RUNS):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as folder, Measured(api_url, folder) as exporter:
                wait_for(partial(exporter.series, "trainwave_job_info"), "a job", pause=0.005)
                times.append(time.monotonic() - began)
    publish(
        "daemon_start",
        "From the start to the first job",
        f"100 jobs; each of {RUNS} starts: {', '.join(f'{each:.2f} s' for each in times)}.",
        packages=PACKAGES,
        goals=[
            Goal(
                "start to first job on /metrics, 100 jobs, median",
                statistics.median(times),
                at_most=1,
                unit=" s",
            )
        ],
    )


def idle() -> None:
    """Measure what it takes to watch a hundred jobs with the limit of the pro plan."""
    flags = "--jobs=100", "--history=100", "--rate-limit=1000"
    with (
        simulated(*flags) as api_url,
        tempfile.TemporaryDirectory() as folder,
        Measured(api_url, folder) as exporter,
    ):
        exporter.wait_ready()
        wait_for(lambda: exporter.requests() > 700, "a first round of readings", 180, pause=1)
        before, cpu = exporter.requests(), exporter.server.cpu
        scrapes = [scrape(exporter.server, 1)]
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            time.sleep(min(15.0, SECONDS / 4))
            scrapes.append(scrape(exporter.server, 1))
        requests, cpu = exporter.requests() - before, exporter.server.cpu - cpu
    publish(
        "daemon_idle",
        "Watching a hundred jobs",
        (
            f"For {SECONDS:.0f} s with all defaults, scraped every 15 s, at a limit of 1,000"
            f" requests a minute: {requests:,.0f} requests, {cpu:.2f} s of processor time."
        ),
        packages=PACKAGES,
        goals=[
            Goal(
                "CPU while watching 100 jobs, part of a core",
                100 * cpu / SECONDS,
                at_most=1,
                unit=" %",
            )
        ],
    )


def main() -> None:
    """Measure and publish."""
    start()
    idle()
    at_work()


if __name__ == "__main__":
    main()
