"""The systemd unit is one that systemd takes, and exposes little."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

from support.exporter import Exporter

from trainwave_exporter.config import SETTINGS

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "trainwave-exporter.service"
EXPOSURE = 20
"""Tenths of what systemd calls the exposure: at most 2.0."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None, "Debian's systemd has systemd-analyze"
    command = [program, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def service() -> dict[str, str]:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    return dict(unit["Service"])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Nothing is unknown to it or spelled wrong; the program stands in for the one installed."""
    here = UNIT.read_text().replace("/opt/trainwave-exporter/bin/trainwave-exporter", "/bin/true")
    copy = tmp_path / UNIT.name
    copy.write_text(here)
    told = analyze("verify", "--man=no", str(copy))
    lines = [line for line in told.stderr.splitlines() if UNIT.name in line]
    assert (told.returncode, lines) == (0, [])


def test_a_misspelled_unit_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/opt/trainwave-exporter/bin/trainwave-exporter", "/bin/true")
    copy.write_text(text.replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in analyze("verify", "--man=no", str(copy)).stderr


def test_the_unit_exposes_little() -> None:
    told = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", str(UNIT))
    assert told.returncode == 0, told.stdout[-400:] + told.stderr
    overall = re.search(r"Overall exposure level[^:]*: ([0-9.]+)", told.stdout)
    assert overall is not None
    assert float(overall[1]) < EXPOSURE / 10


def test_its_flags_and_variables_are_ones_that_there_are() -> None:
    flags = re.findall(r"--([a-z.-]+)=", service()["ExecStart"])
    known = {f"{setting.section}.{setting.key}".replace("_", "-") for setting in SETTINGS}
    assert flags
    assert set(flags) <= known
    environment = (FOLDER / "environment").read_text()
    variables = re.findall(r"^#(TRAINWAVE_[A-Z_]+)=", environment, re.MULTILINE)
    assert variables
    assert set(variables) <= {setting.variable for setting in SETTINGS}


def test_the_command_line_of_the_unit_starts_the_exporter(tmp_path: Path) -> None:
    """As systemd would fill it in: the key from its credential, the ledger in its state folder."""
    (tmp_path / "trainwave-api-key").write_text("demo-key\n")
    state = tmp_path / "state"
    line = service()["ExecStart"].replace("\\\n", " ")
    filled = line.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path))
    _, *flags = filled.replace("${STATE_DIRECTORY}", str(state)).split()
    with Exporter(*flags, "--trainwave.api-url=http://127.0.0.1:9/api/v1") as exporter:
        assert exporter.get("/-/healthy") == (200, "ok\n")
    assert (state / "ledger.sqlite3").exists()
