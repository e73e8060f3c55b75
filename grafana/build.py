"""Build the dashboards' JSON: `python -m grafana.build [--check]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import cost, efficiency, exporter, fleet, job
from grafana.generated import settle

FOLDER = Path(__file__).with_name("dashboards")


def dashboards() -> tuple[Dashboard, ...]:
    """All dashboards, in the order in which people meet them."""
    return (
        fleet.dashboard(),
        cost.dashboard(),
        efficiency.dashboard(),
        job.dashboard(),
        exporter.dashboard(),
    )


def files() -> dict[str, str]:
    """Every dashboard's file name and text."""
    return {f"{made.uid}.json": _text(made) for made in dashboards()}


def _text(made: Dashboard) -> str:
    return json.dumps(made, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(settle(FOLDER, files(), check="--check" in sys.argv[1:]))
