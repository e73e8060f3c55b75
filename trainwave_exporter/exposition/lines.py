"""Sample lines of many series at once.

A line is put together from few parts that are shared by many lines: what begins all lines of a
metric, what names an object in all its lines, what distinguishes its lines. The loops over lines
run inside the interpreter's own C, at a fraction of what formatting them one by one takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import json

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

_REMEMBERED = 4096
_first = itemgetter(0)
_rest = itemgetter(slice(1, None))
_encode = json.Encoder().encode


class Writer(NamedTuple, Generic[R]):
    """How the lines of a metric are written: first what each record shows, then all of it."""

    shown: Callable[[R], Any]
    """From a record to what its lines show: equal, if they are the same but for the identity."""
    lines: Callable[[Sequence[Any], Sequence[bytes]], bytes]
    """From what records show, and what names each in its lines, to their lines."""


def of_one(name: str, function: Callable[[R], float | None]) -> Writer[R]:
    """Return what writes at most one line for each record; `None` is no line."""
    lead = f"{name}{{".encode()

    def lines(shown: Sequence[float | None], identities: Sequence[bytes]) -> bytes:
        return _singles(lead, shown, identities)

    return Writer(function, lines)


def of_labels(name: str, function: Callable[[R], LabelValues], tails: Tails) -> Writer[R]:
    """Return what writes one line for each record, which is 1 whatever its labels are."""
    lead = f"{name}{{".encode()
    ending = _ending(1)

    def lines(shown: Sequence[LabelValues], identities: Sequence[bytes]) -> bytes:
        parts = [lead, b"", b"", ending] * len(shown)
        parts[1::4] = identities
        parts[2::4] = map(tails.__getitem__, shown)
        return b"".join(parts)

    return Writer(function, lines)


def of_several(
    name: str, function: Callable[[R], Mapping[LabelValues, float]], tails: Tails
) -> Writer[R]:
    """Return what writes a line for each value of some labels, for each record.

    What a record shows is kept as small as it can be: `None` if that is nothing, the number if it
    is a single one without labels; else how the labels are written, most often the very tuple of
    other records, and the numbers.
    """
    lead = f"{name}{{".encode()
    bare = tails.bare
    written: dict[tuple[LabelValues, ...], tuple[bytes, ...]] = {}

    def shown(record: R) -> float | tuple[Any, ...] | None:
        mapping = function(record)
        if not mapping:
            return None
        if len(mapping) == 1 and bare in mapping:
            return mapping[bare]
        which = tuple(mapping)
        own = written.get(which)
        if own is None:
            if len(written) >= _REMEMBERED:
                written.clear()
            own = written[which] = tuple([tails[values] for values in which])
        return (own, *mapping.values())

    def lines(shown: Sequence[Any], identities: Sequence[bytes]) -> bytes:
        kinds = {*map(type, shown)}
        if tuple not in kinds:
            return _singles(lead, shown, identities)
        if len(kinds) > 1:
            shown = [*map(_spelled, shown)]
        own = [*map(_first, shown)]
        values = [*chain.from_iterable(map(_rest, shown))]
        parts = [lead] * (4 * len(values))
        parts[1::4] = chain.from_iterable(map(repeat, identities, map(len, own)))
        parts[2::4] = chain.from_iterable(own)
        parts[3::4] = _endings(values) or map(_ending, values)
        return b"".join(parts)

    return Writer(shown, lines)


def _spelled(one: float | tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return in full what was kept short."""
    if one is None:
        return ((),)
    return one if isinstance(one, tuple) else ((b"",), one)


def of_samples(
    name: str,
    samples: Callable[[R], Iterable[tuple[str, LabelValues, float]]],
    tails: Tails,
) -> Writer[R]:
    """Return what writes a line for each sample, whose name may have something added to it."""

    def shown(record: R) -> tuple[tuple[str, LabelValues, float], ...]:
        return tuple(samples(record))

    def lines(
        shown: Sequence[tuple[tuple[str, LabelValues, float], ...]], identities: Sequence[bytes]
    ) -> bytes:
        return b"".join(
            [
                f"{name}{suffix}{{".encode() + identity + tails[which] + _ending(value)
                for identity, one in zip(identities, shown, strict=True)
                for suffix, which, value in one
            ]
        )

    return Writer(shown, lines)


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
        self.bare: LabelValues = (None,) * len(labels)
        """The values that leave all labels out."""
        self._comma = "," if after else ""

    def __missing__(self, values: LabelValues) -> bytes:
        written = text.labels(self._labels, values)
        if len(self) >= _REMEMBERED:
            self.clear()
        tail = self[values] = text.utf8(f"{self._comma}{written}" if written else "")
        return tail


def _singles(lead: bytes, shown: Sequence[float | None], identities: Sequence[bytes]) -> bytes:
    """Return a line for each number, without labels of its own."""
    endings = _endings(shown)
    if endings is None:
        identities = [who for who, one in zip(identities, shown, strict=True) if one is not None]
        endings = [_ending(one) for one in shown if one is not None]
    parts = [lead] * (3 * len(endings))
    parts[1::3] = identities
    parts[2::3] = endings
    return b"".join(parts)


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
