"""Which history is asked for, and how often."""

from __future__ import annotations

from trainwave_exporter.polling.archive import AGAIN_SECONDS, PACE_SECONDS, Archive

NOW = 1_000_000.0


def test_no_more_is_taken_than_there_is_room_for_and_nothing_twice() -> None:
    archive = Archive(lambda: ["j-1", "j-2", "j-3"])
    assert archive.take(0, NOW) == []
    assert archive.take(-1, NOW) == []
    assert archive.take(2, NOW) == ["j-1", "j-2"]
    assert archive.take(2, NOW) == ["j-3"]
    assert archive.take(2, NOW) == []


def test_what_was_not_answered_is_asked_for_again_a_day_later() -> None:
    archive = Archive(lambda: ["j-1"])
    assert archive.take(1, NOW) == ["j-1"]
    assert archive.take(1, NOW + AGAIN_SECONDS - 1) == []
    assert archive.take(1, NOW + AGAIN_SECONDS) == ["j-1"]
    assert archive.take(1, NOW) == ["j-1"]  # the clock was set back


def test_one_is_due_now_and_then_whatever_else_there_is() -> None:
    archive = Archive(lambda: ["j-1"])
    assert archive.due(NOW)
    archive.take(1, NOW)
    assert not archive.due(NOW + PACE_SECONDS - 1)
    assert archive.due(NOW + PACE_SECONDS)
    assert archive.due(NOW - 1)
