"""Every dashboard has its picture in the docs, and none passes for a screenshot of Grafana."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from support.documentation import DOCS, README
from support.previews import PICTURES, ROOT, SOURCES, THEMES, TOPS, WIDTH

LOCKED = SOURCES / "package-lock.json"
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
LARGEST = 400_000


def test_that_there_are_dashboards() -> None:
    assert len(DASHBOARDS) == 5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_there_is_a_picture_in_each_theme(dashboard: Path, theme: str) -> None:
    picture = PICTURES / f"{dashboard.stem}-{theme}.png"
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width == WIDTH
    # No less than the panels need.
    panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
    assert height > max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * 38
    assert len(content) < LARGEST


def shown(page: Path, folder: str, name: str) -> str:
    """Return the text in place of a picture that a page shows in both themes."""
    found = re.search(
        rf'<picture>\s*<source media="\(prefers-color-scheme: dark\)"\s*'
        rf'srcset="{folder}/{name}-dark\.png">\s*'
        rf'<img alt="([^"]+)"\s*src="{folder}/{name}-light\.png">\s*</picture>',
        page.read_text(encoding="utf-8"),
    )
    assert found, f"{page.name} does not show it"
    return found[1]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_the_docs_show_it_as_a_preview(dashboard: Path) -> None:
    title = json.loads(dashboard.read_text(encoding="utf-8"))["title"].removeprefix("Trainwave / ")
    text = shown(DOCS / "dashboards.md", "pictures", dashboard.stem)
    assert text.startswith(f"Preview of the {title} dashboard, drawn from simulated data: ")


@pytest.mark.parametrize("uid", TOPS)
def test_the_readme_shows_the_top_of_one_in_its_first_screen(uid: str) -> None:
    assert "preview" in shown(README, "docs/pictures", f"{uid}-top").lower()
    assert README.read_text(encoding="utf-8").index("<picture>") < 500
    for theme in THEMES:
        content = (PICTURES / f"{uid}-top-{theme}.png").read_bytes()
        assert struct.unpack(">II", content[16:24]) == (WIDTH, TOPS[uid])
        assert len(content) < LARGEST


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
