"""Clients of the API with the wire, the clock and the dice in the tests' hands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.fake_time import FakeTime

from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.model import Fact
from trainwave_exporter.runtime.clock import Clock

FIXTURES = Path(__file__).parent / "fixtures"

KEY = "tw_k3y-Of/Some+Strength="


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def fixture() -> Callable[[str], Any]:
    """Read one of the examples, as it stands."""
    return lambda name: json.loads((FIXTURES / f"{name}.json").read_bytes())


@pytest.fixture
def facts() -> list[Fact]:
    return []


@pytest.fixture
async def make_client(facts: list[Fact]) -> AsyncIterator[Callable[..., Client]]:
    """Make clients that do not wait between attempts; each is closed after the test."""
    made: list[Client] = []

    async def no_sleep(_: float) -> None:
        return

    def make(
        base_url: str = "http://api.test/api/v1", *, clock: Clock | None = None, **settings: Any
    ) -> Client:
        defaults: dict[str, Any] = {
            "account": "research",
            "base_url": base_url,
            "key": lambda: KEY,
            "budget": RateBudget(clock=Clock(random=Random(1)), initial_limit=10_000),
            "observe": facts.append,
            "clock": clock or Clock(random=Random(1), sleep=no_sleep),
        }
        made.append(Client(**(defaults | settings)))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()
