"""Walks a list of jobs page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from msgspec import Struct

from trainwave_exporter.api import BadRequest, BodyTooLarge, Client, Page, Priority, Timeout, pages
from trainwave_exporter.model import Job
from trainwave_exporter.polling.page_size import PageSize
from trainwave_exporter.polling.scope import WatchScope
from trainwave_exporter.runtime.clock import Clock

Report: TypeAlias = Callable[[tuple[Job, ...], float], None]
"""Called with jobs of a page and the Unix time at which they were requested."""

_A_TURN: Final = 50
"""Jobs that are reported in one turn of the event loop: a few milliseconds."""


class Sweep(Struct, frozen=True, kw_only=True):
    """The result of a complete walk."""

    began_at: float
    seen: frozenset[str]
    requests: int
    whole: bool
    """Whether the list is complete, as far as is known."""


@dataclass(slots=True)
class _SweptJobs:
    """What one or two walks of a list found."""

    seen: set[str] = field(default_factory=set)
    requests: int = 0
    unreadable: int = 0
    total: int | None = None
    ended: bool = False
    """The last page said that it was the last, and did not only repeat others."""

    @property
    def short(self) -> bool:
        """Whether the API counts more jobs than came."""
        return self.total is not None and len(self.seen) + self.unreadable < self.total

    def add(self, page: Page[Job]) -> None:
        self.requests += 1
        self.total = page.total
        self.ended = page.last
        self.unreadable += page.size - len(page.items)
        self.seen.update(job.id for job in page.items)


class Sweeper:
    """Walks the lists of jobs of one account."""

    def __init__(self, client: Client, scope: WatchScope, *, report: Report, clock: Clock) -> None:
        """``report`` is called with the jobs of every page as it comes; in parts if it is long."""
        self._client = client
        self._scope = scope
        self._report = report
        self._clock = clock
        self._page_size = PageSize(scope.page_size)

    async def sweep(
        self, *, status: str | None, priority: Priority, step: Callable[[], None]
    ) -> Sweep:
        """Walk the list of jobs (those of a status, or all) and return the result.

        Lists shift while they are paged: a job may come twice, or be missed. If fewer came than the
        API counts, a full list is walked once more. A filtered list proves no absence, so there it
        does not matter.

        ``step`` is called after every page. Raises what `Client.list_jobs` raises; pages reported
        until then stay reported.
        """
        found = _SweptJobs()
        began_at = self._clock.time()
        await self._walk(found, status, priority, step)
        if found.short and status is None:
            await self._walk(found, status, priority, step)
        return Sweep(
            began_at=began_at,
            seen=frozenset(found.seen),
            requests=found.requests,
            whole=found.ended and not found.short and not found.unreadable,
        )

    async def _walk(
        self, found: _SweptJobs, status: str | None, priority: Priority, step: Callable[[], None]
    ) -> None:
        found.unreadable = 0
        async for page in pages(partial(self._fetch, found, status, priority)):
            found.add(page)
            step()

    async def _fetch(
        self, found: _SweptJobs, status: str | None, priority: Priority, offset: int
    ) -> Page[Job]:
        requested_at, size = self._clock.time(), self._page_size.next
        try:
            page = await self._client.list_jobs(
                org=self._scope.organization,
                project=self._scope.project,
                status=status,
                limit=size,
                offset=offset,
                priority=priority,
            )
        except (BadRequest, BodyTooLarge, Timeout):
            found.requests += 1
            if self._page_size.refused(size):
                return await self._fetch(found, status, priority, offset)
            raise
        self._page_size.came(size, page.size, last=page.last)
        for first in range(0, len(page.items) or 1, _A_TURN):  # an empty page is news, too
            await asyncio.sleep(0)
            self._report(page.items[first : first + _A_TURN], requested_at)
        return page
