from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import Struct

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import Description, Kind, LabelValues
from trainwave_exporter.model import Distribution


class Thing(Struct, frozen=True):
    id: str
    size: float | None = None
    sizes: Mapping[LabelValues, float] = {}
    times: Distribution | None = None


@pytest.fixture
def things() -> Families[Thing]:
    return Families(Thing, labels=("thing",), identity=lambda thing: (thing.id,))


def test_a_declaration_describes_the_metric_with_the_labels_of_its_record(
    things: Families[Thing],
) -> None:
    @things.gauge("thing_size", "How big.", labels=("side",))
    def sizes(thing: Thing) -> Mapping[LabelValues, float]:
        return thing.sizes

    (family,) = things
    assert family.description == Description(
        "thing_size", Kind.GAUGE, ("thing", "side"), "How big."
    )
    assert family.name == "thing_size"
    assert not family.additive


def test_a_declared_function_stays_callable(things: Families[Thing]) -> None:
    @things.gauge("thing_size", "How big.", additive=True)
    def size(thing: Thing) -> float | None:
        return thing.size

    assert size(Thing("a", 3.0)) == 3.0
    assert [family.additive for family in things] == [True]


def test_none_gives_no_sample_and_zero_gives_one(things: Families[Thing]) -> None:
    @things.gauge("thing_size", "How big.")
    def size(thing: Thing) -> float | None:
        return thing.size

    (family,) = things
    assert [*family.samples(Thing("a"))] == []
    assert [*family.samples(Thing("a", 0.0))] == [("", (), 0.0)]


def test_a_mapping_gives_a_sample_for_each_of_its_keys(things: Families[Thing]) -> None:
    @things.counter("thing_sizes_total", "How big.", labels=("side",))
    def sizes(thing: Thing) -> Mapping[LabelValues, float]:
        return thing.sizes

    (family,) = things
    sides: Mapping[LabelValues, float] = {("left",): 1.0, (None,): 2.0}
    assert [*family.samples(Thing("a", sizes=sides))] == [
        ("", ("left",), 1.0),
        ("", (None,), 2.0),
    ]


def test_a_description_is_always_one(things: Families[Thing]) -> None:
    @things.info("thing_info", "What it is.", labels=("name", "kind"))
    def info(thing: Thing) -> LabelValues:
        return (thing.id.title(), None)

    (family,) = things
    assert [*family.samples(Thing("a"))] == [("", ("A", None), 1.0)]
    assert family.description == Description(
        "thing_info", Kind.GAUGE, ("thing", "name", "kind"), "What it is."
    )
    assert not family.additive


def test_a_histogram_counts_up_to_each_bound_and_beyond(things: Families[Thing]) -> None:
    @things.histogram("thing_seconds", "How long.")
    def times(thing: Thing) -> Distribution | None:
        return thing.times

    (family,) = things
    times_seen = Distribution.empty((1.0, 2.5)).observe(1.0).observe(2.0).observe(99.0)
    assert [*family.samples(Thing("a", times=times_seen))] == [
        ("_bucket", ("1.0",), 1),
        ("_bucket", ("2.5",), 2),
        ("_bucket", ("+Inf",), 3),
        ("_sum", (None,), 102.0),
        ("_count", (None,), 3),
    ]
    assert family.description.labels == ("thing",)
