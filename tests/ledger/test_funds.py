"""Whether the credit falls by what was booked."""

from __future__ import annotations

from trainwave_exporter.ledger.funds import SETTLING, WINDOW, difference, falls, settled
from trainwave_exporter.ledger.store import Balance


def balances(*micro: int) -> list[Balance]:
    return [Balance("o-1", at, amount) for at, amount in enumerate(micro)]


def test_only_balances_of_the_last_day_that_had_time_to_settle_are_compared() -> None:
    now = 10 * WINDOW
    ages = (0, SETTLING - 1, SETTLING, WINDOW, WINDOW + 1)
    told = [Balance("o-1", now - age, 0) for age in ages]
    assert [now - balance.at for balance in settled(told, now)] == [SETTLING, WINDOW]


def test_a_rise_ends_a_stretch_because_money_was_paid_in() -> None:
    stretches = [(a.micro, b.micro) for a, b in falls(balances(9, 8, 7, 20, 15, 16, 16))]
    assert stretches == [(9, 7), (20, 15), (16, 16)]
    assert list(falls(balances(1, 2, 3))) == []
    assert list(falls(balances(1))) == []


def test_the_difference_is_what_the_credit_fell_beyond_the_books() -> None:
    booked = {(0, 2): 1, (3, 4): 9}
    found = difference(balances(9, 8, 7, 20, 15), lambda begin, end: booked[begin, end])
    assert found == (2 - 1) + (5 - 9)


def test_without_two_balances_there_is_nothing_to_compare() -> None:
    assert difference(balances(5), lambda _begin, _end: 0) is None
