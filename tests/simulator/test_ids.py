from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.simulator.ids import (
    IdKind,
    SimulatedDialect,
    gather,
    read_id,
    scatter,
    write_id,
)

SEEDS = st.integers(0, 2**31)
PLACES = st.integers(0, 2**24)
CODES = st.integers(0, 2**32 - 1)


@given(SEEDS, st.sampled_from(IdKind), PLACES)
def test_a_code_leads_back_to_its_place(seed: int, kind: IdKind, place: int) -> None:
    assert gather(seed, kind, scatter(seed, kind, place)) == place


@given(st.sampled_from(SimulatedDialect), st.sampled_from(IdKind), CODES)
def test_an_id_leads_back_to_its_code(dialect: SimulatedDialect, kind: IdKind, code: int) -> None:
    assert read_id(dialect, kind, write_id(dialect, kind, code)) == code


@given(st.sampled_from(SimulatedDialect), CODES, st.permutations(list(IdKind)))
def test_an_id_is_of_one_kind_only(
    dialect: SimulatedDialect, code: int, kinds: list[IdKind]
) -> None:
    assert read_id(dialect, kinds[0], write_id(dialect, kinds[1], code)) is None


@given(st.sampled_from(SimulatedDialect), st.text())
def test_a_text_that_is_no_id_has_no_code(dialect: SimulatedDialect, text: str) -> None:
    code = read_id(dialect, IdKind.JOB, text)
    assert code is None or write_id(dialect, IdKind.JOB, code) == text


@pytest.mark.parametrize(
    ("dialect", "form"),
    [
        (SimulatedDialect.DOCUMENTED, r"j-[0-9a-z]{7}"),
        (
            SimulatedDialect.DEPLOYED,
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}",
        ),
    ],
)
@given(code=CODES)
def test_an_id_has_the_form_of_its_dialect(dialect: SimulatedDialect, form: str, code: int) -> None:
    assert re.fullmatch(form, write_id(dialect, IdKind.JOB, code))
