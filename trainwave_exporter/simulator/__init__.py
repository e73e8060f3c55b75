"""A Trainwave to run against: a seeded world behind the API, in both of its dialects.

It shares no code with the rest of the package: the exporter and what it is tried against must not
share a misreading.
"""

from __future__ import annotations

from trainwave_exporter.simulator.billing import BillingMix
from trainwave_exporter.simulator.books import Books
from trainwave_exporter.simulator.faults import FAULT_NAMES, Fault, Faults, parse_faults
from trainwave_exporter.simulator.identity import Dialect
from trainwave_exporter.simulator.limits import Window
from trainwave_exporter.simulator.server import Simulator
from trainwave_exporter.simulator.shapes import Shape
from trainwave_exporter.simulator.stats import Stats
from trainwave_exporter.simulator.world import World

__all__ = [
    "FAULT_NAMES",
    "BillingMix",
    "Books",
    "Dialect",
    "Fault",
    "Faults",
    "Shape",
    "Simulator",
    "Stats",
    "Window",
    "World",
    "parse_faults",
]
