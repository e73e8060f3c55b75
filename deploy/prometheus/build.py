"""Build the rule files: `python -m deploy.prometheus.build [--check]`.

For Prometheus itself and, as one object, for its operator.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import walk_tree

from deploy.prometheus import exporter, jobs, money, recording
from deploy.prometheus.rule import Group, Record
from deploy.prometheus.settings import Settings, SettingsError, load
from grafana.generated import settle

FOLDER = Path(__file__).with_name("rules")
KUBERNETES = Path(__file__).parents[1] / "kubernetes" / "monitoring" / "rules"
HEAD = "# Built from deploy/prometheus/*.py and settings.yml; change those instead.\n---\n"


def alerts(settings: Settings) -> tuple[Group, ...]:
    """All groups of alerts."""
    return (jobs.group(settings), money.group(settings), exporter.group(settings))


def files(settings: Settings) -> dict[str, str]:
    """Every rule file's name and text."""
    return {
        "recording.yml": _text({"groups": _groups(recording.GROUPS, settings)}),
        "alerts.yml": _text({"groups": _groups(alerts(settings), settings)}),
    }


def objects(settings: Settings) -> dict[str, str]:
    """Name and text of the object that has all rules for the Prometheus operator."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "trainwave-exporter"},
        "spec": {"groups": _groups([*recording.GROUPS, *alerts(settings)], settings)},
    }
    return {"prometheusrule.yaml": _text(rule)}


def _groups(groups: Iterable[Group], settings: Settings) -> list[dict[str, Any]]:
    links = settings.grafana_url, settings.runbook_url
    return [
        {
            "name": group.name,
            "rules": [
                rule.document() if isinstance(rule, Record) else rule.document(*links)
                for rule in group.rules
            ],
        }
        for group in groups
    ]


def _text(document: dict[str, Any]) -> str:
    walk_tree(document)  # texts of several lines stay so
    yaml = YAML()
    yaml.width = 1_000_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO(HEAD)
    stream.seek(0, 2)
    yaml.dump(document, stream)
    return stream.getvalue()


def main(arguments: list[str]) -> int:
    """Write the files or, with `--check`, say which differ; returns the exit status."""
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    check = "--check" in arguments
    built = [(FOLDER, files(settings)), (KUBERNETES, objects(settings))]
    return max([settle(folder, texts, check=check) for folder, texts in built])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
