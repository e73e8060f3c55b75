"""Whose readings may be too old is found at their time, whatever came and went in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.fleet.ages import ReadingAges

STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "forget", "take"]), st.integers(0, 9), st.integers(0, 50))
)


@given(STEPS)
def test_each_is_reported_once_and_never_too_late(steps: list[tuple[str, int, int]]) -> None:
    ages = ReadingAges()
    noted: dict[str, int] = {}
    for kind, job, at in steps:
        name = f"j-{job}"
        match kind:
            case "put":
                ages.put("main", name, at)
                noted.setdefault(name, at)
            case "forget":
                ages.forget("main", name)
                noted.pop(name, None)
            case _:
                older = {name for name, since in noted.items() if since < at}
                assert sorted(ages.take_older("main", at)) == sorted(older)
                noted = {name: since for name, since in noted.items() if name not in older}
    assert sorted(ages.take_older("main", 100)) == sorted(noted)


def test_accounts_are_apart() -> None:
    ages = ReadingAges()
    ages.put("one", "j-1", 1)
    ages.put("two", "j-2", 1)
    assert [*ages.take_older("one", 5)] == ["j-1"]
    ages.clear()
    assert [*ages.take_older("two", 5)] == []


def test_what_was_forgotten_is_not_kept() -> None:
    ages = ReadingAges()
    for number in range(10_000):
        ages.put("main", f"j-{number}", number)
        ages.forget("main", f"j-{number}")
    assert len(ages._queues["main"]._heap) < 1100
