"""Counters of the changes of cost that are not spending."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Corrections

corrections = Families(Corrections, labels=(), identity=lambda _: ())


@corrections.counter(
    "trainwave_cost_corrections_dollars_total",
    "Cost adjustments made by the API, by direction.",
    labels=("direction",),
)
def dollars(c: Corrections) -> Mapping[LabelValues, float]:
    return {("up",): c.up, ("down",): c.down}
