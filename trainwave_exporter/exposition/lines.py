"""Sample lines of many series at once.

A line is put together from few parts that are shared by many lines: what begins all lines of a
metric, what names an object in all its lines, what tells its lines apart. The loops over lines run
inside the interpreter's own C, at a fraction of what formatting them one by one takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import json

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

_REMEMBERED = 4096
_encode = json.Encoder().encode


class Writer(NamedTuple, Generic[R]):
    """How the lines of a metric are written: first what each record tells, then all of it."""

    told: Callable[[R], Any]
    """From a record to what its lines tell: equal, if they are the same but for the identity."""
    lines: Callable[[Sequence[Any], Sequence[bytes]], bytes]
    """From what records tell, and what names each in its lines, to their lines."""


def of_one(name: str, function: Callable[[R], float | None]) -> Writer[R]:
    """Return what writes at most one line for each record; `None` is no line."""
    lead = f"{name}{{".encode()

    def lines(told: Sequence[float | None], identities: Sequence[bytes]) -> bytes:
        endings = _endings(told)
        if endings is None:
            identities = [who for who, one in zip(identities, told, strict=True) if one is not None]
            endings = [_ending(one) for one in told if one is not None]
        parts = [lead] * (3 * len(endings))
        parts[1::3] = identities
        parts[2::3] = endings
        return b"".join(parts)

    return Writer(function, lines)


def of_several(
    name: str, function: Callable[[R], Mapping[LabelValues, float]], tails: Tails
) -> Writer[R]:
    """Return what writes a line for each value of some labels, for each record."""
    lead = f"{name}{{".encode()
    shapes: dict[tuple[LabelValues, ...], tuple[LabelValues, ...]] = {}

    def told(record: R) -> tuple[Any, ...]:
        """Return the labels' values, most often the very ones of other records; then numbers."""
        mapping = function(record)
        which = tuple(mapping)
        shape = shapes.get(which)
        if shape is None:
            if len(shapes) >= _REMEMBERED:
                shapes.clear()
            shape = shapes[which] = which
        return (shape, *mapping.values())

    def lines(told: Sequence[tuple[Any, ...]], identities: Sequence[bytes]) -> bytes:
        whose: list[bytes] = []
        which: list[LabelValues] = []
        values: list[Any] = []
        for identity, one in zip(identities, told, strict=True):
            if shape := one[0]:
                whose += [identity] * len(shape)
                which += shape
                values += one[1:]
        parts = [lead] * (4 * len(values))
        parts[1::4] = whose
        parts[2::4] = map(tails.__getitem__, which)
        parts[3::4] = _endings(values) or map(_ending, values)
        return b"".join(parts)

    return Writer(told, lines)


def of_samples(
    name: str,
    samples: Callable[[R], Iterable[tuple[str, LabelValues, float]]],
    tails: Tails,
) -> Writer[R]:
    """Return what writes a line for each sample, whose name may have something added to it."""

    def told(record: R) -> tuple[tuple[str, LabelValues, float], ...]:
        return tuple(samples(record))

    def lines(
        told: Sequence[tuple[tuple[str, LabelValues, float], ...]], identities: Sequence[bytes]
    ) -> bytes:
        return b"".join(
            [
                f"{name}{suffix}{{".encode() + identity + tails[which] + _ending(value)
                for identity, one in zip(identities, told, strict=True)
                for suffix, which, value in one
            ]
        )

    return Writer(told, lines)


def of_state(
    name: str, function: Callable[[R], str], known: tuple[str, ...], tails: Tails
) -> Writer[R]:
    """Return what writes a line for each known state and for the state a record is in.

    All lines of a record are its name put between parts that all records of its state share.
    """
    between: dict[str, tuple[bytes, ...]] = {}

    def parts_of(state: str) -> tuple[bytes, ...]:
        states = dict.fromkeys((*known, state))
        ends = [tails[one,] + _ending(one == state) for one in states]
        lead = f"{name}{{".encode()
        return (lead, *(end + lead for end in ends[:-1]), ends[-1])

    def lines(states: Sequence[str], identities: Sequence[bytes]) -> bytes:
        written: list[bytes] = []
        for identity, state in zip(identities, states, strict=True):
            parts = between.get(state)
            if parts is None:
                if len(between) > _REMEMBERED:
                    between.clear()
                parts = between[state] = parts_of(state)
            written.append(identity.join(parts))
        return b"".join(written)

    return Writer(function, lines)


class Tails(dict[LabelValues, bytes]):
    """How a family's own labels are written by their values; most repeat all the time.

    ``after`` says whether they follow those of an identity.
    """

    def __init__(self, labels: tuple[str, ...], *, after: bool) -> None:
        super().__init__()
        self._labels = labels
        self._comma = "," if after else ""

    def __missing__(self, values: LabelValues) -> bytes:
        written = text.labels(self._labels, values)
        if len(self) >= _REMEMBERED:
            self.clear()
        tail = self[values] = text.utf8(f"{self._comma}{written}" if written else "")
        return tail


def _endings(values: Sequence[Any]) -> list[bytes] | None:
    """Return how the lines of these values end; None where JSON would write one differently.

    Numbers of JSON are read by every parser as the very floats they are of.
    """
    if not values:
        return []
    encoded = _encode(values)[1:-1]
    # null (None, NaN, infinity), true, false, and the zero that is written as the other one
    if b"u" in encoded or b"l" in encoded or b"-0.0" in encoded:
        return None
    short = (encoded + b",").replace(b".0,", b",")
    return (b"} " + short[:-1].replace(b",", b"\n,} ") + b"\n").split(b",")


def _ending(value: float) -> bytes:
    return f"}} {text.number(value)}\n".encode()
