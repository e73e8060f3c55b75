"""All there is, on loopback: service, exporter, Prometheus, Alertmanager, and who is told.

The service begins forty minutes ago and makes up for them in two, so that jobs come and go while a
test looks; from then on its time is ours. Whatever waits, rules and notifications, waits for a
second or so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from ruamel.yaml import YAML

from deploy.prometheus import build
from deploy.prometheus.settings import Settings, load
from support.alertmanager import alertmanager
from support.exporter import Exporter
from support.panel_queries import answers
from support.scraping import prometheus
from support.simulated import Served, served
from support.webhook import Webhook, webhook
from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld, Simulator, parse_faults
from trainwave_exporter.simulator.catalogue import SimulatedProject
from trainwave_exporter.simulator.ids import IdKind, write_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import Behavior, SimulatedState

LAG_SECONDS = 2400
SPEED = 20
IDLE_SECONDS = 3
"""A job whose GPUs do nothing for longer is alerted on."""
SCRAPE_SECONDS = 1

ALERTMANAGER = Path(__file__).parents[2] / "deploy" / "alertmanager" / "alertmanager.yml"
_WAITS = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "2s"}
_RECEIVER = "http://webhook:8080"
_KEYS = {"NORTHWIND_KEY": "stack-key-5d20aa", "KESTREL_KEY": "stack-key-91c3e7"}
_SETTINGS = """
accounts:
  - {{name: northwind, api_key_env: NORTHWIND_KEY, organization: {northwind}}}
  - {{name: kestrel, api_key_env: KESTREL_KEY, organization: {kestrel}}}
budgets:
  - {{name: everything, limit_dollars: 1000000, period: month, time_zone: UTC}}
  - {{name: a-dollar, limit_dollars: 1, period: day, time_zone: {late}}}
  - {{name: since-midnight, limit_dollars: 1000000, period: day, time_zone: {early}}}
polling:
  running_interval: 1s
  sweep_interval: 3s
  directory_interval: 2s
  readings_interval: 10s
# Readings carry the time of a service that is behind.
fleet: {{staleness: 1h}}
waste: {{warm_up: 1s, reading_gap: 1h}}
storage:
  write_interval: 1s
"""


@dataclass(frozen=True)
class Stack:
    """What runs."""

    api: Served
    dialect: SimulatedDialect
    exporter: Exporter
    prometheus: str
    """URL; its scrapes and its judgements are a second apart."""
    alertmanager: str
    """URL."""
    webhook: Webhook

    def id(self, thing: SimulatedJob | SimulatedProject) -> str:
        """Return the id that the service gives to a thing."""
        kind = IdKind.JOB if isinstance(thing, SimulatedJob) else IdKind.PROJECT
        return write_id(self.dialect, kind, thing.code)

    def idle_jobs(self) -> list[SimulatedJob]:
        """Return the running jobs that have stopped using their GPUs; the one that lasts first."""

        def find(simulator: Simulator) -> list[SimulatedJob]:
            found = [
                job
                for job in simulator.world.jobs
                if job.draft.behavior is Behavior.IDLES and job.state is SimulatedState.RUNNING
            ]
            return sorted(found, key=lambda job: -job.created_at - (job.draft.life or 0))

        return self.api.do(find)


@contextmanager
def stack(
    suite: str,
    folder: Path,
    *,
    dialect: SimulatedDialect = SimulatedDialect.DEPLOYED,
    seed: int = 1,
    jobs: int = 40,
    faults: str = "",
    critical_dollars: float = 1e9,
    labels: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Run everything while the context lasts, with Prometheus and Alertmanager of a suite.

    ``faults`` are what goes wrong with the service, see `parse_faults`. An idle job that lost
    ``critical_dollars`` is a critical one. ``labels`` are those of the target that is scraped.
    """
    start = time.time() - LAG_SECONDS
    world = SimulatedWorld(seed=seed, jobs=jobs, start=start, clock=_catching_up(time.monotonic))
    simulator = Simulator(
        world,
        dialect=dialect,
        keys=_KEYS.values(),
        rate_limit=10_000,
        faults=parse_faults(faults),
    )
    northwind, kestrel = (
        write_id(dialect, IdKind.ORGANIZATION, organization.code)
        for organization in world.catalogue.organizations
    )
    settings = folder / "settings.yml"
    zones = {"late": _zone(hour=22), "early": _zone(hour=2)}
    settings.write_text(_SETTINGS.format(northwind=northwind, kestrel=kestrel, **zones))
    with (
        served(simulator) as api,
        webhook() as told,
        alertmanager(suite, folder, _quick_alertmanager(folder, told.url)) as notifier,
        Exporter(
            f"--config.file={settings}",
            f"--trainwave.api-url={api.url}",
            "--trainwave.rate-limit-share=1",
            "--trainwave.initial-rate-limit=10000",
            f"--storage.path={folder / 'ledger'}",
            env=_KEYS,
        ) as exporter,
        prometheus(
            suite,
            folder,
            exporter.url.removeprefix("http://"),
            "    honor_labels: true\n",
            labels=labels,
            rules=_quick_rules(folder, critical_dollars),
            alertmanager=notifier,
        ) as server,
    ):
        exporter.wait_ready()
        yield Stack(api, dialect, exporter, server, notifier, told)


