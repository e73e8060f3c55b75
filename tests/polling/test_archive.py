"""Whose details are history, and how often the same are asked for."""

from __future__ import annotations

from trainwave_exporter.polling.archive import AGAIN_SECONDS, Archive


def test_every_job_is_asked_for_once_the_most_wanted_first() -> None:
    archive = Archive(lambda: ["b", "a"])
    assert [archive.take(1.0), archive.take(1.0), archive.take(1.0)] == ["b", "a", None]
    assert archive.take(2.0) is None


def test_whoever_is_wanted_later_gets_his_turn() -> None:
    wanted = ["a"]
    archive = Archive(lambda: wanted)
    assert [archive.take(1.0), archive.take(1.0)] == ["a", None]
    wanted.append("b")
    assert [archive.take(2.0), archive.take(2.0)] == ["b", None]


def test_the_ledger_is_not_asked_again_at_the_same_moment() -> None:
    asked: list[None] = []

    def wanted() -> list[str]:
        asked.append(None)
        return []

    archive = Archive(wanted)
    for _ in range(5):
        assert archive.take(1.0) is None
    assert len(asked) == 1


def test_what_could_not_be_answered_is_asked_for_again_a_day_later() -> None:
    archive = Archive(lambda: ["a"])
    assert archive.take(0.0) == "a"
    assert archive.take(AGAIN_SECONDS - 1) is None
    assert archive.take(AGAIN_SECONDS) == "a"


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    archive = Archive(lambda: ["a"])
    assert archive.take(1e9) == "a"
    assert archive.take(0.0) == "a"
