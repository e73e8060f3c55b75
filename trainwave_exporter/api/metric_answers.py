"""The answers of ``/metrics/{metric_name}/``: whatever shape they have, the newest values in them.

No source says what these answers look like, so every reasonable shape is read, at any sensible
depth of combination:

* a number, also as a decimal string;
* ``{"value": …}``, with ``timestamp``, ``time`` or ``ts`` beside it, and ``device`` or ``gpu``;
  ``values``, ``points``, ``data`` and ``results`` hold the same as ``value``;
* ``[timestamp, value]``: a list of two, the first of which can be a time (2001 to 2099, as Unix
  seconds, Unix milliseconds or ISO 8601). If both are numbers that could be times it is not clear
  what they are, and nothing is read;
* a list of such points: the newest of them counts, or the newest of each device;
* any other list: one entry per device, named by its place ("0", "1", …);
* an object per device (``{"0": 93.1, "gpu1": 88.0}``); other names, such as ``min`` and ``max``,
  are not taken for devices;
* ``{"rx": …, "tx": …}`` and ``{"read": …, "write": …}``: by direction.

``null`` in a list or object is a value that is not there. A device whose value is no number, or
out of range, is unknown and does not spoil the others; a shape that is not understood, or that
names the same place twice, spoils all.

Out of range are sentinels, too: -1 in any unit, the largest whole numbers of 31, 32, 63 and 64
bits, and shares below -0.5 % or above 100.5 %; what is nearer to 0 and 100 % is rounded to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from trainwave_exporter.api.answer_bounds import ONE
from trainwave_exporter.api.fields import Misread, identifier, moment, number, reported
from trainwave_exporter.api.steps import Steps, finish
from trainwave_exporter.model import Metric, Point, Quantity, Reading, Unit

DEFAULT_UNITS: Final[Mapping[Metric, Unit]] = MappingProxyType(
    {
        Metric.CPU: Unit.PERCENT,
        Metric.MEMORY: Unit.GIGABYTES,
        Metric.NETWORK: Unit.BYTES_PER_SECOND,
        Metric.GPU_UTILIZATION: Unit.PERCENT,
        Metric.GPU_MEMORY: Unit.GIGABYTES,
        Metric.DISK: Unit.BYTES_PER_SECOND,
    }
)
"""Default units of the metric endpoints."""

DEFAULT_INLINE_UNITS: Final[Mapping[Metric, Unit]] = MappingProxyType(
    {Metric.GPU_UTILIZATION: Unit.PERCENT, Metric.MEMORY: Unit.GIGABYTES}
)
"""Default units of ``metrics.gpu_utilization`` and ``metrics.memory_usage`` within a job."""

_QUANTITIES: Final[Mapping[Unit, tuple[Quantity, float, float]]] = {
    # What a number in this unit is: a quantity, after multiplication and division.
    Unit.PERCENT: (Quantity.RATIO, 1, 100),
    Unit.RATIO: (Quantity.RATIO, 1, 1),
    Unit.BYTES: (Quantity.BYTES, 1, 1),
    Unit.MEGABYTES: (Quantity.BYTES, 1e6, 1),
    Unit.GIGABYTES: (Quantity.BYTES, 1e9, 1),
    Unit.GIBIBYTES: (Quantity.BYTES, 2**30, 1),
    Unit.BYTES_PER_SECOND: (Quantity.BYTES_PER_SECOND, 1, 1),
    Unit.MEGABITS_PER_SECOND: (Quantity.BYTES_PER_SECOND, 1e6, 8),
    Unit.BYTES_TOTAL: (Quantity.BYTES_TOTAL, 1, 1),
}

_CONTENT_KEYS = ("value", "values", "points", "data", "results")
_TIME_KEYS = ("timestamp", "time", "ts")
_DEVICE_KEYS = ("device", "gpu")
_DIRECTIONS = {
    "rx": "receive",
    "receive": "receive",
    "tx": "transmit",
    "transmit": "transmit",
    "read": "read",
    "write": "write",
}
_DEVICE = re.compile(
    r"(?:(?:gpu|cuda|device|card|eth|disk)[-_: ]?)?[0-9]{1,4}|GPU-[0-9a-f-]{36}", re.IGNORECASE
)
_LEAST_RATIO, _MOST_RATIO = -0.005, 1.005
_MOST_BYTES = 1e18
_MOST_POINTS = 1_024
_A_STEP = 500
"""Values that are looked at in one step: a few milliseconds."""
_DEEPEST = 6


class Found(Struct, frozen=True):
    """A reading parsed from an answer, if it has one, and why it may be incomplete."""

    reading: Reading | None
    problems: tuple[str, ...]
    """Of ``empty``, ``not_a_number``, ``out_of_range``, ``too_many_points`` and ``unknown_shape``,
    sorted, each once."""


def read_reading(
    data: object, unit: Unit, received_at: float, skew: float = 0.0, most_values: int = ONE.values
) -> Found:
    """Parse the data of an answer, in ``unit``.

    The reading's time is the newest timestamp in the answer, by our clock: the API's is ``skew``
    seconds ahead of it. It is never later than the time of receipt. Of data that holds more than
    ``most_values``, nothing is read.
    """
    return finish(reading_steps(data, unit, received_at, skew, most_values))


def reading_steps(
    data: object, unit: Unit, received_at: float, skew: float = 0.0, most_values: int = ONE.values
) -> Steps[Found]:
    """Read as `read_reading` does."""
    search = _Search(most_values)
    yield from search.visit(data, _Place())
    quantity, factor, divisor = _QUANTITIES[unit]
    points: dict[tuple[str | None, str | None], Point] = {}
    if search.room < 0 or len(search.found) > _MOST_POINTS:
        return Found(None, ("too_many_points",))
    for value, place in search.found:
        try:
            base = _bounded(reported(value) * factor / divisor, quantity)
        except Misread as misread:
            search.problems.add(misread.reason)
            continue
        where = (place.device, place.direction)
        if where in points:
            search.problems.add("unknown_shape")
        points[where] = Point(base, place.device, place.direction)
    if not search.found and not search.problems:
        search.problems = {"empty"}
    if not points or "unknown_shape" in search.problems:
        return Found(None, tuple(sorted(search.problems)))
    times = [place.at - skew for _, place in search.found if place.at is not None]
    at = max(times, default=received_at)
    reading = Reading.of(quantity, points.values(), min(at, received_at))
    return Found(reading, tuple(sorted(search.problems)))


def _bounded(value: float, quantity: Quantity) -> float:
    if quantity is Quantity.RATIO:
        if not _LEAST_RATIO <= value <= _MOST_RATIO:
            raise Misread("out_of_range")
        return min(max(value, 0.0), 1.0)
    if not 0 <= value <= _MOST_BYTES:
        raise Misread("out_of_range")
    return value


class _Place(Struct, frozen=True):
    """Where in an answer a value stands: what is known about it from what is around it."""

    device: str | None = None
    direction: str | None = None
    at: float | None = None
    depth: int = 0

    def within(
        self,
        *,
        device: str | None = None,
        direction: str | None = None,
        at: float | None = None,
    ) -> _Place:
        """Return the place of something inside, about which more is known."""
        return _Place(
            device=device or self.device,
            direction=direction or self.direction,
            at=self.at if at is None else at,
            depth=self.depth + 1,
        )


class _Search:
    """Walks through an answer and gathers its newest numbers."""

    def __init__(self, most_values: int) -> None:
        self.found: list[tuple[float, _Place]] = []
        self.problems: set[str] = set()
        self.room = most_values
        """How many more values may be looked at; below 0 once there were more."""

    def visit(self, data: object, place: _Place) -> Steps[None]:
        """Gather what is in ``data``."""
        if data is None:
            return
        if place.depth > _DEEPEST:
            self.problems.add("unknown_shape")
        elif isinstance(data, dict | list):
            self.room -= len(data)
            if self.room < 0 or len(self.found) > _MOST_POINTS:
                return
            if isinstance(data, dict):
                yield from self._visit_object(data, place)
            else:
                yield from self._visit_list(data, place)
        else:
            try:
                self.found.append((number(data), place))
            except Misread as misread:
                self.problems.add(misread.reason)

    def _visit_object(self, data: dict[str, Any], place: _Place) -> Steps[None]:
        inside = place.within(device=_device(data), at=_time(data))
        for key in _CONTENT_KEYS:
            if key in data:
                others = (value for name, value in data.items() if name != key)
                if isinstance(data[key], list) and any(isinstance(v, list) for v in others):
                    self.problems.add("unknown_shape")  # columns side by side: which is which?
                else:
                    yield from self.visit(data[key], inside)
                return
        rest = {k: v for k, v in data.items() if k not in _TIME_KEYS and k not in _DEVICE_KEYS}
        if all(key in _DIRECTIONS for key in rest) and inside.direction is None:
            for key, value in rest.items():
                yield from self.visit(value, inside.within(direction=_DIRECTIONS[key]))
        elif all(_DEVICE.fullmatch(key) for key in rest) and inside.device is None:
            yield from self._visit_devices(rest.items(), inside)
        else:
            self.problems.add("unknown_shape")

    def _visit_list(self, data: list[Any], place: _Place) -> Steps[None]:
        if _is_pair(data):
            if not isinstance(data[0], str) and _is_time(data[1]):
                self.problems.add("unknown_shape")
            else:
                yield from self._visit_point(data, place)
            return
        pairs_or_timed = 0
        for first in range(0, len(data), _A_STEP):
            if first:
                yield
            pairs_or_timed += sum(map(_is_point, data[first : first + _A_STEP]))
        if data and pairs_or_timed == len(data):
            for newest in (yield from self._newest_by_device(data)):
                yield from self._visit_point(newest, place)
        elif pairs_or_timed or place.device is not None:
            self.problems.add("unknown_shape")
        elif len(data) > _MOST_POINTS:
            self.room = -1
        elif any(map(_is_time, data)):
            self.problems.add("unknown_shape")
        else:
            named = ((str(index), item) for index, item in enumerate(data))
            yield from self._visit_devices(named, place)

    def _visit_devices(self, data: Iterable[tuple[str, Any]], place: _Place) -> Steps[None]:
        for visited, (device, value) in enumerate(data, 1):
            yield from self.visit(value, place.within(device=device))
            if visited % _A_STEP == 0:
                yield

    def _visit_point(self, point: list[Any] | dict[str, Any], place: _Place) -> Steps[None]:
        if isinstance(point, list):
            yield from self.visit(point[1], place.within(at=moment(point[0])))
        else:
            yield from self.visit(point, place)

    def _newest_by_device(self, data: list[Any]) -> Steps[list[Any]]:
        """Return the newest of a list of points, of each device if they name one.

        Null ones do not count; one whose time cannot be read makes the order unknown.
        """
        newest: dict[str | None, tuple[float, Any]] = {}
        for looked_at, item in enumerate(data):
            if looked_at and looked_at % _A_STEP == 0:
                yield
            if isinstance(item, list):
                device, at, value = None, _moment(item[0]), item[1]
            else:
                device, at = _device(item), _time(item)
                value = next((item[key] for key in _CONTENT_KEYS if key in item), item)
            if at is None:
                self.problems.add("unknown_shape")
            elif value is not None and (device not in newest or at >= newest[device][0]):
                newest[device] = (at, item)
        return [item for _, item in newest.values()]


def _is_point(item: object) -> bool:
    """Whether this is something of its own time."""
    return _is_pair(item) or (isinstance(item, dict) and _is_timed(item))


def _is_pair(item: object) -> bool:
    """Whether this is ``[timestamp, value]``."""
    return (
        isinstance(item, list)
        and len(item) == 2
        and not isinstance(item[1], dict | list)
        and _is_time(item[0])
    )


def _is_timed(item: dict[str, Any]) -> bool:
    return any(key in item for key in _TIME_KEYS)


def _is_time(value: object) -> bool:
    return _moment(value) is not None


def _time(data: dict[str, Any]) -> float | None:
    return next((_moment(data[key]) for key in _TIME_KEYS if key in data), None)


def _moment(value: object) -> float | None:
    try:
        return moment(value)
    except Misread:
        return None


def _device(data: dict[str, Any]) -> str | None:
    """Return the device that a point names."""
    for key in _DEVICE_KEYS:
        try:
            if key in data:
                return identifier(data[key])
        except Misread:
            continue
    return None
