from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.metrics import (
    IDENTITY,
    OWN,
    appeared,
    changed,
    departed,
    make_exposition,
    make_job,
    series_of,
)

from trainwave_exporter.model import Change, Idleness, Job, Waste

SINCE = "trainwave_job_idle_since_timestamp_seconds"
HOURS = "trainwave_job_idle_gpu_hours"
WASTE = "trainwave_job_waste_dollars"
IDLE = "trainwave_job_idle_"


def idleness(job_id: str = "j-1", since: float | None = None, gpu_hours: float = 0.5) -> Idleness:
    return Idleness(job_id=job_id, idle_since=since, gpu_hours=gpu_hours)


def test_an_idle_job_reports_since_when_and_its_idle_gpu_hours_with_its_own_identity() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(organization_id="o-1"), idleness(since=5000.0)))
    identity = f'organization_id="o-1",{IDENTITY}'
    assert series_of(exposition, IDLE) == {
        f"{SINCE}{{{identity}}}": "5000",
        f"{HOURS}{{{identity}}}": "0.5",
    }


def test_a_job_that_is_busy_again_keeps_its_idle_gpu_hours_alone() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(), idleness(since=5000.0)))
    exposition.apply(changed(idleness(since=5000.0), idleness(gpu_hours=0.75)))
    assert series_of(exposition, IDLE) == {f"{HOURS}{{{IDENTITY}}}": "0.75"}


def test_a_job_of_which_no_idleness_is_reported_has_no_such_series() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job()))
    assert series_of(exposition, IDLE) == {}


@pytest.mark.parametrize("batches", [*permutations([appeared(make_job()), appeared(idleness())])])
def test_it_is_the_same_whether_the_job_or_its_idleness_comes_first(
    batches: Sequence[Sequence[Change]],
) -> None:
    exposition = make_exposition()
    for batch in batches:
        assert series_of(exposition, IDLE) == {}
        exposition.apply(batch)
    assert series_of(exposition, IDLE) == {f"{HOURS}{{{IDENTITY}}}": "0.5"}


def test_what_is_reported_of_a_job_that_is_not_shown_is_in_no_answer() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(), idleness("j-9", since=5000.0)))
    assert series_of(exposition, IDLE) == {}


def test_the_idleness_of_a_job_goes_and_comes_with_it_until_it_is_taken_back() -> None:
    """The ledger tells later than the fleet: a job may be back before it heard that it left."""
    exposition = make_exposition()
    exposition.apply(appeared(make_job(), idleness()))
    exposition.apply(departed(make_job()))
    assert series_of(exposition, IDLE) == {}
    exposition.apply(appeared(make_job()))
    assert series_of(exposition, IDLE) == {f"{HOURS}{{{IDENTITY}}}": "0.5"}
    exposition.apply(departed(make_job()))
    exposition.apply(departed(idleness()))
    exposition.apply(appeared(make_job()))
    assert series_of(exposition, IDLE) == {}


def test_a_job_stays_when_its_idleness_goes() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(cost_dollars=1.0), idleness()))
    exposition.apply(departed(idleness()))
    assert series_of(exposition, IDLE) == {}
    assert series_of(exposition, "trainwave_job_cost") == {
        f"trainwave_job_cost_dollars{{{IDENTITY}}}": "1"
    }


def test_idleness_that_comes_and_goes_in_a_batch_is_not_shown() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job()))
    exposition.apply([*appeared(idleness()), *departed(idleness())])
    assert series_of(exposition, IDLE) == {}


def test_a_job_that_changes_its_project_takes_its_idleness_along() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(), idleness()))
    exposition.apply(changed(make_job(), make_job(project_id="p-2")))
    assert series_of(exposition, HOURS) == {f'{HOURS}{{project_id="p-2",job_id="j-1"}}': "0.5"}


def test_waste_is_reported_by_reason_and_only_where_there_is_any() -> None:
    exposition = make_exposition()
    wasteful = Idleness(
        job_id="j-1",
        idle_since=None,
        gpu_hours=None,
        waste_dollars={Waste.STUCK_LAUNCHING: 9.0, Waste.GPU_IDLE: 11.4},
    )
    exposition.apply(appeared(make_job(), wasteful))
    assert series_of(exposition, WASTE) == {
        f'{WASTE}{{{IDENTITY},reason="stuck_launching"}}': "9",
        f'{WASTE}{{{IDENTITY},reason="gpu_idle"}}': "11.4",
    }
    assert series_of(exposition, HOURS) == {}


def test_the_waste_of_jobs_without_a_place_is_summed_up_by_reason() -> None:
    exposition = make_exposition(max_jobs=1)
    jobs = [make_job(id=f"j-{n}") for n in range(1, 4)]
    wasteful = [
        Idleness(
            job_id=job.id,
            idle_since=None,
            gpu_hours=1.0,
            waste_dollars={Waste.GPU_IDLE: 2.5, Waste.BILLED_AFTER_FINISH: 0.5},
        )
        for job in jobs
    ]
    exposition.apply(appeared(*jobs, *wasteful))
    other = f'{WASTE}{{project_id="p-1",job_id="other",reason='
    folded = {
        key: value for key, value in series_of(exposition, WASTE).items() if key.startswith(other)
    }
    assert folded == {f'{other}"gpu_idle"}}': "5", f'{other}"billed_after_finish"}}': "1"}


