"""The objects for Kubernetes, as Kustomize and Helm make them: valid, hardened, and the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
from ruamel.yaml import YAML
from support.manifests import (
    CHART,
    DEPLOY,
    EVERYTHING,
    KEYED,
    OVERLAYS,
    VALUES,
    Object,
    helmed,
    kustomized,
    of_kind,
    the,
)
from support.prometheus_tools import operator_models

from deploy.prometheus import build
from deploy.prometheus.settings import load as load_rules
from grafana.build import FOLDER as DASHBOARDS
from trainwave_exporter.cli.options import new_parser
from trainwave_exporter.config import load

OF_THE_OPERATOR = ("ServiceMonitor", "PrometheusRule")
RENDERED = [*(("kustomize", name) for name in OVERLAYS), *(("helm", name) for name in VALUES)]
rendered = pytest.mark.parametrize(("by", "name"), RENDERED)


def made(by: str, name: str) -> list[Object]:
    return kustomized(name) if by == "kustomize" else helmed(VALUES[name])


def pod_of(known: list[Object]) -> Object:
    pod: Object = the("Deployment", known)["spec"]["template"]["spec"]
    return pod


@rendered
def test_every_object_is_valid(by: str, name: str) -> None:
    known = made(by, name)
    assert len(known) >= 4
    for each in known:
        if each["kind"] not in OF_THE_OPERATOR:
            kubernetes_validate.validate(each, "1.37", strict=True)
            kubernetes_validate.validate(each, "1.25", strict=True)


@pytest.mark.parametrize(("by", "name"), [("kustomize", "operator"), ("helm", "everything")])
def test_the_operators_objects_are_valid_and_hold_the_rules(
    by: str, name: str, tmp_path: Path
) -> None:
    known = [each for each in made(by, name) if each["kind"] in OF_THE_OPERATOR]
    assert len(known) == 2
    (tmp_path / "node_modules").symlink_to(operator_models())
    shutil.copy(Path(__file__).parent / "operator" / "validate.mjs", tmp_path)

    def validate(objects: list[Object]) -> subprocess.CompletedProcess[str]:
        command = ["node", str(tmp_path / "validate.mjs")]
        text = json.dumps(objects)
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    done = validate(known)
    assert done.returncode == 0, done.stderr
    broken = the("ServiceMonitor", known) | {"spec": {"endpoints": [{"port": 5}]}}
    assert validate([broken]).returncode != 0

    groups = [
        group
        for text in build.files(load_rules()).values()
        for group in YAML(typ="safe").load(text)["groups"]
    ]
    assert the("PrometheusRule", known)["spec"]["groups"] == groups
    [endpoint] = the("ServiceMonitor", known)["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    [relabeling] = endpoint["relabelings"]
    assert relabeling == {"targetLabel": "job", "replacement": load_rules().scrape_job}


@pytest.mark.parametrize(("by", "name"), [("kustomize", "operator"), ("helm", "everything")])
def test_every_dashboard_is_there_for_the_sidecar(by: str, name: str) -> None:
    maps = [
        each
        for each in of_kind("ConfigMap", made(by, name))
        if each["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    held = {file: json.loads(text) for each in maps for file, text in each["data"].items()}
    assert held == {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
    assert len({each["metadata"]["name"] for each in maps}) == len(maps) == len(held)


@rendered
def test_the_pod_may_do_nothing_but_its_work(by: str, name: str) -> None:
    pod = pod_of(made(by, name))
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False  # a Service's variables look like our settings
    user = pod["securityContext"]
    assert (user["runAsNonRoot"], user["runAsUser"], user["fsGroup"]) == (True, 65532, 65532)
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "env" not in container  # the key comes by a file


@rendered
def test_there_is_one_exporter_at_a_time_and_it_is_scraped_even_if_it_is_not_ready(
    by: str, name: str
) -> None:
    known = made(by, name)
    deployment, service = the("Deployment", known)["spec"], the("Service", known)["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert service["publishNotReadyAddresses"] is True
    labels = deployment["template"]["metadata"]["labels"]
    chosen = [service["selector"], deployment["selector"]["matchLabels"]]
    for kind, where in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        chosen += [each["spec"][where]["matchLabels"] for each in of_kind(kind, known)]
    for selector in chosen:
        assert selector
        assert selector.items() <= labels.items()


@rendered
def test_the_exporter_understands_its_arguments_and_its_configuration(
    by: str, name: str, tmp_path: Path
) -> None:
    known = made(by, name)
    pod = pod_of(known)
    [container] = pod["containers"]
    new_parser().read(container["args"])
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounted.values()) == set(volumes)
    assert "/var/lib/trainwave-exporter" in mounted
    if container["args"] == ["demo"]:
        assert of_kind("PersistentVolumeClaim", known) == []
        return
    assert container["args"] == ["--config.file=/etc/trainwave-exporter/exporter.yml"]
    wanted = volumes[mounted["/etc/trainwave-exporter"]]["configMap"]["name"]
    [configuration] = [
        each for each in of_kind("ConfigMap", known) if each["metadata"]["name"] == wanted
    ]
    file = tmp_path / "exporter.yml"
    file.write_text(configuration["data"]["exporter.yml"])
    key_file = load({}, {}, file).trainwave.api_key_file
    assert key_file is not None
    folder, _, _ = str(key_file).rpartition("/")
    assert volumes[mounted[folder]]["secret"]["secretName"] == "trainwave-api-key"


@rendered
def test_a_drain_never_waits_for_the_only_exporter(by: str, name: str) -> None:
    for budget in of_kind("PodDisruptionBudget", made(by, name)):
        assert budget["spec"]["maxUnavailable"] == 1


def test_both_make_the_same_pod() -> None:
    kustomize, helm = pod_of(kustomized("plain")), pod_of(helmed(KEYED))
    names = ("serviceAccountName", "volumes", "containers")
    for pod in (kustomize, helm):
        [container] = pod["containers"]
        pod["container"] = {
            what: container[what]
            for what in container
            if what not in {"image", "imagePullPolicy", "volumeMounts"}
        }
        pod["places"] = {
            mount["mountPath"].removesuffix("/trainwave-api-key")
            for mount in container["volumeMounts"]
        }
        for name in names:
            del pod[name]
    assert kustomize == helm


@pytest.mark.parametrize(
    "kind",
    ["Service", "NetworkPolicy", "PodDisruptionBudget", "PersistentVolumeClaim", "ServiceMonitor"],
)
def test_both_make_the_same_of_everything_else(kind: str) -> None:
    values = KEYED | {"serviceMonitor": {"enabled": True}}
    kustomize, helm = the(kind, kustomized("operator"))["spec"], the(kind, helmed(values))["spec"]
    assert kustomize == not_of_the_release(helm)


def not_of_the_release(thing: Any) -> Any:
    """Return what is left without the label of a release, and without who comes for its test."""
    match thing:
        case dict():
            return {
                key: not_of_the_release(value)
                for key, value in thing.items()
                if key != "app.kubernetes.io/instance"
            }
        case list():
            kept = [each for each in thing if "trainwave-exporter-test" not in json.dumps(each)]
            return [not_of_the_release(each) for each in (kept or thing)]
    return thing


@rendered
def test_prometheus_is_let_in_and_nobody_else(by: str, name: str) -> None:
    for policy in of_kind("NetworkPolicy", made(by, name)):
        [ingress] = policy["spec"]["ingress"]
        guests = [
            each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in ingress["from"]
        ]
        assert guests == ["prometheus", *(["trainwave-exporter-test"] if by == "helm" else [])]


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_no_fault_with_the_chart(name: str) -> None:
    report = helm_python.lint(CHART, VALUES[name], strict=True)
    assert report["errors"] == []
    faults = [each for each in report["messages"] if each["severity"] >= 2]
    assert faults == []


def test_a_package_holds_rules_and_dashboards(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    chart = helm_python.Chart.load_archive(Path(archive).read_bytes())
    packed = chart.render(EVERYTHING, name="it", namespace="trainwave")
    unpacked = helm_python.Chart.load(CHART).render(EVERYTHING, name="it", namespace="trainwave")
    assert packed == unpacked


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "existingSecret"),
        ({"demo": "yes"}, "demo"),
        (KEYED | {"replicas": 2}, "replicas"),
        (KEYED | {"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        (KEYED | {"persistence": {"size": "big"}}, "size"),
        (KEYED | {"service": {"port": 0}}, "port"),
        (KEYED | {"serviceMonitor": {"interval": "often"}}, "interval"),
        (KEYED | {"resources": {"limit": {}}}, "limit"),
        (KEYED | {"podLabels": {"a": 1}}, "podLabels"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(values: Any, key: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=key):
        helm_python.Chart.load(CHART).validate_schema(values)


def test_every_value_has_its_place_in_the_schema() -> None:
    values = YAML(typ="safe").load(CHART / "values.yaml")
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, known in values.items():
        declared = schema["properties"][name].get("properties")
        if declared is not None:
            assert set(known) == set(declared), name


def test_nothing_else_lies_beside_the_overlays() -> None:
    found = {path.name for path in (DEPLOY / "kubernetes" / "overlays").iterdir()}
    assert found == set(OVERLAYS)
