"""Runs the service and the exporter in one fast time, and says what was expected and shown."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from oracle.scenario import Dialect, iso
from oracle.service import KEY, ROOT
from support.exporter import Exporter, Metrics, wait_for

both_dialects = pytest.mark.parametrize("dialect", list(Dialect), ids=lambda each: each.value)


class Checks:
    """Compares what was shown with what was worked out; fails with all differences at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._wrong = 0

    def near(self, what: str, shown: float | None, expected: float, within: float = 0.005) -> None:
        """Expect a value, give or take."""
        ok = shown is not None and abs(shown - expected) <= within
        self._note(ok, what, shown, f"{expected:g} ± {within:g}")

    def between(self, what: str, shown: float | None, least: float, most: float) -> None:
        """Expect a value within bounds."""
        ok = shown is not None and least <= shown <= most
        self._note(ok, what, shown, f"{least:g} to {most:g}")

    def absent(self, what: str, shown: object) -> None:
        """Expect that nothing is shown."""
        self._note(shown in (None, [], {}), what, shown, "absent")

    def true(self, what: str, shown: object) -> None:
        """Expect that something holds."""
        self._note(bool(shown), what, shown, "true")

    def done(self) -> None:
        """Fail if anything was not as expected."""
        table = "\n".join(self._lines)
        print(table)  # noqa: T201 - pytest shows it with the failure
        assert not self._wrong, f"{self._wrong} of {len(self._lines)} differ:\n{table}"

    def _note(self, ok: bool, what: str, shown: object, expected: str) -> None:
        self._wrong += not ok
        self._lines.append(
            f"{'ok   ' if ok else 'WRONG'} {what}: expected {expected}, shown {shown}"
        )


class World:
    """The service in fast time; exporters that are started here live in the same time."""

    def __init__(
        self, file: str, name: str, dialect: Dialect, folder: Path, start: float, speed: int = 100
    ) -> None:
        self._arguments = [file, name, dialect.value]
        self.folder = folder
        self.ledger = folder / "data"
        self._speed = speed
        self._port = 0
        self._exporters: list[Exporter] = []
        self._clock: dict[str, str] = {}
        self._begin(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for exporter in self._exporters:
            exporter.__exit__(kind, error, None)
        self._end()

    def now(self) -> float:
        """Return the world's time."""
        return float(self._ask()["now"])

    def requests(self) -> dict[str, int]:
        """Return the requests since the world began or last jumped, by kind and status."""
        return dict(self._ask()["requests"])

    def until(self, instant: float) -> None:
        """Wait until an instant of the world."""
        left = max(0.0, instant - self.now()) / self._speed
        wait_for(lambda: self.now() >= instant, iso(instant), left + 30)

    def scrapes_until(self, exporter: Exporter, instant: float) -> list[tuple[float, Metrics]]:
        """Scrape every half minute of the world or so; return instants and what was shown."""
        found = []
        pause = threading.Event()
        while (now := self.now()) < instant:
            found.append((now, exporter.metrics()))
            pause.wait(30 / self._speed)
        return found

    def jump(self, instant: float) -> None:
        """Let the world be at a later instant; no exporter may run."""
        assert not self._exporters, "stop the exporter before the world jumps"
        assert instant >= self.now()
        self._end()
        self._begin(instant)

    def start(self, *flags: str, budgets: Sequence[dict[str, Any]] = ()) -> Exporter:
        """Start the exporter on the ledger on disk, and return it once it serves."""
        config = self.folder / "config.yml"
        config.write_text(json.dumps({"budgets": list(budgets)}))
        exporter = Exporter(
            f"--config.file={config}",
            f"--trainwave.api-url=http://127.0.0.1:{self._port}{ROOT}",
            f"--storage.path={self.ledger}",
            "--trainwave.timeout=5m",  # a short while of real time
            *flags,
            env={**self._clock, "TRAINWAVE_API_KEY": KEY},
        )
        self._exporters.append(exporter)
        return exporter.__enter__()

    def stop(self, exporter: Exporter) -> Metrics:
        """Stop an exporter as its operator would; return what it showed last."""
        last = exporter.metrics()
        code, _ = exporter.terminate()
        self._exporters.remove(exporter)
        exporter.__exit__(None, None, None)
        assert code == 0, "".join(exporter.raw_log)
        return last

    def try_start(self, *flags: str) -> Exporter | None:
        """Start the exporter, which may refuse to."""
        try:
            return self.start(*flags)
        except AssertionError:
            exporter = self._exporters.pop()
            refused = exporter.process.poll()
            exporter.__exit__(None, None, None)
            assert refused, "neither started nor refused to"
            return None

    def report(self, period: str, *by: str) -> list[dict[str, Any]]:
        """Return the rows of a report on a period in UTC, grouped as said."""
        code, rows = self.try_report(period, *by)
        assert code == 0, "the report failed"
        return rows

    def try_report(self, period: str, *by: str) -> tuple[int, list[dict[str, Any]]]:
        """Return exit code and rows of a report, which may fail."""
        command = [
            *(sys.executable, "-m", "trainwave_exporter", "report"),
            *(f"--storage.path={self.ledger}", "--period", period, "--time-zone", "UTC"),
            *("--format", "json", "--by", ",".join(by or ("project",))),
        ]
        answer = subprocess.run(
            command,
            env={**os.environ, **self._clock},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        rows = json.loads(answer.stdout)["rows"] if answer.returncode == 0 else []
        return answer.returncode, rows

    def reported(self, period: str, project: str) -> float:
        """Return what a project cost in a period, by the report; 0 where it does not occur."""
        rows = self.report(period)
        return sum(float(row["cost_dollars"]) for row in rows if row["project_id"] == project)

    def _begin(self, start: float) -> None:
        since = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M:%S")
        # -m: the library for programs with threads. Times of files stay real, as otherwise
        # every compiled module would look outdated.
        tests = Path(__file__).parents[1]
        self._service = subprocess.Popen(
            [
                *(_faketime(), "-m", "-f", f"@{since} x{self._speed}"),
                *(sys.executable, "-m", "oracle.service", *self._arguments, str(self._port)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TZ": "UTC", "NO_FAKE_STAT": "1", "PYTHONPATH": str(tests)},
        )
        assert self._service.stdout is not None
        said = json.loads(self._service.stdout.readline())
        self._port = said["port"]
        self._clock = {**said["clock"], "TZ": "UTC", "NO_FAKE_STAT": "1"}

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._service.pid, signal.SIGTERM)
        self._service.communicate()

    def _ask(self) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/world", timeout=10) as answer:
            return json.load(answer)


def sum_of(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return the sum of the samples that carry these labels; None without any."""
    found = metrics.all(name, **labels)
    return sum(value for _, value in found) if found else None


def _faketime() -> str:
    program = shutil.which("faketime")
    if program is None:
        message = "faketime is missing: apt-get install faketime"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return program
