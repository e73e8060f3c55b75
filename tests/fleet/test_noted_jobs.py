"""What is remembered for a while of jobs that left."""

from __future__ import annotations

from trainwave_exporter.fleet.noted_jobs import MEMORY_SECONDS, Memory


def test_a_job_is_remembered_for_a_day_after_it_was_last_noted() -> None:
    memory = Memory()
    memory.note("j-1", 0.0)
    memory.note("j-2", 0.0)
    memory.note("j-1", 100.0)
    memory.tidy(MEMORY_SECONDS)
    assert ("j-1" in memory, "j-2" in memory) == (True, False)


def test_no_more_are_remembered_than_the_bound_allows() -> None:
    memory = Memory(most=2)
    for job_id in ("j-1", "j-2", "j-1", "j-3"):
        memory.note(job_id, 0.0)
    assert [job_id for job_id in ("j-1", "j-2", "j-3") if job_id in memory] == ["j-1", "j-3"]
