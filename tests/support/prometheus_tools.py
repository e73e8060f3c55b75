"""Prometheus and its tools, the oldest and the newest version supported, and what checks manifests.

`.ci/tools` unpacks them. Where they are missing, tests that need them are skipped and say so;
in CI they fail, because a check that was not made is not a check that passed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SUITES = ("bookworm", "sid")
_TEMPLATES = Path("/usr/share/prometheus/alertmanager")
_NEEDED = {
    "prometheus-alertmanager": [_TEMPLATES / name for name in ("default.tmpl", "email.tmpl")],
}
_FOLDERS = {"docker-compose": "libexec/docker/cli-plugins"}
_TOOLS = Path(__file__).parents[2] / ".cache" / "tools"


def tool(suite: str, name: str) -> str:
    """Return the path of a tool of one suite."""
    path = _TOOLS / suite / "usr" / _FOLDERS.get(name, "bin") / name
    return str(needed(path, f"{name} of {suite}", *_NEEDED.get(name, ())))


def operator_models() -> Path:
    """Return the folder that has what objects of the Prometheus operator are checked by."""
    return needed(_TOOLS / "operator" / "node_modules", "what npm has of the Prometheus operator")


def needed(path: Path, what: str, *others: Path) -> Path:
    """Return a path if it is there, with others that it cannot do without; else skip or fail."""
    if not all(each.exists() for each in (path, *others)):
        message = f"{what} is missing: run .ci/tools {' '.join(SUITES)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
