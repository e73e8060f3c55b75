"""Pages are as large as the service grants."""

from __future__ import annotations

from trainwave_exporter.polling.page_size import LARGEST, PageSize


def walk(size: PageSize, jobs: int, cap: int) -> list[int]:
    """Walk a list of so many jobs at a service that gives no more than ``cap`` at once."""
    asked = []
    offset = 0
    while offset < jobs:
        asked.append(size.next)
        came = min(size.next, cap, jobs - offset)
        offset += came
        size.came(asked[-1], came, last=offset == jobs)
    return asked


def test_a_list_that_fits_a_page_teaches_nothing() -> None:
    size = PageSize(100)
    assert walk(size, 60, cap=1000) + walk(size, 100, cap=1000) == [100, 100]


def test_pages_grow_while_they_come_full() -> None:
    size = PageSize(100)
    assert walk(size, 2500, cap=5000) == [100, 200, 400, 800, LARGEST]
    assert walk(size, 2500, cap=5000) == [LARGEST] * 3


def test_what_is_granted_is_asked_for_from_then_on() -> None:
    size = PageSize(100)
    assert walk(size, 700, cap=250) == [100, 200, 400, 250]
    assert size.next == 250


def test_no_less_than_what_is_set_is_asked_for() -> None:
    size = PageSize(100)
    assert walk(size, 60, cap=20) == [100, 100, 100]


def test_a_refusal_ends_the_trying() -> None:
    size = PageSize(100)
    size.came(100, 100, last=False)
    assert size.next == 200
    assert size.refused(200)
    assert size.next == 100
    walk(size, 1000, cap=1000)
    assert size.next == 100


def test_what_was_granted_before_is_not_refused_for_its_size() -> None:
    size = PageSize(100)
    assert not size.refused(100)
    walk(size, 2000, cap=1000)
    assert not size.refused(800)


def test_an_empty_page_short_of_the_end_teaches_nothing() -> None:
    size = PageSize(100)
    size.came(100, 0, last=False)
    assert size.next == 100
