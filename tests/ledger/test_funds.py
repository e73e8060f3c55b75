"""Whether the credit falls by what is billed. A dollar is a million micro-dollars."""

from __future__ import annotations

import pytest

from trainwave_exporter.ledger.billing.job_entry import Correction
from trainwave_exporter.ledger.billing.reconciliation import (
    WINDOW,
    compared,
    difference,
    falls,
    is_implausible,
    kept,
    without_outliers,
)
from trainwave_exporter.ledger.billing.stored_records import Balance
from trainwave_exporter.ledger.billing.units import HOUR, MICRO


def balances(*pairs: tuple[int, int], error: int = 0) -> list[Balance]:
    """Return balances an hour apart: each with what was billed by then, give or take an error."""
    return [
        Balance("o-1", hour * HOUR, micro, (billed - error, billed + error))
        for hour, (micro, billed) in enumerate(pairs)
    ]


def amounts(found: list[Balance]) -> list[int]:
    return [balance.micro for balance in found]


def test_balances_of_a_day_are_kept_and_the_last_one_before_that_can_be_compared() -> None:
    now = 10 * WINDOW
    known = [
        Balance("o-1", now - 9 * WINDOW, 5, (0, 0)),
        Balance("o-1", now - 8 * WINDOW, 4, (1, 1)),
        Balance("o-1", now - 7 * WINDOW, 3),
        Balance("o-1", now - WINDOW, 2),
        Balance("o-1", now, 9),
    ]
    newest = Balance("o-1", now, 1)
    assert kept(known, newest) == [known[1], known[3], newest]


@pytest.mark.parametrize(
    ("since", "seen", "expected"),
    [
        (-2, -1, (0, 0)),
        (-2, 1, (-20, 0)),
        (1, 3, (0, 0)),
        (-2, 9, (0, 20)),
        (1, 9, (0, 20)),
        (5, 9, (0, 0)),
        (-2, 0, (0, 0)),
        (4, 9, (0, 0)),
    ],
    ids=[
        "before both",
        "perhaps in the first already",
        "between both",
        "perhaps between both",
        "perhaps in the last already",
        "after both",
        "seen with the first",
        "not before the last",
    ],
)
def test_a_refund_may_be_in_a_balance_between_the_samples_that_show_it(
    since: int, seen: int, expected: tuple[int, int]
) -> None:
    """20 are taken back at some hour between; the balances are of the hours 0 and 4.

    What is billed includes it from the hour on at which it is seen.
    """
    billed = [50 - 20 * (seen <= hour) for hour in (0, 4)]
    fall = billed[1] - billed[0]
    first = Balance("o-1", 0, 100, (billed[0], billed[0]))
    last = Balance("o-1", 4 * HOUR, 100 - fall, (billed[1], billed[1]))
    refund = Correction("j-1", at=seen * HOUR, since=since * HOUR, micro=-20)
    found = compared(first, last, [refund])
    assert (found.lower, found.upper) == expected


def test_a_rise_ends_a_stretch_because_money_was_paid_in() -> None:
    found = balances(*[(micro, 0) for micro in (9, 8, 7, 20, 15, 16, 16)])
    stretches = [(a.micro, b.micro) for a, b in falls(found)]
    assert stretches == [(9, 7), (20, 15), (16, 16)]
    assert list(falls(balances((1, 0), (2, 0), (3, 0)))) == []
    assert list(falls(balances((1, 0)))) == []


def test_the_difference_is_what_the_credit_fell_beyond_the_bills() -> None:
    """9 to 7 while 1 is billed, 20 to 15 while 9 is: 1 more and 4 less."""
    found = balances((9, 0), (8, 0), (7, 1), (20, 1), (15, 10))
    assert difference(found) == (2 - 1) + (5 - 9)


def test_bills_that_come_in_steps_make_no_difference_whenever_they_are_seen() -> None:
    """A step of 36 seen with one balance and not yet with the other is within the error."""
    first = Balance("o-1", 0, 100, (0, 36))
    last = Balance("o-1", HOUR, 64, (36, 36))
    assert (compared(first, last).lower, compared(first, last).upper) == (0, 36)
    assert difference([first, last]) == 0


def test_a_difference_beyond_the_error_is_what_it_is_at_the_least() -> None:
    assert difference(balances((100, 0), (80, 10), error=2)) == 10 - 4
    assert difference(balances((100, 0), (95, 10), error=2)) == -(5 - 4)


def test_without_two_balances_there_is_nothing_to_compare() -> None:
    assert difference(balances((5, 0))) is None
    assert difference([*balances((5, 0)), Balance("o-1", HOUR, 4)]) is None
    assert difference([]) is None


@pytest.mark.parametrize("odd", [2_147_483, 0], ids=["far too much", "nothing"])
def test_a_balance_reported_once_and_taken_back_is_no_payment_and_no_loss(odd: int) -> None:
    found = balances((100, 0), (99, 1), (odd, 2), (97, 3), (96, 4))
    assert amounts(without_outliers(found)) == [100, 99, 97, 96]
    assert difference(found) == 0


def test_a_payment_and_what_is_billed_then_are_no_outliers() -> None:
    """From 5 to 105 by a payment of 100; from 10 up by 50 and down by 60 that were billed."""
    paid = balances((10, 0), (5, 5), (105, 5), (100, 10))
    assert amounts(without_outliers(paid)) == [10, 5, 105, 100]
    burnt = balances((10, 0), (60, 0), (0, 60))
    assert amounts(without_outliers(burnt)) == [10, 60, 0]


def test_a_fall_that_nothing_explains_is_not_believed_at_first_sight() -> None:
    """In an hour 3.6 dollars burn: twice that and a dollar, 8.2, beyond what was billed."""
    rate, billed = 3_600_000, 5 * MICRO
    before = Balance("o-1", 0, 50 * MICRO, (0, 0))
    fallen = Balance("o-1", HOUR, 50 * MICRO - billed - 8_200_000, (0, 0))
    assert not is_implausible(before, fallen, rate, billed)
    deeper = Balance("o-1", HOUR, fallen.micro - 1, (0, 0))
    assert is_implausible(before, deeper, rate, billed)
    unknown = Balance("o-1", 0, 50 * MICRO)
    assert not is_implausible(unknown, deeper, rate, billed)
