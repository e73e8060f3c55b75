"""Every command of README and docs is run here, or the page says why it cannot be.

The comment above a block of commands says which. ``<!-- run: NAME -->`` names a test of this file
that runs it as it stands, ``<!-- run: by FILE … -->`` what else does, ``<!-- not run: … -->`` why
nothing can. Commands find the exporter and Python on the PATH, an API, and a key that it takes.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import bcrypt
import helm_python
import pytest
from cli.conftest import environment
from ledger.test_store_schema import DUMPS, restore
from support.certificates import PASSWORD
from support.documentation import DOCS, PAGES, ROOT, Commands, commands
from support.exporter import wait_for
from support.ledger_world import LedgerWorld
from support.manifests import CHART
from support.prometheus_tools import needed
from support.simulated import serving

from trainwave_exporter.ledger import Store
from trainwave_exporter.model import Project
from trainwave_exporter.simulator import SimulatedWorld, Simulator

BLOCKS = [block for page in PAGES for block in commands(page)]
REPORT = (DOCS / "money" / "report.md").read_text(encoding="utf-8")


def the(name: str) -> str:
    """Return the commands that are to be run by the test of that name, alike wherever they are."""
    (text,) = {block.text for block in BLOCKS if block.note == f"run: {name}"}
    return text


def name_of(block: Commands) -> str:
    return f"{block.page.name}: {block.text.splitlines()[0]}"


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_each_block_of_commands_says_how_it_is_tested(block: Commands) -> None:
    kind, _, what = block.note.partition(": ")
    assert kind in {"run", "not run"}, "say above it what runs it, or why nothing can"
    assert block.text.strip()
    if kind == "run" and not what.startswith("by "):
        assert f"test_{what}" in globals(), "there is no such test here"
    for path in re.findall(r"(?:\.ci|tests)/[\w/.]*\w", what):
        assert (ROOT / path).exists(), path
    tests = "".join(path.read_text() for path in sorted(ROOT.glob("tests/**/*.py")))
    for test in re.findall(r"\btest_\w+\b(?!\.py)", what):
        assert f"def {test}(" in tests


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    for page in PAGES:
        kinds = re.findall(r"^ *```(\w+)\n", page.read_text(), re.MULTILINE)
        assert set(kinds) <= {
            "console",
            "promql",
            "python",
            "sh",
            "text",
            "yaml",
        }, page.name


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """What commands find: the exporter and Python by their names, and no setting from outside."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("python", ""), ("trainwave-exporter", " -m trainwave_exporter")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable}{module} "$@"\n')
        program.chmod(0o755)
    return environment(
        PATH=f"{programs}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(ROOT),
        TRAINWAVE_STORAGE_PATH="data",
        TRAINWAVE_WEB_LISTEN_ADDRESS="127.0.0.1:0",
    )


@pytest.fixture
def api() -> Iterator[str]:
    """The URL of a simulated Trainwave that knows the key ``demo-key``."""
    with serving(Simulator(SimulatedWorld(seed=1, jobs=3, history=3), keys=["demo-key"])) as url:
        yield url


