"""Signals at awkward moments, and standard streams that are closed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.conftest import Process, Start, environment, line_of
from support.exporter import AT_ONCE_SECONDS, wait_for

HERE = "--web.listen-address=127.0.0.1:0"

SLOW_NAMES = """
import os, socket, sys, threading
quick = socket.getaddrinfo

def slow(host, *arguments, **options):
    if str(host).endswith(".slow"):
        os.write(2, f"looking up {host}\\n".encode())
        threading.Event().wait(60)
    return quick(host, *arguments, **options)

socket.getaddrinfo = slow
from trainwave_exporter.__main__ import run
sys.exit(run())
"""
"""Runs the exporter where a name server does not answer questions about names in ``.slow``."""


@pytest.fixture
def start_slow() -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def run(*arguments: str, **variables: str) -> Process:
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", SLOW_NAMES, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(TRAINWAVE_API_KEY="k", **variables),
            )
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def without_uvloop(folder: Path) -> str:
    (folder / "uvloop.py").write_text("raise ImportError")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("arguments", "number", "status"),
    [
        ((HERE, "--trainwave.api-url=http://api.slow/v1"), signal.SIGTERM, 0),
        (("--web.listen-address=me.slow:0",), signal.SIGTERM, 0),
        (("check", "--trainwave.api-url=http://api.slow/v1"), signal.SIGINT, 130),
    ],
    ids=["api", "own-address", "check"],
)
def test_a_name_that_is_being_looked_up_does_not_hold_up_the_end(
    start_slow: Callable[..., Process],
    tmp_path: Path,
    loop: str,
    arguments: tuple[str, ...],
    number: signal.Signals,
    status: int,
) -> None:
    path = {} if loop == "uvloop" else {"PYTHONPATH": without_uvloop(tmp_path)}
    process = start_slow(*arguments, **path)
    line_of(process, r"looking up \w+(\.slow)", errors=True)
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert (process.returncode, "Traceback" in errors) == (status, False)


WATCHED = """
import _signal, sys

class Watcher:
    def find_spec(self, name, path=None, target=None):
        held = _signal.SIGHUP in _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        print("held" if held else "free", name)

sys.meta_path.insert(0, Watcher())
from trainwave_exporter.__main__ import run
sys.exit(run())
"""
"""Says of each module that is loaded whether SIGHUP is held back by then."""


def test_nothing_is_loaded_before_signals_are_held_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "--log.level=loud"],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 2
    loaded = [line.split() for line in done.stdout.splitlines()]
    free = {name for how, name in loaded if how == "free"}
    free -= {"deploy", "grafana"}  # coverage loads what it measures before anything else
    assert free <= {"trainwave_exporter", "trainwave_exporter.__main__", "__future__"}
    assert ["held", "trainwave_exporter.cli.main"] in loaded


def blocks_sighup(process: Process) -> bool:
    """Whether it is past its first line, and nobody can reload yet."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)  # type: ignore[index]
    return bool(mask >> (signal.SIGHUP - 1) & 1)


def takes_sigterm(process: Process) -> bool:
    """Whether it has loaded what it runs, and its event loop may not run yet."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)  # type: ignore[index]
    return bool(mask >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("moment", [blocks_sighup, takes_sigterm])
def test_a_reload_that_is_asked_for_before_the_start_comes_after_it(
    start: Start, moment: Callable[[Process], bool]
) -> None:
    process = start(HERE, "--trainwave.api-url=http://127.0.0.1:9/v1", TRAINWAVE_API_KEY="k")
    wait_for(lambda: moment(process), "the moment", pause=0.001)
    process.send_signal(signal.SIGHUP)
    assert line_of(process, r"event=(started|config_reloaded)", errors=True) == "started"
    assert line_of(process, r"event=(config_reloaded)", errors=True)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


EXPORTER = (HERE, "--trainwave.api-url=http://127.0.0.1:9/v1")
DEMO = ("demo", HERE, "--jobs=3")
SIMULATOR = ("simulator", "--port=0")


@pytest.mark.parametrize(
    ("command", "started", "further"),
    [
        (EXPORTER, None, signal.SIGTERM),
        (EXPORTER, None, signal.SIGINT),
        (EXPORTER, None, signal.SIGHUP),
        (DEMO, r"(Ctrl-C)", signal.SIGINT),
        (DEMO, r"(Ctrl-C)", signal.SIGHUP),
        (SIMULATOR, r"API (key)", signal.SIGINT),
    ],
)
def test_whoever_is_asked_to_end_ends_well_however_many_signals_follow(
    start: Start, command: tuple[str, ...], started: str | None, further: signal.Signals
) -> None:
    process = start(*command, TRAINWAVE_API_KEY="tw-key-1")
    line_of(process, started or r"event=(started)", errors=started is None)
    process.terminate()

    def has_ended() -> bool:
        process.send_signal(further)
        return process.poll() is not None

    wait_for(has_ended, "the end", pause=0.001)
    assert process.returncode == 0


@pytest.mark.parametrize("command", [("simulator", "--port=0"), ("metrics",)])
def test_who_cannot_reload_ends_on_a_hangup_as_any_program(
    start: Start, command: tuple[str, ...]
) -> None:
    process = start(*command)
    wait_for(lambda: blocks_sighup(process), "the moment", pause=0.001)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGHUP


def start_without(streams: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the exporter as a shell does that was told to close some of its streams."""
    command = f'exec "$0" -m trainwave_exporter "$@" {streams}'
    return subprocess.Popen(
        ["/bin/sh", "-c", command, sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(TRAINWAVE_API_KEY="k"),
    )


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        if client.connect_ex(str(path)):
            return False
        client.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_closed_streams_change_nothing_of_how_it_serves_and_ends(
    tmp_path: Path, streams: str, number: signal.Signals
) -> None:
    path = tmp_path / "s"
    process = start_without(
        streams, f"--web.listen-address=unix:{path}", "--trainwave.api-url=http://127.0.0.1:9/v1"
    )
    wait_for(lambda: process.poll() is not None or answers(path), "an answer")
    process.send_signal(signal.SIGHUP)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == b""
    if "2>" not in streams:
        assert errors.strip().endswith(b"event=stopped")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--log.level=loud",), 2), (("check", "--trainwave.api-url=http://127.0.0.1:9/v1"), 1),
     (("metrics",), 0)],
)  # fmt: skip
def test_without_streams_a_command_ends_with_its_usual_status(
    arguments: tuple[str, ...], status: int
) -> None:
    process = start_without("<&- >&- 2>&-", *arguments)
    process.communicate(timeout=30)
    assert process.returncode == status
