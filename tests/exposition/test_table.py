from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwave_exporter.exposition import table as table_module
from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.exposition.text import LabelValues

Point = tuple[str, float, float]

points = Families[Point](tuple, labels=("point",), identity=lambda point: (point[0],))


@points.gauge("x", "Across.")
def x(point: Point) -> float | None:
    return point[1] or None


@points.gauge("axis", "Both ways.", labels=("way",))
def axis(point: Point) -> Mapping[LabelValues, float]:
    return {("x",): point[1], (None,): point[2]}


nowhere = Families[Point](tuple, labels=(), identity=lambda _: ())


@nowhere.gauge("way", "Both ways.", labels=("way",))
def way(point: Point) -> Mapping[LabelValues, float]:
    return {("x",): point[1], ("y",): point[2]}


@pytest.fixture
def table() -> Table[Point]:
    return new_table()


def new_table() -> Table[Point]:
    return Table(points, points.labels, points.identity)


def put(table: Table[Point], *known: Point) -> None:
    for point in known:
        table.put(point[0], point)


def lines(table: Table[Point], place: int) -> bytes:
    for _ in table.render():
        pass
    return b"".join([cell.plain() for cell in table.column(place)])


def test_a_column_holds_the_samples_of_one_family_in_order_of_keys(table: Table[Point]) -> None:
    put(table, ("b", 2, 0), ("a", 1, 0))
    assert lines(table, 0) == b'x{point="a"} 1\nx{point="b"} 2\n'


def test_the_labels_of_a_family_follow_those_of_the_object(table: Table[Point]) -> None:
    put(table, ("a", 1, 2))
    assert lines(table, 1) == b'axis{point="a",way="x"} 1\naxis{point="a"} 2\n'


def test_where_the_object_has_no_labels_those_of_a_family_stand_alone() -> None:
    table = Table(nowhere, nowhere.labels, nowhere.identity)
    put(table, ("a", 1, 2))
    assert lines(table, 0) == b'way{way="x"} 1\nway{way="y"} 2\n'


def test_a_cell_that_did_not_change_stays_the_same_object(table: Table[Point]) -> None:
    put(table, ("a", 1, 2), ("b", 0, 4))
    lines(table, 0)
    before = [table.column(0), table.column(1)]
    put(table, ("a", 1, 3))
    lines(table, 0)
    assert [*map(id, table.column(0))] == [*map(id, before[0])]
    assert table.column(1) != before[1]


def test_nothing_is_shown_of_what_was_put_until_it_is_rendered(table: Table[Point]) -> None:
    put(table, ("a", 1, 2))
    assert table.column(0) == []


def test_only_blocks_in_which_something_changed_are_rendered(
    table: Table[Point], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "SIZE", 2)
    put(table, *[(f"{number:02}", 1.0, 1.0) for number in range(40)])
    lines(table, 0)
    put(table, ("07", 2.0, 1.0))
    assert len([*table.render()]) == 2  # one cell of each family
    assert len([*table.render()]) == 0


def test_removing_what_is_not_there_changes_nothing(table: Table[Point]) -> None:
    put(table, ("a", 1, 2))
    table.remove("b")
    assert lines(table, 0) == b'x{point="a"} 1\n'


def test_an_empty_table_has_empty_columns(table: Table[Point]) -> None:
    assert (lines(table, 0), lines(table, 1)) == (b"", b"")


keys = st.sampled_from(["", "z\n"]) | st.text("abcü", min_size=1, max_size=2)
numbers = st.sampled_from([0.0, 1.0, -1.5])
steps = st.lists(
    st.tuples(keys, st.none() | st.tuples(numbers, numbers), st.booleans()), max_size=80
)


@pytest.mark.parametrize("size", [1, 2, 256])
@given(sequence=steps)
@settings(deadline=None)
def test_after_any_sequence_of_changes_the_bytes_are_those_of_a_fresh_render(
    size: int, sequence: list[tuple[str, tuple[float, float] | None, bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_module, "SIZE", size)
        worn = new_table()
        known: dict[str, Point] = {}
        for key, place, looked_at in sequence:
            if place is None:
                known.pop(key, None)
                worn.remove(key)
            else:
                known[key] = (key, *place)
                put(worn, known[key])
            if looked_at:
                lines(worn, 0)
        fresh = new_table()
        put(fresh, *known.values())
        assert lines(worn, 0) == lines(fresh, 0)
        assert lines(worn, 1) == lines(fresh, 1)
        assert len(worn.column(1)) <= 1 + 2 * len(known) // size
