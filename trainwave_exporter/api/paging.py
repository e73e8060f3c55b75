"""Walking a list page by page, by own arithmetic.

``next`` links are never followed: the reference's own example drops the query's parameters, and a
link may point at another host, where the key must not go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct

from trainwave_exporter.api.envelope import Dialect, Opened
from trainwave_exporter.api.errors import UnexpectedShape
from trainwave_exporter.api.fields import Misread, amount
from trainwave_exporter.model import Job, Organization, Project

T = TypeVar("T", Job, Project, Organization)

MAX_PAGES = 10_000


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


def read_page(opened: Opened, offset: int, read: Callable[[object], T | None]) -> Page[T]:
    """Read the page of a list that was asked for with ``offset``.

    A page without ``count`` or ``next`` is a whole list, and so is a bare JSON list.
    """
    data = opened.data
    results = data.get("results") if isinstance(data, dict) else data
    if not isinstance(results, list):
        raise UnexpectedShape("the answer holds no list")
    size = len(results)
    total = _count(data.get("count")) if isinstance(data, dict) else None
    follows = isinstance(data, dict) and bool(data.get("next"))
    return Page(
        items=tuple(item for raw in results if (item := read(raw)) is not None),
        size=size,
        total=total,
        last=size == 0 or (not follows if total is None else offset + size >= total),
        dialect=opened.dialect,
    )


async def pages(
    fetch: Callable[[int], Awaitable[Page[T]]], *, most: int = MAX_PAGES
) -> AsyncIterator[Page[T]]:
    """Yield page after page of ``fetch(offset)`` until the list ends.

    It ends with a page that says so, with one that brings no id unseen before (a server that
    ignores ``offset`` would go round for ever), or after ``most`` pages. Whatever ``fetch`` raises
    passes through: a walk cut short is not a whole list.
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


def _count(value: object) -> int | None:
    try:
        return None if value is None else int(amount(value))
    except Misread:
        return None
