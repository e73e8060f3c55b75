"""A sum is that of what is left, rounded once, whatever was added and removed in between."""

from __future__ import annotations

from fractions import Fraction
from math import inf, isnan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.metrics.exact_sum import ExactSum

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE), st.lists(FINITE), st.randoms(use_true_random=False))
def test_only_what_is_left_counts(stays: list[float], goes: list[float], random: Random) -> None:
    changes = [(value, True) for value in stays] + [(value, False) for value in goes]
    random.shuffle(changes)
    total = ExactSum()
    for value, _ in changes:
        total.add(value)
    random.shuffle(changes)
    for value, remains in changes:
        if not remains:
            total.remove(value)
    assert bool(total) is bool(stays)
    exact = sum(map(Fraction, stays), Fraction())
    try:
        expected = float(exact)
    except OverflowError:
        expected = inf if exact > 0 else -inf
    assert total.value == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        ([5e-324, 5e-324], 1e-323),
        ([1e308, 1e308, -1e308], 1e308),
        ([-1e308, -1e308], -inf),
        ([inf, 1.0], inf),
        ([-inf, 1e308], -inf),
    ],
)
def test_the_bounds_of_floats_are_no_bounds_in_between(
    values: list[float], expected: float
) -> None:
    total = ExactSum()
    for value in values:
        total.add(value)
    assert total.value == expected


@pytest.mark.parametrize("strange", [inf, -inf, float("nan")])
def test_what_is_no_number_is_gone_once_it_is_removed(strange: float) -> None:
    total = ExactSum()
    for value in (1.5, inf, -inf):
        total.add(value)
    assert isnan(total.value)
    total.remove(inf)
    total.remove(-inf)
    total.add(strange)
    assert str(total.value) == str(strange)
    total.remove(strange)
    assert total.value == 1.5
