"""Generated files are written, removed, or only compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grafana.generated import settle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "same").write_text("as it is")
    (tmp_path / "changed").write_text("as it was")
    (tmp_path / "old").write_text("of no use")
    return tmp_path


FILES = {"same": "as it is", "changed": "ä", "new": "more"}


def held(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_folder_comes_to_hold_these_files_and_no_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settle(folder, FILES, check=False) == 0
    assert held(folder) == FILES
    told = capsys.readouterr().out.splitlines()
    assert told == [f"wrote {folder}/changed", f"wrote {folder}/new", f"removed {folder}/old"]
    assert settle(folder, FILES, check=True) == 0


def test_a_check_names_what_differs_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(folder)
    assert settle(folder, FILES, check=True) == 1
    assert held(folder) == before
    told = capsys.readouterr().err
    assert [line.split()[0] for line in told.splitlines()] == [
        f"{folder}/{name}" for name in ("changed", "new", "old")
    ]


@pytest.mark.parametrize("module", ["grafana.build", "deploy.prometheus.build"])
def test_what_is_committed_is_what_is_built(module: str) -> None:
    command = [sys.executable, "-m", module, "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
