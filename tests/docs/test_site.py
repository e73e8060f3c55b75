"""The site of the documentation: built strictly, and complete without the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.documentation import DOCS, ROOT
from support.rules import ALERTS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    done = subprocess.run(
        [*command, str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_has_a_page_for_each_of_the_docs(site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {path.relative_to(site) for path in site.rglob("*.html")} == {
        *sources,
        Path("404.html"),
    }


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = r"<(?:script|img|source|iframe|link)\b[^>]*(?:src|srcset|href)=\"?([^\"\s>]+)"
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert [url for url in re.findall(loaded, text) if "//" in url] == [], page.name
        assert 'class="mermaid"' not in text, "the theme fetches what draws that from elsewhere"
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text()) == []


def test_the_runbook_of_every_alert_is_where_alerts_link_to(site: Path) -> None:
    page = (site / "runbooks.html").read_text(encoding="utf-8")
    assert ALERTS
    for alert in ALERTS:
        assert f'<h3 id="{alert.alert.lower()}">' in page
