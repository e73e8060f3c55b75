"""The README tells what is there."""

from __future__ import annotations

import re
import subprocess
import sys

from support.readme import README, rewritten

TEXT = README.read_text(encoding="utf-8")
ROOT = README.parent


def test_its_tables_are_those_of_the_declarations() -> None:
    assert rewritten(TEXT) == TEXT, "run `make docs`"


def test_every_make_target_in_it_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", TEXT))
    assert {"demo", "test"} <= named <= targets


def test_every_flag_and_command_in_it_exists() -> None:
    helps = "".join(
        subprocess.run(
            [sys.executable, "-m", "trainwave_exporter", *command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in ((), ("simulator",), ("demo",), ("check",), ("metrics",))
    )
    ours = re.sub(r"^\$ docker .*$", "", TEXT, flags=re.MULTILINE)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]*[a-z]", ours))
    unknown = {flag for flag in flags if flag not in helps}
    assert unknown == set()


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
