"""Write what an environment is made of, as CycloneDX 1.6: ``python sbom.py > sbom.cdx.json``.

Run by the Dockerfile in the environment that goes into the image. The same packages always make the
same text, so it has neither a serial number nor a time.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, distributions
from typing import Any

NAME = "trainwave-exporter"


def component(package: Distribution) -> dict[str, Any]:
    """Return a package as a component."""
    name, version = package.metadata["Name"], package.version
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    known: dict[str, Any] = {
        "type": "application" if name == NAME else "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }
    if about := package.metadata["Summary"]:
        known["description"] = about
    if expression := package.metadata["License-Expression"]:
        known["licenses"] = [{"expression": expression}]
    elif (named := package.metadata["License"]) and "\n" not in named:
        known["licenses"] = [{"license": {"name": named}}]
    return known


def bill(packages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the bill of materials of these components, one of which is the exporter."""
    [ours] = [each for each in packages if each["name"] == NAME]
    others = [each for each in packages if each is not ours]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": sorted(others, key=lambda each: str(each["purl"])),
    }


if __name__ == "__main__":
    json.dump(bill([component(each) for each in distributions()]), sys.stdout, indent=2)
    sys.stdout.write("\n")
