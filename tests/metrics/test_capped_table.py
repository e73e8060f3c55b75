"""No kind of object has more series than the operator wants, and what is folded adds up."""

from __future__ import annotations

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.metrics import appeared, changed, departed, make_exposition, make_job, series_of

from trainwave_exporter.metrics import Exposition, Selection
from trainwave_exporter.model import (
    Change,
    Organization,
    Project,
    ProjectTally,
    Record,
    Spend,
    UnknownFigure,
)

BALANCE = "trainwave_organization_credit_balance_dollars"
REACHED = "trainwave_exporter_series_cap_reached"
COST = "trainwave_job_cost_dollars"


def organization(number: int, balance: float = 0.1) -> Organization:
    return Organization(account="a", id=f"o-{number}", credit_balance_dollars=balance)


def reached(exposition: Exposition) -> set[str]:
    """Return the kinds of which no more have series of their own."""
    series = series_of(exposition, REACHED)
    return {name.split('"')[1] for name, value in series.items() if value == "1"}


def test_organizations_beyond_the_limit_are_summed_up_exactly() -> None:
    exposition = make_exposition(max_groups=2)
    exposition.apply(appeared(*map(organization, range(13))))
    assert series_of(exposition, BALANCE) == {
        f'{BALANCE}{{organization_id="o-0"}}': "0.1",
        f'{BALANCE}{{organization_id="o-1"}}': "0.1",
        f'{BALANCE}{{organization_id="other"}}': "1.1",
    }
    assert len(series_of(exposition, "trainwave_organization_info")) == 2


def test_a_place_that_becomes_free_goes_to_the_one_that_waits_longest() -> None:
    exposition = make_exposition(max_groups=2)
    exposition.apply(appeared(*(organization(n, float(n)) for n in range(5))))
    exposition.publish()
    exposition.apply(departed(organization(0, 0.0)))
    assert series_of(exposition, BALANCE) == {
        f'{BALANCE}{{organization_id="o-1"}}': "1",
        f'{BALANCE}{{organization_id="o-2"}}': "2",
        f'{BALANCE}{{organization_id="other"}}': "7",
    }


def test_an_organization_named_like_the_fold_is_in_it() -> None:
    exposition = make_exposition(max_groups=1)
    other = Organization(account="a", id="other", credit_balance_dollars=4.0)
    exposition.apply(appeared(other, organization(1, 1.0), organization(2, 2.0)))
    assert series_of(exposition, BALANCE) == {
        f'{BALANCE}{{organization_id="o-1"}}': "1",
        f'{BALANCE}{{organization_id="other"}}': "6",
    }


@pytest.mark.parametrize("limit", [1, 2, 0])
def test_another_limit_shows_all_that_was_known(limit: int) -> None:
    exposition = make_exposition(max_groups=3)
    exposition.apply(appeared(*map(organization, range(5))))
    exposition.publish()
    exposition.reconfigure(selection=Selection(), max_jobs=0, max_groups=limit)
    series = series_of(exposition, BALANCE)
    assert len(series) == (limit + 1 if limit else 5)
    assert fsum(map(float, series.values())) == 0.5


balances = st.builds(organization, st.integers(0, 6), st.integers(-8, 8).map(lambda n: n / 4))


@given(st.integers(1, 4), st.lists(st.lists(balances | st.integers(0, 6), max_size=4)))
def test_whatever_happens_the_sum_is_that_of_all(
    limit: int, batches: list[list[Organization | int]]
) -> None:
    exposition = make_exposition(max_groups=limit)
    known: dict[str, Organization] = {}
    for batch in batches:
        changes: list[Change] = []
        for step in batch:
            if isinstance(step, Organization):
                before = known.get(step.id)
                changes += appeared(step) if before is None else changed(before, step)
                known[step.id] = step
            elif (gone := known.pop(f"o-{step}", None)) is not None:
                changes += departed(gone)
        exposition.apply(changes)
        series = series_of(exposition, BALANCE)
        assert fsum(map(float, series.values())) == fsum(
            each.credit_balance_dollars or 0.0 for each in known.values()
        )
        assert len(series) <= limit + 1
        assert len(series_of(exposition, "trainwave_organization_info")) == min(limit, len(known))


def test_folded_jobs_of_more_projects_than_wanted_are_summed_up_exactly() -> None:
    exposition = make_exposition(max_jobs=1, max_groups=2)
    jobs = [make_job(id=f"j-{n}", project_id=f"p-{n}", cost_dollars=0.1) for n in range(12)]
    exposition.apply(appeared(*jobs))
    assert series_of(exposition, COST) == {
        f'{COST}{{project_id="p-0",job_id="j-0"}}': "0.1",
        f'{COST}{{project_id="p-1",job_id="other"}}': "0.1",
        f'{COST}{{project_id="p-2",job_id="other"}}': "0.1",
        f'{COST}{{organization_id="other",project_id="other",job_id="other"}}': "0.9",
    }


def test_a_job_named_like_the_fold_is_in_it() -> None:
    exposition = make_exposition(max_jobs=2, deny=())
    jobs = [make_job(id=name, cost_dollars=1.0) for name in ("other", "j-1", "j-2", "j-3")]
    exposition.apply(appeared(*jobs))
    series = series_of(exposition, COST)
    assert series == {
        f'{COST}{{project_id="p-1",job_id="j-1"}}': "1",
        f'{COST}{{project_id="p-1",job_id="other"}}': "3",
    }


def test_a_job_named_like_the_fold_does_not_make_the_limit_seem_reached() -> None:
    exposition = make_exposition(deny=())
    exposition.apply(appeared(make_job(id="other")))
    folded = "trainwave_exporter_jobs_folded"
    assert series_of(exposition, folded) == {folded: "0"}


def spend(owner: str) -> Spend:
    return Spend(
        project_id="p-1",
        owner=owner,
        gpu_type="H100",
        cost_dollars=0.0,
        gpu_hours=0.0,
        waste_dollars={},
        activity_gpu_hours={},
    )


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("organization", [organization(1), organization(2)]),
        ("project", [Project(account="a", id=f"p-{n}") for n in range(2)]),
        ("project", [ProjectTally(project_id=f"p-{n}") for n in range(2)]),
        ("spend", [spend("ada"), spend("bob")]),
        (
            "unknown_figure",
            [UnknownFigure(figure="credit", name=f"o-{n}", reason="x") for n in range(2)],
        ),
    ],
)
def test_it_is_reported_which_kind_there_are_as_many_as_wanted(
    kind: str, records: list[Record]
) -> None:
    exposition = make_exposition(max_groups=2, deny=())
    assert reached(exposition) == set()
    exposition.apply(appeared(records[0]))
    assert reached(exposition) == set()
    exposition.apply(appeared(records[1]))
    assert reached(exposition) == {kind}
    exposition.reconfigure(selection=Selection(), max_jobs=0, max_groups=3)
    assert reached(exposition) == set()


def test_without_a_limit_none_is_reached() -> None:
    exposition = make_exposition(deny=())
    exposition.apply(appeared(*map(organization, range(50))))
    assert reached(exposition) == set()
