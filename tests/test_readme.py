"""The README tells what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.certificates import PASSWORD_HASH, Authority
from support.readme import README, rewritten

from trainwave_exporter.config import Settings, load
from trainwave_exporter.config.settings import WebSettings
from trainwave_exporter.config.values import FilePath
from trainwave_exporter.daemon.wiring import load_access

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
        for command in ((), ("simulator",), ("demo",), ("check",), ("metrics",), ("report",))
    )
    others = r"^(?:\$ )?(?:\w+=\w+ )?(?:docker|kubectl|helm) (?:.*\\\n)*.*$"
    ours = re.sub(others, "", TEXT, flags=re.MULTILINE)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]*[a-z]", ours))
    unknown = {flag for flag in flags if flag not in helps}
    assert unknown == set()


EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_example_of_settings_in_it_is_valid(tmp_path: Path) -> None:
    others = ("scrape_configs:", "tls_server_config:")
    examples = [example for example in EXAMPLES if not example.startswith(others)]
    assert any("budgets:" in example for example in examples)
    for example in examples:
        file = tmp_path / "exporter.yml"
        file.write_text(example, encoding="utf-8")
        load({}, {}, file)


def test_the_example_of_a_web_configuration_in_it_is_valid(tmp_path: Path) -> None:
    (example,) = (text for text in EXAMPLES if text.startswith("tls_server_config:"))
    authority = Authority(tmp_path, "prometheus-ca")
    authority.issue("server", "localhost")
    file = tmp_path / "web.yml"
    file.write_text(example.replace("$2y$10$…", PASSWORD_HASH), encoding="utf-8")
    assert load_access(Settings(web=WebSettings(config_file=FilePath(file)))) is not None


def test_every_file_it_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
