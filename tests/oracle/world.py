"""Runs the service and the exporter in one fast time, and says what was expected and shown."""

from __future__ import annotations

import http.client
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import pytest
from oracle.scenario import DAY, Dialect, iso
from oracle.service import KEY, ROOT
from support.exporter import Exporter, Metrics, wait_for

both_dialects = pytest.mark.parametrize("dialect", list(Dialect), ids=lambda each: each.value)

SPEED = 100
"""Of the world, where a test does not say otherwise."""
_SLOWER = 25


def in_fast_time(test: Callable[..., None]) -> Callable[..., None]:
    """Run a scenario; if what was shown differs, once more in slower time, which decides.

    On a busy machine half a second without the processor is a minute of the world, in which the
    exporter did nothing. What it does wrong it does in slower time, too. A warning says that it
    came to that.
    """

    @pytest.mark.usefixtures("untraced")
    @pytest.mark.timeout(400)
    @wraps(test)
    def tried(tmp_path: Path, **arguments: Any) -> None:
        try:
            test(tmp_path=tmp_path, **arguments)
        except AssertionError as error:
            warnings.warn(f"in fast time {test.__name__} shows: {error}", stacklevel=1)
        else:
            return
        folder = tmp_path / "slower"
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORACLE_SPEED", str(_SLOWER))
            test(tmp_path=folder, **arguments)

    found: Callable[..., None] = tried
    return found


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


@dataclass(frozen=True)
class Look:
    """A scrape, with the instants between which it was right."""

    shown: Metrics
    listed: float
    now: float

    @property
    def age(self) -> float:
        """How old what is shown may be, in seconds."""
        return self.now - self.listed


