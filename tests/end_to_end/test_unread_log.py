"""A stderr that nobody reads costs lines of the log, and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from support.exporter import AT_ONCE_SECONDS, Metrics, wait_for
from support.simulated import serving

from trainwave_exporter.runtime.logs import FLUSH_SECONDS
from trainwave_exporter.simulator import SimulatedWorld, Simulator

KEY = "unread-key-51ac"
FILLER = 120_000
"""Characters of the name of a variable; Linux takes no more than 131 072."""


@contextmanager
def full_pipe() -> Iterator[int]:
    """Give the writing end of a pipe that is full already, and stays so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(stderr: int, api_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    own = {name: text for name, text in os.environ.items() if not name.startswith("TRAINWAVE_")}
    # Ten settings that are none are told in one line, longer than all that may wait to be written.
    strays = {f"TRAINWAVE_{number}_{'X' * FILLER}": "" for number in range(10)}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "trainwave_exporter", "--storage.path=:memory:"),
            f"--web.listen-address=127.0.0.1:{port}",
            f"--trainwave.api-url={api_url}",
            "--polling.running-interval=1s",
            "--trainwave.initial-rate-limit=6000",
        ],
        stderr=stderr,
        env={**own, **strays, "TRAINWAVE_API_KEY": KEY},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def scrape(port: int) -> Metrics | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return Metrics(answer.read().decode())
    except ConnectionError:
        return None
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionError):
            return None
        raise


@pytest.mark.parametrize("dialect", ["deployed", "documented"])
def test_with_a_full_pipe_for_a_log_it_answers_polls_counts_drops_and_ends_on_a_signal(
    dialect: str,
) -> None:
    simulator = Simulator(
        SimulatedWorld(seed=6, jobs=5, speed=10), dialect=dialect, keys=(KEY,), rate_limit=None
    )
    port = free_port()
    with (
        serving(simulator) as url,
        full_pipe() as stderr,
        running(stderr, url, port) as process,
    ):
        wait_for(lambda: scrape(port), "the first answer")
        asked = simulator.stats.by_endpoint["jobs"]
        wait_for(lambda: simulator.stats.by_endpoint["jobs"] > asked + 1, "it to poll")

        def dropped() -> float | None:
            metrics = scrape(port)
            return (
                None
                if metrics is None
                else metrics.get("trainwave_exporter_log_lines_dropped_total")
            )

        wait_for(dropped, "the drops to be counted")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - began < AT_ONCE_SECONDS + FLUSH_SECONDS
