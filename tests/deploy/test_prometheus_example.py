from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.prometheus_tools import SUITES, tool

from deploy.prometheus import build
from deploy.prometheus.settings import load

CONFIG = Path(build.__file__).with_name("prometheus.yml")


@pytest.mark.parametrize("suite", SUITES)
def test_prometheus_accepts_the_example_with_all_rules(suite: str) -> None:
    command = [tool(suite, "promtool"), "check", "config", str(CONFIG)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("rules found") == len(build.files(load()))


def test_the_example_scrapes_as_the_rules_expect() -> None:
    example = YAML(typ="safe").load(CONFIG)
    [scrape] = example["scrape_configs"]
    assert (scrape["job_name"], scrape["honor_labels"]) == (load().scrape_job, True)
