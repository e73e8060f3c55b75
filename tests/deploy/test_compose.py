"""The compose file: accepted by Compose, and everything that it names is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.manifests import DEPLOY
from support.prometheus_tools import tool

from trainwave_exporter.cli.options import new_parser

FILE = DEPLOY / "compose" / "compose.yaml"
OURS = {"live": "trainwave-exporter", "demo": "demo"}


def configured(profile: str | None) -> dict[str, Any]:
    """Return what Compose makes of the file; without a profile, that of its `.env`."""
    command = [tool("sid", "docker-compose"), "-f", str(FILE), "config", "--format=json"]
    clean = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROFILES"}
    chosen = {} if profile is None else {"COMPOSE_PROFILES": profile}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**clean, **chosen}
    )
    assert done.stderr == ""
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_it_is_as_the_makers_of_compose_have_it() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*command, "vendor.compose-spec", str(FILE)], check=True)


@pytest.mark.parametrize("profile", [None, *OURS])
def test_each_profile_has_one_exporter_that_prometheus_finds(profile: str | None) -> None:
    services = configured(profile)["services"]
    assert set(services) == {OURS[profile or "live"], "prometheus", "alertmanager", "grafana"}
    prometheus = YAML(typ="safe").load(DEPLOY / "prometheus" / "prometheus.yml")
    [[target]] = [
        each["targets"] for job in prometheus["scrape_configs"] for each in job["static_configs"]
    ]
    name, port = target.split(":")
    exporter = services[OURS[profile or "live"]]
    aliases = (exporter["networks"]["default"] or {}).get("aliases", [])
    assert name in {OURS[profile or "live"], *aliases}
    assert [each["target"] for each in exporter["ports"]] == [int(port)]
    new_parser().read(exporter["command"])


@pytest.mark.parametrize("profile", OURS)
def test_whatever_is_mounted_is_there_and_nobody_may_do_more_than_needed(profile: str) -> None:
    services = configured(profile)["services"]
    for service in services.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port["host_ip"] == "127.0.0.1" for port in service["ports"])
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), volume["source"]
                assert volume["read_only"]


def test_the_key_comes_by_a_file_that_is_not_committed() -> None:
    made = configured("live")
    exporter = made["services"]["trainwave-exporter"]
    [secret] = exporter["secrets"]
    file = f"--trainwave.api-key-file=/run/secrets/{secret['source']}"
    assert file in exporter["command"]
    assert "environment" not in exporter
    assert made["secrets"][secret["source"]]["file"] == str(FILE.parent / "api-key")
    assert (FILE.parent / ".gitignore").read_text().split() == ["/api-key"]


def test_grafana_finds_dashboards_and_prometheus_where_they_are_provisioned() -> None:
    services = configured("live")["services"]
    grafana = {each["target"]: each.get("source") for each in services["grafana"]["volumes"]}
    folder = DEPLOY.parent / "grafana" / "provisioning"
    provider = YAML(typ="safe").load(folder / "dashboards" / "trainwave.yml")
    [path] = [each["options"]["path"] for each in provider["providers"]]
    assert grafana[path] == str(DEPLOY.parent / "grafana" / "dashboards")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY.parent / "grafana" / "dashboards" / home.removeprefix(f"{path}/")).is_file()
    source = YAML(typ="safe").load(folder / "datasources" / "trainwave.yml")
    [url] = [each["url"] for each in source["datasources"]]
    assert re.fullmatch(r"http://prometheus:9090", url)
    alerts = YAML(typ="safe").load(DEPLOY / "prometheus" / "prometheus.yml")["alerting"]
    [[target]] = [
        each["targets"] for manager in alerts["alertmanagers"] for each in manager["static_configs"]
    ]
    assert target == "alertmanager:9093"
