"""Which finished jobs' details are asked for, in which order, and how often the same."""

from __future__ import annotations

from support.polling_rig import Wanted

from trainwave_exporter.polling.history_details import AGAIN_SECONDS, HistoryDetails


def archive_of(*urgent: str, others: tuple[str, ...] = ()) -> HistoryDetails:
    wanted = Wanted(urgent, others)
    return HistoryDetails(lambda: wanted, pause=60.0)


def test_every_job_is_asked_for_once_the_most_wanted_first() -> None:
    archive = archive_of("b", "a", others=("d", "c"))
    assert [archive.urgent(1.0) for _ in range(3)] == ["b", "a", None]
    assert [archive.other(1.0) for _ in range(3)] == ["d", "c", None]
    assert archive.urgent(2.0) is None


def test_whoever_comes_to_be_wanted_more_goes_first() -> None:
    """What was wanted before the whole list had come must not keep its place."""
    wanted = Wanted(["a", "b"])
    archive = HistoryDetails(lambda: wanted, pause=60.0)
    assert archive.urgent(1.0) == "a"
    wanted = Wanted(["c", "b"])
    assert [archive.urgent(1.0) for _ in range(3)] == ["c", "b", None]


def test_a_job_that_somebody_else_asked_for_is_not_asked_for_again() -> None:
    archive = archive_of("a", "b")
    archive.requested("a", 1.0)
    assert [archive.urgent(1.0) for _ in range(2)] == ["b", None]


def test_an_answer_that_brought_nothing_new_is_asked_for_again_a_day_later() -> None:
    archive = archive_of("a")
    assert archive.urgent(0.0) == "a"
    assert archive.urgent(AGAIN_SECONDS - 1) is None
    assert archive.urgent(AGAIN_SECONDS) == "a"


def test_a_question_that_failed_rests_longer_each_time() -> None:
    """A budget must not wait a day for an answer that came to nothing once."""
    archive = archive_of("a")
    assert archive.urgent(0.0) == "a"
    archive.failed("a")
    assert archive.urgent(59.0) is None
    assert archive.urgent(60.0) == "a"
    archive.failed("a")
    assert archive.urgent(179.0) is None
    assert archive.urgent(180.0) == "a"


def test_a_failure_of_what_it_did_not_name_is_none_of_its_business() -> None:
    archive = archive_of("a")
    archive.failed("z")
    archive.put_off("z")
    assert archive.urgent(0.0) == "a"


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    archive = archive_of("a")
    assert archive.urgent(1e9) == "a"
    assert archive.urgent(0.0) == "a"
