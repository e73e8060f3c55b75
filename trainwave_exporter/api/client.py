"""Every endpoint of the reference, as typed coroutines for one API key.

Each request waits until the rate limit allows it, is sent, updates the rate limit by the headers of
its answer, and is reported to the listener as one `Exchange`. Lists are retried after a transient
failure; single jobs and readings are not, as the planner requests them again. A 429 is never
retried: it blocks all requests and is raised. So does the ``Retry-After`` of a 5xx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeVar
from urllib.parse import quote

import httpx
import structlog

from trainwave_exporter.api.answer_bounds import PAGE
from trainwave_exporter.api.credential import Credential
from trainwave_exporter.api.dialects import (
    Context,
    read_job,
    read_offer,
    read_organization,
    read_project,
)
from trainwave_exporter.api.envelope import (
    Dialect,
    OpenedAnswer,
    check_acknowledged,
    open_answer,
    open_page,
)
from trainwave_exporter.api.errors import (
    ConnectionFailed,
    NotFound,
    NotJson,
    RateLimited,
    RedirectRefused,
    ServerError,
    Timeout,
    TrainwaveError,
    UnexpectedShape,
)
from trainwave_exporter.api.gates import BlockReason
from trainwave_exporter.api.headers import rate_headers
from trainwave_exporter.api.metric_answers import DEFAULT_INLINE_UNITS, DEFAULT_UNITS, reading_steps
from trainwave_exporter.api.network import NetworkSettings
from trainwave_exporter.api.new_job import NewJob, request_body
from trainwave_exporter.api.origin import base_of, redirect_target
from trainwave_exporter.api.paging import Page, read_page
from trainwave_exporter.api.rate_budget import Priority, RateBudget
from trainwave_exporter.api.steps import Steps, in_one, take_turns
from trainwave_exporter.api.wire import Call, HttpAnswer, Wire, client_of, new_client
from trainwave_exporter.model import (
    ClockSkew,
    CostUnit,
    Exchange,
    Fact,
    FactListener,
    Job,
    Metric,
    Offer,
    Organization,
    Project,
    Reading,
    Unit,
    Unreadable,
)
from trainwave_exporter.runtime.clock import Clock

T = TypeVar("T")
R = TypeVar("R", Job, Project, Organization, Offer)

_PASSING = (Timeout, ConnectionFailed, ServerError, NotJson, UnexpectedShape)
_RETRIES: Final = 2
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
"""Seconds of a block after which a list is still tried again."""
_LONGEST_BLOCK: Final = 60.0
"""Seconds of a block that a request waits for. A longer wait would look like good health."""
_MOST_HOPS: Final = 2
_SKEW_NOISE: Final = 5.0
"""Seconds by which the API's clock may seem to differ because an answer was on its way."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

log = structlog.get_logger()


