"""Reads the directory of one account: organizations with their credit, projects, and offers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trainwave_exporter.api import (
    Client,
    Collected,
    Dialect,
    RateBudget,
    TrainwaveError,
    collect,
)
from trainwave_exporter.fleet import (
    Observation,
    OffersSeen,
    OrganizationsSeen,
    ProjectsSeen,
    ViewSeen,
)
from trainwave_exporter.model import Organization, Project
from trainwave_exporter.polling.allocation import requests_per_minute
from trainwave_exporter.polling.scope import WatchScope, view_of


class DirectoryReader:
    """Reads the directory of one account, and reserves the requests that it needs."""

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        budget: RateBudget,
        report: Callable[[Observation], None],
        scope: WatchScope,
        interval: float,
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners; ``interval``: seconds."""
        self._account = account
        self._client = client
        self._budget = budget
        self._report = report
        self._scope = scope
        self._interval = interval
        self._organizations: frozenset[str] = frozenset()
        """Ids of those in the last list."""

    async def read(self, step: Callable[[], None]) -> None:
        """Read organizations, projects and offers; a failure of one does not hide the others."""
        if configured := view_of(self._scope):  # which is known without any answer
            self._report(ViewSeen(self._account, configured))
        organizations, projects = await asyncio.gather(
            self._read_organizations(step), self._read_projects(step), return_exceptions=True
        )
        self._report(ViewSeen(self._account, self._view(organizations, projects)))
        if isinstance(organizations, BaseException):
            raise organizations
        if isinstance(projects, BaseException):
            raise projects
        requests = organizations.requests + projects.requests + await self._read_offers(step)
        self._budget.reserve("directory", requests_per_minute(requests, self._interval))

    async def _read_offers(self, step: Callable[[], None]) -> int:
        """Read the prices on offer, where the API has them, and return how many requests that took.

        They only serve to recognize implausible amounts, so a failure is ignored.
        """
        if self._client.dialect is not Dialect.DEPLOYED:
            return 0
        try:
            found = await collect(
                lambda offset: self._client.list_offers(limit=self._scope.page_size, offset=offset)
            )
        except TrainwaveError:
            return 1
        step()
        if found.items:
            self._report(
                OffersSeen(self._account, max(offer.hourly_cost_dollars for offer in found.items))
            )
        return found.requests

    def _view(
        self,
        organizations: Collected[Organization] | BaseException,
        projects: Collected[Project] | BaseException,
    ) -> str:
        """Return what the key sees. An organization is dropped once two lists in a row lack it."""
        known = self._organizations
        if not isinstance(organizations, BaseException) and organizations.whole:
            listed = frozenset(organization.id for organization in organizations.items)
            self._organizations, known = listed or known, listed | known
        seen = () if isinstance(projects, BaseException) or not projects.whole else projects.items
        return view_of(self._scope, known, seen)

    async def _read_organizations(self, step: Callable[[], None]) -> Collected[Organization]:
        found = await collect(
            lambda offset: self._client.list_organizations(
                limit=self._scope.page_size, offset=offset
            )
        )
        step()
        self._report(OrganizationsSeen(self._account, found.items, complete=found.whole))
        return found

    async def _read_projects(self, step: Callable[[], None]) -> Collected[Project]:
        found = await collect(
            lambda offset: self._client.list_projects(
                org=self._scope.organization, limit=self._scope.page_size, offset=offset
            )
        )
        step()
        self._report(ProjectsSeen(self._account, found.items, complete=found.whole))
        return found
