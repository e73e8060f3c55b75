"""Commands as processes: what they print, what they serve, and how they end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from cli.conftest import environment, line_of
from support.exporter import AT_ONCE_SECONDS, wait_for
from support.ledger_world import LedgerWorld

from trainwave_exporter.__main__ import run
from trainwave_exporter.cli import main

if TYPE_CHECKING:
    from cli.conftest import Process, Start

ENDING = (signal.SIGTERM, signal.SIGINT)
LISTENING = r"event=started .*listening=(\S+)"
HERE = "--web.listen-address=127.0.0.1:0"


def body_of(url: str) -> str:
    with urlopen(url, timeout=10) as response:
        return str(response.read(), "utf-8")


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("number", ENDING)
def test_the_exporter_serves_until_a_signal_and_ends_at_once(
    start: Start, api_url: str, tmp_path: Path, number: signal.Signals, loop: str
) -> None:
    if loop != "uvloop":  # as where there is none
        (tmp_path / "uvloop.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    url = f"--trainwave.api-url={api_url}"
    process = start(HERE, url, TRAINWAVE_API_KEY="demo-key", PYTHONPATH=path)
    address = line_of(process, rf"{LISTENING} .*event_loop={loop}", errors=True)
    assert "trainwave_exporter_build_info" in body_of(f"http://{address}/metrics")
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate()
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert process.returncode == 0
    assert out == ""
    assert "demo-key" not in err


def signals(process: Process, which: str) -> set[int]:
    """Return those that a process blocks (``SigBlk``) or catches (``SigCgt``), as Linux tells."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(re.search(rf"{which}:\s*(\w+)", status)[1], 16)  # type: ignore[index]
    return {number for number in ENDING if mask >> (number - 1) & 1}


def held_back(process: Process) -> bool:
    """Whether it is past its first line and before its last import."""
    return signals(process, "SigBlk") == set(ENDING)


def taken(process: Process) -> bool:
    """Whether it is past its last import; its event loop may run by now, or not."""
    return not signals(process, "SigBlk") and signals(process, "SigCgt") == set(ENDING)


@pytest.mark.parametrize("command", [(HERE,), ("demo", HERE), ("simulator", "--port=0")])
@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("moment", [held_back, taken])
def test_a_signal_that_comes_early_ends_a_server_just_as_well(
    start: Start,
    command: tuple[str, ...],
    number: signal.Signals,
    moment: Callable[[Process], bool],
) -> None:
    process = start(*command, TRAINWAVE_API_KEY="demo-key")
    wait_for(lambda: moment(process), "the moment", pause=0.001)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (0, False)


def test_the_installed_command_takes_the_same_way_in() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert EntryPoint("", project["scripts"]["trainwave-exporter"], "").load() is run


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -15), (signal.SIGINT, 130)])
def test_who_was_to_report_something_does_not_end_well_when_asked_to_stop_before(
    start: Start, number: signal.Signals, status: int
) -> None:
    process = start("metrics")
    wait_for(lambda: held_back(process), "the moment", pause=0.001)
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == status


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--web.listen-address=unix:{0}"], r"http://unix:{0}/metrics"),
        (["--web.listen-address=unix:{0}", HERE], r"http://127\.0\.0\.1:[0-9]+/metrics"),
        (["--web.listen-address=:0"], r"http://localhost:[0-9]+/metrics"),
    ],
    ids=["socket-file", "both", "every-interface"],
)
def test_the_demo_reports_a_host_and_port_where_there_is_one(
    start: Start, tmp_path: Path, flags: list[str], expected: str
) -> None:
    path = tmp_path / "demo.sock"
    process = start("demo", *(flag.format(path) for flag in flags))
    told = line_of(process, r"Metrics: +(\S+)")
    assert re.fullmatch(expected.format(path), told)


