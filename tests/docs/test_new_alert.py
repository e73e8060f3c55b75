"""What `make new-alert` writes is where the checks look for it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.documentation import DOCS, ROOT
from support.new_alert import AREAS, begin, main
from support.rule_files import RULES, loaded
from support.rules import ALERTS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with the runbooks, and no cases."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "deploy" / "prometheus" / "tests").mkdir(parents=True)
    shutil.copy(DOCS / "runbooks.md", tmp_path / "docs")
    return tmp_path


@pytest.mark.parametrize("area", AREAS)
def test_an_alert_begins_with_cases_and_a_runbook_in_its_part(area: str, tree: Path) -> None:
    before = (DOCS / "runbooks.md").read_text()
    cases = begin("TrainwaveDiskIsFull", area, tree)
    assert cases == tree / "deploy" / "prometheus" / "tests" / "disk_is_full.yml"
    written = YAML(typ="safe").load(cases)
    groups = {group["name"] for path in RULES for group in loaded(path)["groups"]}
    assert set(written["group_eval_order"]) <= groups
    named = {check["alertname"] for case in written["tests"] for check in case["alert_rule_test"]}
    assert named == {"TrainwaveDiskIsFull"}
    after = (tree / "docs" / "runbooks.md").read_text()
    (part,) = re.findall(rf"^## {AREAS[area][0]}\n.*?(?=^## |\Z)", after, re.MULTILINE | re.DOTALL)
    assert part.rstrip().endswith("**Silence:** on `instance`, while ….")
    assert part.count("### TrainwaveDiskIsFull\n\n**Means:** ") == 1
    (added,) = re.findall(r"### TrainwaveDiskIsFull\n.*?while ….\n\n?", after, re.DOTALL)
    assert after.replace(added, "").split() == before.split()


@pytest.mark.parametrize(
    ("name", "area", "problem"),
    [
        ("DiskIsFull", "exporter", "NAME: expected one such as TrainwaveJobGpuIdle"),
        ("", "exporter", "NAME: expected one such as"),
        (ALERTS[0].alert, "jobs", f"NAME: there is an alert {ALERTS[0].alert} already"),
        ("TrainwaveDiskIsFull", "disk", "AREA: expected one of jobs, money, exporter, got 'disk'"),
    ],
)
def test_what_cannot_be_begun_is_refused_and_nothing_is_written(
    name: str, area: str, problem: str, tree: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        begin(name, area, tree)
    assert (tree / "docs" / "runbooks.md").read_text() == (DOCS / "runbooks.md").read_text()
    assert list((tree / "deploy" / "prometheus" / "tests").iterdir()) == []


def test_the_command_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["Nothing", "exporter"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_it_is_a_target_of_make() -> None:
    assert "python -m support.new_alert '$(NAME)' '$(AREA)'" in (ROOT / "Makefile").read_text()
