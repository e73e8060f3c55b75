"""The version stands in the package; what cannot read it there says the same."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.version import Version
from ruamel.yaml import YAML

from trainwave_exporter import __version__

ROOT = Path(__file__).parents[1]


def test_the_version_is_written_as_python_packages_have_it() -> None:
    assert str(Version(__version__)) == __version__


def test_the_image_says_the_same_version() -> None:
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_the_chart_says_the_same_version_and_its_own_as_helm_has_it() -> None:
    """Helm takes semantic versions only: 0.2.0.dev0 is 0.2.0-dev.0 there."""
    chart = YAML(typ="safe").load(ROOT / "deploy/helm/trainwave-exporter/Chart.yaml")
    assert chart["appVersion"] == __version__
    assert chart["version"] == re.sub(r"\.dev(\d+)$", r"-dev.\1", __version__)


def test_the_changelog_begins_with_this_version_or_with_what_is_not_released() -> None:
    released = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if Version(__version__).is_devrelease:
        assert released[0] == "Unreleased"
        assert Version(released[1]) < Version(__version__)
    else:
        assert released[0] == __version__
