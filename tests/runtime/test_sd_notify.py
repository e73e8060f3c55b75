"""What a service manager is told, over a real socket, by the notifier and by the whole daemon."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.exporter import Exporter, wait_for
from support.simulated import serving

from trainwave_exporter.config import KeySource, key_source, load
from trainwave_exporter.daemon import Daemon
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.sd_notify import Notifier
from trainwave_exporter.simulator import SimulatedWorld, Simulator


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Receive what a service manager would, at ``tmp_path/notify``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def heard(manager: socket.socket) -> list[str]:
    """Return the assignments of the next message."""
    return manager.recv(4096).decode().split("\n")


def silence(manager: socket.socket) -> bool:
    """Whether nothing waits to be received."""
    manager.setblocking(False)
    try:
        manager.recv(4096)
    except BlockingIOError:
        return True
    finally:
        manager.settimeout(30)
    return False


def at(path: Path, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(path / "notify"), **more}


def test_it_reports_readiness_and_the_end(manager: socket.socket, tmp_path: Path) -> None:
    """Each is one message, as the protocol spells it."""
    notifier = Notifier(at(tmp_path))
    notifier.ready()
    assert heard(manager) == ["READY=1"]
    notifier.stopping()
    assert heard(manager) == ["STOPPING=1"]


def test_a_reload_is_reported_with_its_time(manager: socket.socket, tmp_path: Path) -> None:
    """Without the time on the system's monotonic clock systemd would not believe a reload."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(at(tmp_path)).reloading()
    first, second = heard(manager)
    name, _, microseconds = second.partition("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before <= int(microseconds) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_an_abstract_socket_is_reached() -> None:
    """systemd may hand over one without a file, written with an @."""
    name = f"trainwave-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(30)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert heard(listener) == ["READY=1"]


async def test_signs_of_life_come_twice_in_the_watchdogs_time(
    manager: socket.socket, tmp_path: Path
) -> None:
    """While it lives there is one at least in every half, with what is amiss, in one line each."""
    notifier = Notifier(at(tmp_path, WATCHDOG_USEC="200000", WATCHDOG_PID=str(os.getpid())))
    began = time.monotonic()
    notifier.keep_alive(lambda: ["account a:\nno sweep", "loop b: stopped"], lambda: True)
    beats = [await asyncio.to_thread(heard, manager) for _ in range(3)]
    assert beats == [["WATCHDOG=1", "STATUS=account a: no sweep; loop b: stopped"]] * 3
    assert time.monotonic() - began >= 0.19  # the first is at once, two more after 0.1 s each
    notifier.stopping()
    assert await asyncio.to_thread(heard, manager) == ["STOPPING=1"]
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert silence(manager)


async def test_no_sign_of_life_while_it_does_not_live(
    manager: socket.socket, tmp_path: Path
) -> None:
    """The status still tells why; once it lives again, so does the sign."""
    lives = False
    notifier = Notifier(at(tmp_path, WATCHDOG_USEC="20000"))
    notifier.keep_alive(lambda: [] if lives else ["loop x: stopped"], lambda: lives)
    for _ in range(2):
        assert await asyncio.to_thread(heard, manager) == ["STATUS=loop x: stopped"]
    lives = True
    async with asyncio.timeout(30):
        while (beat := await asyncio.to_thread(heard, manager)) != ["WATCHDOG=1", "STATUS=ready"]:
            assert beat == ["STATUS=loop x: stopped"]
    notifier.stopping()


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"},
    ],
    ids=["none", "zero", "no number", "another process's"],
)
async def test_no_watchdog_no_signs_of_life(
    manager: socket.socket, tmp_path: Path, watchdog: dict[str, str]
) -> None:
    """Nothing is sent to a watchdog that does not wait for this process."""
    notifier = Notifier(at(tmp_path, **watchdog))
    notifier.keep_alive(list, lambda: True)
    assert silence(manager)


async def test_without_a_manager_nothing_happens() -> None:
    """Started by hand, the exporter has nobody to tell, whatever the watchdog's variable says."""
    with capture_logs() as lines:
        notifier = Notifier({"WATCHDOG_USEC": "20000"})
        notifier.ready()
        notifier.keep_alive(list, lambda: True)
        notifier.stopping()
    assert lines == []


def test_a_manager_that_does_not_listen_is_logged_only(tmp_path: Path) -> None:
    """A missing socket must not end the exporter."""
    with capture_logs() as lines:
        Notifier(at(tmp_path)).ready()
    assert [line["event"] for line in lines] == ["notify_failed"]
    assert lines[0]["socket"] == str(tmp_path / "notify")


def test_the_exporter_notifies_from_start_to_end(manager: socket.socket, tmp_path: Path) -> None:
    """Ready as soon as it can be scraped, alive while its loops run, and a word before it goes."""
    with serving(Simulator(SimulatedWorld(seed=1, jobs=4))) as url:
        env = at(tmp_path, WATCHDOG_USEC="100000", TRAINWAVE_API_KEY="demo-key")
        with Exporter(f"--trainwave.api-url={url}", env=env) as exporter:
            assert heard(manager) == ["READY=1"]
            assert exporter.get("/-/healthy")[0] == 200
            told = wait_for(lambda: "STATUS=ready" in (beat := heard(manager)) and beat, "ready")
            assert told == ["WATCHDOG=1", "STATUS=ready"]
            assert exporter.terminate()[0] == 0
            assert wait_for(lambda: heard(manager) == ["STOPPING=1"], "the last word")
            assert silence(manager)


async def test_a_stopped_loop_starves_the_watchdog(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter whose polling hangs is started anew by the service manager."""
    for name, value in at(tmp_path, WATCHDOG_USEC="50000").items():
        monkeypatch.setenv(name, value)
    ahead = 0.0
    environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": "http://127.0.0.1:1"}
    flags = {"web.listen_address": "127.0.0.1:0", "storage.path": ":memory:"}
    settings = load(flags, environ, None)
    keys: dict[str, KeySource] = {
        account.name: key_source(account, environ) for account in settings.accounts
    }
    daemon = Daemon(settings, keys, clock=Clock(monotonic=lambda: time.monotonic() + ahead))
    running = asyncio.create_task(daemon.run())
    try:
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(heard, manager) == ["READY=1"]
            assert (await asyncio.to_thread(heard, manager))[0] == "WATCHDOG=1"
            ahead = 10_000.0
            while "WATCHDOG=1" in (beat := await asyncio.to_thread(heard, manager)):
                pass
        assert "loop housekeeping: stopped" in beat[0]
    finally:
        daemon.stop()
        await running
