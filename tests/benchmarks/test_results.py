"""What benchmarks publish: sections that come one by one, and the goals of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import results
from results import Goal, Table, publish


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FILE", tmp_path / "RESULTS.md")
    return tmp_path / "RESULTS.md"


def goals_of(file: Path) -> list[str]:
    before_sections = file.read_text().split("<!-- ")[0]
    return [line for line in before_sections.splitlines() if line.startswith("| ")][2:]


def test_a_section_takes_the_place_of_the_one_before_and_leaves_the_others(file: Path) -> None:
    publish("b", "Second", "old")
    publish("a", "First", Table(["", "n"], [["x", "1"]]))
    publish("b", "Second", "new")
    text = file.read_text()
    assert "old" not in text
    assert text.index("## First") < text.index("| x | 1 |") < text.index("## Second")
    assert text.count("## ") == 2


def test_the_goals_of_all_sections_stand_at_the_top(file: Path) -> None:
    publish(
        "b",
        "Second",
        goals=[Goal("size", 5.0, at_most=3, unit=" KB", why_missed="too big", explained=6)],
    )
    publish("a", "First", "text", goals=[Goal("speed", 1234.5, at_least=300)])
    publish("c", "Third", "no goals")
    assert goals_of(file) == [
        "| speed | ≥ 300 | 1,234 | met |",
        "| size | ≤ 3 KB | 5 KB | missed: too big |",
    ]
    publish(
        "b",
        "Second",
        goals=[Goal("size", 2.0, at_most=3, unit=" KB", why_missed="too big", explained=6)],
    )
    assert goals_of(file)[1] == "| size | ≤ 3 KB | 2 KB | met |"


@pytest.mark.parametrize(
    "goal",
    [
        Goal("size", 5.0, at_most=3),
        Goal("speed", 2.0, at_least=3),
        Goal("n", float("nan"), at_most=3, why_missed="odd", explained=9),
        Goal("size", 5.0, at_most=3, why_missed="too big", explained=4),
        Goal("speed", 1.0, at_least=3, why_missed="too slow", explained=2),
    ],
)
def test_a_goal_that_is_missed_for_no_known_reason_is_not_published(file: Path, goal: Goal) -> None:
    with pytest.raises(ValueError, match="nobody says why"):
        publish("a", "First", goals=[goal])
    assert not file.exists()
