"""Reads a list page by page, by ``offset``.

``next`` links are never followed: the reference's own example drops the query's parameters, and a
link may point to another host, which must not get the key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain
from typing import Final, Generic, TypeVar

from msgspec import Struct

from trainwave_exporter.api.answer_bounds import MOST_ITEMS
from trainwave_exporter.api.envelope import Dialect, OpenedAnswer
from trainwave_exporter.api.errors import BodyTooLarge, UnexpectedShape
from trainwave_exporter.api.fields import Misread, amount
from trainwave_exporter.api.steps import Steps
from trainwave_exporter.model import Job, Offer, Organization, Project

T = TypeVar("T", Job, Project, Organization, Offer)

MAX_PAGES = 10_000

_A_STEP: Final = 100
"""Items that are read in one step: a few milliseconds."""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    items: tuple[T, ...]
    size: int
    """Objects in the page, readable or not: how far the next offset moves."""
    total: int | None
    """What the API says the whole list holds (``count``)."""
    last: bool
    """The page itself says that nothing follows it."""
    dialect: Dialect


class Collected(Struct, Generic[T], frozen=True, kw_only=True):
    """All items of a list."""

    items: tuple[T, ...]
    """Each id once, as the newest answer has it."""
    requests: int
    total: int
    """How many there are: what the API says, or what came if that is more."""
    whole: bool
    """The list was walked to the end that it reported, and nothing of it is known to be missing:
    all could be read, and as many came as the API counts."""


def read_page(
    opened: OpenedAnswer, offset: int, read: Callable[[object], T | None]
) -> Steps[Page[T]]:
    """Parse the page of a list that was requested with ``offset``.

    A page without ``count`` or ``next`` is a complete list, and so is a bare JSON list. An empty
    page before the ``count`` is reached is not the last: items are missing.
    """
    data = opened.data
    results = data.get("results") if isinstance(data, dict) else data
    if not isinstance(results, list):
        raise UnexpectedShape("the answer holds no list")
    items: list[T] = []
    size = 0
    for part in chain([results], opened.more):
        size += len(part)
        if size > MOST_ITEMS:
            raise BodyTooLarge(f"the answer's list holds more than {MOST_ITEMS} items")
        for place, raw in enumerate(part, 1):
            item = read(raw)
            if item is not None:
                items.append(item)
            if place % _A_STEP == 0:
                yield
        yield
    total = _count(data.get("count")) if isinstance(data, dict) else None
    follows = size > 0 and isinstance(data, dict) and bool(data.get("next"))
    return Page(
        items=tuple(items),
        size=size,
        total=total,
        last=not follows if total is None else offset + size >= total,
        dialect=opened.dialect,
    )


async def pages(
    fetch: Callable[[int], Awaitable[Page[T]]], *, most: int = MAX_PAGES
) -> AsyncIterator[Page[T]]:
    """Yield page after page of ``fetch(offset)`` until the list ends.

    It ends with a page that says so, with one without new ids (a server that ignores ``offset``
    would never end), or after ``most`` pages. Raises what ``fetch`` raises; the list is incomplete
    then.
    """
    offset = 0
    seen: set[str] = set()
    for _ in range(most):
        page = await fetch(offset)
        fresh = {item.id for item in page.items} - seen
        yield page
        if page.last or not fresh:
            return
        seen |= fresh
        offset += page.size


async def collect(
    fetch: Callable[[int], Awaitable[Page[T]]], *, most: int = MAX_PAGES
) -> Collected[T]:
    """Read all `pages` and return their items."""
    items: dict[str, T] = {}
    requests, promised, ended, readable = 0, 0, False, True
    async for page in pages(fetch, most=most):
        items |= {item.id: item for item in page.items}
        requests += 1
        promised, ended = page.total or 0, page.last
        readable &= len(page.items) == page.size
    return Collected(
        items=tuple(items.values()),
        requests=requests,
        total=max(promised, len(items)),
        whole=ended and readable and len(items) >= promised,
    )


def _count(value: object) -> int | None:
    try:
        return None if value is None else int(amount(value))
    except Misread:
        return None