def run(text: str, folder: Path, variables: dict[str, str], **more: Any) -> str:
    """Run commands as a shell does; return what they print. All of them must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed: str = done.stdout
    return printed


def program(name: str) -> None:
    """Skip without a program of the system; fail in CI, which installs it."""
    needed(Path(shutil.which(name) or f"/usr/bin/{name}"), name)


def test_check(tmp_path: Path, variables: dict[str, str], api: str) -> None:
    typed = the("check").replace("…", "demo-key")
    assert typed != the("check")
    told = run(typed, tmp_path, variables | {"TRAINWAVE_API_URL": api})
    assert "dialect        documented\n" in told


@pytest.fixture
def served(tmp_path: Path, variables: dict[str, str], api: str) -> Iterator[tuple[str, Any]]:
    """The address of the exporter that the pages' command starts, and the process."""
    more = {"TRAINWAVE_API_URL": api, "TRAINWAVE_API_KEY": "demo-key"}
    process = subprocess.Popen(
        ["bash", "-c", f"exec {the('serve')}"],
        cwd=tmp_path,
        env=variables | more | {"TRAINWAVE_WEB_ENABLE_LIFECYCLE": "true"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        found = (re.search(r"event=started .*listening=(\S+)", line) for line in lines)
        address = next(match[1] for match in found if match)
        yield address, process
    finally:
        process.kill()
        process.communicate()


def metrics_of(address: str) -> str:
    with urlopen(f"http://{address}/metrics", timeout=10) as response:
        return str(response.read(), "utf-8")


def test_serve(tmp_path: Path, served: tuple[str, Any]) -> None:
    address, process = served
    wait_for(lambda: "trainwave_job_info{" in metrics_of(address), "a job")
    assert (tmp_path / "data" / "ledger.sqlite3").is_file()
    process.terminate()
    assert process.wait(30) == 0


def loaded_at(address: str) -> float:
    """Return when the configuration was last loaded."""
    name = "trainwave_exporter_config_last_reload_success_timestamp_seconds"
    found = re.search(rf"^{name} (\S+)", metrics_of(address), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_reload(tmp_path: Path, variables: dict[str, str], served: tuple[str, Any]) -> None:
    program("curl")
    address, _ = served
    before = loaded_at(address)
    typed = the("reload").replace("localhost:9877", address)
    assert typed != the("reload")
    run(typed.replace("curl ", "curl --fail --silent "), tmp_path, variables)
    wait_for(lambda: loaded_at(address) > before, "a reload")


def test_bcrypt(tmp_path: Path, variables: dict[str, str]) -> None:
    # Without a terminal the password is read from standard input.
    told = run(the("bcrypt"), tmp_path, variables, input=f"{PASSWORD}\n", start_new_session=True)
    assert bcrypt.checkpw(PASSWORD.encode(), told.strip().encode())


def amounts() -> list[tuple[str, ...]]:
    """Return the rows of the report that the page shows, without what heads and sums them up."""
    (shown,) = re.findall(r"^```console\n\$ .*\n.*\n.*\n((?:.*\n)+?)total ", REPORT, re.MULTILINE)
    return [tuple(re.split(r" {2,}", line)) for line in shown.splitlines()]


def test_report(tmp_path: Path, variables: dict[str, str]) -> None:
    """The page's own rows, as jobs of November, come to what the page shows, to the letter."""
    rows = amounts()
    world = LedgerWorld(tmp_path / "data", now=datetime(2026, 11, 20, tzinfo=UTC).timestamp())
    world.open(
        *(
            world.job(
                f"j-{number}",
                "SUCCESS",
                project_id=row[0],
                owner=row[2].split()[0],
                gpu_type=row[3],
                gpus=4.0,
                created_at=world.now - 15 * 86_400,
                started_at=world.now - 15 * 86_400,
                finished_at=world.now - 3600,
                hourly_cost_dollars=None,
                cost_dollars=float(row[4]),
                gpu_hours=float(row[5]),
            )
            for number, row in enumerate(rows)
        )
    )
    world.directory(*(Project(account="a", id=row[0], name=row[1]) for row in rows))
    world.writer.close()
    (shown,) = re.findall(r"^```console\n\$ .*\n((?:.*\n)+?)```", REPORT, re.MULTILINE)
    assert run(the("report"), tmp_path, variables) == shown


def version(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_backup(tmp_path: Path, variables: dict[str, str]) -> None:
    program("sqlite3")
    world = LedgerWorld(tmp_path / "data")
    world.open(world.job(cost_dollars=3.6))  # and the ledger stays open
    run(the("backup"), tmp_path, variables)
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
        assert copy.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    world.writer.close()


def test_go_back(tmp_path: Path, variables: dict[str, str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    restore(DUMPS / "2.sql", data)
    Store.open(data).close()
    assert version(data / "ledger.sqlite3") > 2
    run(the("go_back"), tmp_path, variables)
    assert version(data / "ledger.sqlite3") == 2
    assert version(data / "newer" / "ledger.sqlite3") > 2


def test_build_rules(tmp_path: Path, variables: dict[str, str]) -> None:
    """In a copy, of which an alert has another threshold."""
    for folder in ("deploy", "grafana"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True)
    settings = tmp_path / "deploy" / "prometheus" / "settings.yml"
    settings.write_text(re.sub(r"(gpu_idle:\n  minutes: )30", r"\g<1>45", settings.read_text()))
    run(the("build_rules"), tmp_path, variables | {"PYTHONPATH": str(tmp_path)})
    rules = tmp_path / "deploy" / "prometheus" / "rules" / "alerts.yml"
    assert rules.read_text().count("45 minutes") > 0


def test_the_demo_is_what_make_starts() -> None:
    command = ["make", "--no-print-directory", "--dry-run", "demo"]
    outside = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/trainwave-exporter demo"


HELM = [
    (block.page.name, command)
    for block in BLOCKS
    for command in re.findall(r"^helm install (?:.*\\\n)*.*$", block.text, re.MULTILINE)
]


def test_that_pages_say_how_the_chart_is_installed() -> None:
    assert [page for page, _ in HELM] == ["README.md", "installation.md", "installation.md"]


@pytest.mark.parametrize(("page", "command"), HELM)
def test_the_values_of_every_helm_command_are_taken_by_the_chart(page: str, command: str) -> None:
    assert page
    values: dict[str, Any] = {}
    for setting in ",".join(re.findall(r"--set (\S+)", command)).split(","):
        path, _, text = setting.partition("=")
        *above, last = path.split(".")
        holder = reduce(lambda place, name: place.setdefault(name, {}), above, values)
        holder[last] = {"true": True, "false": False}.get(text, text)
    chart = helm_python.Chart.load(CHART)
    chart.validate_schema(values)
    rendered = "".join(chart.render(values, name="trainwave", namespace="trainwave").values())
    assert 'image: "registry.example.com/trainwave-exporter:' in rendered
    assert "secretName: trainwave-api-key" in rendered
    for kind in ("serviceMonitor", "prometheusRule"):
        shown = f"kind: {kind[0].upper()}{kind[1:]}\n" in rendered
        assert shown == values.get(kind, {}).get("enabled", False)
    if "labels" in values.get("serviceMonitor", {}):
        assert rendered.count("    release: monitoring\n") == 2
