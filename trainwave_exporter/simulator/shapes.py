"""The forms in which ``GET /metrics/{name}/`` may answer, as no source says which it does."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from trainwave_exporter.simulator.timestamps import write_time
from trainwave_exporter.simulator.usage import SimulatedMetric, SimulatedReading


class Shape(StrEnum):
    """A form of answer."""

    NUMBER = "number"
    """``93.1``"""
    VALUE = "value"
    """``{"value": 93.1}``"""
    TIMESTAMPED = "timestamped"
    """``{"timestamp": "2024-03-21T09:00:00Z", "value": 93.1}``"""
    POINTS = "points"
    """``[[1711011600, 93.1], …]``, oldest first"""
    POINT_OBJECTS = "point_objects"
    """``[{"timestamp": …, "value": 93.1}, …]``, newest first"""
    DEVICES = "devices"
    """``{"0": 93.1, "1": 88.0}``; a number where there are no devices"""
    DIRECTIONS = "directions"
    """``{"rx": 8000000.0, "tx": 2000000.0}``; a number where there are no directions"""
    MIXED = "mixed"
    """Directions for I/O, devices for the GPUs of a job that has several, else timestamped."""


HISTORY = 6
"""How many points there are at most in the forms that have several."""

_OF_DEVICES = frozenset({SimulatedMetric.GPU_UTILIZATION, SimulatedMetric.GPU_MEMORY})
_OF_DIRECTIONS = frozenset({SimulatedMetric.NETWORK, SimulatedMetric.DISK})


def put(readings: Sequence[SimulatedReading], shape: Shape) -> object:
    """Put the readings of one metric, newest first, into a form; no readings are an empty list."""
    if not readings:
        return []
    newest = readings[0]
    match shape:
        case Shape.NUMBER:
            return newest.whole
        case Shape.VALUE:
            return {"value": newest.whole}
        case Shape.TIMESTAMPED:
            return _stamped(newest)
        case Shape.POINTS:
            return [[reading.at, reading.whole] for reading in reversed(readings)]
        case Shape.POINT_OBJECTS:
            return [_stamped(reading) for reading in readings]
        case Shape.DEVICES:
            return dict(newest.parts) if newest.metric in _OF_DEVICES else newest.whole
        case Shape.DIRECTIONS:
            return dict(newest.parts) if newest.metric in _OF_DIRECTIONS else newest.whole
        case Shape.MIXED:
            return put(readings, _natural(newest))


def _natural(reading: SimulatedReading) -> Shape:
    if reading.metric in _OF_DIRECTIONS:
        return Shape.DIRECTIONS
    several = reading.metric in _OF_DEVICES and len(reading.parts) > 1
    return Shape.DEVICES if several else Shape.TIMESTAMPED


def _stamped(reading: SimulatedReading) -> dict[str, object]:
    return {"timestamp": write_time(reading.at), "value": reading.whole}
