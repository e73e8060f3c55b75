"""How often things are asked for."""

from __future__ import annotations

from msgspec import Struct


class Intervals(Struct, frozen=True, kw_only=True):
    """How often, in seconds, each thing is asked for, if the budget allows."""

    running: float
    sweep: float
    directory: float
    readings: float
