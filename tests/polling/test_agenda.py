"""What was asked, how it went, and when it may be asked again."""

from __future__ import annotations

from trainwave_exporter.model import Metric
from trainwave_exporter.polling.agenda import LONGEST_PAUSE_SECONDS, Agenda, Question

CALL = Question("j-1", Metric.CPU)


def test_of_what_was_never_asked_nothing_is_known() -> None:
    asked = Agenda(pause=60).asked(CALL)
    assert (asked.answered_at, asked.failures, asked.under_way) == (None, 0, False)


def test_an_answer_ends_what_is_under_way_and_all_failures() -> None:
    agenda = Agenda(pause=60)
    agenda.failed(CALL, 100.0)
    agenda.begin(CALL)
    assert agenda.asked(CALL).under_way
    agenda.answered(CALL, "RUNNING", 200.0)
    asked = agenda.asked(CALL)
    assert (asked.answered_at, asked.answered_in_state) == (200.0, "RUNNING")
    assert (asked.failures, asked.not_before, asked.under_way) == (0, 0.0, False)


def test_pauses_double_with_each_failure_up_to_a_bound() -> None:
    agenda = Agenda(pause=60)
    pauses = []
    for _ in range(2000):
        agenda.begin(CALL)
        agenda.failed(CALL, 1000.0)
        pauses.append(agenda.asked(CALL).not_before - 1000.0)
    assert pauses[:4] == [60, 120, 240, 480]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert not agenda.asked(CALL).under_way


def test_what_is_put_off_may_be_asked_at_once() -> None:
    agenda = Agenda(pause=60)
    agenda.begin(CALL)
    agenda.put_off(CALL)
    asked = agenda.asked(CALL)
    assert (asked.under_way, asked.not_before, asked.failures) == (False, 0.0, 0)


def test_details_and_readings_of_a_job_are_apart_and_forgotten_together() -> None:
    agenda = Agenda(pause=60)
    agenda.answered(CALL, "", 1.0)
    agenda.answered(Question("j-1"), "RUNNING", 2.0)
    assert agenda.asked(CALL).answered_at == 1.0
    assert agenda.asked(Question("j-1")).answered_at == 2.0
    agenda.forget("j-1")
    agenda.forget("j-1")
    assert agenda.asked(CALL).answered_at is None
    assert agenda.asked(Question("j-1")).answered_at is None
