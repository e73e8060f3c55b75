"""Days, weeks and months begin and end where the clocks on the wall say so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.ledger.billing.periods import Period, Span, days, parse_span, span_of

HOUR = 3_600_000
BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # midnight was skipped
    "America/Havana",  # midnight comes twice
    "America/St_Johns",  # a minute after midnight it became an hour earlier
    "Africa/Cairo",
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",  # a quarter of an hour off
    "Pacific/Apia",  # skipped a whole day
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)).map(  # noqa: DTZ001 - in UTC
    lambda at: int(at.replace(tzinfo=UTC).timestamp() * 1000)
)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def day(text: str, zone: str) -> Span:
    return parse_span(text, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        (Period.DAY, "2026-11-23T23:00", "2026-11-24T23:00"),
        (Period.WEEK, "2026-11-22T23:00", "2026-11-29T23:00"),
        (Period.MONTH, "2026-10-31T23:00", "2026-11-30T23:00"),
    ],
)
def test_a_period_begins_at_midnight_of_its_zone(period: Period, begin: str, end: str) -> None:
    at = utc("2026-11-24T02:00")  # Tuesday morning in Berlin
    assert span_of(period, BERLIN, at) == Span(utc(begin), utc(end))


@pytest.mark.parametrize("period", list(Period))
def test_a_period_has_its_begin_and_not_its_end(period: Period) -> None:
    span = span_of(period, BERLIN, utc("2026-06-10T12:00"))
    assert span_of(period, BERLIN, span.begin) == span
    assert span_of(period, BERLIN, span.end - 1) == span
    assert span_of(period, BERLIN, span.end).begin == span.end
    assert span_of(period, BERLIN, span.begin - 1).end == span.begin


def test_a_week_that_ends_in_another_year_is_whole() -> None:
    week = span_of(Period.WEEK, UTC_ZONE, utc("2027-01-02T12:00"))
    assert week == Span(utc("2026-12-28T00:00"), utc("2027-01-04T00:00"))


def test_december_ends_with_the_year() -> None:
    december = span_of(Period.MONTH, UTC_ZONE, utc("2026-12-31T23:59"))
    assert december == Span(utc("2026-12-01T00:00"), utc("2027-01-01T00:00"))


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("2026-11", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("2024-02", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("2026-11-23", "2026-11-23T00:00", "2026-11-24T00:00"),
        ("2026-12-31", "2026-12-31T00:00", "2027-01-01T00:00"),
        ("2026-W47", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("2026-W01", "2025-12-29T00:00", "2026-01-05T00:00"),
        ("2026-W53", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("0001", "0001-01-01T00:00", "0002-01-01T00:00"),
    ],
)
def test_years_months_days_and_weeks_can_be_named(text: str, begin: str, end: str) -> None:
    assert parse_span(text, UTC_ZONE) == Span(utc(begin), utc(end))


def test_what_is_named_lies_in_its_zone() -> None:
    assert day("2026-11", "Europe/Berlin").begin == utc("2026-10-31T23:00")


@pytest.mark.parametrize(
    "text",
    ["", "november", "26-11", "2026-1", "2026-11-2", "2026-W7", "2026-11-23T00", " 2026", "٢٠٢٦"],
)
def test_what_names_no_period_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_span(text, UTC_ZONE)
    assert str(refusal.value) == (
        "expected a year, month, day or ISO week, as 2026, 2026-11, 2026-11-23 or 2026-W47"
    )


@pytest.mark.parametrize(
    "text",
    [
        "0000",
        "9999",
        "2026-00",
        "2026-13",
        "9999-12",
        "2026-02-29",
        "2026-11-00",
        "9999-12-31",
        "2026-W00",
        "2025-W53",
        "9999-W52",
    ],
)
def test_a_period_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_span(text, UTC_ZONE)
    assert str(refusal.value).startswith("expected a year, month, day or ISO week")
    assert str(refusal.value).endswith(f"; there is no {text}")


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", 23),
        ("2026-10-25", "Europe/Berlin", 25),
        ("2018-11-04", "America/Sao_Paulo", 23),
        ("2018-02-17", "America/Sao_Paulo", 25),
        ("2026-11-01", "America/Havana", 25),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2011-12-30", "Pacific/Apia", 0),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(text: str, zone: str, hours: float) -> None:
    span = day(text, zone)
    assert span.end - span.begin == hours * HOUR


def test_a_day_without_midnight_begins_when_its_clocks_are_set() -> None:
    assert day("2018-11-04", "America/Sao_Paulo").begin == utc("2018-11-04T03:00")
    assert day("2023-04-28", "Africa/Cairo").begin == utc("2023-04-27T22:00")


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    havana = day("2026-11-01", "America/Havana")
    assert havana.begin == utc("2026-11-01T04:00")
    st_johns = day("2010-11-07", "America/St_Johns")
    assert st_johns.begin == utc("2010-11-07T02:30")
    again_the_day_before = utc("2010-11-07T02:45")  # 23:15 on the wall
    assert span_of(Period.DAY, ZoneInfo("America/St_Johns"), again_the_day_before) == st_johns


@given(zone=zones, at=instants, period=st.sampled_from(list(Period)))
def test_every_instant_lies_in_its_period(zone: ZoneInfo, at: int, period: Period) -> None:
    span = span_of(period, zone, at)
    assert span.begin <= at < span.end


@given(zone=zones, at=instants, period=st.sampled_from(list(Period)))
def test_periods_follow_one_another_without_gap(zone: ZoneInfo, at: int, period: Period) -> None:
    span = span_of(period, zone, at)
    assert span_of(period, zone, span.end).begin == span.end


@given(zone=zones, at=instants, period=st.sampled_from(list(Period)))
def test_a_period_of_whole_days_is_the_sum_of_its_days(
    zone: ZoneInfo, at: int, period: Period
) -> None:
    span = span_of(period, zone, at)
    parts = list(days(span, zone))
    assert [part for _, part in parts] == [parse_span(name, zone) for name, _ in parts]
    assert parts[0][1].begin == span.begin
    assert parts[-1][1].end == span.end
    assert all(a.end == b.begin for (_, a), (_, b) in pairwise(parts))


@given(zone=zones, at=instants, length=st.integers(1, 10 * 24 * HOUR))
def test_days_are_cut_at_the_ends_of_a_span(zone: ZoneInfo, at: int, length: int) -> None:
    parts = list(days(Span(at, at + length), zone))
    assert sum(part.end - part.begin for _, part in parts) == length
    assert all(at <= part.begin < part.end <= at + length for _, part in parts)
    names = [name for name, _ in parts]
    assert names == sorted(set(names))


def test_days_have_the_dates_on_the_calendar() -> None:
    first = date(2026, 1, 1)
    expected = [(first + timedelta(n)).isoformat() for n in range(365)]
    assert [name for name, _ in days(parse_span("2026", BERLIN), BERLIN)] == expected


def test_a_day_that_was_skipped_is_not_among_the_days() -> None:
    apia = ZoneInfo("Pacific/Apia")
    names = [name for name, _ in days(parse_span("2011-12", apia), apia)]
    assert names[-2:] == ["2011-12-29", "2011-12-31"]


def test_an_empty_span_has_no_days() -> None:
    assert list(days(Span(5, 5), UTC_ZONE)) == []
