"""Single values of JSON, tolerantly read."""

from __future__ import annotations

from contextlib import suppress
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.api.fields import (
    NAME,
    SHARED_NAME,
    STATE,
    Fields,
    Misread,
    amount,
    balance,
    escaped,
    gigabytes,
    gpu_count,
    identifier,
    megabytes,
    moment,
    number,
    reference,
    size,
    text,
)
from trainwave_exporter.model import Fact, Unreadable

NINE = 1_711_011_600.0


@pytest.mark.parametrize(
    ("reported", "meant"),
    [
        (5, 5.0),
        (25.5, 25.5),
        ("25.50", 25.5),
        (" 7 ", 7.0),
        ("1e3", 1000.0),
        (-3, -3.0),
        ("-3", -3.0),
    ],
)
def test_numbers_come_as_numbers_or_decimal_strings(reported: Any, meant: float) -> None:
    assert number(reported) == meant


@pytest.mark.parametrize(
    "reported",
    [
        True,
        False,
        nan,
        inf,
        -inf,
        "",
        "NaN",
        "Infinity",
        "1_000",
        "0x10",
        "25,5",
        "٣",
        [],
        {},
        10**400,
    ],
)
def test_what_is_no_finite_number_is_not_read_as_one(reported: Any) -> None:
    with pytest.raises(Misread):
        number(reported)


@pytest.mark.parametrize("reported", [-0.01, "-1", 1e15, 10**30, True, "lots"])
def test_negative_and_absurd_amounts_are_unreadable(reported: Any) -> None:
    with pytest.raises(Misread):
        amount(reported)


@pytest.mark.parametrize("bits", [31, 32, 63, 64])
def test_the_largest_number_of_a_machine_is_no_amount(bits: int) -> None:
    for convert in (amount, balance, size, megabytes, gigabytes):
        with pytest.raises(Misread, match="out_of_range"):
            convert(2**bits - 1)
    assert amount(2**31 - 2) == 2**31 - 2


@pytest.mark.parametrize("value", [-1, 10_001, 65_535, 1e14, True, "many"])
def test_no_job_has_so_many_gpus(value: Any) -> None:
    with pytest.raises(Misread):
        gpu_count(value)
    assert [gpu_count(n) for n in (0, 0.5, 8, "8", 10_000)] == [0, 0.5, 8, 8, 10_000]


def test_only_a_balance_may_be_below_zero() -> None:
    assert balance(-250) == -250
    with pytest.raises(Misread):
        balance(-1e15)


def test_a_size_of_zero_is_not_known() -> None:
    assert size(0) is None
    assert size(4) == 4


def test_sizes_are_bytes() -> None:
    assert megabytes(51200) == 51_200_000_000
    assert gigabytes("16") == 16e9
    assert megabytes(0) is None


@pytest.mark.parametrize(
    "reported",
    [
        "2024-03-21T09:00:00Z",
        "2024-03-21T09:00:00.000000Z",
        "2024-03-21T11:00:00+02:00",
        "2024-03-21T09:00:00",
        " 2024-03-21 09:00:00 ",
        1_711_011_600,
        "1711011600",
        1_711_011_600_000,
        1_711_011_600.0,
    ],
)
def test_times_come_as_iso_8601_or_unix_seconds_or_milliseconds(reported: Any) -> None:
    assert moment(reported) == NINE


def test_fractions_of_a_second_are_kept() -> None:
    assert moment("2024-03-21T09:00:00.25Z") == NINE + 0.25


@pytest.mark.parametrize(
    "reported",
    ["", "yesterday", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
     0, -1, 5, 9e9, True, None, [], "0001-01-01T00:00:00+23:59", 1e300],
)  # fmt: skip
def test_what_is_no_time_of_this_century_is_not_read_as_one(reported: Any) -> None:
    with pytest.raises(Misread):
        moment(reported)


def test_texts_lose_the_space_around_them_and_empty_ones_are_none() -> None:
    assert text("  a b ") == "a b"
    assert text("  ") is None
    with pytest.raises(Misread):
        text(5)


def test_half_of_a_surrogate_pair_becomes_text_that_can_be_encoded() -> None:
    assert text("caf\u00e9 \ud800") == "caf\u00e9 ?"


def test_what_many_objects_share_is_kept_in_memory_once() -> None:
    one, _ = fields_of({"name": " RTX 4090"})
    other, _ = fields_of({"name": "RTX 4090 "})
    assert one.get_text("name", SHARED_NAME) is other.get_text("name", SHARED_NAME)


@pytest.mark.parametrize(
    ("reported", "meant"), [("j-1", "j-1"), (17, "17"), (" a ", "a"), ("", None)]
)
def test_ids_are_texts_or_whole_numbers(reported: Any, meant: str | None) -> None:
    assert identifier(reported) == meant


