from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest

from trainwave_exporter.exposition import lines
from trainwave_exporter.exposition.lines import Tails, Writer
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")
LABEL = Tails(("a",), after=True)


def written(writer: Writer[R], records: Sequence[R]) -> list[str]:
    identities = [f'id="{number}"'.encode() for number in range(len(records))]
    told = [*map(writer.shown, records)]
    return writer.lines(told, identities).decode().splitlines()


def itself(record: float | None) -> float | None:
    return record


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, "0.1"),
        (2.0, "2"),
        (10.0, "10"),
        (-0.0, "0"),
        (1.05, "1.05"),
        (-1.05, "-1.05"),
        (2e-7, "2e-7"),
        (3e22, "3e22"),
        (3, "3"),
        (True, "1"),
        (False, "0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
    ],
)
@pytest.mark.parametrize("beside", [[], [1.5], [None], [float("inf"), None]])
def test_numbers_are_written_the_same_whatever_stands_beside_them(
    value: float, number: str, beside: list[float | None]
) -> None:
    assert written(lines.of_one("x", itself), [value, *beside])[0] == f'x{{id="0"}} {number}'
    known = [value, *(other for other in beside if other is not None)]
    several: Writer[float] = lines.of_several("x", lambda record: {("b",): record}, LABEL)
    assert written(several, known)[0] == f'x{{id="0",a="b"}} {number}'


def test_what_gives_no_sample_has_no_line() -> None:
    assert written(lines.of_one("x", itself), [None, 1.0, None]) == ['x{id="1"} 1']
    assert written(lines.of_one("x", itself), []) == []
    assert written(lines.of_several("x", lambda _: {}, LABEL), [1.0, 2.0]) == []


MIXED: dict[str, tuple[dict[LabelValues, float], list[str]]] = {
    "nothing": ({}, []),
    "one without a label": ({(None,): 0.5}, ['x{id="N"} 0.5']),
    "one with an empty label": ({("",): 0.5}, ['x{id="N",a=""} 0.5']),
    "one with a label": ({("b",): 0.5}, ['x{id="N",a="b"} 0.5']),
    "one that is no number": ({(None,): float("nan")}, ['x{id="N"} NaN']),
    "two": ({("b",): 0.5, (None,): 2.0}, ['x{id="N",a="b"} 0.5', 'x{id="N"} 2']),
}


@pytest.mark.parametrize("first", MIXED)
@pytest.mark.parametrize("second", MIXED)
def test_what_some_report_is_written_the_same_whatever_others_report(
    first: str, second: str
) -> None:
    several: Writer[str] = lines.of_several("x", lambda which: MIXED[which][0], LABEL)
    which = [first, second, "nothing", first]
    assert written(several, which) == [
        line.replace("N", str(number), 1)
        for number, each in enumerate(which)
        for line in MIXED[each][1]
    ]


def test_what_differs_is_reported_differently() -> None:
    several: Writer[str] = lines.of_several("x", lambda which: MIXED[which][0], LABEL)
    told = [several.shown(which) for which in MIXED]
    assert [told.index(one) for one in told] == [*range(len(MIXED))]


def test_labels_alone_are_written_with_a_one() -> None:
    described: Writer[str] = lines.of_labels("x", lambda name: (name,), LABEL)
    assert written(described, ["b", 'q"']) == ['x{id="0",a="b"} 1', 'x{id="1",a="q\\""} 1']
    assert written(described, []) == []


def test_a_state_that_nobody_knows_has_a_line_after_those_of_the_known_ones() -> None:
    states: Writer[str] = lines.of_state("x", str, ("on", "off"), LABEL)
    assert written(states, ["off", 'lo"st']) == [
        'x{id="0",a="on"} 0',
        'x{id="0",a="off"} 1',
        'x{id="1",a="on"} 0',
        'x{id="1",a="off"} 0',
        'x{id="1",a="lo\\"st"} 1',
    ]


def test_samples_add_to_the_name() -> None:
    def samples(record: float) -> Iterable[tuple[str, tuple[str], float]]:
        yield "_sum", ("b",), record

    assert written(lines.of_samples("x", samples, LABEL), [2.5]) == ['x_sum{id="0",a="b"} 2.5']


def test_more_labels_and_states_than_are_remembered_are_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "_REMEMBERED", 2)
    names = [str(number) for number in range(6)]
    lines_of_all = [f'x{{id="{name}",a="{name}"}} 1' for name in names]
    tails = Tails(("a",), after=True)
    several: Writer[str] = lines.of_several("x", lambda name: {(name,): 1}, tails)
    states: Writer[str] = lines.of_state("x", str, (), tails)
    for _ in range(2):
        assert written(several, names) == lines_of_all
        assert written(states, names) == lines_of_all
    assert len(tails) <= 2


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (1, 1.0), (True, 1.0)])
def test_what_is_reported_alike_is_written_alike(one: float, other: float) -> None:
    several: Writer[float] = lines.of_several("x", lambda record: {("b",): record}, LABEL)
    single: Writer[float] = lines.of_one("x", itself)
    for writer in (single, several):
        assert writer.shown(one) == writer.shown(other)
        assert written(writer, [one]) == written(writer, [other])
