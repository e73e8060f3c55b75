"""What the whole exporter takes at work: a process of its own that watches a simulated fleet.

Run by ``make bench``. ``DAEMON_RUNS`` says how often each figure is measured (5 times),
``DAEMON_SECONDS`` for how long each time (60). The API is the simulator, in another process; that
it answers within milliseconds makes it hard, not easy.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from results import Goal, Table, publish
from servers import ACCEPT, Server, scrape
from support.exporter import Exporter, Metrics, wait_for
from support.probed_exporter import Gauges, ProbedExporter

from trainwave_exporter.runtime import event_loop

SECONDS: Final = float(os.environ.get("DAEMON_SECONDS", "60"))
RUNS: Final = int(os.environ.get("DAEMON_RUNS", "5"))
KEY: Final = "demo-key"
KEYS: Final = {"TRAINWAVE_API_KEY": KEY}
HEADERS: Final = {"X-API-Key": KEY}
RUNNING: Final = 12_000
"""More than can be asked for as often as configured; some of them always wait to run."""
A_SECOND: Final = 300
"""Requests that are to be made: 18 times the largest plan known, 1,000 a minute."""
ALLOWED: Final = 315
"""Requests a second that the limit allows: nobody uses up a minute's allowance to the last one."""
WARM_UP: Final = 2
"""Minutes' worth of requests beforehand: the first minute begins with a burst and ends idle."""
SHARE: Final = 0.8
PEER_SECONDS: Final = 10
"""How long each run of a peer lasts."""
RELEASED_BEFORE: Final = "2026-11-30T00:00Z"
"""The newest commit before this is version 0.1.0."""
PACKAGES: Final = ("aiohttp", "httpx", "httpx-aiohttp", "msgspec", "uvloop")


class Window(NamedTuple):
    """What it came to in a while."""

    pace: float
    """Requests a second."""
    cpu: float
    """CPU seconds a second."""
    p50: float
    """Milliseconds of a scrape; then of all but one in a hundred."""
    p99: float
    block: float
    """Milliseconds for which the event loop had no turn for the probe, at the longest."""
    idle_block: float
    """The same of a loop with nothing to do, in another process at the same time."""


def flags_of(api_url: str, folder: str) -> tuple[str, ...]:
    """Return the flags of an exporter that watches this API and keeps its ledger there."""
    return f"--trainwave.api-url={api_url}", f"--storage.path={folder}/ledger"


def served_by(exporter: Exporter) -> Server:
    """Return the process as servers are measured."""
    return Server(exporter.process.pid, urlsplit(exporter.url).port or 0)


