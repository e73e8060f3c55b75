from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from trainwave_exporter.exposition import lines
from trainwave_exporter.exposition.lines import Tails

LABEL = Tails(("a",), after=True)


def written(column: lines.Lines[float | None], values: Sequence[float | None]) -> list[str]:
    identities = [f'id="{number}"'.encode() for number in range(len(values))]
    return column(values, identities).decode().splitlines()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.1, "0.1"),
        (2.0, "2"),
        (10.0, "10"),
        (-0.0, "-0"),
        (1.05, "1.05"),
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
    column = lines.of_one("x", lambda record: record)
    assert written(column, [value, *beside])[0] == f'x{{id="0"}} {number}'
    several = lines.of_several("x", lambda record: {("b",): record}, LABEL)
    known = [value, *(other for other in beside if other is not None)]
    assert written(several, known)[0] == f'x{{id="0",a="b"}} {number}'


def test_what_gives_no_sample_has_no_line() -> None:
    assert written(lines.of_one("x", lambda record: record), [None, 1.0, None]) == ['x{id="1"} 1']
    assert written(lines.of_one("x", lambda record: record), []) == []
    assert written(lines.of_several("x", lambda _: {}, LABEL), [1.0, 2.0]) == []


def test_a_state_that_nobody_knows_has_a_line_after_those_of_the_known_ones() -> None:
    column = lines.of_state("x", str, ("on", "off"), LABEL)
    assert column(["off", 'lo"st'], [b'id="0"', b'id="1"']).decode().splitlines() == [
        'x{id="0",a="on"} 0',
        'x{id="0",a="off"} 1',
        'x{id="1",a="on"} 0',
        'x{id="1",a="off"} 0',
        'x{id="1",a="lo\\"st"} 1',
    ]


def test_samples_add_to_the_name() -> None:
    def samples(record: float | None) -> Iterable[tuple[str, tuple[str], float]]:
        yield "_sum", ("b",), record or 0.0

    assert written(lines.of_samples("x", samples, LABEL), [2.5]) == ['x_sum{id="0",a="b"} 2.5']


def test_more_labels_and_states_than_are_remembered_are_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "_REMEMBERED", 2)
    names = [str(number) for number in range(6)]
    identities = [b""] * len(names)
    alone = Tails(("a",), after=False)
    several: lines.Lines[str] = lines.of_several("x", lambda name: {(name,): 1}, alone)
    assert several(names, identities).decode().splitlines() == [f'x{{a="{n}"}} 1' for n in names]
    states = lines.of_state("x", str, (), Tails(("a",), after=False))
    for _ in range(2):
        assert states(names, identities).decode().splitlines() == [f'x{{a="{n}"}} 1' for n in names]
    assert len(alone) <= 2
