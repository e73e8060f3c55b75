"""Whoever talks to the exporter's port cannot keep it from polling, nor make it swell."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest
from support.exporter import Exporter, Metrics, wait_for
from support.made_up_api import Answer, listed
from support.made_up_api import serving as made_up
from support.open_files import open_files
from support.probed_exporter import ProbedExporter
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedWorld, Simulator, parse_faults

KEY = "scrapers-key-6d02"
CLIENTS = 200
JOBS = 400
LONGEST_BLOCK = 0.1
"""Seconds for which the event loop may do one thing after the other without a look around."""
MEGABYTE = 1 << 20
ALLOWED_KILOBYTES = CLIENTS * 600
"""What these clients may take in all: those that fetch nothing hold one inflated cell each, and
those that ask a thousand times at once their requests."""
SECONDS = 5
TICKS = 100
"""Looks at the event loop, for there to be something to say of it."""


@contextmanager
def polling(
    folder: Path, faults: str = "", *, jobs: int = JOBS, descriptors: int | None = None
) -> Iterator[tuple[ProbedExporter, Simulator]]:
    world = SimulatedWorld(seed=6, jobs=jobs, history=50, speed=10)
    simulator = Simulator(world, dialect="deployed", keys=(KEY,), rate_limit=None)
    with (
        serving(simulator) as url,
        started(
            descriptors,
            folder / "gauges",
            f"--trainwave.api-url={url}",
            "--trainwave.initial-rate-limit=6000",
            "--trainwave.timeout=3s",
            "--polling.running-interval=2s",
            "--polling.sweep-interval=4s",
            "--log.level=debug",
            env={"TRAINWAVE_API_KEY": KEY},
        ) as exporter,
    ):
        exporter.wait_ready()
        simulator.faults = parse_faults(faults)
        yield exporter, simulator


@contextmanager
def started(
    descriptors: int | None, gauges: Path, *flags: str, env: Mapping[str, str]
) -> Iterator[ProbedExporter]:
    with open_files(descriptors):
        exporter = ProbedExporter(gauges, *flags, env=env)
    with exporter:
        yield exporter


def connect(exporter: ProbedExporter) -> socket.socket:
    host, _, port = exporter.url.removeprefix("http://").rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return client


def slow(client: socket.socket) -> None:
    """Ask for everything, plain, and fetch none of it."""
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n")


def half_open(client: socket.socket) -> None:
    """Begin to ask, and never end."""
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-")


def long_winded(client: socket.socket) -> None:
    """Send headers of a megabyte."""
    client.settimeout(0.2)
    try:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX-Long: " + b"a" * MEGABYTE)
    except OSError:
        return  # it was thrown out before it could tell all


def many_headers(client: socket.socket) -> None:
    """Send a megabyte of small headers."""
    client.settimeout(0.2)
    line = b"X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
    try:
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + line * (MEGABYTE // len(line)))
    except OSError:
        return


def pipelining(client: socket.socket) -> None:
    """Ask again and again before there is an answer, and fetch none."""
    client.settimeout(0.2)
    try:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
    except OSError:
        return


def idle(client: socket.socket) -> None:
    """Say nothing."""


HARMS: tuple[Callable[[socket.socket], None], ...] = (
    slow,
    half_open,
    long_winded,
    many_headers,
    pipelining,
)


@pytest.mark.timeout(180)
def test_two_hundred_hostile_scrapers_hurt_neither_polling_nor_memory(tmp_path: Path) -> None:
    """Meanwhile others are answered, the loops run on, and nothing waits for long."""
    with polling(tmp_path) as (exporter, simulator), ExitStack() as clients:
        exporter.metrics()
        before = exporter.holdings()
        exporter.gauges.reset()
        for harm in HARMS * (CLIENTS // len(HARMS)):
            harm(clients.enter_context(connect(exporter)))
        asked = simulator.stats.by_endpoint["jobs"]
        began = time.monotonic()
        pause = Event()
        while time.monotonic() - began < SECONDS or exporter.gauges.ticks < TICKS:
            status, body = exporter.get("/metrics")
            assert status == 200
            assert "trainwave_up" in body
            pause.wait(0.5)
        held = exporter.holdings()
        assert simulator.stats.by_endpoint["jobs"] > asked
        assert held.peak_kilobytes - before.peak_kilobytes < ALLOWED_KILOBYTES
        assert exporter.gauges.longest_block < LONGEST_BLOCK
        clients.close()
        wait_for(
            lambda: exporter.holdings().sockets <= before.sockets + 20, "the sockets to be closed"
        )
        assert exporter.events("Error handling request from 127.0.0.1") == []
        assert "Traceback" not in "".join(exporter.raw_log)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("descriptors", "clients", "harm"), [(1024, 3000, half_open), (256, 400, idle)]
)
def test_more_connections_than_there_are_file_descriptors_keep_nobody_from_anything(
    tmp_path: Path, descriptors: int, clients: int, harm: Callable[[socket.socket], None]
) -> None:
    """Sixty of sixty scrapes are answered, and the polling finds descriptors of its own."""
    with (
        polling(tmp_path, jobs=20, descriptors=descriptors) as (exporter, simulator),
        ExitStack() as stack,
    ):
        for _ in range(clients):
            harm(stack.enter_context(connect(exporter)))
        asked = simulator.stats.by_endpoint["jobs"]
        assert [exporter.get("/metrics")[0] for _ in range(60)] == [200] * 60
        wait_for(lambda: simulator.stats.by_endpoint["jobs"] > asked + 1, "it to poll")
        assert exporter.holdings().sockets <= min(256, descriptors // 2) + 40
        name = "trainwave_exporter_web_connections_dropped_total"

        def dropped(metrics: Metrics) -> float:
            return sum(value for _, value in metrics.all(name))

        exporter.wait(lambda metrics: dropped(metrics) >= clients, "all of them to be dropped")
        reasons = [event["reason"] for event in exporter.events("connections_dropped")]
        assert sorted(reasons) == sorted({"displaced", "request_timeout"})
        assert exporter.gauges.longest_block < LONGEST_BLOCK


@pytest.mark.timeout(180)
def test_the_event_loop_is_never_blocked_for_long_whatever_the_api_does(tmp_path: Path) -> None:
    """Hundreds of jobs are polled through every fault, and scraped, page and all."""
    with polling(tmp_path, "all=0.5,slow_for=4s") as (exporter, simulator):
        exporter.gauges.reset()
        pause = Event()
        while exporter.gauges.ticks < TICKS or simulator.stats.by_fault.total() < 10:
            for path in ("/metrics", "/", "/-/ready", "/nothing"):
                exporter.get(path)
            pause.wait(0.2)
        assert exporter.gauges.longest_block < LONGEST_BLOCK


def in_tiny_chunks(client: socket.socket) -> None:
    """Send a body in a quarter of a million chunks of one byte."""
    client.settimeout(0.5)
    head = b"POST /-/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        client.sendall(head + b"1\r\nx\r\n" * 250_000)
    except OSError:
        return  # it was thrown out before it could send all


@pytest.mark.timeout(180)
def test_bodies_in_tiny_chunks_do_not_hold_the_event_loop(tmp_path: Path) -> None:
    """Of which each connection may have a quarter of a megabyte come within one turn of it."""
    with polling(tmp_path) as (exporter, _), ExitStack() as clients:
        exporter.metrics()
        exporter.gauges.reset()
        with ThreadPoolExecutor(20) as crowd:
            for _ in range(5):
                connections = [clients.enter_context(connect(exporter)) for _ in range(20)]
                for _ in crowd.map(in_tiny_chunks, connections):
                    pass
        wait_for(lambda: exporter.gauges.ticks >= TICKS, "looks at the event loop")
        assert exporter.gauges.longest_block < LONGEST_BLOCK


def test_no_request_for_anything_that_is_served_asks_the_api() -> None:
    """Of which nothing is due for an hour, once all lists were read."""
    asked: Counter[str] = Counter()

    def respond(path: str) -> Answer:
        asked[path] += 1
        return listed([], documented=True)

    def all_read(metrics: Metrics) -> bool:
        runs = metrics.by("loop", "trainwave_exporter_loop_runs_total", outcome="ok")
        return all(runs.get(loop, 0) > 0 for loop in ("running", "sweep", "directory"))

    with (
        made_up(respond) as url,
        Exporter(
            f"--trainwave.api-url={url}",
            "--polling.running-interval=1h",
            "--polling.sweep-interval=1h",
            "--polling.directory-interval=1h",
            env={"TRAINWAVE_API_KEY": KEY},
        ) as exporter,
    ):
        exporter.wait(all_read, "all lists to be read")
        before = asked.copy()
        for path in ("/metrics", "/", "/-/ready", "/-/healthy", "/nothing") * 20:
            exporter.get(path)
        assert asked == before
