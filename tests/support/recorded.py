"""Days of simulator and exporter in minutes, and a Prometheus that has seen them.

The clock of both is turned on by a step at a time, and the exporter scraped once it has looked.
Prometheus is given the scrapes afterwards, and what the recording rules make of them.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.exporter import wait_for
from support.lookback import prometheus_in, take_in
from support.simulated import serving
from support.stepped import Exposition, StepClock, SteppedExporter
from support.tools import tool
from trainwave_exporter.simulator import Dialect, Simulator, World

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "recording.yml"
INSTANCE = "trainwave-exporter:9877"

_STEP_SECONDS = 0.15
"""Real time for a step, in which details and readings are asked for."""
_NEVER = threading.Event()
_SUITE = "sid"
_KEY = "recording-key-51ab9c"
_FLAGS = (
    # In real time, within a step.
    "--polling.running-interval=100ms",
    "--polling.sweep-interval=100ms",
    "--polling.directory-interval=1s",
    "--storage.write-interval=200ms",
    "--trainwave.initial-rate-limit=100000",
    "--trainwave.rate-limit-share=1",
)


@contextmanager
def recorded(
    folder: Path, *flags: str, start: int, end: int, step: int, seed: int, jobs: int, history: int
) -> Iterator[str]:
    """Let time pass from ``start`` to ``end`` (Unix seconds); give the URL of a Prometheus then.

    ``step`` is the seconds from one scrape to the next; ``flags`` are the exporter's.
    """
    folder.mkdir(parents=True)
    samples = folder / "samples"
    with samples.open("w", encoding="utf-8") as file:
        for at, metrics in _scrapes(
            folder, *flags, start=start, end=end, step=step, seed=seed, jobs=jobs, history=history
        ):
            file.writelines(f"{line} {at}\n" for line in _scraped(metrics))
        file.write("# EOF\n")
    take_in(_SUITE, samples, folder)
    for rules in _in_order(YAML(typ="safe", pure=True).load(RULES.read_text(encoding="utf-8"))):
        _record(folder, rules, start, end, step)
    with _prometheus(folder, step) as url:
        yield url


def _prometheus(folder: Path, step: int) -> AbstractContextManager[str]:
    # What is given to it later lacks the marks that it makes where series end. So it must not look
    # back further than one scrape.
    return prometheus_in(_SUITE, folder, f"--query.lookback-delta={step}s")


def _scrapes(
    folder: Path, *flags: str, start: int, end: int, step: int, seed: int, jobs: int, history: int
) -> Iterator[tuple[int, Exposition]]:
    world_clock = StepClock.create(folder / "world-clock", start)
    clock = StepClock.create(folder / "clock", start)
    world = World(seed=seed, jobs=jobs, history=history, start=start, clock=world_clock)
    simulator = Simulator(world, dialect=Dialect.DEPLOYED, keys=(_KEY,), rate_limit=None)
    with (
        serving(simulator) as url,
        SteppedExporter(
            folder / "clock",
            f"--trainwave.api-url={url}",
            f"--storage.path={folder / 'ledger'}",
            *_FLAGS,
            *flags,
            env={"TRAINWAVE_API_KEY": _KEY},
        ) as exporter,
    ):
        exporter.ensure_running()
        wait_for(lambda: _has_looked(exporter, start, thoroughly=True), "the first look")
        for at in range(start, end + 1, step):
            began = time.monotonic()
            world_clock.set(at)
            clock.set(at)
            metrics = wait_for(partial(_has_looked, exporter, at), "a look", pause=0.02)
            yield at, metrics
            _NEVER.wait(began + _STEP_SECONDS - time.monotonic())


def _has_looked(
    exporter: SteppedExporter, at: int, *, thoroughly: bool = False
) -> Exposition | None:
    """Return what it shows, if it has seen what ran then; ``thoroughly``: and all there is."""
    metrics = exporter.metrics()
    done = metrics.by("loop", "trainwave_exporter_loop_last_success_timestamp_seconds")
    loops = ("running", "sweep", "directory") if thoroughly else ("running",)
    asked = metrics.all("trainwave_exporter_plan_requests")
    at_rest = bool(asked) and not any(number for _, number in asked)
    seen = all(done.get(loop) == at for loop in loops)
    return metrics if seen and (at_rest or not thoroughly) else None


def _scraped(metrics: Exposition) -> Iterator[str]:
    """Return the samples with the labels that Prometheus puts on them, and those it adds."""
    target = f'job="trainwave",instance="{INSTANCE}"'
    number = 0
    for line in metrics.lines():
        number += 1
        name, brace, rest = line.partition("{")
        if brace and " " not in name:
            yield f"{name}{{{target},{rest}"
        else:
            name, _, value = line.partition(" ")
            yield f"{name}{{{target}}} {value}"
    yield f"up{{{target}}} 1"
    yield f"scrape_samples_scraped{{{target}}} {number}"


def _in_order(content: Mapping[str, Any]) -> Iterator[list[Mapping[str, Any]]]:
    """Return rules in groups, each of which uses what those before it have recorded.

    Rules that look back at what they recorded themselves find nothing, and record what they do at
    the beginning: the greatest counter. With one exporter that is what they would record, too.
    """
    left = [rule for group in content["groups"] for rule in group["rules"]]
    while left:
        names = {rule["record"] for rule in left}
        ready = [
            rule
            for rule in left
            if not any(
                re.search(rf"{name}(?![\w:])", rule["expr"]) for name in names - {rule["record"]}
            )
        ]
        assert ready, "rules that wait for each other"
        yield ready
        left = [rule for rule in left if rule not in ready]


def _record(
    folder: Path, rules: Sequence[Mapping[str, Any]], start: int, end: int, step: int
) -> None:
    path = folder / "rules.json"  # JSON is YAML, too
    path.write_text(json.dumps({"groups": [{"name": "recorded", "rules": rules}]}))
    with _prometheus(folder, step) as url:
        command = [
            *(tool(_SUITE, "promtool"), "tsdb", "create-blocks-from", "rules"),
            *(f"--start={start}", f"--end={end}", f"--eval-interval={step}s"),
            *(f"--url={url}", f"--output-dir={folder / 'data'}", str(path)),
        ]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr[-2000:]
