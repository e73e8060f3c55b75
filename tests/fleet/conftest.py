"""A fleet on a clock that tests turn by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.fleet_world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def worlds() -> Callable[..., World]:
    return World
