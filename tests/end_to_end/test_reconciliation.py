"""Whether the credit falls by what the jobs cost: what nobody can explain is shown, and only that.

The clock stands still while the exporter looks, and goes on by hours; a balance is compared with
the books as soon as it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.exporter import Metrics
from support.watched_world import Watch, watching

from trainwave_exporter.simulator import SimulatedDialect
from trainwave_exporter.simulator.ids import IdKind, write_id

HOUR = 3600
DOLLAR = 1_000_000
"""Micro-dollars."""
CENTS = 0.15
"""Balances, and what jobs cost in one of the dialects, are told in whole cents."""
BALANCE = "trainwave_organization_credit_balance_dollars"
DIFFERENCE = "trainwave_reconciliation_difference_dollars"


@pytest.fixture(params=list(SimulatedDialect))
def dialect(request: pytest.FixtureRequest) -> SimulatedDialect:
    return SimulatedDialect(request.param)


@pytest.fixture
def watch(dialect: SimulatedDialect, tmp_path: Path) -> Iterator[Watch]:
    flag = "--polling.directory-interval=500ms"  # of real time, whatever the clock shows
    with watching(tmp_path, dialect, flag, seed=3, jobs=8, history=10) as watch:
        watch.go_on(HOUR)
        look(watch)
        yield watch


def look(watch: Watch) -> Metrics:
    """Have all be seen that there is to see, balances included.

    These were just asked for, so the clock may now go on before that is done again.
    """
    watch.exporter.ensure_running()
    watch.look()
    return look_at_balances(watch)


def look_at_balances(watch: Watch) -> Metrics:
    reported = sorted(
        entry.balance / DOLLAR for entry in watch.expected_totals.organizations.values()
    )
    runs = directory_runs(watch.exporter.metrics())
    return watch.wait(
        lambda m: (
            directory_runs(m) > runs
            and sorted(value for _, value in m.all(BALANCE)) == pytest.approx(reported, abs=0.01)
        ),
        "the balances",
    )


def directory_runs(metrics: Metrics) -> float:
    runs = metrics.all("trainwave_exporter_loop_runs_total", loop="directory", outcome="ok")
    return sum(value for _, value in runs)


def pay_in(watch: Watch, dollars: int) -> None:
    """Have the first organization pay in so much, or a fee be taken off its credit."""
    watch.world.pay_in(watch.world.catalogue.organizations[0], dollars * DOLLAR)
    look_at_balances(watch)


def difference(watch: Watch) -> dict[str, float]:
    """Let an hour pass; return the differences by organization."""
    watch.go_on(HOUR)
    return look(watch).by("organization_id", DIFFERENCE)


def test_only_money_that_no_job_explains_is_a_difference(
    watch: Watch, dialect: SimulatedDialect
) -> None:
    organizations = watch.world.catalogue.organizations
    first, *others = (write_id(dialect, IdKind.ORGANIZATION, o.code) for o in organizations)
    none = dict.fromkeys([first, *others], 0.0)
    drift = {**none, first: 40.0}
    spent = watch.expected_totals.total.microdollars

    assert difference(watch) == {}  # one balance alone tells nothing
    for _ in range(2):
        assert difference(watch) == pytest.approx(none, abs=CENTS)
    assert watch.expected_totals.total.microdollars - spent > 40 * DOLLAR

    pay_in(watch, 5000)
    for _ in range(2):
        assert difference(watch) == pytest.approx(none, abs=CENTS)

    pay_in(watch, -40)
    for _ in range(2):
        assert difference(watch) == pytest.approx(drift, abs=CENTS)

    watch.kill(answered=True)
    look(watch)
    assert difference(watch) == pytest.approx(drift, abs=CENTS)
