"""The rules in the set-ups that people have: each case again, scraped otherwise.

A case that expects an alert has it within two scrapes of the time it names, none before it is to,
and rid of it as soon; one that expects none has none meanwhile. What is recorded is the same.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.rule_files import CASES, as_text, run_cases
from support.rule_set_ups import SetUp

SET_UPS = [
    SetUp("operator-15s", interval=15, operator=True),
    SetUp("operator-60s", interval=60, operator=True),
    SetUp("clashing-30s", interval=30, operator=True, clashing=True),
    SetUp("restarted-30s", interval=30, operator=True, restarted=True),
    SetUp("restarted-120s", interval=120, operator=True, restarted=True),
    SetUp("earlier-60s", earlier=True),
]
OLDEST = SetUp("operator-120s", interval=120, operator=True)
MATRIX = [*(("sid", set_up) for set_up in SET_UPS), ("bookworm", OLDEST)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("suite", "set_up"), MATRIX, ids=[f"{suite}-{set_up.name}" for suite, set_up in MATRIX]
)
def test_alerts_come_and_go_however_exporters_are_scraped(
    suite: str, set_up: SetUp, path: Path, tmp_path: Path
) -> None:
    cases = set_up.cases(as_text(path))
    new = {
        "budget_settings_differ",
        "budget_unknown",
        "figure_unknown",
        "labels_clash",
        "ledger_lost",
        "partial_view",
        "scope_unknown",
        "two_exporters",
    }
    if set_up.earlier:
        assert bool(cases["tests"]) == (path.stem not in new)
    else:
        assert len(cases["tests"]) == len(as_text(path)["tests"])
    if cases["tests"]:
        text = json.dumps(cases)
        # Alerts are named in queries, and need what they build on.
        assert run_cases(suite, cases, text, tmp_path) == ""
