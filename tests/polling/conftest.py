"""An API on loopback that tests bend as they like, and pollers in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from support.polling_rig import Api, Watch


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    served = Api()
    runner = web.AppRunner(served.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def watch(api: Api) -> AsyncIterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def make(**options: Any) -> Watch:
        made.append(Watch(api, **options))
        return made[-1]

    yield make
    for each in made:
        await each.poller.stop()
