"""Overflow series for sets of labels beyond the limit: sums are exact, and never fall."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period, WasteRules
from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.ledger.billing.label_groups import Groups
from trainwave_exporter.ledger.ledger_writer import PendingObservations
from trainwave_exporter.model import BudgetStatus, Burn, Job, Spend

TWO = WasteRules(max_groups=2)


def owned(*owners: str, project: str = "p-1") -> list[Labels]:
    return [Labels(project, owner, "H100") for owner in owners]


def test_the_first_labels_have_series_of_their_own_for_good() -> None:
    groups = Groups((), 2)
    rest = Labels("p-1", "other", "other")
    assert [groups.place(labels) for labels in owned("ada", "bob", "cleo", "dan", "ada")] == [
        *owned("ada", "bob"),
        rest,
        rest,
        *owned("ada"),
    ]


def test_a_project_without_a_series_is_summed_up_with_all_others() -> None:
    groups = Groups(owned("ada", "bob"), 2)
    assert groups.place(Labels("p-9", "ada", "H100")) == Labels("other", "other", "other")


def test_labels_that_have_a_series_keep_it_under_a_lower_limit() -> None:
    groups = Groups(owned("ada", "bob", "cleo"), 1)
    assert [groups.place(labels) for labels in owned("cleo", "dan")] == [
        *owned("cleo"),
        Labels("p-1", "other", "other"),
    ]


def test_an_owner_named_like_the_overflow_series_is_in_it() -> None:
    groups = Groups((), 1)
    other = Labels("other", "other", "other")
    assert [
        groups.place(labels) for labels in (other, *owned("ada"), *owned("bob", project="q"))
    ] == [
        other,
        *owned("ada"),
        other,
    ]


def jobs(world: LedgerWorld, owners: Iterable[str], cost: float) -> list[Job]:
    return [world.job(f"j-{owner}", owner=owner, cost_dollars=cost) for owner in owners]


def spent(world: LedgerWorld) -> dict[tuple[str, str, str], float]:
    return {
        (record.project_id, record.owner, record.gpu_type): record.cost_dollars
        for record in world.all(Spend)
    }


def test_spend_of_more_owners_than_wanted_is_summed_up_exactly(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path, rules=TWO)
    world.open(*jobs(world, ("ada", "bob", "cleo", "dan"), 0.1))
    assert spent(world) == {
        ("p-1", "ada", "H100"): 0.1,
        ("p-1", "bob", "H100"): 0.1,
        ("p-1", "other", "other"): 0.2,
    }
    burn = {(record.owner, record.dollars_per_hour) for record in world.all(Burn)}
    assert burn == {("ada", 3.6), ("bob", 3.6), ("other", 7.2)}


@pytest.mark.parametrize("limit", [1, 2, 3, 0], ids=["lower", "the same", "higher", "none"])
def test_no_counter_falls_over_a_restart_and_another_limit(tmp_path: Path, limit: int) -> None:
    """Though the ledger holds its sets of labels in order of their names, and aaron comes last."""
    world = LedgerWorld(tmp_path, rules=TWO)
    world.open(*jobs(world, ("cleo", "dan", "bob"), 1.0))
    world.see(*jobs(world, ("aaron",), 1.0))
    before = spent(world)
    assert set(before) == {
        ("p-1", "cleo", "H100"),
        ("p-1", "dan", "H100"),
        ("p-1", "other", "other"),
    }
    world.writer.close()
    again = LedgerWorld(tmp_path, rules=WasteRules(max_groups=limit), now=world.now + 60)
    again.open(*jobs(again, ("aaron", "bob", "cleo", "dan"), 1.05))
    after = spent(again)
    assert {labels: after[labels] >= amount for labels, amount in before.items()} == dict.fromkeys(
        before, True
    )
    again.tick(600)
    assert fsum(spent(again).values()) == pytest.approx(4.2)


def test_ever_new_owners_leave_no_more_series_than_wanted(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path, rules=WasteRules(max_groups=10))
    for n in range(0, 300, 30):
        world.now += 60
        owners = [f"owner-{m}" for m in range(n, n + 30)]
        world.see(*jobs(world, owners, 0.01), counted=True)
        world.see(*[job_over(world, owner) for owner in owners])
    assert len(spent(world)) == 11
    world.tick(600)
    assert fsum(spent(world).values()) == pytest.approx(3.0)
    assert len(world.all(Burn)) == 11


def job_over(world: LedgerWorld, owner: str) -> Job:
    times = {"created_at": world.now - 36, "finished_at": world.now}
    return world.job(f"j-{owner}", "SUCCESS", owner=owner, cost_dollars=0.01, **times)


def test_burn_is_bounded_before_anything_is_counted(tmp_path: Path) -> None:
    """Without a GPU type, jobs wait to be counted under one."""
    world = LedgerWorld(tmp_path, rules=TWO)
    running = [world.job(f"j-{n}", owner=f"o-{n}", gpu_type=None) for n in range(50)]
    world.open(*running)
    assert sorted(record.dollars_per_hour for record in world.all(Burn)) == [
        3.6,
        3.6,
        pytest.approx(48 * 3.6),
    ]


def test_a_budget_of_an_owner_without_a_series_is_known(tmp_path: Path) -> None:
    """Its spend is computed from the jobs; its name is known though no series has it."""
    budget = Budget(
        name="b",
        limit_dollars=100.0,
        period=Period.MONTH,
        zone=ZoneInfo("UTC"),
        owners=frozenset({"cleo"}),
    )
    world = LedgerWorld(tmp_path, rules=TWO, budgets=(budget,))
    world.open(*[job_over(world, owner) for owner in ("ada", "bob", "cleo")])
    world.take(PendingObservations(hidden={"j-cleo"}))
    world.tick(60)
    assert world.unknown("scope") == set()
    assert world.one(BudgetStatus).spent_dollars == pytest.approx(0.01)
