"""Figures that are absent because their value is unknown, and the reason."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import UnknownFigure

unknown = Families(
    UnknownFigure,
    labels=("figure", "name", "reason"),
    identity=lambda u: (u.figure, u.name, u.reason),
)


@unknown.gauge(
    "trainwave_figure_unknown",
    "1 for each figure that is absent because it is unknown, by reason.",
    additive=True,
)
def figure(_: UnknownFigure) -> float | None:
    return 1.0
