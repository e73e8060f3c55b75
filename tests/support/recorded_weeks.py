"""Days of simulator and exporter in minutes, and a Prometheus that has seen them.

The clock of both is turned on by a step at a time, and the exporter scraped once it has looked.
Prometheus is given the scrapes afterwards, and what the recording rules make of them.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from support.exporter import Metrics, wait_for
from support.lookback import prometheus_in, take_in
from support.prometheus_tools import tool
from support.simulated import Served, served
from support.stepped_exporter import Rest, StepClock, SteppedExporter
from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld, Simulator
from trainwave_exporter.simulator.ids import IdKind, write_id

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "recording.yml"
INSTANCE = "trainwave-exporter:9877"

_STEP_SECONDS = 0.15
"""Real time for a step, in which details and readings are asked for."""
_NEVER = threading.Event()
_SUITE = "sid"
_KEYS = {"DOCUMENTED_KEY": "recording-key-51ab9c", "DEPLOYED_KEY": "recording-key-e07d42"}
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
    folder: Path,
    settings: str,
    world: Callable[[StepClock], SimulatedWorld],
    *,
    end: int,
    step: int,
) -> Iterator[str]:
    """Let time pass from a world's start to ``end`` (Unix seconds); give a Prometheus' URL then.

    ``settings`` are the exporter's, but for its accounts: one for each organization, of which the
    first is served in the documented dialect, the other in the deployed one. ``step`` is the
    seconds from one scrape to the next.
    """
    folder.mkdir(parents=True)
    samples = folder / "samples"
    world_clock = StepClock.create(folder / "world-clock", 0)
    made = world(world_clock)
    start = made.start
    with samples.open("w", encoding="utf-8") as file:
        for at, lines in _scrapes(folder, settings, made, world_clock, range(start, end + 1, step)):
            file.writelines(f"{line} {at}\n" for line in lines)
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
    folder: Path, settings: str, world: SimulatedWorld, world_clock: StepClock, times: range
) -> Iterator[tuple[int, list[str]]]:
    clock = StepClock.create(folder / "clock", times.start)
    documented, deployed = (
        Simulator(world, dialect=dialect, keys=_KEYS.values(), rate_limit=None)
        for dialect in SimulatedDialect
    )
    with served(documented) as api, _also_serving(api, deployed) as other_url:
        organizations = world.catalogue.organizations
        # As both dialects tell of one world, each tells of the other's organization, too.
        twice = [
            f'organization_id="{write_id(dialect, IdKind.ORGANIZATION, organization.code)}"'
            for organization, dialect in zip(organizations, reversed(SimulatedDialect), strict=True)
        ]
        accounts = [
            {
                "name": organization.name.split()[0].lower(),
                "api_url": url,
                "api_key_env": variable,
                "organization": write_id(dialect, IdKind.ORGANIZATION, organization.code),
            }
            for organization, dialect, url, variable in zip(
                organizations, SimulatedDialect, (api.url, other_url), _KEYS, strict=True
            )
        ]
        file = folder / "settings.yml"
        file.write_text(f"accounts: {json.dumps(accounts)}\n{settings}", encoding="utf-8")
        with SteppedExporter(
            folder / "clock",
            f"--config.file={file}",
            f"--storage.path={folder / 'ledger'}",
            *_FLAGS,
            env=_KEYS,
        ) as exporter:
            exporter.ensure_running()
            rest = Rest()
            wait_for(lambda: _has_looked(exporter, times.start, rest), "a first look")
            for at in times:
                began = time.monotonic()
                world_clock.set(at - times.start)
                clock.set(at)
                metrics = wait_for(partial(_has_looked, exporter, at), "a look", pause=0.02)
                lines = _scraped(metrics)
                yield at, [line for line in lines if not any(one in line for one in twice)]
                _NEVER.wait(began + _STEP_SECONDS - time.monotonic())


@contextmanager
def _also_serving(api: Served, simulator: Simulator) -> Iterator[str]:
    """Serve on the loop of another simulator, as both have one world; give the API's base URL."""
    done = asyncio.Event()
    started: Future[str] = Future()

    async def serve() -> None:
        async with simulator.serve() as url:
            started.set_result(url)
            await done.wait()

    running = asyncio.run_coroutine_threadsafe(serve(), api.loop)
    try:
        yield started.result(30)
    finally:
        api.loop.call_soon_threadsafe(done.set)
        running.result(30)


def _has_looked(exporter: SteppedExporter, at: int, rest: Rest | None = None) -> Metrics | None:
    """Return what it shows, if it has seen what ran then; with ``rest``: and all there is."""
    metrics = exporter.metrics()
    done = [
        last
        for loop in (("running",) if rest is None else ("running", "sweep", "directory"))
        for _, last in metrics.all(
            "trainwave_exporter_loop_last_success_timestamp_seconds", loop=loop
        )
    ]
    seen = done and all(last == at for last in done)
    return metrics if seen and (rest is None or rest.of(metrics)) else None


def _scraped(metrics: Metrics) -> Iterator[str]:
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
    # When rules are evaluated depends on their file's name, so that it must not change.
    path = folder / "rules.json"  # JSON is YAML, too
    path.write_text(json.dumps({"groups": [{"name": "recorded", "rules": rules}]}))
    with _prometheus(folder, step) as url:
        command = [
            *(tool(_SUITE, "promtool"), "tsdb", "create-blocks-from", "rules"),
            *(f"--start={start}", f"--end={end}", f"--eval-interval={step}s"),
            *(f"--url={url}", "--output-dir=data", path.name),
        ]
        made = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr[-2000:]