class Client:
    """The API as one key sees it.

    ``key`` returns the present key and is called before each request; ``budget`` must be this
    key's own; ``observe`` receives every `Fact`. ``units`` are the units of the metric endpoints,
    ``inline_units`` those within jobs. ``timeout`` (seconds) is for a whole exchange, without the
    wait for the rate limit; no request waits for a block of over a minute. ``network`` holds
    proxies and certificates; None: those of the environment. ``transport`` replaces all of that.

    Every method raises errors of the tree in `trainwave_exporter.api.errors`, and nothing else. The
    constructor raises `NetworkSettingsError` for proxies or certificates that cannot be used.
    """

    def __init__(
        self,
        *,
        account: str,
        base_url: str,
        key: Callable[[], str],
        budget: RateBudget,
        observe: FactListener,
        clock: Clock,
        cost_unit: CostUnit = CostUnit.AUTO,
        units: Mapping[Metric, Unit] = DEFAULT_UNITS,
        inline_units: Mapping[Metric, Unit] = DEFAULT_INLINE_UNITS,
        timeout: float = 10.0,
        network: NetworkSettings | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._account = account
        self._base = base_of(base_url)
        self._credential = Credential(key)
        self._budget = budget
        self._observe = observe
        self._clock = clock
        self._cost_unit = cost_unit
        self._units = {**DEFAULT_UNITS, **units}
        self._inline_units = {**DEFAULT_INLINE_UNITS, **inline_units}
        self._wire = Wire(
            credential=self._credential,
            timeout=timeout,
            clock=clock,
            client=client_of(network or NetworkSettings(), self._base, timeout)
            if transport is None
            else new_client(transport=transport, proxied={}, timeout=timeout),
        )
        self._skew = 0.0
        self._dialect: Dialect | None = None
        self._dialects_met: set[Dialect] = set()

    @property
    def dialect(self) -> Dialect | None:
        """The dialect of the latest answer with data; ``None`` before the first."""
        return self._dialect

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()

    async def list_jobs(
        self,
        *,
        org: str | None = None,
        project: str | None = None,
        status: str | None = None,
        limit: int = 100,
        offset: int = 0,
        priority: Priority = Priority.RUNNING,
    ) -> Page[Job]:
        """Return one page of jobs; ``status`` is the API's filter: running, completed, failed."""
        # One dialect knows ``org``, the other ``org_id``; a filter unknown to it does no harm.
        query = _query(org=org, org_id=org, project=project, status=status)
        return await self._list("jobs", query, limit, offset, priority, read_job)

    async def list_projects(
        self,
        *,
        org: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Project]:
        """Return one page of projects."""
        query = _query(org=org, org_id=org)
        return await self._list("projects", query, limit, offset, Priority.DIRECTORY, read_project)

    async def list_organizations(self, *, limit: int = 100, offset: int = 0) -> Page[Organization]:
        """Return one page of organizations."""
        return await self._list(
            "organizations", {}, limit, offset, Priority.DIRECTORY, read_organization
        )

    async def list_offers(self, *, limit: int = 100, offset: int = 0) -> Page[Offer]:
        """Return one page of offers: prices in dollars per hour (deployed dialect only)."""
        return await self._list("offers", {}, limit, offset, Priority.DIRECTORY, read_offer)

    async def get_job(self, job_id: str) -> Job:
        """Return the details of one job."""
        call = Call(method="GET", url=f"{self._base}/jobs/{_segment(job_id)}/")
        return await self._request("job", call, Priority.READINGS, in_one(self._read_one_job))

    async def create_job(self, spec: NewJob) -> Job:
        """Start a job and return it, in the dialect of the latest answer or the documented one."""
        body = request_body(spec, self._dialect or Dialect.DOCUMENTED, self._clock.time())
        call = Call(method="POST", url=f"{self._base}/jobs/", body=body)
        return await self._request("create", call, Priority.RUNNING, in_one(self._read_one_job))

    async def stop_job(self, job_id: str) -> None:
        """Stop a job, in the dialect of the latest answer or the documented one."""
        job = f"{self._base}/jobs/{_segment(job_id)}"
        if self._dialect is Dialect.DEPLOYED:
            call = Call(method="POST", url=f"{job}/cancel/", body={})
        else:
            call = Call(method="POST", url=f"{job}/stop/")
        await self._request(
            "stop",
            call,
            Priority.RUNNING,
            in_one(lambda answer: check_acknowledged(answer, self._credential.tidy)),
        )

    async def get_metric(self, job_id: str, metric: Metric) -> Reading | None:
        """Return the newest reading of one metric; ``None`` if the answer has none.

        What cannot be parsed is reported to the listener as `Unreadable`.
        """
        endpoint = f"metrics/{metric}"
        call = Call(method="GET", url=f"{self._base}/{endpoint}/", query={"job_id": job_id})

        def read(answer: HttpAnswer) -> Steps[Reading | None]:
            data = open_answer(answer, self._credential.tidy).data
            unit = self._units[metric]
            found = yield from reading_steps(data, unit, answer.received_at, self._skew)
            for problem in found.problems:
                self._observe(
                    Unreadable(account=self._account, subject=metric.value, reason=problem)
                )
            if found.reading and self._credential.redaction().holds_key(found.reading):
                self._observe(
                    Unreadable(account=self._account, subject=metric.value, reason="key_in_device")
                )
                return None
            return found.reading

        return await self._request(endpoint, call, Priority.READINGS, read)

    async def _list(
        self,
        endpoint: str,
        query: dict[str, str],
        limit: int,
        offset: int,
        priority: Priority,
        read_item: Callable[[object, Context, list[Fact]], R | None],
    ) -> Page[R]:
        """Request one page; retry transient failures."""
        query |= {"limit": str(limit), "offset": str(offset)}
        call = Call(
            method="GET", url=f"{self._base}/{endpoint}/", query=query, most_bytes=PAGE.bytes
        )

        def read(answer: HttpAnswer) -> Steps[Page[R]]:
            opened = yield from open_page(answer, self._credential.tidy)
            context = self._context(opened, answer)

            def read_one(raw: object) -> R | None:
                notes: list[Fact] = []
                item = read_item(raw, context, notes)
                self._report(notes)
                return item

            page = yield from read_page(opened, offset, read_one)
            if page.items:
                self._recognize(page.dialect)
            return page

        for attempt in range(_RETRIES):
            try:
                return await self._request(endpoint, call, priority, read)
            except _PASSING:
                if self._budget.blocked_for > _LONGEST_PAUSE:
                    raise
                await self._clock.sleep(self._clock.random.uniform(0, _FIRST_PAUSE * 2**attempt))
        return await self._request(endpoint, call, priority, read)

    def _read_one_job(self, answer: HttpAnswer) -> Job:
        opened = open_answer(answer, self._credential.tidy)
        notes: list[Fact] = []
        job = read_job(opened.data, self._context(opened, answer), notes)
        self._report(notes)
        if job is None:
            raise UnexpectedShape("the answer holds no job")
        self._recognize(opened.dialect)
        return job

    async def _request(
        self, endpoint: str, call: Call, priority: Priority, read: Callable[[HttpAnswer], Steps[T]]
    ) -> T:
        """Send a call, and follow redirects within the API's origin."""
        for _ in range(_MOST_HOPS + 1):
            result = await self._exchange(endpoint, call, priority, read)
            if not isinstance(result, Call):
                return result
            call = result
        raise RedirectRefused("redirected too often")

    async def _exchange(
        self, endpoint: str, call: Call, priority: Priority, read: Callable[[HttpAnswer], Steps[T]]
    ) -> T | Call:
        """Send one request and return what it read; for a redirect, the call to make instead."""
        await self._budget.acquire(priority, _LONGEST_BLOCK)
        started = self._clock.monotonic()
        outcome: str | None = None
        try:
            answer = await self._wire.send(call, self._take_headers)
            if answer.status in _REDIRECTS and "location" in answer.headers:
                outcome = RedirectRefused.outcome
                return self._moved(call, answer)
            result = await take_turns(read(answer))
            self._budget.succeed()
            outcome = "ok"
        except TrainwaveError as error:
            outcome = error.outcome
            if isinstance(error, RateLimited):
                with self._noting_block():
                    self._budget.back_off(error.retry_after)
            elif isinstance(error, ServerError) and error.retry_after:
                with self._noting_block():
                    self._budget.back_off(error.retry_after, BlockReason.UNAVAILABLE)
            # Frames of the traceback hold the answer, which may repeat the key.
            raise error.with_traceback(None) from None
        else:
            return result
        finally:
            self._budget.release()
            if outcome is not None:  # not when cancelled: that says nothing about the API
                self._report_exchange(endpoint, outcome, self._clock.monotonic() - started)

    def _take_headers(self, headers: httpx.Headers, now: float) -> None:
        """Take in the headers of any answer: rate limit and clock."""
        rates = rate_headers(headers, now)
        with self._noting_block():
            self._budget.learn(rates)
        if rates.skew is not None:
            # `Date` is in whole seconds: what is closer than that must not move timestamps about.
            if abs(rates.skew - self._skew) > _SKEW_NOISE:
                self._skew = rates.skew
            self._observe(ClockSkew(self._account, rates.skew))

    @contextmanager
    def _noting_block(self) -> Iterator[None]:
        """Log a long block when it begins: until it ends, nothing is requested."""
        before = self._budget.blocked_for
        yield
        seconds = self._budget.blocked_for
        if before == 0 and seconds > _LONGEST_BLOCK:
            log.warning(
                "api_requests_blocked",
                account=self._account,
                seconds=round(seconds),
                reason=self._budget.snapshot(self._clock.time()).blocked_reason,
            )

    def _moved(self, call: Call, answer: HttpAnswer) -> Call:
        if call.method != "GET":
            raise RedirectRefused(f"redirected a {call.method}, which may not be sent twice")
        target = redirect_target(call.url, answer.headers["location"], self._credential.tidy)
        return Call(method="GET", url=target, most_bytes=call.most_bytes)

    def _context(self, opened: OpenedAnswer, answer: HttpAnswer) -> Context:
        return Context(
            account=self._account,
            dialect=opened.dialect,
            received_at=answer.received_at,
            cost_unit=self._cost_unit,
            inline_units=self._inline_units,
            skew=self._skew,
            redaction=self._credential.redaction(),
        )

    def _recognize(self, dialect: Dialect) -> None:
        self._dialect = dialect
        if dialect not in self._dialects_met:
            self._dialects_met.add(dialect)
            log.info("api_dialect_recognized", account=self._account, dialect=dialect.value)

    def _report(self, facts: list[Fact]) -> None:
        for fact in facts:
            self._observe(fact)

    def _report_exchange(self, endpoint: str, outcome: str, seconds: float) -> None:
        self._observe(
            Exchange(account=self._account, endpoint=endpoint, outcome=outcome, seconds=seconds)
        )


def _query(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _segment(job_id: str) -> str:
    """Return a job's id quoted for a path. Raises `NotFound` for one that changes the path."""
    if job_id not in {"", ".", ".."}:
        with suppress(UnicodeEncodeError):
            return quote(job_id, safe="")
    raise NotFound(None, None, "no job has such an id")
