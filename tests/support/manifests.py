"""What Kustomize and Helm make of the manifests, as objects."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import helm_python
from ruamel.yaml import YAML

from support.prometheus_tools import tool

Object: TypeAlias = dict[str, Any]

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "trainwave-exporter"
OVERLAYS = ("plain", "operator", "demo")
KEYED: Object = {"apiKey": {"existingSecret": "trainwave-api-key"}}
EVERYTHING: Object = KEYED | {
    "imagePullSecrets": [{"name": "registry"}],
    "config": {"accounts": [{"name": "research", "api_key_file": "/var/run/secrets/x/key"}]},
    "extraSecrets": ["further.key"],
    "persistence": {"storageClass": "fast"},
    "service": {"annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True, "annotations": {"folder": "Trainwave"}},
}
VALUES: dict[str, Object] = {
    "keyed": KEYED,
    "everything": EVERYTHING,
    "demo": {"demo": True},
    "bare": KEYED
    | {
        "persistence": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
    },
    "claimed": KEYED | {"persistence": {"existingClaim": "ledger"}},
}
"""Values that the chart is rendered with, by what they are for."""


def objects(text: str) -> list[Object]:
    """Return the objects of a text of YAML."""
    return deepcopy(_objects(text))


@cache
def _objects(text: str) -> list[Object]:
    return [each for each in YAML(typ="safe").load_all(text) if each is not None]


def kustomized(overlay: str) -> list[Object]:
    """Return the objects of an overlay."""
    command = [tool("sid", "kustomize"), "build", str(DEPLOY / "kubernetes" / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return objects(done.stdout)


def helmed(values: Object) -> list[Object]:
    """Return the objects of the chart with these values."""
    chart = helm_python.Chart.load(CHART)
    chart.validate_schema(values)
    rendered = chart.render(values, name="it", namespace="trainwave")
    return [
        each for path, text in rendered.items() if path.endswith(".yaml") for each in objects(text)
    ]


def of_kind(kind: str, known: list[Object]) -> list[Object]:
    """Return the objects of one kind."""
    return [each for each in known if each["kind"] == kind]


def the(kind: str, known: list[Object]) -> Object:
    """Return the only object of a kind."""
    [found] = of_kind(kind, known)
    return found
