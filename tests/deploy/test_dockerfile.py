"""What the image says of itself is what those who run it count on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.manifests import DEPLOY, KEYED, helmed, kustomized, the

from trainwave_exporter.config import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()


def said(pattern: str) -> str:
    """Return the only thing that the Dockerfile says so."""
    [found] = re.findall(pattern, TEXT, re.MULTILINE)
    return str(found)


OURS = "trainwave-exporter"
PORT = said(r"^EXPOSE (\d+)$")
FOLDER = said(r"^VOLUME (\S+)$")
USER = said(r"^USER (\d+):\d+$")


def test_it_serves_where_the_exporter_listens_and_keeps_what_lasts_in_its_volume() -> None:
    assert Settings().web.listen_address == (f":{PORT}",)
    assert said(r"http://127\.0\.0\.1:(\d+)/-/healthy") == PORT
    assert said(r"TRAINWAVE_STORAGE_PATH=(\S+)$") == FOLDER
    assert said(rf"^RUN install -d -o {USER} -g {USER} -m 0750 (\S+)$") == FOLDER


@pytest.mark.parametrize("by", ["kustomize", "helm"])
def test_a_pod_runs_it_as_it_is_made(by: str) -> None:
    known = kustomized("plain") if by == "kustomize" else helmed(KEYED)
    pod = the("Deployment", known)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert [str(port["containerPort"]) for port in container["ports"]] == [PORT]
    assert FOLDER in [mount["mountPath"] for mount in container["volumeMounts"]]
    ids = pod["securityContext"]
    assert {str(ids[key]) for key in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}


def test_compose_mounts_the_ledger_where_it_is_kept() -> None:
    services = YAML(typ="safe").load(DEPLOY / "compose" / "compose.yaml")["services"]
    assert services["trainwave-exporter"]["volumes"] == [f"ledger:{FOLDER}"]
    assert {
        port for name in ("trainwave-exporter", "demo") for port in services[name]["ports"]
    } == {f"127.0.0.1:{PORT}:{PORT}"}


def test_images_of_others_are_pinned_by_their_digests() -> None:
    """A tag may be moved to another image, a digest cannot."""
    services = YAML(typ="safe").load(DEPLOY / "compose" / "compose.yaml")["services"]
    images = [service["image"] for service in services.values()]
    others = [said(r"^ARG PYTHON_IMAGE=(\S+)$"), *(i for i in images if OURS not in i)]
    assert len(others) == 4
    for image in others:
        assert re.fullmatch(r"docker\.io/[a-z/]+:v?\d[\w.-]*@sha256:[0-9a-f]{64}", image), image
    bases = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    assert bases == ["${PYTHON_IMAGE}"] * 2


def test_what_builds_the_wheel_is_pinned_by_its_hashes() -> None:
    """And to the version that builds it elsewhere."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = (ROOT / "deploy" / "image" / "build.lock").read_text()
    pins = re.findall(r"^([a-z-]+==\S+) \\\n +--hash=sha256:[0-9a-f]{64}", locked, re.MULTILINE)
    assert pins == [need.replace("_", "-") for need in needed]
    assert "--require-hashes" in TEXT
    assert "--no-build-isolation" in TEXT
