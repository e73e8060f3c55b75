"""The key is sent in its header, and is nowhere else to be found."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.api_server import serving

from trainwave_exporter.api import Client, NewJob, TrainwaveError
from trainwave_exporter.model import Fact, Metric

MakeClient = Callable[..., Client]
KEY = "tw_0123456789-abcdefghij"


def echo(request: web.Request) -> web.Response:
    """Answer as a careless server might: with everything it got."""
    echoed = {
        "headers": dict(request.headers),
        "detail": f"bad key {request.headers['X-API-KEY']}",
    }
    return web.json_response(echoed, status=400)


def echo_code(request: web.Request) -> web.Response:
    key = request.headers["X-API-KEY"]
    return web.json_response({"success": False, "error": {"code": key, "message": f"\n{key}"}})


def echo_text(request: web.Request) -> web.Response:
    return web.Response(status=500, text="x" * 190 + request.headers["X-API-KEY"])


def redirect(request: web.Request) -> web.Response:
    location = f"http://{request.headers['X-API-KEY']}.evil.test/"
    return web.Response(status=302, headers={"Location": location})


def not_json(request: web.Request) -> web.Response:
    return web.Response(text=f"<p>{request.headers['X-API-KEY']}")


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def fall_silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def everything(error: BaseException) -> str:
    """Return all that a log, a debugger or an error tracker could show of an exception."""
    shown = [repr(error), str(error), repr(vars(error))]
    assert error.__traceback__ is not None
    beyond_the_test = error.with_traceback(error.__traceback__.tb_next)
    trace = traceback.TracebackException.from_exception(beyond_the_test, capture_locals=True)
    assert trace.stack
    shown += trace.format(chain=True)
    for chained in (error.__cause__, error.__context__):
        if chained is not None:
            shown.append(everything(chained))
    return "\n".join(shown)


@pytest.mark.parametrize(
    "respond",
    [echo, echo_code, echo_text, redirect, not_json, hang_up, fall_silent],
)
async def test_no_failure_shows_the_key(
    make_client: MakeClient,
    facts: list[Fact],
    caplog: pytest.LogCaptureFixture,
    respond: Callable[[web.Request], Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(respond) as server:
        client = make_client(server.url, key=lambda: KEY, timeout=0.05)
        requests: list[Callable[[], Awaitable[Any]]] = [
            client.list_jobs,
            client.list_organizations,
            lambda: client.get_job("j-1"),
            lambda: client.get_metric("j-1", Metric.CPU),
            lambda: client.stop_job("j-1"),
            lambda: client.create_job(NewJob(name="n", project="p-1")),
        ]
        with capture_logs() as logs:
            for request in requests:
                with pytest.raises(TrainwaveError) as failure:
                    await request()
                assert failure.value.__cause__ is None
                assert failure.value.__context__ is None
                assert KEY not in everything(failure.value)
        assert any(asked.headers["x-api-key"] == KEY for asked in server.asked)
    assert KEY not in repr(logs)
    assert KEY not in caplog.text
    assert KEY not in repr(facts)


async def test_no_repr_shows_the_key(make_client: MakeClient) -> None:
    client = make_client(key=lambda: KEY)
    for thing in (client, vars(client), *vars(client).values()):
        assert KEY not in repr(thing)
        assert KEY not in str(thing)


async def test_the_key_goes_into_no_url_and_no_body(make_client: MakeClient) -> None:
    sent: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"id": "j-1", "state": "RUNNING"}'))

    client = make_client(key=lambda: KEY, transport=httpx.MockTransport(note))
    await client.get_job("j-1")
    await client.create_job(NewJob(name="n", project="p-1"))
    for request in sent:
        assert request.headers["X-API-KEY"] == KEY
        assert KEY not in str(request.url)
        assert KEY.encode() not in request.content
        others = [value for name, value in request.headers.items() if name != "x-api-key"]
        assert KEY not in repr(others)
