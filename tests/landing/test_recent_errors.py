"""Errors are kept as kinds with words and a remedy, and only so many of them."""

from __future__ import annotations

from collections.abc import Iterator

from trainwave_exporter.api import TrainwaveError
from trainwave_exporter.landing.advice import ADVICE, STORE, STORE_LOST
from trainwave_exporter.landing.recent_errors import KINDS_KEPT, RecentErrors
from trainwave_exporter.model import ClockSkew, Exchange, LedgerRun, Unreadable


def exchange(outcome: str, endpoint: str = "jobs", account: str = "a") -> Exchange:
    return Exchange(account=account, endpoint=endpoint, outcome=outcome, seconds=0.1)


def leaves(kind: type[TrainwaveError]) -> Iterator[str]:
    below = kind.__subclasses__()
    for one in below:
        yield from leaves(one)
    if not below:
        yield kind.outcome


def test_there_is_advice_for_every_error_there_can_be() -> None:
    assert set(ADVICE) == {*leaves(TrainwaveError), STORE, STORE_LOST}
    assert all(advice.meaning.endswith(".") for advice in ADVICE.values())
    assert all(advice.remedy.endswith(".") for advice in ADVICE.values())


def test_the_same_error_is_one_line_that_counts() -> None:
    troubles = RecentErrors()
    for now in (10.0, 20.0, 30.0):
        troubles.observe(exchange("timeout"), now)
    troubles.observe(exchange("timeout", "metric"), 25.0)
    first, second = troubles.newest()
    assert (first.place, first.count, first.first_at, first.last_at) == ("jobs", 3, 10.0, 30.0)
    assert (second.place, second.count) == ("metric", 1)
    assert first.meaning == ADVICE["timeout"].meaning
    assert first.remedy == ADVICE["timeout"].remedy


def test_values_that_cannot_be_used_are_listed_with_the_reason_and_push_no_error_out() -> None:
    troubles = RecentErrors()
    troubles.observe(exchange("timeout"), 1.0)
    for reason in ("stale", "contradicting", *map(str, range(KINDS_KEPT))):
        troubles.observe(Unreadable(account="a", subject="gpu_utilization", reason=reason), 2.0)
        if reason == "contradicting":
            newest, before, error = troubles.newest()
            assert (newest.place, newest.outcome) == ("gpu_utilization", "stale")
            assert before.outcome == "contradicting"
            assert "contradict" in before.meaning
            assert (newest.notable, error.notable) == (False, True)
    assert len(troubles.newest()) == KINDS_KEPT + 1
    assert troubles.newest()[-1].outcome == "timeout"
    troubles.forget("a")
    assert troubles.newest() == ()


def test_what_went_well_is_no_trouble() -> None:
    troubles = RecentErrors()
    troubles.observe(exchange("ok"), 1.0)
    troubles.observe(ClockSkew("a", 3.0), 1.0)
    troubles.observe(ledger_run(succeeded=True), 1.0)
    assert troubles.newest() == ()


def test_a_ledger_that_cannot_be_written_is_the_exporters_own_trouble() -> None:
    troubles = RecentErrors()
    troubles.observe(ledger_run(succeeded=False), 1.0)
    (told,) = troubles.newest()
    assert (told.account, told.place, told.outcome) == ("", "ledger", STORE)


def test_a_ledger_whose_file_is_lost_is_trouble_of_another_kind() -> None:
    troubles = RecentErrors()
    troubles.observe(ledger_run(succeeded=False, lost=True), 1.0)
    (told,) = troubles.newest()
    assert (told.account, told.place, told.outcome) == ("", "ledger", STORE_LOST)
    assert "ledger.sqlite3.rescued" in told.remedy


def test_of_each_account_the_kinds_met_last_are_kept() -> None:
    troubles = RecentErrors()
    troubles.observe(exchange("timeout", account="other"), 0.0)
    for number in range(KINDS_KEPT + 3):
        troubles.observe(exchange("timeout", f"e{number}"), float(number))
        troubles.observe(exchange("timeout", "e0"), number + 0.5)
    kept = [told.place for told in troubles.newest() if told.account == "a"]
    assert len(kept) == KINDS_KEPT
    assert {"e0", f"e{KINDS_KEPT + 2}"} <= set(kept)
    assert "e1" not in kept
    troubles.forget("a")
    assert [told.account for told in troubles.newest()] == ["other"]


def ledger_run(*, succeeded: bool, lost: bool = False) -> LedgerRun:
    return LedgerRun(
        succeeded=succeeded, seconds=0.1, finished_at=1.0, waiting=0, size_bytes=0, lost=lost
    )
