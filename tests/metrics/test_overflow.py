from __future__ import annotations

from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.metrics import (
    appeared,
    changed,
    departed,
    make_exposition,
    make_job,
    make_reading,
    series_of,
)

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.metrics import Exposition
from trainwave_exporter.metrics.overflow import Overflows
from trainwave_exporter.model import (
    Change,
    Job,
    Metric,
    Point,
    Quantity,
    Readings,
)

COST = "trainwave_job_cost_dollars"


def full_exposition() -> Exposition:
    """Return an exposition whose only place is taken, by a job of project p-0."""
    exposition = make_exposition(max_jobs=1)
    exposition.apply(appeared(make_job(id="j-0", project_id="p-0")))
    return exposition


def folded_series(name: str, *jobs: Job) -> dict[str, str]:
    exposition = full_exposition()
    exposition.apply(appeared(*jobs))
    return {
        series: value for series, value in series_of(exposition, name).items() if "other" in series
    }


def test_costs_of_folded_jobs_are_summed_up_for_each_project() -> None:
    assert folded_series(
        COST,
        make_job(id="j-1", cost_dollars=1.5),
        make_job(id="j-2", cost_dollars=2.0),
        make_job(id="j-3", cost_dollars=4.0, project_id="p-2"),
    ) == {
        f'{COST}{{project_id="p-1",job_id="other"}}': "3.5",
        f'{COST}{{project_id="p-2",job_id="other"}}': "4",
    }


def test_the_sum_is_exact() -> None:
    costs = [0.1] * 10 + [1e16, -1e16]
    jobs = [make_job(id=f"j-{n}", cost_dollars=cost) for n, cost in enumerate(costs, 1)]
    assert folded_series(COST, *jobs) == {f'{COST}{{project_id="p-1",job_id="other"}}': "1"}


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        ((1.0, float("nan")), "NaN"),
        ((1.0, float("inf")), "+Inf"),
        ((float("inf"), float("-inf")), "NaN"),
        ((1e308, 1e308), "+Inf"),
    ],
)
def test_what_has_no_sum_does_not_fail_the_scrape(costs: tuple[float, ...], total: str) -> None:
    jobs = [make_job(id=f"j-{n}", cost_dollars=cost) for n, cost in enumerate(costs, 1)]
    assert folded_series(COST, *jobs) == {f'{COST}{{project_id="p-1",job_id="other"}}': total}


def test_the_organization_stays_with_the_sum() -> None:
    jobs = [make_job(id=f"j-{n}", cost_dollars=1.0, organization_id="o-1") for n in (1, 2)]
    assert folded_series(COST, *jobs) == {
        f'{COST}{{organization_id="o-1",project_id="p-1",job_id="other"}}': "2"
    }


def test_a_project_none_of_whose_folded_jobs_reports_its_cost_has_no_sum() -> None:
    assert folded_series(COST, make_job(id="j-1")) == {}


def test_gpus_are_summed_up_and_directions_are_not() -> None:
    memory = make_reading(Quantity.BYTES, Point(1.0, device="0"), Point(2.0, device="1"))
    network = make_reading(
        Quantity.BYTES_PER_SECOND,
        Point(10.0, direction="rx"),
        Point(20.0, direction="tx"),
    )
    readings = Readings(gpu_memory=memory, network=network)
    jobs = [make_job(id=f"j-{n}", readings=readings) for n in (1, 2)]
    io = "trainwave_job_network_io_bytes_per_second"
    used = "trainwave_job_gpu_memory_used_bytes"
    assert folded_series(used, *jobs) == {f'{used}{{project_id="p-1",job_id="other"}}': "6"}
    assert folded_series(io, *jobs) == {
        f'{io}{{project_id="p-1",job_id="other",direction="rx"}}': "20",
        f'{io}{{project_id="p-1",job_id="other",direction="tx"}}': "40",
    }


def test_only_additive_families_are_folded() -> None:
    readings = Readings(**{m: make_reading(Quantity.RATIO, Point(0.5)) for m in Metric})
    everything: dict[str, Any] = {
        "cost_dollars": 1.0,
        "hourly_cost_dollars": 1.0,
        "gpu_hours": 1.0,
        "gpus": 1.0,
        "cpu_cores": 1.0,
        "memory_limit_bytes": 1.0,
        "disk_limit_bytes": 1.0,
        "gpu_memory_limit_bytes": 1.0,
        "created_at": 1.0,
        "started_at": 1.0,
    }
    job = make_job(id="j-1", readings=readings, **everything)
    names = {series.split("{")[0] for series in folded_series("trainwave_", job)}
    assert names == {
        "trainwave_job_cost_dollars",
        "trainwave_job_hourly_cost_dollars",
        "trainwave_job_gpu_hours",
        "trainwave_job_gpus",
        "trainwave_job_cpu_cores",
        "trainwave_job_memory_limit_bytes",
        "trainwave_job_disk_limit_bytes",
        "trainwave_job_memory_used_bytes",
        "trainwave_job_gpu_memory_used_bytes",
    }


