"""What the whole exporter takes at work: a process of its own that watches a simulated fleet.

Run by ``make bench``. ``DAEMON_SECONDS`` says how long each part is watched (a minute). The API is
the simulator, in another process; that it answers within milliseconds makes it hard, not easy.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from results import Goal, Table, publish
from servers import Server, scrape
from support.exporter import Exporter, Metrics, wait_for
from support.probed_exporter import ProbedExporter

from trainwave_exporter.runtime import event_loop

SECONDS: Final = float(os.environ.get("DAEMON_SECONDS", "60"))
RUNS: Final = 5
KEY: Final = "demo-key"
KEYS: Final = {"TRAINWAVE_API_KEY": KEY}
HEADERS: Final = {"X-API-Key": KEY}
RUNNING: Final = 12_000
"""More than can be asked for as often as configured; some of them always wait to run."""
A_SECOND: Final = 1_000
"""Requests that are to be made."""
ALLOWED: Final = 1_050
"""Requests a second that the limit allows: nobody uses up a minute's allowance to the last one."""
WARM_UP: Final = 4
"""Minutes' worth of requests beforehand: the first minute begins with a burst and ends idle, and it
takes some more until that is levelled out."""
SHARE: Final = 0.8
AT_ONCE: Final = 2
"""Requests that are sent at a time."""
PEER_SECONDS: Final = 10
"""How long each run of a peer lasts."""
MOST_TIMES_THE_PEER: Final = 5
"""What a request may take, compared with the peer: a slow machine explains no more than that."""
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


def at_work() -> None:
    """Measure what it takes to ask a thousand times a second, and what that does to scrapes."""
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
    ):
        wait_for(
            lambda: requests_of(exporter) >= WARM_UP * 60 * A_SECOND,
            "the waves of the start to level out",
            600,
            pause=1,
        )
        windows = [window(exporter) for _ in range(RUNS)]
    with simulated(*fleet, "--rate-limit=0") as api_url:
        bare = event_loop.run(bare_loop(api_url))
        through_httpx = event_loop.run(httpx_loop(api_url))
    columns = zip(*windows, strict=True)
    pace, cpu, p50, p99, _ = (statistics.median(column) for column in columns)
    block = max(each.block for each in windows)
    each = cpu / pace
    publish(
        "daemon_at_work",
        f"{pace:,.0f} requests a second: {RUNNING:,} jobs",
        (
            f"Medians of {RUNS} times {SECONDS:.0f} s, scraped four times a second; of blocks the"
            f" longest of all. The peer is a bare loop of aiohttp on uvloop that asks for the same"
            " readings at the same pace and reads the answers. A block is the time by which a tick"
            " of the event loop came too late, less what the kernel says that its thread waited"
            " for a core, or stood still while another of the exporter's did."
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
            ["scrape p50, ms", "p99, ms", "longest block of the loop, ms", "of each time"],
            [
                [
                    f"{p50:.1f}",
                    f"{p99:.1f}",
                    f"{block:.1f}",
                    ", ".join(f"{each.block:.0f}" for each in windows),
                ]
            ],
        ),
        packages=PACKAGES,
        goals=[
            Goal(
                "requests a second with the whole pipeline at work",
                pace,
                at_least=A_SECOND,
                why_missed=f"there was no more to be had of a core than {cpu:.2f} of it",
                explained=1 / (MOST_TIMES_THE_PEER * bare),
            ),
            Goal(
                "scrape p99 meanwhile",
                p99,
                at_most=30,
                unit=" ms",
                why_missed="a scrape is sent in parts, and before each it waits for its turn",
                explained=100,
            ),
            Goal(
                "longest block of the event loop meanwhile",
                block,
                at_most=50,
                unit=" ms",
                why_missed=(
                    "traced: in one round of the loop a page of jobs is read, answers are taken in"
                    " and a slice is written, while the ledger's thread wants the interpreter, too"
                ),
                explained=100,
            ),
            Goal(
                "CPU of a cycle a request, ours / bare aiohttp",
                each / bare,
                at_most=3,
                why_missed=(
                    "on uvloop aiohttp takes so little that httpx as the interface alone takes"
                    f" {through_httpx / bare:.1f} times as much"
                ),
                explained=MOST_TIMES_THE_PEER,
            ),
        ],
    )


def window(exporter: ProbedExporter) -> Window:
    """Scrape for a while, and see what all came to."""
    server = served_by(exporter)
    exporter.gauges.reset()
    before, cpu, began = requests_of(exporter), server.cpu, time.monotonic()
    scrapes = sorted(paced(server, SECONDS))
    seconds = time.monotonic() - began
    requests, cpu = requests_of(exporter) - before, server.cpu - cpu
    p50, p99 = (1000 * scrapes[int(part * len(scrapes))] for part in (0.5, 0.99))
    block = 1000 * exporter.gauges.longest_block
    return Window(requests / seconds, cpu / seconds, p50, p99, block)


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
    """Ask as often as the exporter, as many at once; return the median of CPU seconds a request."""
    ids = await _running(api_url)
    spent = []
    for _ in range(RUNS):
        began, due, number = time.process_time(), time.monotonic(), 0
        asking: set[asyncio.Task[object]] = set()
        while number < A_SECOND * PEER_SECONDS:
            for _ in range(AT_ONCE):
                url = f"{api_url}/metrics/gpu_utilization/?job_id={ids[number % len(ids)]}"
                task = asyncio.ensure_future(ask(url))
                asking.add(task)
                task.add_done_callback(asking.discard)
                number += 1
            due += AT_ONCE / A_SECOND
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
    """Measure what it takes to watch a hundred jobs with the limit of the pro plan."""
    flags = "--jobs=100", "--history=100", "--rate-limit=1000"
    with (
        simulated(*flags) as api_url,
        tempfile.TemporaryDirectory() as folder,
        Exporter(*flags_of(api_url, folder), env=KEYS) as exporter,
    ):
        exporter.wait_ready()
        wait_for(lambda: requests_of(exporter) > 700, "a first round of readings", 180, pause=1)
        server = served_by(exporter)
        parts = []
        before, began = requests_of(exporter), time.monotonic()
        for _ in range(RUNS):
            cpu, since = server.cpu, time.monotonic()
            for _ in range(4):
                scrape(server, 1)
                time.sleep(SECONDS / 4)
            parts.append((server.cpu - cpu) / (time.monotonic() - since))
        requests = 60 * (requests_of(exporter) - before) / (time.monotonic() - began)
    publish(
        "daemon_idle",
        "Watching a hundred jobs",
        (
            f"{RUNS} times {SECONDS:.0f} s with all defaults, scraped every {SECONDS / 4:.0f} s, at"
            f" a limit of 1,000 requests a minute: {requests:,.0f} requests a minute; parts of a"
            f" core: {', '.join(f'{100 * part:.2f} %' for part in parts)}."
        ),
        packages=PACKAGES,
        goals=[
            Goal(
                "CPU while watching 100 jobs, part of a core, median",
                100 * statistics.median(parts),
                at_most=1,
                unit=" %",
                why_missed=(
                    f"{requests / 60:.0f} requests a second, a publication every two, at the speed"
                    " of this machine"
                ),
                explained=3,
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
