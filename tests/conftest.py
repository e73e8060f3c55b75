"""What holds for all tests: no deadlines, since machines are shared, and the long ones first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have most workers begin with long tests, which wait most of the time, and two with others.

    Each worker is handed a stretch of the list, and takes from others' when it has done its own.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    waiting = max(1, workers - 2)
    long = [item for item in items if _is_long(item)]
    others = iter(item for item in items if not _is_long(item))
    size = -(-len(items) // workers)
    stretches = [long[worker::waiting] if worker < waiting else [] for worker in range(workers)]
    for stretch in stretches:
        stretch.extend(islice(others, max(0, size - len(stretch))))
    items[:] = [*chain.from_iterable(stretches), *others]


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None or "untraced" in getattr(
        item, "fixturenames", ()
    )


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
