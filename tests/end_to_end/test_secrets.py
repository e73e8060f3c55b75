"""Everything at debug level and with every fault: the key is in nothing that anybody can read."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest
from support.exporter import Exporter, wait_for
from support.simulated import serving

from trainwave_exporter.config import load
from trainwave_exporter.daemon import Daemon
from trainwave_exporter.simulator import SimulatedWorld, Simulator, parse_faults

KEY = 'tw_51/se"cret+key\\5f3c9a'
"""Holds what JSON, URLs and HTML each spell in a way of their own."""
SPELLINGS = (KEY, json.dumps(KEY)[1:-1], quote(KEY, safe=""), quote(KEY), "5f3c9a", "tw_51")
PAGES = ("/", "/metrics", "/-/healthy", "/-/ready", "/nothing", "/metrics?name[]=trainwave_up")


def spelled(text: str) -> list[str]:
    return [spelling for spelling in SPELLINGS if spelling in text]


@pytest.mark.timeout(120)
def test_the_key_is_in_no_log_page_metric_title_or_file(tmp_path: Path) -> None:
    """The log, every page, the process title, its environment's readers, the ledger."""
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    ledger = tmp_path / "ledger"
    simulator = Simulator(
        SimulatedWorld(seed=8, jobs=20, speed=30), keys=(KEY,), rate_limit=100_000
    )
    with (
        serving(simulator) as url,
        Exporter(
            f"--trainwave.api-url={url}",
            f"--trainwave.api-key-file={key_file}",
            f"--storage.path={ledger}",
            "--storage.write-interval=1s",
            "--trainwave.timeout=1s",
            "--polling.running-interval=1s",
            "--polling.sweep-interval=2s",
            "--polling.directory-interval=1s",
            "--log.level=debug",
            env={"PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"},
        ) as exporter,
    ):
        simulator.faults = parse_faults("all=0.8,slow_for=2s")
        seen: list[str] = []
        pause = Event()
        while len(seen) < 50 or simulator.stats.by_fault.total() <= 20:
            seen += [exporter.get(page)[1] for page in PAGES]
            pause.wait(0.5)
        simulator.revoke_key(KEY)  # what is refused is told, too
        simulator.faults = parse_faults("")
        wait_for(lambda: simulator.stats.by_status[401] > 3, "the key to be refused")
        seen += [exporter.get(page)[1] for page in PAGES]
        process = Path(f"/proc/{exporter.process.pid}")
        seen += [(process / name).read_text() for name in ("cmdline", "comm", "environ", "status")]
        exporter.process.send_signal(signal.SIGTERM)
        exporter.process.wait(10)
        seen += exporter.raw_log
    assert len(seen) > 50
    assert spelled("\n".join(seen)) == []
    for file in ledger.iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name


def test_no_core_file_is_written_which_would_hold_the_key(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with Exporter(
            "--trainwave.api-url=http://127.0.0.1:9",
            f"--storage.path={tmp_path}",
            env={"TRAINWAVE_API_KEY": KEY, "PYTHONFAULTHANDLER": "1"},
        ) as exporter:
            limits = Path(f"/proc/{exporter.process.pid}/limits").read_text()
            exporter.process.send_signal(signal.SIGQUIT)
            assert exporter.process.wait(10) == -signal.SIGQUIT
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert re.search(r"^Max core file size +0 ", limits, re.MULTILINE)
    assert spelled("".join(exporter.raw_log)) == []


@pytest.mark.parametrize(
    "arguments",
    [("check",), ("check", "--log.level=debug"), ("--help",), ("report",), ("--no-such-flag",)],
    ids=" ".join,
)
def test_no_command_prints_the_key(arguments: Sequence[str], tmp_path: Path) -> None:
    simulator = Simulator(SimulatedWorld(seed=8, jobs=5), keys=(KEY,), rate_limit=1000)
    simulator.faults = parse_faults("all=0.3,slow_for=2s")
    with serving(simulator) as url:
        ran = subprocess.run(
            [sys.executable, "-m", "trainwave_exporter", *arguments],
            env={
                **os.environ,
                "TRAINWAVE_API_URL": url,
                "TRAINWAVE_API_KEY": KEY,
                "TRAINWAVE_TIMEOUT": "1s",
                "TRAINWAVE_STORAGE_PATH": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.stdout + ran.stderr
    assert spelled(ran.stdout + ran.stderr) == []


def test_no_traceback_of_the_daemon_shows_the_key_even_with_all_local_variables() -> None:
    """What a debugger or an error tracker shows of the whole daemon."""
    settings = load({"storage.path": ":memory:"}, {}, None)
    daemon = Daemon(settings, {"default": Source()})

    def fail(daemon: Daemon) -> None:
        clients = [watch.client for watch in daemon.runtimes]
        credentials = [client._credential for client in clients]
        assert credentials
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        fail(daemon)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert spelled("".join(shown.format())) == []
    assert spelled("\n".join(reprs(daemon))) == []


class Source:
    """A source of the key."""

    secrets = ()

    def __call__(self) -> str:
        return KEY


def reprs(thing: object) -> Iterator[str]:
    """Yield how a thing and all that hangs on it shows itself."""
    seen: set[int] = set()
    waiting = [thing]
    while waiting and len(seen) < 5000:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield repr(each)
        waiting += vars(each).values() if hasattr(each, "__dict__") else ()


def test_settings_that_are_printed_hold_the_place_of_the_key_and_not_the_key(
    tmp_path: Path,
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    settings = load({"trainwave.api_key_file": str(key_file)}, {"TRAINWAVE_API_KEY": KEY}, None)
    assert spelled(repr(settings)) == []
    assert str(key_file) in repr(settings)
