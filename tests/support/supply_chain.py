"""What the project is made of besides its own code: licences and known holes of what is locked.

``python -m support.supply_chain licences`` checks that every locked package may be used as it is;
``python -m support.supply_chain advisories`` looks for known vulnerabilities of the locked
versions. The latter asks the databases of advisories through pip-audit, which calls a package that
no database knows "skipped" and then finds no vulnerabilities: here that is no audit. Where none
could be made, that is said in capitals, and only the dated snapshot in ``.ci/advisories.toml`` is
left to check against.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from packaging.version import Version

ROOT: Final = Path(__file__).parents[2]
RUNTIME: Final = ROOT / "requirements.lock"
EVERYTHING: Final = ROOT / "requirements-dev.lock"
SNAPSHOT: Final = ROOT / ".ci" / "advisories.toml"
SERVICES: Final = (("-s", "pypi"), ("-s", "osv"))
"""The databases that are asked, each with pip-audit's own words."""

OLDEST_SNAPSHOT: Final = 365
"""Days after which the snapshot alone is no audit any more."""

_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


class UnauditedError(Exception):
    """No database of advisories answered for every package; the text says why."""


class Rules(Struct, frozen=True):
    """The section ``tool.licences`` of pyproject.toml."""

    allowed: tuple[str, ...]
    """SPDX names that everything may be under."""
    tools: Mapping[str, str]
    """Further ones, for programs that are run and never shipped, by package."""
    told: Mapping[str, str]
    """The licence of packages whose metadata does not tell it by its SPDX name."""


def locked(file: Path) -> dict[str, str]:
    """Return the versions in a lock file, by package."""
    return {_normal(name): version for name, version in _LOCKED.findall(file.read_text())}


# Licences


def rules(pyproject: Path = ROOT / "pyproject.toml") -> Rules:
    """Return what is allowed."""
    section = tomllib.loads(pyproject.read_text())["tool"]["licences"]
    return Rules(tuple(section["allowed"]), section["tools"], section["told"])


def licence(name: str, version: str) -> str | None:
    """Return what an installed package tells of its licence by an SPDX name or expression.

    None where it does not, or is not installed in that version.
    """
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    if Version(found.version) != Version(version):
        return None
    metadata = found.metadata
    told = next((metadata[n] for n in ("License-Expression", "License") if n in metadata), "")
    return told if re.fullmatch(r"[A-Za-z0-9.+-]+(?: (?:AND|OR) [A-Za-z0-9.+-]+)*", told) else None


def allows(allowed: Sequence[str], expression: str) -> bool:
    """Whether an expression is met: one side of each OR, all of each AND (which binds tighter)."""
    return any(
        all(name in allowed for name in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def licence_troubles(packages: Mapping[str, str], law: Rules, runtime: set[str]) -> Iterator[str]:
    """Yield what is wrong with the licences of packages (versions by name)."""
    for name, version in packages.items():
        found = licence(name, version)
        told = law.told.get(name)
        if found is not None and told is not None and allows(law.allowed, found):
            yield f"{name} tells its licence itself ({found}): tool.licences.told is out of date"
        expression = told or found
        if expression is None:
            yield f"{name} {version} does not tell its licence, or is not installed"
        elif name in law.tools:
            if expression != law.tools[name]:
                yield f"{name} is under {expression}, not {law.tools[name]}"
            if name in runtime:
                yield f"{name} is shipped, so that its licence must be allowed to everything"
        elif not allows(law.allowed, expression):
            yield f"{name} {version} is under {expression}, which is not allowed"
    for name in {*law.told, *law.tools} - packages.keys():
        yield f"{name} stands in tool.licences, but is not locked"


# Advisories


def known_holes(lock: Path, service: Sequence[str]) -> list[str]:
    """Ask a database; return the vulnerabilities of what is locked, one line each.

    Raises `UnauditedError` unless it knows every package.
    """
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"]
    command += ["--require-hashes", "--format=json", "--progress-spinner=off", "--timeout=5"]
    done = subprocess.run([*command, *service], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UnauditedError(f"{service[1]}: {last[:200]}") from None
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown or len(packages) == 0:
        some = ", ".join(unknown[:3])
        raise UnauditedError(
            f"{service[1]}: no answer for {len(unknown)} of {len(packages)} packages ({some}, …)"
        )
    return [
        f"{package['name']} {package['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in packages
        for hole in package["vulns"]
    ]


def snapshot_holes(packages: Mapping[str, str], snapshot: Mapping[str, Any]) -> list[str]:
    """Return what the snapshot knows of these packages (versions by name), one line each."""
    return [
        f"{name} {packages[name]}: {identity}, mended in {mended_in}"
        for name, holes in snapshot["mended_in"].items()
        for identity, mended_in in holes.items()
        if name in packages and Version(packages[name]) < Version(mended_in)
    ]


def audit(
    lock: Path, services: Sequence[Sequence[str]], snapshot: Mapping[str, Any], today: date
) -> tuple[int, list[str]]:
    """Return an exit code and what to say: 0 without known holes, 1 with some.

    An audit that could not be made is no failure of the project, and is not called a success; it is
    a failure where the snapshot is too old to stand in for it.
    """
    packages = locked(lock)
    refusals = []
    for service in services:
        try:
            holes = known_holes(lock, service)
        except UnauditedError as error:
            refusals.append(str(error))
            continue
        told = f"{lock.name}: {len(packages)} packages looked up in {service[1]}"
        return (1, [told, *holes]) if holes else (0, [f"{told}: no known vulnerability"])
    holes = snapshot_holes(packages, snapshot)
    age = (today - snapshot["as_of"]).days
    known = sum(name in packages for name in snapshot["mended_in"])
    lines = [
        f"{lock.name}: NOT AUDITED, as no database of advisories could be asked:",
        *(f"  {refusal}" for refusal in refusals),
        (
            f"  {len(holes)} known holes by the snapshot of {snapshot['as_of']} ({age} days old),"
            f" which says something of {known} of {len(packages)} packages"
        ),
        *holes,
    ]
    if age > OLDEST_SNAPSHOT:
        lines.append(f"  The snapshot is older than {OLDEST_SNAPSHOT} days: bring it up to date")
    return (1 if holes or age > OLDEST_SNAPSHOT else 0), lines


def main(what: str) -> int:
    """Check, tell, and return the exit code."""
    if what == "licences":
        troubles = sorted(licence_troubles(locked(EVERYTHING), rules(), set(locked(RUNTIME))))
        print(*troubles or ["Every locked package may be used as it is"], sep="\n")  # noqa: T201
        return 1 if troubles else 0
    worst = 0
    for lock in (RUNTIME, EVERYTHING):
        snapshot = tomllib.loads(SNAPSHOT.read_text())
        code, lines = audit(lock, SERVICES, snapshot, datetime.now(UTC).date())
        print(*lines, sep="\n")  # noqa: T201 - this is what it is for
        worst = max(worst, code)
    return worst


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
