"""The bill of materials that goes into the image, here of the environment of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

PROGRAM = Path(__file__).parents[2] / "deploy" / "image" / "sbom.py"


def written() -> str:
    command = [sys.executable, str(PROGRAM)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_is_valid_and_the_same_every_time() -> None:
    text = written()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert written() == text


def test_it_names_everything_that_is_installed() -> None:
    bill = json.loads(written())
    assert bill["metadata"]["component"]["name"] == "trainwave-exporter"
    billed = {(each["name"], each["version"]) for each in bill["components"]}
    installed = {(each.metadata["Name"], each.version) for each in distributions()}
    assert billed == {each for each in installed if each[0] != "trainwave-exporter"}
    aiohttp = next(each for each in bill["components"] if each["name"] == "aiohttp")
    assert aiohttp["licenses"]
    without = [each["name"] for each in bill["components"] if "licenses" not in each]
    assert len(without) < len(bill["components"]) / 4
    assert aiohttp["purl"] == f"pkg:pypi/aiohttp@{aiohttp['version']}"
