"""Who may import whom. Read off the syntax trees, so that no import goes unseen."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainwave_exporter

PACKAGE = Path(trainwave_exporter.__file__).parent
ROOT = PACKAGE.parent
NAME = "trainwave_exporter"

MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "runtime": set(),
    "simulator": set(),
    "api": {"model", "runtime"},
    "fleet": {"model"},
    "ledger": {"model", "runtime"},
    "config": {"model", "runtime"},
    "polling": {"api", "fleet", "model", "runtime"},
    "exposition": {"model"},
    "metrics": {"exposition", "model"},
    "web": {"exposition", "runtime"},
    "landing": {"api", "config", "fleet", "model", "polling"},
    "daemon": {
        "api",
        "config",
        "fleet",
        "landing",
        "ledger",
        "metrics",
        "model",
        "polling",
        "runtime",
        "web",
    },
    "cli": {"config", "daemon", "exposition", "metrics", "ledger", "runtime", "simulator"},
    "__main__": {"cli", "runtime"},
    "__init__": set(),
}
"""Besides this, every package may import itself and, for the version, the package."""


def package_files() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        top = path.relative_to(PACKAGE).parts[0]
        yield top.removesuffix(".py"), path


def imported_modules(path: Path) -> Iterator[str]:
    """Yield what a module imports; of a whole package, the modules that are taken from it."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                whole = module in {NAME, *BESIDE}
                yield from (f"{module}.{alias.name}" for alias in names) if whole else [module]
            case ast.ImportFrom():
                raise AssertionError(f"{path}: relative imports hide where things come from")


def imported_packages(path: Path) -> Iterator[str]:
    for module in imported_modules(path):
        package, _, rest = module.partition(".")
        if package == NAME and rest != "__version__":
            yield rest.partition(".")[0]


def test_every_package_stands_in_the_table() -> None:
    assert {package for package, _ in package_files()} == set(MAY_IMPORT)


def test_no_package_imports_what_it_must_not_know() -> None:
    trespasses = [
        f"{path.relative_to(PACKAGE)} imports {imported}"
        for package, path in package_files()
        for imported in imported_packages(path)
        if imported != package and imported not in MAY_IMPORT[package]
    ]
    assert trespasses == []


def test_what_is_pure_of_the_ledger_knows_nothing_of_its_file_or_of_what_drives_it() -> None:
    trespasses = [
        f"{path.name} imports {module}"
        for path in sorted((PACKAGE / "ledger" / "billing").glob("*.py"))
        for module in imported_modules(path)
        if module.split(".")[:2] == [NAME, "ledger"] and module.split(".")[2:3] != ["billing"]
    ]
    assert trespasses == []


def test_no_package_may_import_what_it_does_without() -> None:
    imported: dict[str, set[str]] = {package: set() for package in MAY_IMPORT}
    for package, path in package_files():
        imported[package].update(imported_packages(path))
    unused = {package: MAY_IMPORT[package] - imported[package] for package in MAY_IMPORT}
    assert {package: permits for package, permits in unused.items() if permits} == {}


BESIDE = {
    "grafana": {"grafana", "grafana_foundation_sdk"},
    "deploy": {"deploy", "grafana.uids", "grafana.generated", "ruamel.yaml", "msgspec"},
}
"""What stands beside the package, and what it may import besides the standard library."""


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_the_package_knows_it_by_its_metrics_only(name: str) -> None:
    trespasses = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / name).rglob("*.py"))
        for module in imported_modules(path)
        if module.partition(".")[0] not in sys.stdlib_module_names
        and not any(f"{module}.".startswith(f"{known}.") for known in BESIDE[name])
    ]
    assert trespasses == []


def test_the_package_knows_nothing_of_what_stands_beside_it() -> None:
    imported = {
        module.partition(".")[0] for _, path in package_files() for module in imported_modules(path)
    }
    assert imported.isdisjoint({*BESIDE, "tests", "support"})


def test_the_test_sees_imports() -> None:
    """The table would mean nothing if the reading of imports were blind."""
    seen = {
        imported
        for package, path in package_files()
        if package == "daemon"
        for imported in imported_packages(path)
    }
    assert {"fleet", "ledger", "polling", "metrics", "web", "config", "model"} <= seen


def test_no_two_classes_of_the_package_share_a_name() -> None:
    places = defaultdict[str, list[str]](list)
    for _, path in package_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_apscheduler_is_known_in_one_place_only() -> None:
    knowing = [
        path.relative_to(PACKAGE).as_posix()
        for _, path in package_files()
        if "apscheduler"
        in {name for node in ast.walk(ast.parse(path.read_text())) for name in _packages(node)}
    ]
    assert knowing == ["polling/schedule.py"]


def _packages(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name.partition(".")[0] for alias in names]
        case ast.ImportFrom(module=str(module)):
            return [module.partition(".")[0]]
        case _:
            return []


def test_each_module_that_tests_share_is_in_the_list_of_what_to_use_for_what() -> None:
    support = ROOT / "tests" / "support"
    listed = (support / "README.md").read_text()
    modules = {path.stem for path in support.glob("*.py")} - {"__init__"}
    assert {module for module in modules if f"`{module}`" not in listed} == set()