@pytest.mark.parametrize("reported", [".", "..", " .. ", -1, 1.5, True, [], {"id": "j-1"}])
def test_what_could_climb_up_a_path_is_no_id(reported: Any) -> None:
    with pytest.raises(Misread):
        identifier(reported)


def test_a_reference_is_an_id_or_an_object_with_one() -> None:
    assert reference("p-1") == "p-1"
    assert reference({"id": "p-1", "name": "x"}) == "p-1"


@pytest.mark.parametrize("reported", [{}, {"id": None}, {"id": []}, []])
def test_an_object_without_an_id_is_no_reference(reported: Any) -> None:
    with pytest.raises(Misread):
        reference(reported)


def test_a_field_that_cannot_be_read_is_noted_and_null_or_absent_ones_are_not() -> None:
    notes: list[Fact] = []
    fields = Fields(
        {"gpus": "many", "name": None, "config": 5}, account="a", subject="job", notes=notes
    )
    assert fields.get("gpus", amount) is None
    assert fields.get("name", text) is None
    assert fields.get("rid", text) is None
    assert fields.nested("config").get("name", text) is None
    assert fields.about("cost").get("gpus", amount) is None
    assert notes == [
        Unreadable(account="a", subject="job", reason="bad_gpus"),
        Unreadable(account="a", subject="job", reason="bad_config"),
        Unreadable(account="a", subject="cost", reason="bad_gpus"),
    ]


@given(reported=st.text() | st.floats() | st.integers() | st.booleans() | st.none())
def test_a_converter_raises_nothing_but_misread(reported: Any) -> None:
    for convert in (text, identifier, reference, number, amount, balance, size, moment):
        with suppress(Misread):
            convert(reported)


def fields_of(raw: dict[str, Any], key: str = "") -> tuple[Fields, list[Fact]]:
    notes: list[Fact] = []

    def redact(reported: str) -> str:
        return reported.replace(key, "[redacted]") if key else reported

    return Fields(raw, account="a", subject="job", notes=notes, redact=redact), notes


def complaint(reason: str) -> Unreadable:
    return Unreadable(account="a", subject="job", reason=reason)


@pytest.mark.parametrize(
    ("reported", "kept"),
    [
        ("n" * 256, "n" * 256),
        ("n" * 257, "n" * 255 + "…"),
        ("n" * 1_000_000, "n" * 255 + "…"),
        ("\u202e" * 100, "\\u202e" * 42 + "\\u2" + "…"),
    ],
    ids=["the longest", "one more", "a megabyte", "longer once it is escaped"],
)
def test_a_name_is_kept_up_to_its_bound(reported: str, kept: str) -> None:
    fields, _ = fields_of({"name": reported})
    assert fields.get_text("name", NAME) == kept


def test_what_is_cut_is_counted() -> None:
    fields, notes = fields_of({"name": "n" * 257, "state": "S" * 65})
    assert fields.get_text("state", STATE) == "S" * 63 + "…"
    assert fields.get_text("name", NAME) is not None
    assert notes == [complaint("long_state"), complaint("long_name")]


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        ("plain", "plain"),
        ("größer 大きい", "größer 大きい"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("a\u202eb", r"a\u202eb"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("a\u2028b", r"a\u2028b"),
        ("\U000e0041", r"\U000e0041"),
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        ("a\u3000b\xa0c", "a\u3000b\xa0c"),
    ],
)
def test_characters_that_are_not_seen_are_shown_escaped(reported: str, shown: str) -> None:
    """But for the joiners that emoji and some scripts need, and spaces of every width."""
    assert escaped(reported) == shown


@pytest.mark.parametrize(
    ("reported", "reason"),
    [
        ("i" * 129, "long_id"),
        ("i" * 1_000_000, "long_id"),
        ("j\x1b1", "bad_id"),
        ("j\u202e1", "bad_id"),
        ("j\n1", "bad_id"),
    ],
)
def test_an_id_that_could_not_be_shown_as_it_is_is_no_id(reported: str, reason: str) -> None:
    fields, notes = fields_of({"id": reported})
    assert fields.get_id("id", identifier) is None
    assert notes == [complaint(reason)]


def test_the_longest_id_is_one() -> None:
    assert identifier("i" * 128) == "i" * 128


def test_the_key_is_taken_out_of_texts_and_counted() -> None:
    fields, notes = fields_of({"name": "my tw-key-1234 job"}, key="tw-key-1234")
    assert fields.get_text("name", NAME) == "my [redacted] job"
    assert notes == [complaint("key_in_name")]


def test_no_piece_of_the_key_remains_where_a_name_is_cut() -> None:
    fields, _ = fields_of({"name": "n" * 250 + "tw-key-1234"}, key="tw-key-1234")
    assert fields.get_text("name", NAME) == "n" * 250 + "[reda…"


def test_an_id_with_the_key_names_nothing() -> None:
    fields, notes = fields_of({"id": "j-tw-key-1234"}, key="tw-key-1234")
    assert fields.get_id("id", identifier) is None
    assert notes == [complaint("key_in_id")]
