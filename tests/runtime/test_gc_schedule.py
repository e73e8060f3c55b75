from __future__ import annotations

import gc
import weakref

from support.fake_time import FakeTime

from trainwave_exporter.runtime.gc_schedule import INTERVAL, GcSchedule


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def old_cycle() -> weakref.ref[Cycle]:
    """Return a cycle that nobody holds any more, but that no look at young objects finds."""
    cycle = Cycle()
    for generation in (0, 1):
        gc.collect(generation)
    return weakref.ref(cycle)


async def test_what_died_old_is_collected_once_an_hour() -> None:
    time = FakeTime()
    collector = GcSchedule(time.monotonic)
    with collector.in_charge():
        cycle = old_cycle()
        await time.advance(INTERVAL - 1)
        collector.look()
        assert cycle() is not None
        await time.advance(1)
        collector.look()
        assert cycle() is None


def test_there_are_no_full_collections_in_between() -> None:
    usual = gc.get_threshold()
    collector = GcSchedule(lambda: 0.0)
    with collector.in_charge():
        before = gc.get_stats()[2]["collections"]
        kept = [[number] for number in range(usual[0] * (usual[1] + 2) * (usual[2] + 2))]
        assert gc.get_stats()[2]["collections"] == before
        assert gc.get_stats()[1]["collections"] > 0
        assert kept
    assert gc.get_threshold() == usual
