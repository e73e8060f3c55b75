"""What holds for all tests: no deadlines, since machines are shared, and the long ones first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have every worker begin with its part of the long tests, most of which wait for most of it.

    Each worker is handed a stretch of the list, and takes from others' when it has done its own.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("long") is not None]
    others = [item for item in items if item.get_closest_marker("long") is None]
    size = -(-len(others) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in long[worker::workers] + others[worker * size : (worker + 1) * size]
    ]


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take no coverage, also of the processes that are started.

    For tests that run for long what others run, too: to be traced costs them as much again.
    """
    coverage = Coverage.current()
    if coverage is None:
        yield
        return
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    coverage.stop()
    yield
    coverage.start()
