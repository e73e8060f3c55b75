"""Details that the API reports of a job later than its cost: price, end, type of GPU."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import Store
from trainwave_exporter.ledger.billing.catch_up import PATIENCE
from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.ledger.billing.meter_value import value_at
from trainwave_exporter.ledger.billing.units import dollars, milliseconds

HOUR = 3600.0
HELD = OPENING / 1000
PATIENT = PATIENCE / 1000


def spent(folder: Path, at: float) -> float:
    """Return what the job had cost by then, as far as is known now."""
    with closing(Store.open_for_reading(folder)) as store:
        history = store.history("j-1")
    assert history is not None
    assert history.entry.cost is not None
    last, life = history.entry.cost.last, history.entry.life
    return dollars(value_at(history.cost, last, life, milliseconds(at)))


def test_a_price_reported_late_says_since_when_a_finished_job_was_billed(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    ended: Mapping[str, Any] = {"cost_dollars": 3.6, "created_at": START - 5 * HOUR}
    world.open(world.job(state="SUCCESS", hourly_cost_dollars=None, **ended))
    world.see(world.job(state="SUCCESS", finished_at=START - HOUR, **ended))
    assert spent(tmp_path, START - 2 * HOUR) == 0
    assert spent(tmp_path, START - 1.5 * HOUR) == pytest.approx(1.8)


def test_a_price_reported_late_says_since_when_a_running_job_was_billed(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open(world.job(cost_dollars=3.6, created_at=START - 5 * HOUR, hourly_cost_dollars=None))
    world.now += 60
    world.see(world.job(cost_dollars=3.66))
    world.now += 60
    world.see(world.job(cost_dollars=3.72))
    assert spent(tmp_path, START - HOUR) == 0
    assert spent(tmp_path, START - HOUR / 2) == pytest.approx(1.8)


def test_details_that_report_the_same_cost_do_not_make_a_correction_pass_for_a_late_bill() -> None:
    world = LedgerWorld()
    world.open(world.job(cost_dollars=3.6, hourly_cost_dollars=None))
    world.see(world.job(cost_dollars=3.6))
    world.now += HOUR
    world.see(world.job(cost_dollars=9.0))
    world.now += 60
    world.see(world.job(cost_dollars=9.06))
    assert world.corrections() == pytest.approx((1.8, 0))


def test_an_end_that_details_reported_stays_where_lists_alone_report_the_job(
    tmp_path: Path,
) -> None:
    world = LedgerWorld(tmp_path)
    ended: Mapping[str, Any] = {
        "cost_dollars": 3.6,
        "gpu_hours": 4.0,
        "created_at": START - 5 * HOUR,
    }
    world.open(world.job(state="SUCCESS", finished_at=START - 3 * HOUR, **ended))
    world.now += HOUR
    world.see(world.job(state="SUCCESS", hourly_cost_dollars=None, **ended), shown=False)
    assert spent(tmp_path, START - 3.5 * HOUR) == pytest.approx(1.8)


def test_a_restart_waits_for_the_gpu_type_anew(tmp_path: Path) -> None:
    before = LedgerWorld(tmp_path)
    before.open()
    before.see(before.job(gpu_type=None, cost_dollars=1.0))
    before.writer.close()
    after = LedgerWorld(tmp_path, now=START + 2 * PATIENT)
    after.tick(PATIENT)  # the API does not answer yet
    after.open(after.job(gpu_type=None, cost_dollars=1.0))
    after.tick(PATIENT / 2)
    after.see(after.job(cost_dollars=1.0))
    after.tick(HELD)
    assert after.cost() == 1
    assert after.cost("") is None


def test_a_restart_counts_what_nobody_can_ask_about_any_more(tmp_path: Path) -> None:
    before = LedgerWorld(tmp_path)
    before.open()
    before.see(before.job(gpu_type=None, cost_dollars=1.0))
    before.writer.close()
    after = LedgerWorld(tmp_path, accounts=("b",), now=START + 60)
    after.tick(0)
    after.tick(HELD)
    assert after.cost("") is None
    after.tick(PATIENT)  # the other account is down
    assert after.cost("") == 0  # it was never shown before
    after.tick(HELD)
    assert after.cost("") == 1
