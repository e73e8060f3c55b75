"""Other accounts and other rules, while all that is known stays known."""

from __future__ import annotations

from msgspec.structs import replace
from support.fleet_world import POLICY, World

from trainwave_exporter.fleet import Policy
from trainwave_exporter.model import Organization, Project


def reconfigure(world: World, *accounts: str, policy: Policy = POLICY) -> None:
    world.accounts = accounts
    world._listen(world.fleet.reconfigure(accounts=accounts, policy=policy, now=world.now))


def test_an_account_that_is_added_can_be_reported() -> None:
    world = World(("a",))
    world.sweep(world.job("j-1"))
    reconfigure(world, "a", "b")
    assert not world.status("b").up
    world.sweep(world.job("j-2", account="b", project_id="p-2"), account="b")
    assert world.status("b").counted
    assert (world.is_shown("j-1"), world.is_shown("j-2")) == (True, True)
    world.tick(1.0)


def test_what_is_known_of_an_account_goes_with_it_and_of_others_stays() -> None:
    world = World(("a", "b"))
    world.sweep(world.job("j-1"))
    world.sweep(world.job("j-2", account="b", project_id="p-2"), account="b")
    world.projects(Project(account="a", id="p-1"))
    world.projects(Project(account="b", id="p-2"), account="b")
    world.organizations(Organization(account="b", id="o-2"), account="b")
    reconfigure(world, "a")
    left = {key for _, key in world.mirror}
    assert {"a", "j-1", "p-1"} <= left
    assert left.isdisjoint({"b", "j-2", "o-2"})
    assert world.fleet.project("p-2") is None
    assert world.tally("p-1").jobs == {"RUNNING": 1}
    assert not world.tally("p-2").jobs
    world.tick(10.0)


def test_a_job_that_another_account_sees_too_is_taken_over() -> None:
    world = World(("a", "b"))
    world.sweep(world.job("j-1"))
    world.sweep(world.job("j-1", account="b"), account="b")
    reconfigure(world, "b")
    assert not world.is_shown("j-1")
    world.sweep(world.job("j-1", account="b"), account="b")
    assert world.shown("j-1").account == "b"


def test_an_account_that_comes_back_counts_nothing_twice() -> None:
    world = World(("a", "b"))
    world.sweep(world.job("j-1"))
    reconfigure(world, "b")
    reconfigure(world, "a", "b")
    assert not world.status("a").counted
    world.sweep(world.job("j-1"))
    world.sweep(account="b")
    assert world.tally().jobs == {"RUNNING": 1}
    assert world.tally().transitions == {}


def test_a_shorter_retention_lets_finished_jobs_go_and_a_longer_one_keeps_them() -> None:
    world = World()
    ended = world.job("j-1", "SUCCESS", finished_at=world.now)
    world.sweep(ended)
    reconfigure(world, "a", policy=replace(POLICY, finished_retention=7200))
    world.tick(3601.0, answering=True)
    assert world.is_shown("j-1")
    reconfigure(world, "a", policy=replace(POLICY, finished_retention=60))
    world.tick(1.0, answering=True)
    assert not world.is_shown("j-1")


def test_the_same_again_changes_nothing() -> None:
    world = World(("a", "b"))
    world.sweep(world.job("j-1"))
    before = len(world.changes)
    reconfigure(world, "a", "b")
    assert len(world.changes) == before
