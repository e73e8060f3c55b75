from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.simulator import Stats


def test_requests_are_counted_by_endpoint_key_and_status() -> None:
    stats = Stats()
    for endpoint, key, status, now in (
        ("jobs", "one", 200, 1.0),
        ("jobs", "two", 429, 2.0),
        ("metrics/cpu", "one", 0, 3.0),
    ):
        stats.arrive(endpoint, key, now)
        stats.leave(status, now + 0.5)
    assert stats.requests == 3
    assert stats.by_endpoint == {"jobs": 2, "metrics/cpu": 1}
    assert stats.by_key == {"one": 2, "two": 1}
    assert stats.by_status == {200: 1, 429: 1, 0: 1}
    assert list(stats.times) == [1.0, 2.0, 3.0]
    assert list(stats.refused_times) == [2.5]
    assert stats.refusals == 1


@given(st.lists(st.floats(0, 500), min_size=1, max_size=60))
def test_the_busiest_minute_is_the_highest_number_in_any_sixty_seconds(times: list[float]) -> None:
    stats = Stats()
    times.sort()
    for now in times:
        stats.arrive("jobs", "one", now)
    assert stats.busiest_minute == max(sum(end - 60 < now <= end for now in times) for end in times)