def test_a_job_that_gets_a_place_leaves_the_sum_in_the_same_answer() -> None:
    exposition = full_exposition()
    jobs = [make_job(id=f"j-{n}", cost_dollars=float(n)) for n in (1, 2)]
    exposition.apply(appeared(*jobs))
    exposition.apply(departed(make_job(id="j-0", project_id="p-0")))
    assert series_of(exposition, COST) == {
        f'{COST}{{project_id="p-1",job_id="j-1"}}': "1",
        f'{COST}{{project_id="p-1",job_id="other"}}': "2",
    }


def test_a_job_that_loses_its_place_enters_the_sum_in_the_same_answer() -> None:
    exposition = make_exposition(max_jobs=1)
    exposition.apply(appeared(make_job(state="SUCCESS", cost_dollars=1.0)))
    exposition.apply(appeared(make_job(id="j-2", cost_dollars=2.0)))
    assert series_of(exposition, COST) == {
        f'{COST}{{project_id="p-1",job_id="j-2"}}': "2",
        f'{COST}{{project_id="p-1",job_id="other"}}': "1",
    }


def test_a_folded_job_that_changes_its_project_is_counted_there_alone() -> None:
    exposition = full_exposition()
    job = make_job(id="j-1", cost_dollars=1.0)
    exposition.apply(appeared(job))
    exposition.apply(changed(job, replace(job, project_id="p-2")))
    assert series_of(exposition, COST) == {f'{COST}{{project_id="p-2",job_id="other"}}': "1"}


def test_the_sum_goes_with_the_last_of_its_jobs() -> None:
    exposition = full_exposition()
    job = make_job(id="j-1", cost_dollars=1.0)
    exposition.apply(appeared(job))
    assert series_of(exposition, COST)
    exposition.apply(departed(job))
    assert series_of(exposition, COST) == {}


def test_how_many_jobs_are_folded_and_how_many_may_not_be_is_reported() -> None:
    exposition = make_exposition(max_jobs=2, deny=())
    exposition.apply(appeared(*[make_job(id=f"j-{n}") for n in range(5)]))
    assert series_of(exposition, "trainwave_exporter_job") == {
        "trainwave_exporter_jobs_folded": "3",
        "trainwave_exporter_job_series_limit": "2",
    }


quarters = st.none() | st.integers(-8, 8).map(lambda n: n / 4)  # whose sums are exact
jobs = st.builds(
    make_job,
    id=st.sampled_from("abcdef"),
    project_id=st.sampled_from(["p-1", "p-2"]),
    organization_id=st.sampled_from([None, "o-1"]),
    state=st.sampled_from(["RUNNING", "SUCCESS"]),
    finished_at=st.sampled_from([None, 1.0, 2.0]),
    cost_dollars=quarters,
)


@given(st.integers(1, 4), st.lists(st.lists(jobs | st.sampled_from("abcdef"), max_size=4)))
def test_whatever_happens_sums_by_project_are_those_of_all_jobs(
    limit: int, batches: list[list[Job | str]]
) -> None:
    exposition = make_exposition(max_jobs=limit)
    known: dict[str, Job] = {}
    for batch in batches:
        changes: list[Change] = []
        for step in batch:
            if isinstance(step, Job):
                before = known.get(step.id)
                changes += appeared(step) if before is None else changed(before, step)
                known[step.id] = step
            elif step in known:
                changes += departed(known.pop(step))
        exposition.apply(changes)
        series = series_of(exposition, COST)
        for project in ("p-1", "p-2"):
            of_jobs = [
                job.cost_dollars
                for job in known.values()
                if job.project_id == project and job.cost_dollars is not None
            ]
            of_series = [float(v) for s, v in series.items() if f'project_id="{project}"' in s]
            assert bool(of_series) == bool(of_jobs)
            assert fsum(of_series) == fsum(of_jobs)
        infos = series_of(exposition, "trainwave_job_info")
        assert len(infos) == min(limit, len(known))


def test_a_job_that_changes_has_no_other_of_its_project_summed_up_anew() -> None:
    asked: list[float] = []
    families = Families[float](float, labels=("job_id",), identity=lambda _: ("any",))

    @families.gauge("trainwave_job_cost_dollars", "Cost.", additive=True)
    def cost(record: float) -> float:
        asked.append(record)
        return record

    overflows = Overflows(families, families.labels, families.identity, summed=("job_id",))
    for number in range(1000):
        overflows.put(f"j-{number}", 1.0)
    assert [*overflows.settle()] == [None]
    asked.clear()
    overflows.put("j-7", 3.0)
    assert [*overflows.settle()] == [None]
    assert sorted(asked) == [1.0, 3.0]
    [overflow] = overflows.table.records()
    assert [*overflow.totals[0].values()] == [1002.0]
