from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.metrics import appeared, changed, make_exposition, series_of, series_of_record

from trainwave_exporter.model import (
    Activity,
    BudgetStatus,
    Burn,
    Corrections,
    Funds,
    Spend,
    UnknownFigure,
    Waste,
)

LABELS = 'project_id="p-1",owner="ada",gpu_type="H100"'
COST = "trainwave_project_cost_dollars_total"

SPEND = Spend(
    project_id="p-1",
    owner="ada",
    gpu_type="H100",
    cost_dollars=12.345678,
    gpu_hours=4.5,
    waste_dollars={
        Waste.GPU_IDLE: 1.5,
        Waste.STUCK_LAUNCHING: 0.25,
        Waste.BILLED_AFTER_FINISH: 0.125,
    },
    activity_gpu_hours={Activity.IDLE: 0.5, Activity.BUSY: 3.0, Activity.UNKNOWN: 1.0},
)
BUDGET = BudgetStatus(
    name="research",
    limit_dollars=100.0,
    spent_dollars=40.0,
    forecast_dollars=120.0,
    exhausted_at=5000.0,
    begins_at=1000.0,
    ends_at=9000.0,
)


def test_what_was_spent_is_reported_by_project_owner_and_type_of_gpu() -> None:
    assert series_of_record(SPEND) == {
        **series_of(make_exposition()),
        f"{COST}{{{LABELS}}}": "12.345678",
        f"trainwave_project_gpu_hours_total{{{LABELS}}}": "4.5",
        f'trainwave_project_activity_gpu_hours_total{{{LABELS},activity="idle"}}': "0.5",
        f'trainwave_project_activity_gpu_hours_total{{{LABELS},activity="busy"}}': "3",
        f'trainwave_project_activity_gpu_hours_total{{{LABELS},activity="unknown"}}': "1",
        f'trainwave_waste_dollars_total{{{LABELS},reason="gpu_idle"}}': "1.5",
        f'trainwave_waste_dollars_total{{{LABELS},reason="stuck_launching"}}': "0.25",
        f'trainwave_waste_dollars_total{{{LABELS},reason="billed_after_finish"}}': "0.125",
    }


def test_every_activity_and_reason_of_waste_has_a_counter_from_the_first_dollar_on() -> None:
    fresh = replace(SPEND, waste_dollars={}, activity_gpu_hours={Activity.BUSY: 2.0})
    assert series_of_record(fresh, "trainwave_waste") == {
        f'trainwave_waste_dollars_total{{{LABELS},reason="{reason}"}}': "0" for reason in Waste
    }
    assert [*series_of_record(fresh, "trainwave_project_activity").values()] == ["0", "2", "0"]


def test_spending_whose_owner_and_gpu_are_not_reported_keeps_their_labels_empty() -> None:
    unknown = replace(SPEND, owner="", gpu_type="")
    assert series_of_record(unknown, COST) == {
        f'{COST}{{project_id="p-1",owner="",gpu_type=""}}': "12.345678"
    }


def test_spending_under_other_labels_is_another_series() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(SPEND, replace(SPEND, owner="bob", cost_dollars=2.0)))
    exposition.apply(changed(SPEND, replace(SPEND, cost_dollars=13.0)))
    assert series_of(exposition, COST) == {
        f"{COST}{{{LABELS}}}": "13",
        f'{COST}{{project_id="p-1",owner="bob",gpu_type="H100"}}': "2",
    }


@given(st.integers(0, 10**15))
def test_a_billion_dollars_are_shown_to_the_micro_dollar(micro: int) -> None:
    (shown,) = series_of_record(replace(SPEND, cost_dollars=micro / 10**6), COST).values()
    assert Decimal(shown) * 10**6 == micro


def test_burn_is_reported_as_spending_is() -> None:
    burn = Burn(project_id="p-1", owner="ada", gpu_type="H100", dollars_per_hour=2.75)
    assert series_of_record(burn, "trainwave_burn") == {
        f"trainwave_burn_dollars_per_hour{{{LABELS}}}": "2.75"
    }


def test_corrections_are_counted_by_direction_alone() -> None:
    name = "trainwave_cost_corrections_dollars_total"
    assert series_of_record(Corrections(up=1.5, down=0.0), name) == {
        f'{name}{{direction="up"}}': "1.5",
        f'{name}{{direction="down"}}': "0",
    }


def test_a_budget_reports_how_it_stands_in_its_present_period() -> None:
    assert series_of_record(BUDGET, "trainwave_budget") == {
        'trainwave_budget_limit_dollars{budget="research"}': "100",
        'trainwave_budget_spent_dollars{budget="research"}': "40",
        'trainwave_budget_forecast_dollars{budget="research"}': "120",
        'trainwave_budget_exhaustion_timestamp_seconds{budget="research"}': "5000",
        'trainwave_budget_period_start_timestamp_seconds{budget="research"}': "1000",
        'trainwave_budget_period_end_timestamp_seconds{budget="research"}': "9000",
    }


def test_a_budget_that_is_not_known_exactly_has_bounds_where_they_are_known() -> None:
    unsure = replace(
        BUDGET,
        spent_dollars=None,
        spent_lower_dollars=30.0,
        spent_upper_dollars=50.0,
        accrued_dollars=2.5,
        forecast_dollars=None,
        forecast_lower_dollars=35.0,
        exhausted_at=None,
    )
    shown = series_of_record(unsure, "trainwave_budget")
    assert {name: value for name, value in shown.items() if "_period_" not in name} == {
        'trainwave_budget_limit_dollars{budget="research"}': "100",
        'trainwave_budget_spent_bound_dollars{budget="research",bound="lower"}': "30",
        'trainwave_budget_spent_bound_dollars{budget="research",bound="upper"}': "50",
        'trainwave_budget_accrued_dollars{budget="research"}': "2.5",
        'trainwave_budget_forecast_bound_dollars{budget="research",bound="lower"}': "35",
    }


def test_an_unknown_figure_says_which_and_why() -> None:
    figure = UnknownFigure(figure="budget", name="research", reason="account_down")
    labels = 'figure="budget",name="research",reason="account_down"'
    assert series_of_record(figure, "trainwave_figure") == {
        f"trainwave_figure_unknown{{{labels}}}": "1"
    }


def test_a_budget_that_will_last_has_no_time_of_exhaustion() -> None:
    lasting = replace(BUDGET, exhausted_at=None)
    assert series_of_record(lasting, "trainwave_budget_exhaustion") == {}
    assert len(series_of_record(lasting, "trainwave_budget")) == 5


@pytest.mark.parametrize(
    ("exhausted_at", "difference", "shown"),
    [
        (None, None, {}),
        (5000.0, None, {"trainwave_organization_credit_exhaustion_timestamp_seconds": "5000"}),
        (None, -0.5, {"trainwave_reconciliation_difference_dollars": "-0.5"}),
        (
            0.0,
            0.0,
            {
                "trainwave_organization_credit_exhaustion_timestamp_seconds": "0",
                "trainwave_reconciliation_difference_dollars": "0",
            },
        ),
    ],
)
def test_of_an_organization_s_funds_only_what_is_known_is_reported(
    exhausted_at: float | None, difference: float | None, shown: dict[str, str]
) -> None:
    funds = Funds(organization_id="o-1", exhausted_at=exhausted_at, difference_dollars=difference)
    names = ("trainwave_organization", "trainwave_reconciliation")
    series = [item for name in names for item in series_of_record(funds, name).items()]
    assert dict(series) == {
        f'{name}{{organization_id="o-1"}}': value for name, value in shown.items()
    }
