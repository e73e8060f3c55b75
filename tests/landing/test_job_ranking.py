"""The most wasteful jobs come first, whatever happened before, and a page costs no sorting."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.planner_jobs import job

from trainwave_exporter.landing.job_ranking import JobRanking, wasted_dollars
from trainwave_exporter.model import (
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
    HistoricalJob,
    Idleness,
    Job,
    Waste,
)


def running(job_id: str, price: float | None = 1.0) -> Job:
    return job(job_id, hourly_cost_dollars=price, gpus=2.0)


def idle(job_id: str, gpu_hours: float, since: float | None = 1000.0) -> Idleness:
    """Return how idle a job is whose GPU hours cost a dollar each."""
    waste = {Waste.GPU_IDLE: gpu_hours}
    return Idleness(job_id=job_id, idle_since=since, gpu_hours=gpu_hours, waste_dollars=waste)


def ranking(changes: Iterable[Change]) -> JobRanking:
    made = JobRanking()
    made.apply(changes)
    return made


def ids(ranking: JobRanking, most: int = 20) -> list[str]:
    return [found.id for found, _ in ranking.worst(most)]


PRICES = {"a": 9.0, "b": 99.0, "c": 1.0, "d": 1.0, "e": 1.0, "f": 5.0}


def test_idle_jobs_come_before_those_that_were_idle_and_those_before_the_costly() -> None:
    made = ranking(
        [
            *(Appeared(running(name, price)) for name, price in PRICES.items()),
            Appeared(idle("c", 3.0)),
            Appeared(idle("d", 40.0)),
            Appeared(idle("e", 500.0, since=None)),
            Appeared(idle("f", 0.0, since=None)),
        ]
    )
    assert ids(made) == ["d", "c", "e", "b", "a", "f"]
    assert ids(made, 2) == ["d", "c"]
    assert made.idle == 2


def test_a_job_falls_when_its_gpus_work_again_and_leaves_when_it_is_over() -> None:
    one, two = running("a"), running("b", 2.0)
    made = ranking([Appeared(one), Appeared(two), Appeared(idle("a", 1.0))])
    assert ids(made) == ["a", "b"]
    made.apply([Departed(idle("a", 1.0), Departure.VANISHED)])
    assert ids(made) == ["b", "a"]
    made.apply([Changed(two, replace(two, state="SUCCESS")), HistoricalJob(two)])
    assert ids(made) == ["a"]
    assert (made.known["a"], made.running["a"]) == (2, 1)
    made.apply([Departed(one, Departure.RETENTION)])
    assert ids(made) == []
    assert (made.known["a"], made.running["a"]) == (1, 0)


def test_a_job_is_reported_as_it_is_now_and_moves_with_its_price() -> None:
    one, two = running("a", 1.0), running("b", 2.0)
    made = ranking([Appeared(one), Appeared(two)])
    renamed = replace(one, name="renamed")
    made.apply([Changed(one, renamed)])
    assert [found.name for found, _ in made.worst(2)] == [two.name, "renamed"]
    made.apply([Changed(renamed, replace(renamed, hourly_cost_dollars=3.0))])
    assert ids(made) == ["a", "b"]


def test_places_that_others_left_hide_nobody() -> None:
    """Jobs that wasted more, each its own amount, came and went; the one that is left is found."""
    made = ranking([Appeared(running("left"))])
    for hours in range(1, 40):
        gone = running("gone")
        made.apply([Appeared(gone), Appeared(idle("gone", float(hours)))])
        made.apply([Departed(idle("gone", float(hours)), Departure.VANISHED)])
        made.apply([Departed(gone, Departure.VANISHED)])
    assert ids(made, 1) == ["left"]


def test_how_idle_a_job_is_may_be_known_before_the_job() -> None:
    made = ranking([Appeared(idle("b", 1.0)), Appeared(running("a", 9.0)), Appeared(running("b"))])
    assert ids(made) == ["b", "a"]


def test_a_job_that_another_account_reports_is_counted_there() -> None:
    before = running("j")
    made = ranking([Appeared(before), Changed(before, replace(before, account="other"))])
    assert (made.known[before.account], made.known["other"]) == (0, 1)
    assert (made.running[before.account], made.running["other"]) == (0, 1)


def test_waste_is_what_the_ledger_says_that_idle_gpus_cost() -> None:
    assert wasted_dollars(idle("a", 3.0)) == 3.0
    assert wasted_dollars(Idleness(job_id="a", idle_since=None, gpu_hours=3.0)) is None
    assert wasted_dollars(None) is None


def test_a_job_that_wasted_nothing_idle_stands_by_its_price() -> None:
    stuck = Idleness(
        job_id="a", idle_since=None, gpu_hours=None, waste_dollars={Waste.STUCK_LAUNCHING: 50.0}
    )
    made = ranking([Appeared(running("a", 1.0)), Appeared(running("b", 2.0)), Appeared(stuck)])
    assert ids(made) == ["b", "a"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.sampled_from(["RUNNING", "SUCCESS", "gone"]),
            st.sampled_from([0.0, 1.0, 5.0, 30.0]),
            st.sampled_from([None, 0.0, 2.0, 70.0]),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_the_order_is_that_of_a_fresh_ranking_after_any_history(
    history: list[tuple[str, str, float, float | None, bool]],
) -> None:
    made = JobRanking()
    jobs: dict[str, Job] = {}
    idleness: dict[str, Idleness] = {}
    for name, state, price, hours, now_idle in history:
        before = jobs.pop(name, None)
        if state != "gone":
            jobs[name] = replace(running(name, price), state=state)
            appeared = Appeared(jobs[name]) if before is None else Changed(before, jobs[name])
            made.apply([appeared])
        elif before is not None:
            made.apply([Departed(before, Departure.VANISHED)])
        known = idleness.pop(name, None)
        if hours is not None:
            idleness[name] = idle(name, hours, 1000.0 if now_idle else None)
            made.apply([Appeared(idleness[name])])
        elif known is not None:
            made.apply([Departed(known, Departure.VANISHED)])
    fresh = ranking(Appeared(found) for found in jobs.values())
    fresh.apply(Appeared(known) for known in idleness.values())
    assert set(ids(made)) == {name for name, found in jobs.items() if found.running}
    assert [_weight(*worst) for worst in made.worst(8)] == [
        _weight(*worst) for worst in fresh.worst(8)
    ]
    assert [_weight(*worst) for worst in made.worst(8)] == sorted(
        (_weight(*worst) for worst in made.worst(8)), reverse=True
    )
    assert (made.known, made.running, made.idle) == (fresh.known, fresh.running, fresh.idle)


def _weight(found: Job, idleness: Idleness | None) -> tuple[bool, bool, float]:
    idle_now = idleness is not None and idleness.idle_since is not None
    was_idle = idleness is not None and bool(idleness.gpu_hours)
    wasted = wasted_dollars(idleness) or 0.0
    price = found.hourly_cost_dollars or 0.0
    return idle_now, idle_now or was_idle, wasted if idle_now or was_idle else price


def test_the_worst_of_a_hundred_thousand_are_found_in_milliseconds() -> None:
    """All of them run and are idle, and no two have wasted the same."""
    made = ranking(
        change
        for i in range(100_000)
        for change in (Appeared(running(f"j-{i}", 1 + i % 97)), Appeared(idle(f"j-{i}", i * 0.37)))
    )
    gc.collect()
    took = []
    for _ in range(5):
        began = time.process_time()
        told = len(made.worst(20)), made.idle
        took.append(time.process_time() - began)
        assert told == (20, 100_000)
    assert min(took) < 0.005