class FastExporter(Exporter):
    """The exporter in fast time, in which it may find that a scraper reads too slowly."""

    program = ("oracle.held",)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and body of a page; ask again if the answer was cut short."""
        answers: list[tuple[int, str]] = []

        def ask() -> bool:
            with suppress(http.client.HTTPException, OSError):
                answers.append(super(FastExporter, self).get(path, **headers))
            return bool(answers)

        wait_for(ask, f"an answer to {path}")
        return answers[0]


class World:
    """The service in fast time; exporters that are started here live in the same time.

    libfaketime reads the clock from a file that says where the time began, and how fast it goes;
    both share the instant at which it did. The file is written anew when an exporter is about to
    start.
    """

    def __init__(
        self, file: str, name: str, dialect: Dialect, folder: Path, start: float, speed: int = SPEED
    ) -> None:
        self.folder = folder
        self.ledger = folder / "data"
        self._storage = f"--storage.path={self.ledger}"
        self._speed = min(speed, int(os.environ.get("ORACLE_SPEED", speed)))
        self._next = start
        self._exporters: list[Exporter] = []
        self._clock = folder / "clock"
        self._gates = 0
        self._env = {
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_RESET": "1",
            "NO_FAKE_STAT": "1",  # else every compiled module would look outdated
            "TZ": "UTC",  # in which libfaketime reads the file
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        self._origin = 0
        self._write_clock(int(start - DAY))  # until an exporter starts
        service = [sys.executable, "-m", "oracle.service", file, name, dialect.value]
        self._service = subprocess.Popen(
            # -m: the library for programs with threads. The variable would win over the file.
            [_faketime(), "-m", "-f", "+0", "env", "--unset=FAKETIME", *service],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._env},
        )
        assert self._service.stdout is not None
        said = json.loads(self._service.stdout.readline())
        self._url = said["url"]
        self._env |= said["clock"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for exporter in self._exporters:
            exporter.__exit__(kind, error, None)
        self._service.communicate()

    def now(self) -> float:
        """Return the world's time."""
        return float(self._ask()["now"])

    def requests(self) -> dict[str, int]:
        """Return how often what was asked, and with which status it was answered."""
        return dict(self._ask()["requests"])

    def until(self, instant: float) -> None:
        """Wait until an instant of the world."""
        left = max(0.0, instant - self.now()) / self._speed
        wait_for(lambda: self.now() >= instant, iso(instant), left + 30)

    def look(self, exporter: Exporter, instant: float) -> Look:
        """Wait until jobs were listed at or after an instant; return what is shown then.

        What is shown was right at some moment between that list and the end of the scrape. On a
        busy machine, a second without the processor is minutes of the world.
        """
        self.until(instant)

        def scrape() -> Look | None:
            shown = exporter.metrics()
            listed = shown.get("trainwave_account_last_success_timestamp_seconds") or 0
            return Look(shown, listed, self.now()) if listed >= instant else None

        return wait_for(scrape, f"a list of jobs after {iso(instant)}")

    def scrapes_until(self, exporter: Exporter, instant: float, *names: str) -> list[Metrics]:
        """Scrape these metrics every half minute of the world or so; return what was shown."""
        path = "/metrics?" + urlencode([("name[]", name) for name in names])
        found = []
        pause = threading.Event()
        while self.now() < instant:
            status, text = exporter.get(path)
            assert status == 200, text
            found.append(Metrics(text))
            pause.wait(30 / self._speed)
        return found

    def jump(self, instant: float) -> None:
        """Let the next exporter start later than when the last one was stopped."""
        assert not self._exporters, "stop the exporter before the world jumps"
        assert instant >= self._next
        self._next = instant

    def start(self, *flags: str, budgets: Sequence[dict[str, Any]] = ()) -> Exporter:
        """Start the exporter on the ledger on disk, and return it once it serves."""
        exporter = self.try_start(*flags, budgets=budgets)
        assert exporter is not None, "the exporter refused to start"
        return exporter

    def try_start(self, *flags: str, budgets: Sequence[dict[str, Any]] = ()) -> Exporter | None:
        """Start the exporter; return None if it refuses to."""
        assert not self._exporters, "one exporter at a time"
        config = self.folder / "config.yml"
        config.write_text(json.dumps({"budgets": list(budgets)} if budgets else {}))
        self._gates += 1
        gate = self.folder / f"gate-{self._gates}"
        exporter = FastExporter(
            f"--config.file={config}",
            f"--trainwave.api-url={self._url}{ROOT}",
            *([] if any("--storage.path" in flag for flag in flags) else [self._storage]),
            "--trainwave.timeout=5m",  # a short while of real time
            *flags,
            env={**self._env, "ORACLE_GATE": str(gate), "TRAINWAVE_API_KEY": KEY},
        )
        wait_for(lambda: exporter.events("held"), "the exporter to be loaded")
        self._write_clock(self._origin + math.ceil(self._next - self.now()))
        gate.touch()
        wait_for(
            lambda: exporter.events("started") or exporter.process.poll() is not None,
            "the exporter to start",
        )
        if exporter.process.poll() is not None:
            exporter.__exit__(None, None, None)
            print("".join(exporter.raw_log))  # noqa: T201 - pytest shows it with a failure
            return None
        self._exporters.append(exporter)
        return exporter.__enter__()

    def stop(self, exporter: Exporter) -> Metrics:
        """Stop an exporter as its operator would; return what it showed last."""
        last = exporter.metrics()
        code, _ = exporter.terminate()
        self._next = self.now()
        self._exporters.remove(exporter)
        exporter.__exit__(None, None, None)
        assert code == 0, "".join(exporter.raw_log)
        return last

    def report(self, period: str, *by: str) -> list[dict[str, Any]]:
        """Return the rows of a report on a period in UTC, grouped as said."""
        code, rows = self.try_report(period, *by)
        assert code == 0, "the report failed"
        return rows

    def try_report(self, period: str, *by: str) -> tuple[int, list[dict[str, Any]]]:
        """Return exit code and rows of a report, which may fail; its words go to the output.

        It runs by the true clock: it waits for what is just being written, and not for a hundredth.
        """
        code, text = self.printed(period, "--by", ",".join(by or ("project",)))
        return code, json.loads(text)["rows"] if code == 0 else []

    def printed(self, period: str, *flags: str) -> tuple[int, str]:
        """Return exit code and text of a report in JSON."""
        command = [
            *(sys.executable, "-m", "trainwave_exporter", "report"),
            *(self._storage, "--period", period, "--time-zone", "UTC", "--format", "json"),
        ]
        answer = subprocess.run(
            [*command, *flags],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        print(answer.stderr)  # noqa: T201 - shown where a test fails
        return answer.returncode, answer.stdout

    def reported(self, period: str) -> dict[str, float]:
        """Return what each project cost in a period, by the report; 0 where it does not occur."""
        return defaultdict(
            float, {row["project_id"]: float(row["cost_dollars"]) for row in self.report(period)}
        )

    def _write_clock(self, origin: int) -> None:
        self._origin = origin
        text = datetime.fromtimestamp(origin, UTC).strftime("%Y-%m-%d %H:%M:%S")
        new = self._clock.with_suffix(".new")
        new.write_text(f"@{text} x{self._speed}\n")
        new.rename(self._clock)

    def _ask(self) -> Any:
        with urllib.request.urlopen(f"{self._url}/world", timeout=10) as answer:
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