def series(exporter: Exporter, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the samples of one metric, for little effort of the exporter."""
    status, body = exporter.get(f"/metrics?name[]={name}")
    assert status == 200
    return Metrics(body).all(name)


def requests_of(exporter: Exporter) -> float:
    """Return how many requests were sent so far."""
    return sum(value for _, value in series(exporter, "trainwave_exporter_api_requests_total"))


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


@contextmanager
def idle_loop(file: Path) -> Iterator[Gauges]:
    """Run an event loop with nothing to do; yields what its probe finds."""
    gauges = Gauges.at(file)
    path = os.pathsep.join(sys.path)
    command = [sys.executable, str(Path(__file__).with_name("idle_loop.py")), str(file)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            wait_for(lambda: gauges.ticks, "the idle loop")
            yield gauges
        finally:
            process.kill()


@contextmanager
def version_0_1_0() -> Iterator[dict[str, str]]:
    """Check version 0.1.0 out; yields the environment in which Python runs it."""
    commit = ["git", "rev-list", "-1", f"--before={RELEASED_BEFORE}", "HEAD"]
    name = subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", name, "trainwave_exporter"], capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield {"PYTHONPATH": folder, "PYTHONSAFEPATH": "1"}


def at_work() -> None:
    """Measure what it takes to ask 300 times a second, and what that does to scrapes."""
    limit = int(60 * ALLOWED / SHARE)
    fleet = f"--jobs={RUNNING}", "--history=0", "--dialect=deployed", "--metric-shape=value"
    with (
        simulated(*fleet, f"--rate-limit={limit}") as api_url,
        tempfile.TemporaryDirectory() as folder,
        ProbedExporter(
            Path(folder, "gauges"),
            *flags_of(api_url, folder),
            f"--trainwave.initial-rate-limit={limit}",
            env=KEYS,
        ) as exporter,
        idle_loop(Path(folder, "idle")) as idle_gauges,
    ):
        wait_for(
            lambda: requests_of(exporter) >= WARM_UP * 60 * A_SECOND,
            "the waves of the start to level out",
            600,
            pause=1,
        )
        windows = [window(exporter, idle_gauges) for _ in range(RUNS)]
    with simulated(*fleet, "--rate-limit=0") as api_url:
        bare = event_loop.run(bare_loop(api_url))
        through_httpx = event_loop.run(httpx_loop(api_url))
    columns = zip(*windows, strict=True)
    pace, cpu, p50, p99, _, _ = (statistics.median(column) for column in columns)
    block = max(each.block for each in windows)
    idle_block = max(each.idle_block for each in windows)
    each = cpu / pace
    publish(
        "daemon_at_work",
        f"{pace:,.0f} requests a second: {RUNNING:,} jobs",
        (
            f"Medians of {RUNS} times {SECONDS:.0f} s, scraped four times a second; of blocks the"
            f" longest of all. The peer is a bare loop of aiohttp on uvloop that asks for the same"
            " readings at the same pace and reads the answers. A block is the time by which a tick"
            " of the event loop came too late, less what the kernel says that its thread waited"
            " for a core, or stood still while another of the exporter's did. The idle loop is"
            " another process that does nothing but tick, at the same time. Of a scrape, too, the"
            " time is left out for which client or exporter waited for a core."
        ),
        Table(
            ["", "requests/s", "CPU a request, µs", "part of a core"],
            [
                ["exporter", f"{pace:,.0f}", f"{1e6 * each:.0f}", f"{cpu:.2f}"],
                ["bare loop", f"{A_SECOND:,}", f"{1e6 * bare:.0f}", f"{bare * A_SECOND:.2f}"],
                [
                    "the same through httpx",
                    f"{A_SECOND:,}",
                    f"{1e6 * through_httpx:.0f}",
                    f"{through_httpx * A_SECOND:.2f}",
                ],
            ],
        ),
        Table(
            ["", "longest block of the loop, ms", "of each time"],
            [
                [
                    "exporter",
                    f"{block:.1f}",
                    ", ".join(f"{each.block:.0f}" for each in windows),
                ],
                [
                    "idle loop",
                    f"{idle_block:.1f}",
                    ", ".join(f"{each.idle_block:.0f}" for each in windows),
                ],
            ],
        ),
        Table(["scrape p50, ms", "p99, ms"], [[f"{p50:.1f}", f"{p99:.1f}"]]),
        packages=PACKAGES,
        goals=[
            Goal("requests a second with the whole pipeline at work", pace, at_least=A_SECOND),
            Goal("scrape p99 meanwhile", p99, at_most=30, unit=" ms"),
            Goal(
                "longest block of the event loop meanwhile, beyond that of an idle loop",
                block - idle_block,
                at_most=50,
                unit=" ms",
            ),
            Goal("CPU of a request, ours / bare aiohttp", each / bare, at_most=5),
        ],
    )


def window(exporter: ProbedExporter, idle_gauges: Gauges) -> Window:
    """Scrape for a while, and see what all came to."""
    server = served_by(exporter)
    exporter.gauges.reset()
    idle_gauges.reset()
    before, cpu, began = requests_of(exporter), server.cpu, time.monotonic()
    scrapes = sorted(paced(exporter, SECONDS))
    seconds = time.monotonic() - began
    requests, cpu = requests_of(exporter) - before, server.cpu - cpu
    p50, p99 = (1000 * scrapes[int(part * len(scrapes))] for part in (0.5, 0.99))
    block, idle_block = (1000 * gauges.longest_block for gauges in (exporter.gauges, idle_gauges))
    return Window(requests / seconds, cpu / seconds, p50, p99, block, idle_block)


def paced(exporter: ProbedExporter, seconds: float) -> list[float]:
    """Scrape four times a second; return what each took, in seconds.

    That is less what the kernel says that the client, or a thread of the exporter, which may have
    held the interpreter, waited for a core meanwhile.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", served_by(exporter).port)) as connection:
        fetch(connection)
        spent = []
        pause = time.monotonic()
        ends = pause + seconds
        while pause < ends:
            began, waited = time.monotonic(), waited_for_a_core(exporter)
            fetch(connection)
            net = time.monotonic() - began - (waited_for_a_core(exporter) - waited)
            spent.append(max(0.0, net))
            pause += 0.25
            time.sleep(max(0.0, pause - time.monotonic()))
    return spent


def fetch(connection: http.client.HTTPConnection) -> None:
    """Scrape once, as Prometheus does."""
    connection.request("GET", "/metrics", headers=ACCEPT)
    connection.getresponse().read()


def waited_for_a_core(exporter: ProbedExporter) -> float:
    """Return for how long client and exporter waited for a core so far, in seconds."""
    threads = Path(f"/proc/{exporter.process.pid}/task").iterdir()
    files = [Path("/proc/thread-self/schedstat"), *(each / "schedstat" for each in threads)]
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9


async def bare_loop(api_url: str) -> float:
    """Ask for as many readings and do nothing with them; return CPU seconds a request."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def ask(url: str) -> None:
            async with session.get(url) as answer:
                await answer.read()

        return await at_pace(api_url, ask)


async def httpx_loop(api_url: str) -> float:
    """Do the same through httpx on the same transport; return CPU seconds a request."""
    transport = AiohttpTransport(limits=httpx.Limits())
    async with httpx.AsyncClient(headers=HEADERS, transport=transport) as client:
        return await at_pace(api_url, client.get)


async def at_pace(api_url: str, ask: Callable[[str], Awaitable[object]]) -> float:
    """Ask as often as the exporter; return the median of CPU seconds a request."""
    ids = await _running(api_url)
    spent = []
    for _ in range(RUNS):
        began, due, number = time.process_time(), time.monotonic(), 0
        asking: set[asyncio.Task[object]] = set()
        while number < A_SECOND * PEER_SECONDS:
            url = f"{api_url}/metrics/gpu_utilization/?job_id={ids[number % len(ids)]}"
            task = asyncio.ensure_future(ask(url))
            asking.add(task)
            task.add_done_callback(asking.discard)
            number += 1
            due += 1 / A_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*asking)
        spent.append((time.process_time() - began) / number)
    return statistics.median(spent)


async def _running(api_url: str) -> list[str]:
    async with (
        aiohttp.ClientSession(headers=HEADERS) as session,
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
            with (
                tempfile.TemporaryDirectory() as folder,
                Exporter(*flags_of(api_url, folder), env=KEYS) as exporter,
            ):
                wait_for(partial(series, exporter, "trainwave_job_info"), "a job", pause=0.005)
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
                why_missed="Python takes that long on this machine to load what is imported",
                explained=2,
            )
        ],
    )


def idle() -> None:
    """Measure what it takes to watch a hundred jobs with the limit of the pro plan.

    Version 0.1.0 does the same at the same time, with a simulated Trainwave of its own.
    """
    with ExitStack() as stack:
        exporters = [
            stack.enter_context(watching(environment))
            for environment in ({}, stack.enter_context(version_0_1_0()))
        ]
        for exporter in exporters:
            exporter.wait_ready()
        for exporter in exporters:
            wait_for(partial(asked_once, exporter), "a first round of readings", 180, pause=1)
        servers = [served_by(exporter) for exporter in exporters]
        parts: list[list[float]] = [[], []]
        before, began = [requests_of(exporter) for exporter in exporters], time.monotonic()
        for _ in range(RUNS):
            cpu, since = [server.cpu for server in servers], time.monotonic()
            for _ in range(4):
                for server in servers:
                    scrape(server, 1)
                time.sleep(SECONDS / 4)
            seconds = time.monotonic() - since
            for number, server in enumerate(servers):
                parts[number].append((server.cpu - cpu[number]) / seconds)
        minutes = (time.monotonic() - began) / 60
        paces = [
            (requests_of(exporter) - requests) / minutes
            for exporter, requests in zip(exporters, before, strict=True)
        ]
    ours, older = (statistics.median(each) for each in parts)
    publish(
        "daemon_idle",
        "Watching a hundred jobs",
        (
            f"{RUNS} times {SECONDS:.0f} s with all defaults, scraped every {SECONDS / 4:.0f} s, at"
            " a limit of 1,000 requests a minute; medians."
        ),
        Table(
            ["", "requests a minute", "part of a core", "of each time"],
            [
                [
                    name,
                    f"{pace:,.0f}",
                    f"{100 * statistics.median(each):.2f} %",
                    ", ".join(f"{100 * part:.2f} %" for part in each),
                ]
                for name, pace, each in zip(("now", "0.1.0"), paces, parts, strict=True)
            ],
        ),
        packages=PACKAGES,
        goals=[
            Goal("CPU while watching 100 jobs, ours / version 0.1.0", ours / older, at_most=1.3)
        ],
    )


def asked_once(exporter: Exporter) -> bool:
    """Whether every reading of a hundred jobs was asked for once, about."""
    return requests_of(exporter) > 700


@contextmanager
def watching(environment: Mapping[str, str]) -> Iterator[Exporter]:
    """Run an exporter that watches a hundred jobs."""
    with (
        simulated("--jobs=100", "--history=100", "--rate-limit=1000") as api_url,
        tempfile.TemporaryDirectory() as folder,
        Exporter(*flags_of(api_url, folder), env={**KEYS, **environment}) as exporter,
    ):
        yield exporter


def main() -> None:
    """Measure and publish: everything, or the parts that are named."""
    parts = {"start": start, "idle": idle, "at_work": at_work}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
