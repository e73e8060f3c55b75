"""Prometheus and its tools, the oldest and the newest version that is supported.

`.ci/prometheus` unpacks them. Where they are missing, tests that need them are skipped and say so;
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
_TOOLS = Path(__file__).parents[2] / ".cache" / "tools"


def tool(suite: str, name: str) -> str:
    """Return the path of a tool of one suite."""
    path = _TOOLS / suite / "usr" / "bin" / name
    if not all(needed.exists() for needed in (path, *_NEEDED.get(name, ()))):
        message = f"{name} of {suite} is missing: run .ci/prometheus {' '.join(SUITES)}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return str(path)
