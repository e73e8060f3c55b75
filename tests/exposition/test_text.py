from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.formats import Format
from trainwave_exporter.exposition.text import Description, Kind


def test_backslashes_quotes_and_newlines_are_escaped_in_that_order() -> None:
    assert text.labels(("a",), ('\\n"\n',)) == r'a="\\n\"\n"'


def test_a_label_without_a_value_is_left_out_and_an_empty_one_is_not() -> None:
    assert text.labels(("a", "b", "c"), (None, "", "1")) == 'b="",c="1"'


def test_as_many_values_as_names_are_asked_for() -> None:
    with pytest.raises(ValueError, match="1 values for the labels"):
        text.labels(("a", "b"), ("1",))


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert text.utf8("a\ud800b😀") == "a?b😀".encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (True, "1"),
        (3.0, "3"),
        (-2.5, "-2.5"),
        (0.1, "0.1"),
        (1e300, "1e300"),
        (1700000000.25, "1700000000.25"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_written_short(value: float, written: str) -> None:
    assert text.number(value) == written


@given(st.floats(allow_nan=False))
def test_a_number_is_read_as_the_very_float_that_was_written(value: float) -> None:
    assert float(text.number(value)) == value


def test_the_text_format_names_a_counter_as_its_samples_are_named() -> None:
    counter = Description("things_done_seconds_total", Kind.COUNTER, (), "Time spent.")
    assert counter.header(Format.TEXT) == (
        b"# HELP things_done_seconds_total Time spent.\n# TYPE things_done_seconds_total counter\n"
    )


def test_openmetrics_names_a_counter_without_total_and_reports_its_unit() -> None:
    counter = Description("things_done_seconds_total", Kind.COUNTER, (), "Time spent.")
    assert counter.header(Format.OPENMETRICS) == (
        b"# HELP things_done_seconds Time spent.\n"
        b"# TYPE things_done_seconds counter\n"
        b"# UNIT things_done_seconds seconds\n"
    )


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("a_bytes", "bytes"),
        ("a_io_bytes_per_second", "bytes_per_second"),
        ("a_gpu_hours", "hours"),
        ("a_timestamp_seconds", "seconds"),
        ("a_jobs", ""),
        ("seconds", ""),
    ],
)
def test_the_unit_is_read_off_the_name(name: str, unit: str) -> None:
    assert Description(name, Kind.GAUGE, (), "Help.").unit == unit


@pytest.mark.parametrize(
    ("name", "kind", "about"),
    [
        ("1a", Kind.GAUGE, "Help."),
        ("a-b", Kind.GAUGE, "Help."),
        ("a", Kind.GAUGE, ""),
        ("a", Kind.GAUGE, 'A "quote".'),
        ("a", Kind.GAUGE, "A back\\slash."),
        ("a", Kind.GAUGE, "Two\nlines."),
        ("a_total", Kind.GAUGE, "Help."),
        ("a", Kind.COUNTER, "Help."),
    ],
)
def test_what_cannot_be_written_in_both_formats_is_refused(
    name: str, kind: Kind, about: str
) -> None:
    with pytest.raises(ValueError, match=name):
        Description(name, kind, (), about)
