"""The pages of the documentation, their commands, and what is generated in them.

Generated parts are the tables of settings, metrics and packages. Each stands between
``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``. Run as a module, this writes each page anew; a
test fails while a page differs from what would be written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from test_architecture import MAY_IMPORT, PACKAGE

from support.rules import ALERTS
from trainwave_exporter.cli.metric_table import as_markdown
from trainwave_exporter.config import CONFIG_FILE, SETTINGS, Setting
from trainwave_exporter.metrics import catalog

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = (
    README,
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("**/*.md")),
)
"""All that people read; `SECURITY.md` and `CHANGELOG.md` have tests of their own."""


class Commands(NamedTuple):
    """A block of commands for a shell, and the comment above it that says how it is tested."""

    page: Path
    note: str
    """``run: NAME`` or ``not run: REASON``; empty without one."""
    text: str
    """The commands alone, without prompts and what they print."""


def commands(page: Path) -> list[Commands]:
    """Return the blocks of commands of a page, in order."""
    return [
        Commands(page, note or "", _typed(kind, block))
        for note, indent, kind, block in re.findall(
            r"(?:^ *<!-- ((?:not )?run: .*?) -->\n)?^( *)```(console|sh|bash|shell)\n(.*?)^ *```",
            page.read_text(encoding="utf-8"),
            re.MULTILINE | re.DOTALL,
        )
        for block in [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)]
    ]


def _typed(kind: str, block: str) -> str:
    """Return what is typed: in a console, the lines after a prompt and those that continue them."""
    if kind != "console":
        return block
    return "".join(re.findall(r"^\$ ((?:.*\\\n)*.*\n)", block, re.MULTILINE))


def settings_table() -> str:
    """Return the table of all settings: flag, environment variable, default, meaning."""
    return _table(
        ("Flag", "Environment variable", "Default", "Meaning"),
        (_setting(setting) for setting in (CONFIG_FILE, *SETTINGS)),
    )


def metric_table() -> str:
    """Return the table of all metrics, as `trainwave-exporter metrics` prints it."""
    return as_markdown(catalog()).rstrip()


def package_table() -> str:
    """Return the table of the packages: what each is, as it says itself, and what it may import."""
    return _table(
        ("Package", "What it is", "May import"),
        (
            (f"`{name}`", _about(name), _names(imported))
            for name, imported in sorted(MAY_IMPORT.items())
            if not name.startswith("__")
        ),
    )


_MEANING = re.compile(r"^### (\w+)\n\n\*\*Means:\*\* (.*?[.:])(?=\s)", re.MULTILINE | re.DOTALL)


def alert_table() -> str:
    """Return the table of all alerts, each with the first sentence of its runbook."""
    runbooks = DOCS / "runbooks.md"
    meanings = dict(_MEANING.findall(runbooks.read_text(encoding="utf-8")))
    for alert in ALERTS:
        if alert.alert not in meanings:
            raise ValueError(f"{runbooks}: expected a heading {alert.alert}, and what it means")
    return _table(
        ("Alert", "Severity", "Meaning"),
        (
            (
                f"[{alert.alert}](runbooks.md#{alert.alert.lower()})",
                alert.severity,
                f"{' '.join(meanings[alert.alert].split())[:-1]}.",
            )
            for alert in ALERTS
        ),
    )


PARTS: dict[Path, tuple[str, Callable[[], str]]] = {
    ROOT / "ARCHITECTURE.md": ("packages", package_table),
    DOCS / "alerts.md": ("alerts", alert_table),
    DOCS / "configuration.md": ("settings", settings_table),
    DOCS / "metrics.md": ("metrics", metric_table),
}
"""The generated part of each page that has one: its name, and what makes it."""


def rewritten(page: Path) -> str:
    """Return a page with its generated part as it should be; ValueError if that is not there."""
    name, part = PARTS[page]
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page}: expected one part between {begin} and {end}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{part()}\n{end}{rest.partition(end)[2]}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"


def _about(name: str) -> str:
    """Return the first paragraph of a package's docstring."""
    path = PACKAGE / f"{name}.py"
    source = path if path.exists() else PACKAGE / name / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def _setting(setting: Setting) -> tuple[str, ...]:
    if setting.file_only:
        names = (f"in the file only: `{setting.path}`", "")
    else:
        names = (f"`{setting.flag}`", f"`{setting.variable}`")
    default = f"`{setting.default_text}`" if setting.default_text else ""
    return (*names, default, setting.doc)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    for each in PARTS:
        each.write_text(rewritten(each), encoding="utf-8")
