"""The worked examples of a page: the text under each heading "Example", and the tables in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

PAGES = Path(__file__).parents[2] / "docs" / "money"
Row: TypeAlias = dict[str, str]


def examples(page: Path) -> dict[str, str]:
    """Return the text of each example of a page, by its title."""
    found = re.finditer(r"^### Example: (.*)\n((?:(?!^##).*\n)*)", page.read_text(), re.MULTILINE)
    return {match[1].strip(): match[2] for match in found}


def tables(text: str) -> list[list[Row]]:
    """Return the tables of a text, each row by the names in its header."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *rows = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.splitlines()
        ]
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found
