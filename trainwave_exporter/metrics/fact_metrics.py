"""Declares a metric that facts move: its labels are the fact's fields of those names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from trainwave_exporter.metrics.instruments import Instruments
from trainwave_exporter.model import Fact

F = TypeVar("F", bound=Fact)

Update: TypeAlias = Callable[[Any], None]
"""Takes a fact of one kind."""

Series: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Values of a fact by the labels that it has no field for."""

MOST_VALUES: Final = 50
"""How many values that no source documents the labels of a capped metric may take."""


class Declaration(Struct, frozen=True):
    """A metric, and how a kind of fact moves it."""

    fact: type[Any]
    add_to: Callable[[Instruments], Update]
    """Adds the metric, and returns what takes the facts."""


class _Cap:
    """Lets the first values through as they are, and makes ``other`` of all that come later."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, ...]] = set()

    def __call__(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the values of some labels, or as many times ``other``."""
        if len(self._seen) < MOST_VALUES:
            self._seen.add(values)
        return values if values in self._seen else ("other",) * len(values)


def counter(
    fact: type[F],
    name: str,
    about: str,
    *,
    labels: Sequence[str],
    all_of: Mapping[str, Sequence[str]] | None = None,
    capped: bool = False,
) -> Declaration:
    """Count facts by labels.

    ``all_of`` has labels whose values are all there from the first fact on, so that a rate sees the
    first failure. ``capped``: values but the account's are any text, of which only so many count.
    """
    among = all_of or {}

    def add_to(own: Instruments) -> Update:
        counted = own.counter(name, about, *labels)
        cap = _Cap()

        def update(new: F) -> None:
            values = tuple(getattr(new, label) for label in labels)
            if capped:
                values = (values[0], *cap(values[1:]))
            choices = (
                among.get(label, (value,)) for label, value in zip(labels, values, strict=True)
            )
            for each in product(*choices):
                counted(*each).inc(each == values)

        return update

    return Declaration(fact, add_to)


def gauge(
    fact: type[F],
    name: str,
    about: str,
    value: Callable[[F], float | Series | None],
    *,
    labels: Sequence[str] = ("account",),
) -> Declaration:
    """Show what the last fact says; None leaves what was shown before.

    Where ``value`` returns a series, the last labels are those that it names.
    """

    def add_to(own: Instruments) -> Update:
        shown = own.gauge(name, about, *labels)

        def update(new: F) -> None:
            found = value(new)
            if found is None:
                return
            series = [((), found)] if isinstance(found, int | float) else list(found)
            fields = labels[: len(labels) - len(series[0][0])]
            values = [getattr(new, label) for label in fields]
            for further, number in series:
                shown(*values, *further).set(number)

        return update

    return Declaration(fact, add_to)


def histogram(
    fact: type[F],
    name: str,
    about: str,
    value: Callable[[F], float],
    *,
    labels: Sequence[str],
    buckets: tuple[float, ...],
) -> Declaration:
    """Observe a value of each fact by labels."""

    def add_to(own: Instruments) -> Update:
        observed = own.histogram(name, about, *labels, buckets=buckets)
        return lambda new: observed(*(getattr(new, label) for label in labels)).observe(value(new))

    return Declaration(fact, add_to)


def updates(declared: Iterable[Declaration], own: Instruments) -> dict[type[Any], list[Update]]:
    """Add metrics, and return what takes each kind of fact."""
    found: dict[type[Any], list[Update]] = {}
    for each in declared:
        found.setdefault(each.fact, []).append(each.add_to(own))
    return found
