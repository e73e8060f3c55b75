"""A Trainwave to run against: a seeded world behind the API, in both of its dialects.

It shares no code with the rest of the package: the exporter and what it is tried against must not
share a misreading.
"""

from __future__ import annotations

from trainwave_exporter.simulator.billing import BillingMix
from trainwave_exporter.simulator.expected_totals import ExpectedTotals
from trainwave_exporter.simulator.faults import FAULT_NAMES, Fault, Faults, parse_faults
from trainwave_exporter.simulator.ids import SimulatedDialect
from trainwave_exporter.simulator.limits import LimitWindow
from trainwave_exporter.simulator.server import Simulator
from trainwave_exporter.simulator.shapes import Shape
from trainwave_exporter.simulator.stats import Stats
from trainwave_exporter.simulator.world import SimulatedWorld

__all__ = [
    "FAULT_NAMES",
    "BillingMix",
    "ExpectedTotals",
    "Fault",
    "Faults",
    "LimitWindow",
    "Shape",
    "SimulatedDialect",
    "SimulatedWorld",
    "Simulator",
    "Stats",
    "parse_faults",
]
