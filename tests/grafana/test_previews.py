"""Every dashboard has its picture in the README, and none passes for a screenshot of Grafana."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from support.previews import ROOT, SOURCES, THEMES, WIDTH

README = (ROOT / "README.md").read_text(encoding="utf-8")
LOCKED = SOURCES / "package-lock.json"
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
LARGEST = 400_000


def test_that_there_are_dashboards() -> None:
    assert len(DASHBOARDS) == 5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_there_is_a_picture_in_each_theme(dashboard: Path, theme: str) -> None:
    picture = SOURCES / f"{dashboard.stem}-{theme}.png"
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width == WIDTH
    # No less than the panels need.
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    assert height > max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * 38
    assert len(content) < LARGEST


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_the_readme_shows_it_as_a_preview(dashboard: Path) -> None:
    shown = re.search(
        rf'<picture>\s*<source media="\(prefers-color-scheme: dark\)"\s*'
        rf'srcset="grafana/previews/{dashboard.stem}-dark\.png">\s*'
        rf'<img alt="([^"]+)"\s*src="grafana/previews/{dashboard.stem}-light\.png">\s*</picture>',
        README,
    )
    assert shown, "the README does not show it"
    title = json.loads(dashboard.read_text(encoding="utf-8"))["title"].removeprefix("Trainwave / ")
    assert shown[1].startswith(f"Preview of the {title} dashboard, drawn from simulated data: ")


def test_pictures_say_themselves_that_they_are_previews() -> None:
    page = (SOURCES / "page.tsx").read_text(encoding="utf-8")
    assert "Preview: drawn with Grafana's panel components from simulated data; not" in page


def test_the_lock_file_names_no_registry_and_pins_everything() -> None:
    locked = json.loads(LOCKED.read_text(encoding="utf-8"))
    asked = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    for kind in ("dependencies", "devDependencies"):
        assert locked["packages"][""][kind] == asked[kind]
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked[kind].values())
    for path, package in locked["packages"].items():
        if path:
            assert package["integrity"].startswith("sha512-"), path
            assert "resolved" not in package, path
