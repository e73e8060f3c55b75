"""Writes the generated parts of the README: the tables of settings and of metrics.

A part stands between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``. Run as a module, it
writes the file anew; a test fails while the file differs from what would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from trainwave_exporter.cli.metric_table import as_markdown
from trainwave_exporter.config import CONFIG_FILE, SETTINGS, Setting
from trainwave_exporter.metrics import catalog

README = Path(__file__).parents[2] / "README.md"


def settings_table() -> str:
    """Return the table of all settings: flag, environment variable, default, meaning."""
    return _table(
        ("Flag", "Environment variable", "Default", "Meaning"),
        (_setting(setting) for setting in (CONFIG_FILE, *SETTINGS)),
    )


def metric_table() -> str:
    """Return the table of all metrics, as `trainwave-exporter metrics` prints it."""
    return as_markdown(catalog()).rstrip()


PARTS: dict[str, Callable[[], str]] = {"settings": settings_table, "metrics": metric_table}


def rewritten(text: str) -> str:
    """Return the README with its generated parts as they should be; ValueError if one lacks."""
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"README.md: expected one part between {begin} and {end}")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{part()}\n{end}{rest.partition(end)[2]}"
    return text


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
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
