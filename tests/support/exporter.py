"""The exporter as its users run it: a process of its own, talked to over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from prometheus_client import parser

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
AT_ONCE_SECONDS = 5.0
"""What ends at once takes less on a busy machine, too; with a wait for an answer it takes more."""
_POLL_SECONDS = 0.05


def wait_for(
    condition: Callable[[], T | None],
    what: str,
    seconds: float = PATIENCE_SECONDS,
    pause: float = _POLL_SECONDS,
) -> T:
    """Return the first true result of ``condition``; fail, saying ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    never = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        never.wait(pause)
    return result


class Metrics:
    """An exposition, of which only that is parsed which is asked for; much never is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: dict[str, list[str]] = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name = re.split(r"[{ ]", line, maxsplit=1)[0]
                self._lines.setdefault(name, []).append(line)
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}

    def all(self, name: str, /, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return all samples of a name that carry these labels."""
        if name not in self._samples:
            text = "".join(f"{line}\n" for line in self._lines.get(name, ()))
            families = cast("Any", parser.text_string_to_metric_families)(text)
            self._samples[name] = [
                (sample.labels, sample.value) for family in families for sample in family.samples
            ]
        wanted = labels.items()
        return [sample for sample in self._samples[name] if wanted <= sample[0].items()]

    def lines(self) -> Iterator[str]:
        """Yield all samples as they were written, each name's together."""
        for lines in self._lines.values():
            yield from lines

    def series(self, name: str) -> Iterator[tuple[str, float]]:
        """Yield the samples of a name, each with its name and labels as one text."""
        for line in self._lines.get(name, ()):
            series, _, value = line.rpartition(" ")
            yield series, float(value)

    def get(self, name: str, /, **labels: str) -> float | None:
        """Return the one sample of a name that carries these labels; None without any."""
        found = self.all(name, **labels)
        assert len(found) <= 1, f"{name}{labels}: {len(found)} samples"
        return found[0][1] if found else None

    def by(self, label: str, name: str, /, **labels: str) -> dict[str, float]:
        """Return the samples of a name that carry these labels, by the value of another one."""
        found = self.all(name, **labels)
        result = {sample_labels[label]: value for sample_labels, value in found}
        assert len(result) == len(found), f"{name} has several samples for one {label}"
        return result


class Exporter:
    """A process that runs the exporter, on a port that it chose itself."""

    program: Sequence[str] = ("trainwave_exporter",)
    """The module that is run, and what stands before its flags."""

    def __init__(self, *flags: str, env: Mapping[str, str] | None = None) -> None:
        command = [sys.executable, "-m", *self.program, *flags]
        if not any(flag.startswith("--web.listen-address") for flag in flags):
            command.append("--web.listen-address=127.0.0.1:0")
        if not any(flag.startswith("--storage.path") for flag in flags):
            command.append("--storage.path=:memory:")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TRAINWAVE_")}
        self.process = subprocess.Popen(
            [*command, "--log.format=json"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**clean, **(env or {})},
        )
        self.log: list[dict[str, Any]] = []
        self.raw_log: list[str] = []
        self._unread = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def __enter__(self) -> Self:
        started = wait_for(lambda: self.events("started"), "the exporter to start")
        self.url = f"http://{started[0]['listening'].split(',')[0]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if error is not None:
            print("".join(self.raw_log))  # noqa: T201 - pytest shows it with the failure

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event so far."""
        return [line for line in list(self.log) if line.get("event") == name]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and body of a page."""
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> Metrics:
        """Scrape."""
        status, body = self.get("/metrics")
        assert status == 200
        return Metrics(body)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        wait_for(lambda: self.get("/-/ready")[0] == 200, "the exporter to be ready")

    def wait(self, condition: Callable[[Metrics], Any], what: str, seconds: float = 30) -> Metrics:
        """Scrape until a condition holds, and return that scrape."""

        def scrape() -> Metrics | None:
            metrics = self.metrics()
            return metrics if condition(metrics) else None

        return wait_for(scrape, what, seconds)

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM; return exit code and the seconds until it was gone."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        return code, time.monotonic() - began

    def leave_log_unread(self) -> None:
        """Read no more of the log, and fill the pipe that it goes to."""
        self._unread = True
        pipe = os.open(f"/proc/{self.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, b"\n")  # for who waits for a line
            self._reader.join()
            with suppress(BlockingIOError):
                while True:
                    os.write(pipe, bytes(4096))
        finally:
            os.close(pipe)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if self._unread:
                return
            self.raw_log.append(line)
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": line.strip()})
