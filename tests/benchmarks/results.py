"""Where benchmarks put what they measured: on the screen, and into ``RESULTS.md``.

Each benchmark calls `publish` once for each of its sections; that section of the file is replaced,
the others stay as they are. `chart` draws lines into an SVG file beside it. What was to be reached
is a `Goal`; the file begins with the goals of all sections. One that is missed for a reason that
nobody wrote down is an error.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "RESULTS.md"
_HEAD: Final = """# What was measured

By `make bench`, each against its peer in the same run. Milliseconds depend on the machine; what
counts is the ratios. Each section has its own date: those that were not run again show earlier
code.
"""


_GOAL_HEADINGS: Final = ("goal", "bound", "measured", "outcome")


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first column names, the others are aligned right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Goal:
    """What a figure has to be: at least, or at most, the bound."""

    what: str
    figure: float
    _: KW_ONLY
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""
    why_missed: str = ""
    """Shown where it is missed."""
    explained: float | None = None
    """The worst figure that this explains."""

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        least = -math.inf if self.at_least is None else self.at_least
        most = math.inf if self.at_most is None else self.at_most
        return least <= self.figure <= most

    @property
    def unexplained(self) -> bool:
        """Whether it is missed, and nobody says why, or by more than that explains."""
        if self.met:
            return False
        if not self.why_missed or self.explained is None:
            return True
        as_said = (
            self.figure <= self.explained
            if self.at_least is None
            else self.figure >= self.explained
        )
        return not as_said

    def row(self) -> Sequence[str]:
        """Return it as a row of the table of goals."""
        bounds = {"≥": self.at_least, "≤": self.at_most}
        bound = " ".join(f"{sign} {one:g}{self.unit}" for sign, one in bounds.items() if one)
        outcome = "met" if self.met else f"missed: {self.why_missed}"
        return self.what, bound, f"{_short(self.figure)}{self.unit}", outcome


def publish(
    name: str,
    title: str,
    *parts: str | Table,
    packages: Sequence[str] = (),
    goals: Sequence[Goal] = (),
) -> None:
    """Print a section and write it into the file.

    ``parts`` are paragraphs and tables, in order; ``packages`` those whose versions matter.
    ValueError where a goal is missed for no known reason.
    """
    if goals:
        parts = (*parts, Table(_GOAL_HEADINGS, [goal.row() for goal in goals]))
    text = "\n\n".join(_markdown(part) for part in (f"## {title}", _setting(packages), *parts))
    print(text, end="\n\n")  # noqa: T201 - this is what it is for
    if missed := [goal.what for goal in goals if goal.unexplained]:
        raise ValueError(f"missed, and nobody says why: {'; '.join(missed)}")
    sections = _sections()
    sections[name] = text
    body = "".join(
        f"\n<!-- {each}: begin -->\n{sections[each]}\n<!-- {each}: end -->\n"
        for each in sorted(sections)
    )
    FILE.write_text(f"{_HEAD}\n{_all_goals(sections)}\n{body}")


def chart(
    file: str,
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    logarithmic: bool = False,
) -> str:
    """Draw lines (x, y), by name, and return the Markdown that shows the picture.

    Both scales begin at nought, or are ``logarithmic``: then nothing may be nought.
    """
    (HERE / file).write_text(_Chart(title, lines, x, y, logarithmic=logarithmic).svg())
    return f"![{title}]({file})"


def _setting(packages: Sequence[str]) -> str:
    named = ", ".join(f"{package} {version(package)}" for package in packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {python}{', ' + named if named else ''}."
        f" A million additions took {1000 * _seconds_of_additions():.0f} ms."
    )


def _seconds_of_additions() -> float:
    """Return how fast the machine is now: so runs on others, or at other times, are compared."""
    began = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return time.perf_counter() - began


def _sections() -> dict[str, str]:
    sections: dict[str, str] = {}
    if FILE.exists():
        for part in FILE.read_text().split("<!-- ")[1::2]:
            name, text = part.split(": begin -->\n", 1)
            sections[name] = text.rstrip("\n")
    return sections


def _all_goals(sections: Mapping[str, str]) -> str:
    """Return the rows of the tables of goals of all sections as one table."""
    heading = _markdown(Table(_GOAL_HEADINGS, []))
    rows = [
        row
        for name in sorted(sections)
        for table in sections[name].split(heading)[1:]
        for row in table.strip().split("\n\n")[0].splitlines()
    ]
    return "\n".join([heading, *rows])


def _short(figure: float) -> str:
    """Return a figure with as many digits as are worth reading."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _markdown(part: str | Table) -> str:
    if isinstance(part, str):
        return part
    rule = ["---", *["---:"] * (len(part.headings) - 1)]
    rows = (part.headings, rule, *part.rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_COLORS: Final = ("#0b5cad", "#b3261e", "#8a6d00", "#5a6578", "#0a6b3d", "#7b3fa0")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 860, 340, 64, 40
_TICKS: Final = 5


class _Chart:
    """Lines over axes with ticks and a legend, on a ground that suits both themes."""

    def __init__(
        self,
        title: str,
        lines: Mapping[str, Sequence[tuple[float, float]]],
        x: str,
        y: str,
        *,
        logarithmic: bool,
    ) -> None:
        self._title, self._lines, self._x, self._y = title, lines, x, y
        self._logarithmic = logarithmic
        points = [point for line in lines.values() for point in line]
        self._ends = [self._scale(max(values)) for values in zip(*points, strict=True)]
        self._begins = [
            self._scale(min(values)) if logarithmic else 0.0 for values in zip(*points, strict=True)
        ]

    def svg(self) -> str:
        legend = "".join(
            f'<text x="{_LEFT + 10 + 190 * (n % 4)}" y="{40 + 16 * (n // 4)}" fill="{color}">'
            f"{escape(name)}</text>"
            for n, (name, color) in enumerate(zip(self._lines, _COLORS, strict=False))
        )
        lines = "".join(
            f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{path}"/>'
            for color, path in zip(_COLORS, map(self._path, self._lines.values()), strict=False)
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
            ' font-family="sans-serif" font-size="12" role="img">'
            f'<title>{escape(self._title)}</title><rect width="100%" height="100%" fill="#fff"/>'
            f'<text x="{_LEFT}" y="20" font-size="14">{escape(self._title)}</text>{legend}'
            f"{self._axes()}{lines}</svg>\n"
        )

    def _axes(self) -> str:
        marks = []
        for n in range(_TICKS + 1):
            part = n / _TICKS
            across, up = self._place(part, 0.0)[0], self._place(0.0, part)[1]
            marks.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{up:.1f}" y2="{up:.1f}"'
                ' stroke="#d9dee7"/>'
                f'<text x="{_LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">'
                f"{self._value(1, part)}</text>"
                f'<text x="{across:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                f"{self._value(0, part)}</text>"
            )
        marks.append(
            f'<text x="{_WIDTH - 16}" y="{_HEIGHT - 6}" text-anchor="end">{escape(self._x)}</text>'
            f'<text x="{_WIDTH - 16}" y="20" text-anchor="end">{escape(self._y)}</text>'
        )
        return "".join(marks)

    def _value(self, axis: int, part: float) -> str:
        value = self._begins[axis] + part * (self._ends[axis] - self._begins[axis])
        return f"{10.0**value if self._logarithmic else value:,.3g}"

    def _path(self, line: Sequence[tuple[float, float]]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self._place(*self._parts(point))) for point in line)

    def _parts(self, point: tuple[float, float]) -> tuple[float, float]:
        across, up = (
            (self._scale(value) - begin) / ((end - begin) or 1.0)
            for value, begin, end in zip(point, self._begins, self._ends, strict=True)
        )
        return across, up

    def _place(self, across: float, up: float) -> tuple[float, float]:
        top = 76
        return (
            _LEFT + across * (_WIDTH - _LEFT - 16),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - top),
        )

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._logarithmic else value
