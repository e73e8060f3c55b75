"""Commands run as processes of their own, gone when the test is over."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import structlog

Process: TypeAlias = subprocess.Popen[str]
Start: TypeAlias = Callable[..., Process]


def environment(**variables: str) -> dict[str, str]:
    """Return the test's own environment without settings of the exporter, and with these."""
    own = {name: text for name, text in os.environ.items() if not name.startswith("TRAINWAVE_")}
    return {**own, "TRAINWAVE_STORAGE_PATH": ":memory:", **variables}


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[Process] = []

    def run(*arguments: str, **variables: str) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainwave_exporter", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def api_url(start: Start) -> str:
    """The URL of a simulated Trainwave that knows the key ``demo-key``."""
    process = start("simulator", "--port=0", "--jobs=5", "--dialect=deployed")
    return line_of(process, r"Simulated Trainwave: (\S+)")


def line_of(process: Process, pattern: str, *, errors: bool = False) -> str:
    """Wait for a line of output with the pattern, and return what its first group matched."""
    stream = process.stderr if errors else process.stdout
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if match := re.search(pattern, line):
            return match[1]
    raise AssertionError(f"no {pattern!r} in {seen}, then {process.communicate()}")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what commands run within the test's process do to logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
