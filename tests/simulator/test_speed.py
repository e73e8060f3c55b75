"""Cheap enough to run beside the exporter. Bounds are wide: they tell linear from constant."""

from __future__ import annotations

from time import process_time

from simulator.wire import Clock, serving, small_world

from trainwave_exporter.simulator import SimulatedWorld


def seconds_for(world: SimulatedWorld, looks: int) -> float:
    begin = process_time()
    for _ in range(looks):
        world.advance()
        world.select(world.catalogue.projects[0])
        world.balance(world.catalogue.organizations[0])
    return process_time() - begin


def test_a_world_of_ten_thousand_jobs_is_made_in_seconds_and_looked_at_in_microseconds() -> None:
    begin = process_time()
    clock = Clock()
    world = small_world(clock, jobs=10_000, history=0)
    assert process_time() - begin < 5
    assert seconds_for(world, 1000) < 0.5
    begin = process_time()
    clock.now = 60
    world.advance()
    assert process_time() - begin < 0.5


async def test_a_page_out_of_ten_thousand_jobs_takes_milliseconds_wherever_it_begins() -> None:
    world = small_world(jobs=10_000, history=0)
    async with serving(world) as (_, client):
        begin = process_time()
        for offset in range(0, 10_000, 500):
            answer = await client.ask(f"/jobs/?limit=100&status=running&offset={offset}")
            assert answer.data["count"] > 8000
        assert (process_time() - begin) / 20 < 0.05
