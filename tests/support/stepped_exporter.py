"""An exporter whose clock a test steps, and that the test may kill at any instant.

As a program (``python -m support.stepped_exporter CLOCK_FILE FLAGS``) it is a launcher: for each
line that it reads it forks an exporter, which then need not import anything, and prints the
process id; when that process is gone, it says so. The exporter's clock is what the file says, and
stands still in between; only what it waits for passes in real time.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from ctypes import c_double, sizeof
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from support.exporter import Metrics, wait_for
from trainwave_exporter.cli.options import flags_of, new_parser
from trainwave_exporter.config import CONFIG_FILE, KeySource, key_source, load, redactor
from trainwave_exporter.daemon import Daemon, daemon
from trainwave_exporter.polling import poller
from trainwave_exporter.runtime import logs
from trainwave_exporter.runtime.clock import Clock

PLANNING_SECONDS = 0.1
PUBLICATION_SECONDS = 0.05
"""How often the planner looks for details to ask for, and what was found is made ready to be
scraped; once a second would make each step last."""


class StepClock:
    """A clock in a file, which stands still until it is set. Unix seconds."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._now = c_double.from_buffer(mmap.mmap(file.fileno(), sizeof(c_double)))

    @classmethod
    def create(cls, path: Path, now: float) -> Self:
        """Make the file, with a clock that shows ``now``."""
        path.write_bytes(bytes(c_double(now)))
        return cls(path)

    def __call__(self) -> float:
        """Return what it shows."""
        return self._now.value

    def set(self, now: float) -> None:
        """Let it show ``now``, to all who have it."""
        self._now.value = now


class Rest:
    """Whether the planner has nothing left to ask: it has looked, and again, and asked nothing."""

    _LOOKS = 3

    def __init__(self) -> None:
        self._asked = self._looks = -1.0

    def of(self, metrics: Metrics) -> bool:
        """Return whether that is so, as far as this scrape and those before it tell."""
        asked = sum(
            number
            for labels, number in metrics.all("trainwave_exporter_api_requests_total")
            if labels["endpoint"] == "job" or labels["endpoint"].startswith("metrics/")
        )
        runs = metrics.all("trainwave_exporter_loop_runs_total", loop="readings")
        looks = sum(number for _, number in runs)
        if asked != self._asked or looks < self._looks:
            self._asked, self._looks = asked, looks
        return looks >= self._looks + self._LOOKS


class SteppedExporter:
    """The test's handle on the exporter: starts it, looks at it, kills it."""

    def __init__(self, clock_file: Path, *flags: str, env: Mapping[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TRAINWAVE_")}
        self._launcher = subprocess.Popen(
            [
                *(sys.executable, "-m", "support.stepped_exporter", str(clock_file)),
                *flags,
                *("--web.listen-address=127.0.0.1:0", "--log.format=json"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, **env, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._starts = 0
        self.pid: int | None = None
        """The exporter's process, while there is one."""
        self.log: list[str] = []
        """The lines of all its lives."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._url = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self.pid is not None:
            self.kill()
        for stream in (self._launcher.stdin, self._launcher.stdout):
            assert stream is not None
            stream.close()  # at the end of its input the launcher ends
        self._launcher.wait()
        self._reader.join()
        if error is not None:
            print("".join(self.log[-100:]))  # noqa: T201 - pytest shows it with the failure

    @property
    def pids(self) -> list[int]:
        """The launcher, from which exporters inherit their limits, and the exporter if it runs."""
        return [self._launcher.pid] if self.pid is None else [self._launcher.pid, self.pid]

    def ensure_running(self) -> None:
        """Start it, if it does not run; return when it can be scraped."""
        if self.pid is not None:
            return
        self._starts += 1
        self._tell("start")
        self.pid = int(self._answer())
        started = wait_for(self._started, "the exporter to start")
        self._url = f"http://{started['listening']}"

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def terminate(self) -> None:
        """Have it end as it should, and wait until it is gone."""
        assert self._end(signal.SIGTERM) == 0

    def _end(self, number: signal.Signals) -> int:
        assert self.pid is not None
        os.kill(self.pid, number)
        code = int(self._answer())
        self.pid = None
        return code

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event so far, of all its lives."""
        return [json.loads(line) for line in list(self.log) if f'"event": "{name}"' in line]

    def metrics(self) -> Metrics:
        """Scrape."""
        with urllib.request.urlopen(self._url + "/metrics", timeout=10) as answer:
            return Metrics(answer.read().decode())

    def _started(self) -> dict[str, Any] | None:
        started = self.events("started")
        return started[-1] if len(started) == self._starts else None

    def _read(self) -> None:
        assert self._launcher.stderr is not None
        with self._launcher.stderr as lines:
            self.log.extend(lines)

    def _tell(self, order: str) -> None:
        assert self._launcher.stdin is not None
        self._launcher.stdin.write(order + "\n")
        self._launcher.stdin.flush()

    def _answer(self) -> str:
        assert self._launcher.stdout is not None
        return self._launcher.stdout.readline().strip()


def main(clock_file: Path, flags: list[str]) -> None:
    """Fork an exporter for each line of input; tell its process id, and how it ended."""
    poller.SPEND_INTERVAL = PLANNING_SECONDS
    daemon.PUBLICATION_SECONDS = PUBLICATION_SECONDS
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(StepClock(clock_file), flags)
        print(child, flush=True)  # noqa: T201 - this is what it is for
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - likewise


def _run(clock: StepClock, flags: list[str]) -> NoReturn:
    options = new_parser().parse_args(flags)
    file = getattr(options, CONFIG_FILE.path, None)
    settings = load(flags_of(options), os.environ, Path(file) if file else None)
    keys: dict[str, KeySource] = {
        account.name: key_source(account, os.environ) for account in settings.accounts
    }
    redact = redactor(tuple(keys.values()))
    logs.configure(level=settings.log.level, form=settings.log.format, redact=redact)
    exporter = Daemon(
        settings, keys, clock=Clock(time=clock, monotonic=lambda: clock() + time.monotonic())
    )
    asyncio.run(exporter.run())
    logs.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
