"""When a page is the last, and how a list is walked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainwave_exporter.api import Dialect, Page, UnexpectedShape, collect
from trainwave_exporter.api.envelope import OpenedAnswer
from trainwave_exporter.api.paging import pages, read_page
from trainwave_exporter.api.steps import finish
from trainwave_exporter.model import Project


def project(raw: object) -> Project | None:
    return Project(account="a", id=raw) if isinstance(raw, str) else None


def page(data: Any, offset: int = 0) -> Page[Project]:
    return finish(read_page(OpenedAnswer(Dialect.DOCUMENTED, data), offset, project))


def fetching(
    names: list[str], size: int, *, count: bool = True, cap: int = 1000
) -> Callable[[int], Any]:
    """Serve a list in pages as the API does."""

    async def fetch(offset: int) -> Page[Project]:
        results = names[offset : offset + min(size, cap)]
        more = offset + len(results) < len(names)
        reported: dict[str, Any] = {"results": results, "next": "http://x/" if more else None}
        return page(reported | ({"count": len(names)} if count else {}), offset)

    return fetch


async def walked(fetch: Callable[[int], Any]) -> list[str]:
    return [item.id async for one in pages(fetch) for item in one.items]


@pytest.mark.parametrize(
    ("data", "offset", "last"),
    [
        ({"count": 3, "results": ["a"]}, 0, False),
        ({"count": 3, "results": ["a"]}, 2, True),
        ({"count": "3", "results": ["a", "b", 5]}, 0, True),
        ({"count": 3, "results": []}, 0, False),
        ({"count": 3, "results": []}, 3, True),
        ({"count": 0, "results": []}, 0, True),
        ({"count": None, "next": "http://x/", "results": ["a"]}, 0, False),
        ({"count": "many", "next": "http://x/", "results": ["a"]}, 0, False),
        ({"next": "http://x/", "results": []}, 0, True),
        ({"next": None, "results": ["a"]}, 0, True),
        ({"next": "", "results": ["a"]}, 0, True),
        ({"results": ["a"]}, 0, True),
        (["a", "b"], 0, True),
        ([], 0, True),
    ],
)
def test_a_page_knows_whether_it_is_the_last(data: Any, offset: int, last: bool) -> None:
    assert page(data, offset).last is last


def test_a_page_counts_what_could_not_be_read() -> None:
    read = page({"count": 9, "results": ["a", 5, None]})
    assert ([item.id for item in read.items], read.size, read.total) == (["a"], 3, 9)


@pytest.mark.parametrize("data", [{}, {"results": None}, {"results": {}}, 5, "text", True])
def test_what_holds_no_list_is_no_page(data: Any) -> None:
    with pytest.raises(UnexpectedShape):
        page(data)


@pytest.mark.parametrize("count", [True, False])
async def test_a_list_is_walked_to_its_end(count: bool) -> None:
    names = [f"p-{i}" for i in range(25)]
    assert await walked(fetching(names, 10, count=count)) == names


async def test_a_page_shorter_than_asked_for_is_not_the_end() -> None:
    names = [f"p-{i}" for i in range(25)]
    assert await walked(fetching(names, 100, cap=7)) == names


async def test_a_server_that_ignores_the_offset_is_asked_only_twice() -> None:
    asked: list[int] = []

    async def fetch(offset: int) -> Page[Project]:
        asked.append(offset)
        return page({"count": 100, "results": ["a", "b"]}, 0)

    assert await walked(fetch) == ["a", "b", "a", "b"]
    assert asked == [0, 2]


async def test_a_walk_has_an_end_even_if_the_list_has_none() -> None:
    async def fetch(offset: int) -> Page[Project]:
        return page({"next": "http://x/", "results": [f"p-{offset}"]}, offset)

    assert len([page async for page in pages(fetch, most=5)]) == 5


async def test_a_failing_page_fails_the_walk() -> None:
    async def fetch(offset: int) -> Page[Project]:
        if offset:
            raise UnexpectedShape("half a list is no list")
        return page({"count": 2, "results": ["a"]}, offset)

    with pytest.raises(UnexpectedShape):
        await walked(fetch)


async def test_a_walk_stops_at_an_empty_page_that_is_not_the_last() -> None:
    assert await walked(answering({"count": 500, "results": []})) == []


def answering(*reported: Any) -> Callable[[int], Any]:
    """Give one answer after the other, whatever the offset."""
    left = list(reported)

    async def fetch(offset: int) -> Page[Project]:
        return page(left.pop(0), offset)

    return fetch


async def test_a_whole_list_is_collected() -> None:
    names = [f"p-{i}" for i in range(25)]
    found = await collect(fetching(names, 10))
    assert [item.id for item in found.items] == names
    assert (found.requests, found.total, found.whole) == (3, 25, True)


async def test_an_empty_list_is_whole() -> None:
    found = await collect(answering({"count": 0, "results": []}))
    assert (found.items, found.requests, found.total, found.whole) == ((), 1, 0, True)


@pytest.mark.parametrize(
    ("reported", "total"),
    [
        ([{"count": 500, "results": []}], 500),
        ([{"count": 2, "results": ["a", 5]}], 2),
        ([{"results": ["a", 5]}], 1),
        ([{"count": 4, "results": ["a", "b"]}, {"count": 4, "results": ["b", "c"]}], 4),
        ([{"count": 4, "results": ["a", "b"]}, {"count": 4, "results": ["a", "b"]}], 4),
        ([{"count": 3, "results": ["a", 5]}, {"count": 3, "results": ["b"]}], 3),
    ],
    ids=["withheld", "unreadable", "uncounted", "shifted", "repeated", "unreadable_earlier"],
)
async def test_a_list_of_which_something_is_missing_is_not_whole(
    reported: list[Any], total: int
) -> None:
    found = await collect(answering(*reported))
    assert (found.total, found.whole, found.requests) == (total, False, len(reported))


async def test_more_than_the_api_counts_is_whole() -> None:
    found = await collect(answering({"count": 1, "results": ["a", "b"]}))
    assert (found.total, found.whole) == (2, True)


async def test_what_comes_twice_is_collected_once_as_it_came_last() -> None:
    def named(raw: object) -> Project | None:
        return Project(account="a", id="p-1", name=str(raw))

    async def fetch(offset: int) -> Page[Project]:
        data = {"count": 2, "results": [f"name at {offset}"]}
        return finish(read_page(OpenedAnswer(Dialect.DOCUMENTED, data), offset, named))

    found = await collect(fetch)
    assert [item.name for item in found.items] == ["name at 1"]
    assert (found.total, found.whole) == (2, False)


@pytest.mark.parametrize(("most", "whole"), [(2, False), (3, True)])
async def test_a_list_is_whole_only_if_its_end_is_within_the_bound(most: int, whole: bool) -> None:
    found = await collect(fetching([f"p-{i}" for i in range(25)], 10), most=most)
    assert (found.requests, found.total, found.whole) == (most, 25, whole)