def test_the_demo_reports_where_to_look_and_serves_a_fleet_and_leaves_no_ledger(
    start: Start, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    process = start(
        f"--storage.path={ledger}", "demo", HERE, "--jobs=3", TRAINWAVE_ORGANIZATION="o-other"
    )
    api = line_of(process, r"Simulated Trainwave: (\S+)")
    assert api.startswith("http://127.0.0.1:")
    metrics = line_of(process, r"Metrics: +(\S+)")
    deadline = time.monotonic() + 30
    while "trainwave_job_info" not in body_of(metrics):
        if time.monotonic() > deadline:
            process.terminate()
            pytest.fail(f"no job in 30 s: {process.communicate()}")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
    assert not ledger.exists()


def test_the_simulator_reports_its_url_and_key_and_stops_on_a_signal(start: Start) -> None:
    process = start("simulator", "--port=0", "--jobs=1", "--speed=60", "--key=other-key")
    url = line_of(process, r"Simulated Trainwave: (\S+)")
    assert url.startswith("http://127.0.0.1:")
    assert line_of(process, r"API key: +(\S+)") == "other-key"
    process.terminate()
    process.communicate()
    assert process.returncode == 0


def test_check_prints_what_a_key_can_see(
    api_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("demo-key")
    key.chmod(0o600)
    status = main(
        ["check", f"--trainwave.api-url={api_url}", f"--trainwave.api-key-file={key}"], {}
    )
    assert status == 0
    out = capsys.readouterr().out
    assert "dialect        deployed\n" in out
    assert "rate limit     100 requests a minute, of which 80 may be used\n" in out


def test_check_fails_for_a_key_that_is_refused(
    api_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", f"--trainwave.api-url={api_url}"], {"TRAINWAVE_API_KEY": "wrong-key"})
    assert status == 1
    out, err = capsys.readouterr()
    assert "FAILED         the API refused the key: " in out
    assert "wrong-key" not in out + err


IPV6_NETWORKS = "10.0.0.0/8,fd00::/8,[::1],::1,[::1,.svc,127.0.0.1"


def test_networks_of_ipv6_among_the_exceptions_of_a_proxy_are_read_and_what_is_none_is_reported(
    start: Start, api_url: str
) -> None:
    """Each request would fail at the proxy, of which there is none."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": IPV6_NETWORKS, "NO_PROXY": "a..b"}
    url = f"--trainwave.api-url={api_url}"
    check = start(url, "check", TRAINWAVE_API_KEY="demo-key", **proxy)
    out, err = check.communicate(timeout=30)
    assert check.returncode == 0, err
    assert "dialect        deployed\n" in out
    told = r"level=warning event=no_proxy_entries_ignored variable=no_proxy entries=\[::1\n"
    assert len(re.findall(told, err)) == 1
    serving = start(HERE, url, TRAINWAVE_API_KEY="demo-key", **proxy)
    assert line_of(serving, r"event=(no_proxy_entries_ignored) .*entries=\[::1$", errors=True)
    address = line_of(serving, LISTENING, errors=True)
    wait_for(lambda: "trainwave_job_info{" in body_of(f"http://{address}/metrics"), "a job")


def test_a_demo_takes_no_proxy_of_the_environment(start: Start) -> None:
    bad = {"HTTP_PROXY": "http://127.0.0.1:9", "SSL_CERT_FILE": "/none"}
    process = start("demo", HERE, "--jobs=3", **bad)
    metrics = line_of(process, r"Metrics: +(\S+)")
    wait_for(lambda: "trainwave_job_info{" in body_of(metrics), "a job")


@pytest.fixture
def long_ledger(tmp_path: Path) -> Path:
    """The folder of a ledger whose report by job is longer than a pipe holds (64 KiB)."""
    now = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    world = LedgerWorld(tmp_path, now=now)
    jobs = (f"j-{number:0100}" for number in range(1000))
    world.open(*(world.job(id_, "SUCCESS", created_at=now - 3600, cost_dollars=1) for id_ in jobs))
    world.writer.close()
    return tmp_path


def piped_to_head(*arguments: str, **variables: str) -> tuple[list[int], str, str]:
    """Pipe a command to ``head -1``; return both exit statuses, the output, and the errors."""
    command = shlex.join([sys.executable, "-m", "trainwave_exporter", *arguments])
    done = subprocess.run(
        ["bash", "-c", f'{command} | head -1; echo "${{PIPESTATUS[@]}}"'],
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=60,
        check=False,
    )
    *lines, statuses = done.stdout.splitlines()
    return [int(status) for status in statuses.split()], "\n".join(lines), done.stderr


@pytest.mark.parametrize(
    ("form", "first"),
    [("table", "2026-11-01 00:00 to "), ("csv", "job_id,job_name,"), ("json", "{")],
)
def test_a_report_of_which_only_the_first_line_is_read_ends_quietly(
    long_ledger: Path, form: str, first: str
) -> None:
    arguments = ["--period=2026-11", "--by=job", f"--format={form}"]
    statuses, line, errors = piped_to_head("report", f"--storage.path={long_ledger}", *arguments)
    assert (statuses, errors) == ([0, 0], "")
    assert line.startswith(first)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("metrics",), ("check",), ("report",)]
)
def test_what_nobody_reads_is_no_error(
    api_url: str, long_ledger: Path, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    if arguments == ("check",):
        arguments = (*arguments, f"--trainwave.api-url={api_url}", "--log.level=warning")
    with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
        done = subprocess.run(
            [sys.executable, "-m", "trainwave_exporter", *arguments],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(TRAINWAVE_API_KEY="demo-key", TRAINWAVE_STORAGE_PATH=str(long_ledger)),
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_key_behind_two_references_is_one_account_too_many(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("the-same-key\n")
    (tmp_path / "key").chmod(0o600)
    file = tmp_path / "exporter.yml"
    file.write_text(
        "accounts:\n  - {name: one, api_key_env: KEY_ONE}\n  - {name: two, api_key_file: key}\n"
    )
    process = start(f"--config.file={file}", KEY_ONE="the-same-key")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert errors == (
        "trainwave-exporter: error: accounts[two]: has the key of one;"
        " one key is one account, for its rate limit\n"
    )


def ended(*arguments: str, streams: str, **variables: str) -> tuple[int, str]:
    """Run a command with its streams set up by a shell; return its status and its errors."""
    command = shlex.join([sys.executable, "-m", "trainwave_exporter", *arguments])
    done = subprocess.run(
        ["bash", "-c", f"{command} {streams}"],
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", [("metrics",), ("simulator", "--port=0")])
def test_a_full_disk_under_the_output_is_reported_in_one_line(command: tuple[str, ...]) -> None:
    told = "standard output cannot be written to: no space left on device"
    assert ended(*command, streams=">/dev/full") == (1, f"trainwave-exporter: error: {told}\n")


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_with_closed_streams_serves_until_a_signal(tmp_path: Path, streams: str) -> None:
    path = tmp_path / "web.sock"
    flags = [f"--web.listen-address=unix:{path}", "--trainwave.api-url=http://127.0.0.1:9"]
    command = shlex.join([sys.executable, "-m", "trainwave_exporter", *flags])
    with subprocess.Popen(
        ["bash", "-c", f"exec {command} {streams}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(TRAINWAVE_API_KEY="demo-key"),
    ) as process:
        wait_for(path.exists, "it to listen")
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_demo_whose_output_nobody_reads_serves_on(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(
        [sys.executable, "-m", "trainwave_exporter", "demo", f"--web.listen-address=unix:{path}"],
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        os.close(writing)
        wait_for(path.exists, "it to listen")
        process.terminate()
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("flag", "error"),
    [
        ("--trainwave.api-key-file", "{0}: is not a regular file"),
        ("--config.file", "{0}: cannot be read: not a regular file"),
        ("--web.config.file", "{0}: cannot be read: not a regular file"),
    ],
)
def test_a_fifo_for_a_file_is_refused_at_once_in_one_line(
    tmp_path: Path, flag: str, error: str
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    key = {} if "key" in flag else {"TRAINWAVE_API_KEY": "demo-key"}
    assert ended(HERE, f"{flag}={fifo}", streams="", **key) == (
        2,
        f"trainwave-exporter: error: {error.format(fifo)}\n",
    )


@pytest.mark.usefixtures("untraced")  # which is OpenSSL's, before the exporter looks
@pytest.mark.parametrize("command", [(), ("check",), ("metrics",)])
@pytest.mark.parametrize(
    "variable", ["SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF"]
)
def test_a_fifo_that_a_library_would_open_is_refused_at_once_in_one_line(
    tmp_path: Path, command: tuple[str, ...], variable: str
) -> None:
    """Most would be opened while the libraries are imported, in which no signal ends the wait."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    status, errors = ended(
        *command, streams="", TRAINWAVE_API_KEY="demo-key", **{variable: str(fifo)}
    )
    assert status == 2
    assert re.fullmatch(rf"trainwave-exporter: error: {variable}: {fifo} .+ unset it\n", errors)
