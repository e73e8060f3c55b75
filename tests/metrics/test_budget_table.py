"""Budgets are identified by their name and by what the exporter's accounts see."""

from __future__ import annotations

from support.metrics import appeared, make_exposition, text_of

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import Exposition, Selection
from trainwave_exporter.model import (
    AccountStatus,
    BudgetStatus,
    Changed,
    Departed,
    Departure,
)


def status(name: str = "all", spent: float = 30) -> BudgetStatus:
    return BudgetStatus(
        name=name,
        limit_dollars=100,
        spent_dollars=spent,
        forecast_dollars=None,
        exhausted_at=None,
        begins_at=0,
        ends_at=3600,
    )


def spent(exposition: Exposition) -> list[str]:
    exposition.publish()
    lines = text_of(exposition, Format.TEXT).splitlines()
    return [line for line in lines if line.startswith("trainwave_budget_spent_dollars{")]


def test_a_budget_waits_until_every_account_was_asked_what_it_sees() -> None:
    exposition = make_exposition()
    north, south = AccountStatus(name="north"), AccountStatus(name="south")
    exposition.apply(appeared(north, south, status()))
    assert spent(exposition) == []
    exposition.apply([Changed(north, AccountStatus(name="north", view="o-2"))])
    assert spent(exposition) == []
    exposition.apply([Changed(south, AccountStatus(name="south", view="o-1"))])
    assert spent(exposition) == ['trainwave_budget_spent_dollars{budget="all",view="o-1,o-2"} 30']


def test_a_budget_is_shown_without_a_view_where_no_account_could_report() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(AccountStatus(name="north", view=""), status()))
    assert spent(exposition) == ['trainwave_budget_spent_dollars{budget="all"} 30']


def test_a_budget_follows_what_accounts_see() -> None:
    exposition = make_exposition()
    north, south = AccountStatus(name="north", view="o-2"), AccountStatus(name="south", view="o-2")
    exposition.apply(appeared(north, south, status("a"), status("b", 40)))
    assert spent(exposition) == [
        'trainwave_budget_spent_dollars{budget="a",view="o-2"} 30',
        'trainwave_budget_spent_dollars{budget="b",view="o-2"} 40',
    ]
    # One that is added is asked, too; what is shown meanwhile stays as it is.
    east = AccountStatus(name="east")
    exposition.apply(appeared(east))
    exposition.apply([Changed(status("a"), status("a", 31)), Departed(status("b"), UNWATCHED)])
    assert spent(exposition) == ['trainwave_budget_spent_dollars{budget="a",view="o-2"} 31']
    exposition.apply([Changed(east, AccountStatus(name="east", view="o-9"))])
    assert spent(exposition) == ['trainwave_budget_spent_dollars{budget="a",view="o-2,o-9"} 31']
    exposition.apply([Departed(AccountStatus(name="east", view="o-9"), UNWATCHED)])
    assert spent(exposition) == ['trainwave_budget_spent_dollars{budget="a",view="o-2"} 31']


def test_budgets_stay_when_other_metrics_are_chosen() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(AccountStatus(name="north", view="o-1"), status()))
    before = spent(exposition)
    exposition.reconfigure(selection=Selection(deny=["trainwave_jobs"]), max_jobs=5)
    assert spent(exposition) == before != []


UNWATCHED = Departure.UNWATCHED
