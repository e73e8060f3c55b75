"""The threat model claims only what is tested: each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = (ROOT / "SECURITY.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", MODEL)


def test_each_test_that_the_threat_model_names_exists() -> None:
    assert len(NAMED) > 20
    for file, name in NAMED:
        tree = ast.parse((ROOT / file).read_text())
        tests = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in tests, f"{file} has no {name}"


def test_nothing_that_cannot_be_done_is_claimed_without_a_test() -> None:
    claims = [
        claim
        for part in MODEL.split("Cannot:")[1:]
        for claim in re.findall(r"^- (.*?)(?=^- |^## |\Z)", part, re.MULTILINE | re.DOTALL)
    ]
    assert len(claims) > 10
    assert [claim for claim in claims if "`tests/" not in claim] == []


def test_every_side_has_its_part() -> None:
    parts = re.findall(r"^## (.*)$", MODEL, re.MULTILINE)
    sides = ("trusted", "API", "network", "Scrapers", "configuration", "Dashboards", "jobs")
    assert all(any(side in part for part in parts) for side in sides)
