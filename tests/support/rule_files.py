"""The built rules and the cases that they are tested by, as they stand in files."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.prometheus import build
from support.prometheus_tools import tool

FOLDER = Path(build.__file__).parent
RULES = sorted((FOLDER / "rules").glob("*.yml"))
CASES = sorted((FOLDER / "tests").glob("*.yml"))
NAME = re.compile(r"[a-zA-Z_:][\w:]*")
"""Of a rule, or of what a query asks for."""


@cache
def loaded(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path)
    return document


@cache
def as_text(path: Path) -> dict[str, Any]:
    """Load cases whose values are texts: to YAML, promtool's ``0x20`` is a number."""
    quoted = re.sub(r"\bvalues: ([^\n}]+)", r'values: "\1"', path.read_text())
    document: dict[str, Any] = YAML(typ="safe").load(quoted)
    return document


def named(rule: Mapping[str, Any]) -> str:
    name: str = rule.get("record") or rule["alert"]
    return name


def run_cases(
    suite: str,
    cases: Mapping[str, Any],
    text: str,
    folder: Path,
    rules: Sequence[Path] = tuple(RULES),
) -> str:
    """Have promtool run cases, with the rules that ``text`` names; return its complaints, if any.

    To judge all other rules, too, takes much longer.
    """
    needed = with_all_they_build_on(set(NAME.findall(text)), rules)
    for path in rules:
        groups = [
            group | {"rules": [rule for rule in group["rules"] if named(rule) in needed]}
            for group in loaded(path)["groups"]
            if group["name"] in cases["group_eval_order"]
        ]
        _write(folder / "rules" / path.name, json.dumps({"groups": groups}))
    written = folder / "tests" / "cases.yml"
    _write(written, text)
    command = [tool(suite, "promtool"), "test", "rules", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def with_all_they_build_on(names: set[str], rules: Sequence[Path] = tuple(RULES)) -> set[str]:
    """Return the names of these rules, and of all the rules whose results they or texts ask for."""
    sources = defaultdict[str, set[str]](set)
    for path in rules:
        for group in loaded(path)["groups"]:
            for rule in group["rules"]:
                texts = rule["expr"], *rule.get("annotations", {}).values()
                sources[named(rule)].update(*map(NAME.findall, texts))
    known = names & sources.keys()
    more = set[str]().union(*(sources[name] for name in known)) & sources.keys() - known
    return with_all_they_build_on(known | more, rules) if more else known


def seconds(duration: str) -> int:
    """Read a duration as Prometheus writes it."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([smhd])", duration))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
