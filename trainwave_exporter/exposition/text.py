"""How names, labels and values are written.

Sample lines are the same bytes in both formats; only the header of a family differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from trainwave_exporter.exposition.formats import Format

LabelValues: TypeAlias = tuple[str | None, ...]
"""One value for each label name; ``None`` leaves the label out of that series."""

_UNITS = (
    "bytes_per_second",
    "bytes",
    "dollars_per_hour",
    "dollars",
    "hours",
    "ratio",
    "seconds",
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HELP = re.compile(r'[^\\"\n]+')
_NOT_FINITE = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


class Kind(StrEnum):
    """The types of metric in use."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Description(Struct, frozen=True):
    """What is known of a metric without looking at any value: its row in the metric table.

    ValueError where the name or the help text could not be written in both formats as it stands.
    """

    name: str
    type: Kind
    labels: tuple[str, ...]
    help: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not _HELP.fullmatch(self.help):
            raise ValueError(f"not to be written as it stands: {self.name!r}, {self.help!r}")
        if self.name.endswith("_total") != (self.type is Kind.COUNTER):
            raise ValueError(f"{self.name}: counters, and only they, end in _total")

    @property
    def family(self) -> str:
        """The name without what OpenMetrics counts to the sample."""
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """The base unit that the name ends in; empty where there is none."""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")

    def header(self, form: Format) -> bytes:
        """Return the lines that stand before the samples."""
        name = self.name if form is Format.TEXT else self.family
        lines = [f"# HELP {name} {self.help}\n", f"# TYPE {name} {self.type}\n"]
        if self.unit and form is Format.OPENMETRICS:
            lines.append(f"# UNIT {name} {self.unit}\n")
        return "".join(lines).encode()


def labels(names: Iterable[str], values: Iterable[str | None]) -> str:
    """Return ``a="1",b="2"``, escaped, without the labels whose value is ``None``."""
    return ",".join(
        [
            f'{name}="{_escaped(value)}"'
            for name, value in zip(names, values, strict=True)
            if value is not None
        ]
    )


def number(value: float) -> str:
    """Return the shortest text that every parser reads as this very float."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else _NOT_FINITE.get(text, text)


def encoded(lines: Iterable[str]) -> bytes:
    """Return the lines as UTF-8; what has no UTF-8 (half a surrogate pair) becomes ``?``."""
    return "".join(lines).encode(errors="replace")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