def panel_results(
    prometheus_url: str,
    dashboard: Mapping[str, Any],
    variables: Mapping[str, str],
    start: int,
    end: int,
) -> list[dict[str, Any]]:
    """Ask all queries of a dashboard's panels, over the time from ``start`` to ``end``.

    ``dashboard`` is its JSON, ``variables`` what stands for each variable in a query. Returns, for
    each query, ``panel`` (its id), ``title``, ``type``, ``refId``, ``query`` (as it was asked),
    ``legend`` and ``result``: what stands under ``data`` in the answer of Prometheus' API.

    The least distance between the points of a panel is left aside: it is made for days, and is
    longer than all that a stack has seen.
    """
    panels = {panel["id"]: panel for panel in dashboard["panels"]}
    hurried = {
        **dashboard,
        "panels": [{**panel, "interval": None} for panel in dashboard["panels"]],
    }
    found = []
    for answer in answers(prometheus_url, hurried, variables, start, end, SCRAPE_SECONDS):
        panel = panels[answer["panel"]]
        target = next(t for t in panel["targets"] if t["refId"] == answer["refId"])
        about = {"title": panel["title"], "type": panel["type"], "legend": target["legendFormat"]}
        found.append({**answer, **about})
    return found


def _catching_up(clock: Callable[[], float]) -> Callable[[], float]:
    """Return a clock that makes up for `LAG_SECONDS`, and then goes as fast as ``clock``."""
    began = clock()

    def now() -> float:
        elapsed = clock() - began
        return min(SPEED * elapsed, LAG_SECONDS + elapsed)

    return now


def _zone(hour: int) -> str:
    """Return a time zone in which it is this hour now.

    Late in the day all jobs ran on that day; soon after midnight, some that are over may have
    begun before, and where nothing tells when they did, the spend of the day is not known exactly.
    """
    ahead = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"  # these count what a zone is behind


def _quick_rules(folder: Path, critical_dollars: float) -> list[Path]:
    """Write our rules, with alerts that wait for a second where they wait for minutes."""
    paths = []
    for name, text in build.files(_settings(critical_dollars)).items():
        content = YAML(typ="safe", pure=True).load(text)
        for group in content["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "1s"
        path = folder / name
        path.write_text(json.dumps(content))  # JSON is YAML, too
        paths.append(path)
    return paths


def _settings(critical_dollars: float) -> Settings:
    settings = load()
    idle = replace(settings.gpu_idle, minutes=IDLE_SECONDS / 60, critical_dollars=critical_dollars)
    return replace(settings, gpu_idle=idle)


def _quick_alertmanager(folder: Path, receiver: str) -> Path:
    """Write our configuration of Alertmanager, with its receiver, and with little patience."""
    content = YAML(typ="safe", pure=True).load(ALERTMANAGER.read_text(encoding="utf-8"))

    def quick(node: Any) -> Any:
        match node:
            case dict():
                return {key: _WAITS.get(key, quick(value)) for key, value in node.items()}
            case list():
                return [quick(value) for value in node]
            case str():
                return node.replace(_RECEIVER, receiver)
        return node

    path = folder / "alertmanager.yml"
    path.write_text(json.dumps(quick(content)))
    return path
