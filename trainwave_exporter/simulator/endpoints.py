"""The endpoints: requests in, the world asked or changed, answers out in the renderer's dialect."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TypeAlias, TypeVar

import msgspec
from aiohttp import web

from trainwave_exporter.simulator.catalogue import Owner, SimulatedOrganization, SimulatedProject
from trainwave_exporter.simulator.dialects import Renderer
from trainwave_exporter.simulator.dialects.deployed import Deployed
from trainwave_exporter.simulator.dialects.renderer import Object
from trainwave_exporter.simulator.faults import Fault
from trainwave_exporter.simulator.ids import IdKind, SimulatedDialect, read_id
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import Status
from trainwave_exporter.simulator.orders import BadOrderError, read_order
from trainwave_exporter.simulator.shapes import HISTORY, Shape, put
from trainwave_exporter.simulator.usage import SimulatedMetric, read
from trainwave_exporter.simulator.world import AlreadyOverError, SimulatedWorld

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]
Thing = TypeVar("Thing", SimulatedOrganization, SimulatedProject)

CALLER: web.RequestKey[Owner] = web.RequestKey("CALLER", Owner)
"""Whose key a request brought."""
FAULT: web.RequestKey[Fault] = web.RequestKey("FAULT", Fault)
"""What goes wrong with the answer to a request, if anything does."""

ROOT = "/api/v1"
_DEFAULT_LIMIT = 20
_UNKNOWN_STATES = ("HIBERNATING", "PREEMPTED", "MIGRATING")
_SHIFTS = (-3, -2, -1, 1, 2, 3)


class ProblemError(Exception):
    """A request that is answered with an error: status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Endpoints:
    """All of them, for one world in one dialect.

    ``page_cap`` is the most that a page holds, whatever ``limit`` says. With ``filter_ignored``
    lists have everything, whatever ``org``, ``project`` and ``status`` say; with ``filter_empty``
    a list of jobs has nothing where ``status`` says anything.
    """

    def __init__(
        self,
        world: SimulatedWorld,
        renderer: Renderer,
        *,
        page_cap: int,
        filter_ignored: bool,
        filter_empty: bool,
        shape: Shape,
        random: Random,
    ) -> None:
        self._world = world
        self._renderer = renderer
        self._page_cap = page_cap
        self._filter_ignored = filter_ignored
        self._filter_empty = filter_empty
        self._shape = shape
        self._random = random

    def routes(self) -> Iterable[tuple[str, str, str, Handler]]:
        """Yield name, method, path and handler of each endpoint that this dialect has."""
        stop = self._renderer.stop_path
        yield "jobs", "GET", "/jobs/", self._list_jobs
        yield "create", "POST", "/jobs/", self._create_job
        yield "job", "GET", "/jobs/{job}/", self._get_job
        yield "stop", "POST", f"/jobs/{{job}}/{stop}/", self._stop_job
        yield "projects", "GET", "/projects/", self._list_projects
        yield "organizations", "GET", "/organizations/", self._list_organizations
        for metric in SimulatedMetric:
            yield f"metrics/{metric}", "GET", f"/metrics/{metric}/", self._get_metric
        if isinstance(self._renderer, Deployed):
            yield "users/me", "GET", "/users/me/", partial(self._get_user, self._renderer)
            yield "offers", "GET", "/offers/", partial(self._list_offers, self._renderer)

    async def _list_jobs(self, request: web.Request) -> web.Response:
        world = self._world
        world.advance()
        ordinals = self._select_jobs(request.query)
        limit, offset = self._window(request.query)
        begin = offset
        if request.get(FAULT) is Fault.SHIFT and offset > 0:
            begin = max(0, offset + self._random.choice(_SHIFTS))
        end = len(ordinals) - begin
        jobs = [
            world.jobs[place] for place in reversed(ordinals[max(0, end - limit) : max(0, end)])
        ]
        rows = [self._renderer.job_in_list(job, world) for job in jobs]
        self._disguise(request, rows)
        return self._answer(_page(request, rows, len(ordinals), limit, offset))

    async def _create_job(self, request: web.Request) -> web.Response:
        body = await _read_object(request)
        self._world.advance()
        try:
            order = read_order(
                self._renderer.order(body),
                owner=request[CALLER],
                offers=self._world.catalogue.offers,
                find_project=self._find_project,
            )
        except BadOrderError as error:
            raise ProblemError(400, "validation_error", str(error)) from None
        return self._answer_job(request, self._world.submit(order), status=201)

    async def _get_job(self, request: web.Request) -> web.Response:
        self._world.advance()
        return self._answer_job(request, self._find_job(request.match_info["job"]))

    async def _stop_job(self, request: web.Request) -> web.Response:
        self._world.advance()
        job = self._find_job(request.match_info["job"])
        try:
            self._world.stop(job)
        except AlreadyOverError:
            raise ProblemError(400, "invalid_state", "The job is already over") from None
        return self._answer_job(request, job)

    async def _list_projects(self, request: web.Request) -> web.Response:
        world = self._world
        world.advance()
        projects = world.catalogue.projects
        asked = _organization_asked_for(request.query)
        if asked and not self._filter_ignored:
            organization = self._find_organization(asked)
            projects = tuple(p for p in projects if p.organization is organization)
        limit, offset = self._window(request.query)
        rows = [self._renderer.project(p, world) for p in projects[offset : offset + limit]]
        return self._answer(_page(request, rows, len(projects), limit, offset))

    async def _list_organizations(self, request: web.Request) -> web.Response:
        world = self._world
        world.advance()
        rows = [self._renderer.organization(o, world) for o in world.catalogue.organizations]
        if not self._renderer.pages_organizations:
            return self._answer(rows)
        limit, offset = self._window(request.query)
        shown = rows[offset : offset + limit]
        return self._answer(_page(request, shown, len(rows), limit, offset))

    async def _get_metric(self, request: web.Request) -> web.Response:
        identity = request.query.get("job_id")
        if not identity:
            raise ProblemError(400, "validation_error", "job_id: this field is required.")
        now = self._world.advance()
        job = self._find_job(identity)
        metric = SimulatedMetric(request.path.rstrip("/").rpartition("/")[2])
        several = self._shape in {Shape.POINTS, Shape.POINT_OBJECTS}
        samples = (read(job, metric, now, back) for back in range(HISTORY if several else 1))
        return self._answer(put([sample for sample in samples if sample], self._shape))

    async def _get_user(self, renderer: Deployed, request: web.Request) -> web.Response:
        return self._answer(renderer.user(request[CALLER]))

    async def _list_offers(self, renderer: Deployed, _: web.Request) -> web.Response:
        return self._answer([renderer.offer(offer) for offer in self._world.catalogue.offers])

    def _select_jobs(self, query: Mapping[str, str]) -> Sequence[int]:
        """Return the ordinals of the jobs that a query asks for, oldest first."""
        if self._filter_ignored:
            return self._world.select()
        status = None
        if query.get("status"):
            try:
                status = Status(query["status"])
            except ValueError:
                raise ProblemError(
                    400, "validation_error", f"status: choose one of {', '.join(Status)}."
                ) from None
            if self._filter_empty:
                return ()
        scope: SimulatedOrganization | SimulatedProject | None = None
        if asked := _organization_asked_for(query):
            scope = self._find_organization(asked)
            if scope is None:
                return ()
        if asked := query.get("project"):
            project = self._find_project(asked)
            if project is None or scope not in {None, project.organization}:
                return ()
            scope = project
        return self._world.select(scope, status)

    def _window(self, query: Mapping[str, str]) -> tuple[int, int]:
        """Return limit and offset; what is no sensible number counts as not given."""
        limit = _whole_number(query.get("limit")) or _DEFAULT_LIMIT
        return min(limit, self._page_cap), _whole_number(query.get("offset")) or 0

    def _find_job(self, text: str) -> SimulatedJob:
        code = read_id(self._renderer.dialect, IdKind.JOB, text)
        found = None if code is None else self._world.job_of_code(code)
        found = found or self._world.job_of_rid(text)
        if found is None:
            raise ProblemError(404, "not_found", "Job not found")
        return found

    def _find_project(self, text: str) -> SimulatedProject | None:
        return _find(self._world.catalogue.projects, self._renderer.dialect, IdKind.PROJECT, text)

    def _find_organization(self, text: str) -> SimulatedOrganization | None:
        organizations = self._world.catalogue.organizations
        return _find(organizations, self._renderer.dialect, IdKind.ORGANIZATION, text)

    def _answer_job(
        self, request: web.Request, job: SimulatedJob, status: int = 200
    ) -> web.Response:
        row = self._renderer.job(job, self._world)
        self._disguise(request, [row])
        return self._answer(row, status)

    def _disguise(self, request: web.Request, rows: list[Object]) -> None:
        """Give one of the jobs a state that nobody knows, where that is today's fault."""
        if rows and request.get(FAULT) is Fault.UNKNOWN_STATE:
            self._random.choice(rows)["state"] = self._random.choice(_UNKNOWN_STATES)

    def _answer(self, data: object, status: int = 200) -> web.Response:
        body = msgspec.json.encode(self._renderer.answer(data))
        return web.Response(body=body, status=status, content_type="application/json")


def _find(
    things: Iterable[Thing], dialect: SimulatedDialect, kind: IdKind, text: str
) -> Thing | None:
    """Return the thing that has ``text`` for its id or its rid."""
    code = read_id(dialect, kind, text)
    return next((thing for thing in things if code == thing.code or text == thing.rid), None)


def _organization_asked_for(query: Mapping[str, str]) -> str | None:
    """Return the value of the filter, in either of its two spellings."""
    return query.get("org") or query.get("org_id")


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _page(request: web.Request, rows: list[Object], count: int, limit: int, offset: int) -> Object:
    """Wrap a page. Its links drop all but the offset, as the one in the reference does."""

    def link(to: int) -> str:
        return f"{request.url.origin()}{request.path}?offset={to}"

    return {
        "count": count,
        "next": link(offset + limit) if offset + limit < count else None,
        "previous": link(max(0, offset - limit)) if offset > 0 else None,
        "results": rows,
    }


async def _read_object(request: web.Request) -> Mapping[str, object]:
    """Read the JSON object in a request's body."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise ProblemError(400, "validation_error", "The body is not JSON") from None
    if not isinstance(body, dict):
        raise ProblemError(400, "validation_error", "The body is not an object")
    return body