def test_idleness_alone_does_not_count_as_a_job() -> None:
    exposition = make_exposition(max_jobs=1, deny=())
    exposition.apply(appeared(*[idleness(f"j-{n}") for n in range(3)]))
    assert series_of(exposition, "trainwave_exporter_jobs_folded") == {
        "trainwave_exporter_jobs_folded": "0"
    }


def test_jobs_without_a_place_have_their_idle_gpu_hours_summed_up_and_nothing_else() -> None:
    exposition = make_exposition(max_jobs=1)
    jobs = [make_job(id=f"j-{n}") for n in range(1, 4)]
    exposition.apply(appeared(*jobs))
    exposition.apply(appeared(*[idleness(job.id, since=5000.0) for job in jobs]))
    assert series_of(exposition, IDLE) == {
        f"{SINCE}{{{IDENTITY}}}": "5000",
        f"{HOURS}{{{IDENTITY}}}": "0.5",
        f'{HOURS}{{project_id="p-1",job_id="other"}}': "1",
    }


def test_idle_gpu_hours_follow_a_job_that_gets_or_loses_its_place() -> None:
    exposition = make_exposition(max_jobs=1)
    first = make_job(id="j-1", state="SUCCESS", finished_at=10.0)
    exposition.apply(appeared(first, idleness("j-1"), idleness("j-2", gpu_hours=2.0)))
    exposition.apply(appeared(make_job(id="j-2")))
    assert series_of(exposition, HOURS) == {
        f'{HOURS}{{project_id="p-1",job_id="j-2"}}': "2",
        f'{HOURS}{{project_id="p-1",job_id="other"}}': "0.5",
    }
    exposition.apply(departed(make_job(id="j-2")))
    assert series_of(exposition, HOURS) == {f"{HOURS}{{{IDENTITY}}}": "0.5"}


def test_what_is_denied_of_it_is_in_no_answer_and_no_sum() -> None:
    exposition = make_exposition(max_jobs=1, deny=[*OWN, HOURS])
    jobs = [make_job(id=f"j-{n}") for n in (1, 2)]
    exposition.apply(appeared(*jobs, *[idleness(job.id, since=5000.0) for job in jobs]))
    assert series_of(exposition, IDLE) == {f"{SINCE}{{{IDENTITY}}}": "5000"}


ids = st.sampled_from("abcd")
jobs = st.builds(
    make_job,
    id=ids,
    project_id=st.sampled_from(["p-1", "p-2"]),
    state=st.sampled_from(["RUNNING", "SUCCESS"]),
)
told = st.builds(
    idleness,
    ids,
    st.sampled_from([None, 5000.0]),
    st.integers(0, 8).map(lambda n: n / 4),  # whose sums are exact
)
gone = st.tuples(st.sampled_from([Job, Idleness]), ids)


@given(st.integers(1, 3), st.lists(st.lists(jobs | told | gone, max_size=4)))
def test_whatever_happens_idle_gpu_hours_are_those_of_the_jobs_shown(
    limit: int, batches: list[list[Job | Idleness | tuple[type, str]]]
) -> None:
    exposition = make_exposition(max_jobs=limit)
    known: dict[str, Job] = {}
    idle: dict[str, Idleness] = {}
    for batch in batches:
        changes: list[Change] = []
        for step in batch:
            match step:
                case Job():
                    changes += appeared(step)
                    known[step.id] = step
                case Idleness():
                    changes += appeared(step)
                    idle[step.job_id] = step
                case (kind, job_id) if kind is Job:
                    changes += departed(known.pop(job_id, make_job(id=job_id)))
                case (_, job_id):
                    changes += departed(idle.pop(job_id, idleness(job_id)))
        exposition.apply(changes)
        placed = {
            series.partition('job_id="')[2][0]
            for series in series_of(exposition, "trainwave_job_info")
        }
        hours = series_of(exposition, HOURS)
        since = series_of(exposition, SINCE)
        for job_id in placed:
            labels = f'{{project_id="{known[job_id].project_id}",job_id="{job_id}"}}'
            one = idle.get(job_id)
            assert hours.pop(f"{HOURS}{labels}", None) == (one and f"{one.gpu_hours:g}")
            at = since.pop(f"{SINCE}{labels}", None)
            assert at == (one and one.idle_since and f"{one.idle_since:g}")
        assert since == {}
        for project in ("p-1", "p-2"):
            folded = [
                idle[job.id].gpu_hours or 0.0
                for job in known.values()
                if job.project_id == project and job.id in idle.keys() - placed
            ]
            total = hours.pop(f'{HOURS}{{project_id="{project}",job_id="other"}}', None)
            assert total == (f"{fsum(folded):g}" if folded else None)
        assert hours == {}
