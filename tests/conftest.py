"""What holds for all tests: no deadlines, since machines are shared, and the longest go first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have every worker begin with its part of the long tests, which have a timeout of their own.

    Each worker is handed a stretch of the list, and takes from others' when it has done its own: a
    long test that comes late would be waited for by all.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    long = [item for item in items if item.get_closest_marker("timeout") is not None]
    rest = [item for item in items if item.get_closest_marker("timeout") is None]
    size = -(-len(rest) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in long[worker::workers] + rest[worker * size : (worker + 1) * size]
    ]
