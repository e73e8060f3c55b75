from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.metrics import make_job

from trainwave_exporter.metrics.series_cap import Cap
from trainwave_exporter.model import Job


def live(job_id: str) -> Job:
    return make_job(id=job_id)


def finished(job_id: str, at: float | None) -> Job:
    return make_job(id=job_id, state="SUCCESS", finished_at=at)


def settled(cap: Cap, *jobs: Job) -> list[str]:
    """Put the jobs and return the ids of those that got or lost a place."""
    for job in jobs:
        cap.put(job)
    return [job.id for job in cap.settle()]


def test_without_a_limit_every_job_has_a_place() -> None:
    cap = Cap(0)
    assert settled(cap, *[live(str(number)) for number in range(100)]) == [
        str(number) for number in range(100)
    ]


def test_first_come_first_served_and_the_others_wait_for_a_place_to_be_left() -> None:
    cap = Cap(2)
    assert settled(cap, live("a"), live("b"), live("c"), live("d")) == ["a", "b"]
    assert "c" not in cap
    cap.remove("a")
    assert settled(cap) == ["c"]
    assert "c" in cap


def test_a_live_job_takes_the_place_of_the_one_that_finished_longest_ago() -> None:
    cap = Cap(3)
    settled(cap, finished("new", 30.0), finished("old", 10.0), finished("middle", 20.0))
    assert settled(cap, live("a")) == ["old", "a"]
    assert settled(cap, live("b")) == ["middle", "b"]


def test_a_finished_job_that_does_not_report_when_counts_as_the_oldest() -> None:
    cap = Cap(2)
    settled(cap, finished("old", 10.0), finished("unknown", None))
    assert settled(cap, live("a")) == ["unknown", "a"]


def test_a_free_place_is_taken_before_that_of_a_finished_job() -> None:
    cap = Cap(2)
    settled(cap, finished("old", 10.0))
    assert settled(cap, live("a")) == ["a"]
    assert "old" in cap


def test_a_finished_job_takes_nobody_s_place() -> None:
    cap = Cap(1)
    settled(cap, finished("old", 10.0))
    assert settled(cap, finished("new", 30.0)) == []
    assert "old" in cap


def test_a_job_that_finishes_keeps_its_place_until_a_live_one_wants_it() -> None:
    cap = Cap(1)
    settled(cap, live("a"))
    assert settled(cap, finished("a", 10.0)) == []
    assert settled(cap, live("b")) == ["a", "b"]


def test_live_jobs_that_wait_come_before_finished_ones_that_waited_longer() -> None:
    cap = Cap(1)
    settled(cap, live("a"), finished("b", 10.0), live("c"))
    cap.remove("a")
    assert settled(cap) == ["c"]


def test_who_lost_a_place_does_not_get_it_back_by_changing() -> None:
    cap = Cap(1)
    settled(cap, finished("a", 10.0), live("b"))
    assert settled(cap, finished("a", 11.0)) == []
    assert "b" in cap


def test_a_job_that_comes_to_life_again_counts_as_live() -> None:
    cap = Cap(1)
    settled(cap, finished("a", 10.0))
    settled(cap, finished("b", 20.0))
    assert settled(cap, live("b")) == ["a", "b"]


def test_a_job_is_found_as_it_was_last_put_whether_or_not_it_has_a_place() -> None:
    cap = Cap(2)
    known = [live("a"), finished("b", 10.0), live("c"), finished("d", 20.0)]
    settled(cap, *known)
    assert [cap.find(job.id) for job in known] == known
    cap.put(finished("c", 30.0))
    cap.remove("a")
    assert cap.find("c") == finished("c", 30.0)
    assert cap.find("a") is None


ids = st.sampled_from("abcdef")
times = st.none() | st.sampled_from([1.0, 2.0, 3.0])
changes = st.lists(
    st.one_of(
        ids.map(live),
        st.builds(finished, ids, times),
        ids,
        st.none(),
    )
)


@given(st.integers(1, 5), changes)
def test_whatever_happens_no_place_is_wasted_and_nobody_loses_one_without_need(
    limit: int, sequence: list[Job | str | None]
) -> None:
    cap = Cap(limit)
    known: dict[str, Job] = {}
    placed_before: set[str] = set()
    for change in [*sequence, None]:
        match change:
            case Job():
                known[change.id] = change
                cap.put(change)
            case str():
                known.pop(change, None)
                placed_before.discard(change)
                cap.remove(change)
            case None:
                moved = [job.id for job in cap.settle()]
                placed = {job_id for job_id in known if job_id in cap}
                waiting = known.keys() - placed
                assert len(placed) == min(limit, len(known))
                assert len(moved) == len(set(moved))
                assert set(moved) == placed ^ placed_before
                if any(not known[job_id].finished for job_id in waiting):
                    assert all(not known[job_id].finished for job_id in placed)
                assert all(known[job_id].finished for job_id in placed_before - placed)
                assert cap.settle() == []
                placed_before = placed
