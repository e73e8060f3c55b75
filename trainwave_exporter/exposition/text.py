"""How names, labels and values are written.

Sample lines are the same bytes in both formats; only the header of a family differs.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from math import isfinite
from typing import TypeAlias

from msgspec import Struct, json

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
_SPECIAL = re.compile(r'[\\\n"]')
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


def labels(names: tuple[str, ...], values: LabelValues) -> str:
    """Return ``a="1",b="2"``, escaped, without the labels whose value is ``None``.

    ValueError unless there are as many values as names.
    """
    if len(names) != len(values):
        raise ValueError(f"{len(values)} values for the labels {names}")
    present = tuple([value for value in values if value is not None])
    if len(present) != len(values):
        named = zip(names, values, strict=True)
        names = tuple([name for name, value in named if value is not None])
    if _SPECIAL.search("".join(present)):
        present = tuple(map(_escaped, present))
    return _template(names) % present


@cache
def _template(names: tuple[str, ...]) -> str:
    return ",".join([f'{name}="%s"' for name in names])


def number(value: float) -> str:
    """Return the shortest text that every parser reads as this float; both zeros are ``0``.

    A finite one is written as in JSON, which is how many are written at once.
    """
    value = float(value) or 0.0
    if isfinite(value):
        return json.encode(value).decode().removesuffix(".0")
    return _NOT_FINITE[repr(value)]


def utf8(text: str) -> bytes:
    """Return the text as UTF-8; what has none (half a surrogate pair) becomes ``?``."""
    return text.encode(errors="replace")


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
