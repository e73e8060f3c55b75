"""Walking a list of jobs, page by page, and what can be said about it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from trainwave_exporter.api import Client, Page, Priority, pages
from trainwave_exporter.model import Job

Report: TypeAlias = Callable[[tuple[Job, ...], float], None]
"""Called with the jobs of a page and the Unix time at which they were asked for."""


class Scope(Struct, frozen=True, kw_only=True):
    """Which jobs an account watches: all that its key sees, or less."""

    organization: str | None = None
    project: str | None = None
    page_size: int = 100


class Sweep(Struct, frozen=True, kw_only=True):
    """One walk to the end of a list."""

    began_at: float
    seen: frozenset[str]
    running: frozenset[str]
    requests: int
    finished_listed: bool
    """It named finished jobs, so if running ones were asked for, the filter is ignored."""
    whole: bool
    """Nothing of the list is known to be missing."""


async def sweep(
    client: Client,
    scope: Scope,
    *,
    status: str | None,
    priority: Priority,
    report: Report,
    clock: Callable[[], float],
    step: Callable[[], None],
) -> Sweep:
    """Walk the list of jobs, reporting every page as it comes, and return what it came to.

    Lists shift while they are paged: a job may come twice, or slip through. If fewer came than the
    API counts, a full list is walked once more; if that brings nothing new, the count was wrong. A
    filtered list proves no absence, so there it does not matter.

    Raises what `Client.list_jobs` raises; pages reported until then stay reported.
    """
    walk = _Walk(client, scope, status, priority, report, clock, step)
    began_at = clock()
    await walk.once()
    shortfall = walk.shortfall
    if shortfall and status is None:
        before = len(walk.seen)
        await walk.once()
        shortfall = walk.shortfall and len(walk.seen) > before
    return Sweep(
        began_at=began_at,
        seen=frozenset(walk.seen),
        running=frozenset(walk.running),
        requests=walk.requests,
        finished_listed=walk.finished_listed,
        whole=not shortfall and not walk.unreadable,
    )


class _Walk:
    def __init__(
        self,
        client: Client,
        scope: Scope,
        status: str | None,
        priority: Priority,
        report: Report,
        clock: Callable[[], float],
        step: Callable[[], None],
    ) -> None:
        self._client = client
        self._scope = scope
        self._status = status
        self._priority = priority
        self._report = report
        self._clock = clock
        self._step = step
        self.seen: set[str] = set()
        self.running: set[str] = set()
        self.requests = 0
        self.finished_listed = False
        self.unreadable = 0
        self._total: int | None = None

    @property
    def shortfall(self) -> bool:
        """Whether the API counts more jobs than came."""
        return self._total is not None and len(self.seen) + self.unreadable < self._total

    async def once(self) -> None:
        self.unreadable = 0
        async for page in pages(self._fetch):
            self._total = page.total
            self.unreadable += page.size - len(page.items)
            for job in page.items:
                self.seen.add(job.id)
                self.finished_listed |= job.finished
                if job.running:
                    self.running.add(job.id)

    async def _fetch(self, offset: int) -> Page[Job]:
        asked_at = self._clock()
        page = await self._client.list_jobs(
            org=self._scope.organization,
            project=self._scope.project,
            status=self._status,
            limit=self._scope.page_size,
            offset=offset,
            priority=self._priority,
        )
        self.requests += 1
        self._step()
        self._report(page.items, asked_at)
        return page
