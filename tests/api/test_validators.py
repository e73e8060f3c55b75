"""What has not changed is not sent again, and is news all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from support.fake_time import FakeTime

from trainwave_exporter.api import Client
from trainwave_exporter.api.validators import Validators
from trainwave_exporter.simulator import Simulator, World

MakeClient = Callable[..., Client]


@pytest.fixture
async def simulator(fake_time: FakeTime) -> AsyncIterator[tuple[Simulator, str]]:
    world = World(jobs=30, start=fake_time.now, clock=fake_time.monotonic)
    simulator = Simulator(world, keys=["tw_k3y-Of/Some+Strength="], etags=True)
    async with simulator.serve() as url:
        yield simulator, url


async def test_a_list_that_is_as_it_was_is_not_sent_again_but_confirmed_anew(
    make_client: MakeClient, fake_time: FakeTime, simulator: tuple[Simulator, str]
) -> None:
    service, url = simulator
    client = make_client(url, clock=fake_time.clock)
    first = await client.list_jobs(limit=10)
    fake_time.now += 5  # the world stands still: it goes by the monotonic clock
    second = await client.list_jobs(limit=10)
    assert service.stats.by_status == {200: 1, 304: 1}
    assert [job.id for job in second.items] == [job.id for job in first.items]
    assert second.items[0].confirmed_at == first.items[0].confirmed_at + 5


async def test_what_changed_is_sent_whole(
    make_client: MakeClient, fake_time: FakeTime, simulator: tuple[Simulator, str]
) -> None:
    service, url = simulator
    client = make_client(url, clock=fake_time.clock)
    before = await client.list_jobs(status="running", limit=10)
    await fake_time.advance(3600)
    after = await client.list_jobs(status="running", limit=10)
    assert service.stats.by_status == {200: 2}
    assert after.items[0].cost_dollars != before.items[0].cost_dollars


async def test_pages_are_told_apart(
    make_client: MakeClient, simulator: tuple[Simulator, str]
) -> None:
    service, url = simulator
    client = make_client(url)
    first = await client.list_jobs(limit=10)
    second = await client.list_jobs(limit=10, offset=10)
    assert service.stats.by_status == {200: 2}
    assert {job.id for job in first.items}.isdisjoint(job.id for job in second.items)


def test_without_a_tag_nothing_is_remembered() -> None:
    validators = Validators()
    validators.remember("u", {"last-modified": "Thu, 21 Mar 2024 09:00:00 GMT"}, b"body")
    assert validators.conditions("u") == {}
    assert validators.unchanged("u") is None


def test_a_body_without_a_tag_replaces_one_that_had_one() -> None:
    validators = Validators()
    validators.remember("u", {"etag": '"1"'}, b"old")
    assert validators.conditions("u") == {"If-None-Match": '"1"'}
    validators.remember("u", {}, b"new")
    assert validators.unchanged("u") is None


def test_memory_is_bounded_and_what_was_used_last_stays() -> None:
    validators = Validators(most_bytes=10)
    for url in ("a", "b"):
        validators.remember(url, {"etag": url}, b"12345")
    assert validators.unchanged("a") == b"12345"
    validators.remember("c", {"etag": "c"}, b"12345")
    assert [validators.unchanged(url) is not None for url in "abc"] == [True, False, True]
    validators.remember("d", {"etag": "d"}, b"12345678901")
    assert validators.unchanged("d") is None
    for n in range(50):
        validators.remember("a", {"etag": str(n)}, b"1234")
    assert validators.unchanged("c") == b"12345"
