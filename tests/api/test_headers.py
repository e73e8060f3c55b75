"""What is read out of headers, and what is not."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.api.headers import rate_headers, retry_after

NOW = 1_711_011_600.0
DATE = "Thu, 21 Mar 2024 09:02:00 GMT"


def test_the_rate_limit_is_read_whatever_the_case_of_the_names() -> None:
    headers = {
        "x-RATELIMIT-limit": "1000",
        "X-RateLimit-Remaining": " 7 ",
        "X-Ratelimit-Reset": "5",
    }
    reported = rate_headers(headers, NOW)
    assert (reported.limit, reported.remaining, reported.reset, reported.skew) == (1000, 7, 5, None)
    assert rate_headers(httpx.Headers(headers), NOW) == reported


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "NaN", "1,000", "100, 100", "1e5", "\u0665", "9" * 16]
)
def test_a_number_without_sense_is_no_number(text: str) -> None:
    assert rate_headers({"X-RateLimit-Limit": text}, NOW).limit is None


def test_the_clock_of_the_api_is_known_by_its_date() -> None:
    assert rate_headers(httpx.Headers({"Date": DATE}), NOW).skew == 120
    assert rate_headers({"DATE": DATE}, NOW).skew == 120
    assert rate_headers(httpx.Headers({}), NOW).skew is None


@pytest.mark.parametrize("date", ["", "soon", "Thu, 99 Mar 2024 09:02:00 GMT", "2024-03-21"])
def test_a_date_without_sense_is_none(date: str) -> None:
    assert rate_headers(httpx.Headers({"Date": date}), NOW).skew is None


def test_a_date_without_zone_is_utc() -> None:
    date = "Thu, 21 Mar 2024 09:02:00 -0000"
    assert rate_headers(httpx.Headers({"Date": date}), NOW).skew == 120


@pytest.mark.parametrize(
    ("text", "reset"),
    [
        ("1711011660", NOW + 60),
        ("1711011660.5", NOW + 60.5),
        ("1711011660000", NOW + 60),
        ("1711011660500", NOW + 60.5),
        ("99999999999", 99_999_999_999),  # the year 5138, but seconds all the same
        ("60", 60),
    ],
)
def test_a_reset_in_milliseconds_is_read_as_such(text: str, reset: float) -> None:
    assert rate_headers({"X-RateLimit-Reset": text}, NOW).reset == reset


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "later"}, None),
        ({"Retry-After": DATE}, 120),
        ({"Retry-After": DATE, "Date": "Thu, 21 Mar 2024 09:01:30 GMT"}, 30),
        ({"Retry-After": "Thu, 21 Mar 2024 08:00:00 GMT"}, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_clock_of_the_api(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(httpx.Headers(headers), NOW) == seconds
    assert retry_after(headers, NOW) == seconds


@given(st.text())
def test_no_header_raises_anything(text: str) -> None:
    headers = {"date": text, "retry-after": text, "x-ratelimit-limit": text}
    rate_headers(headers, NOW)
    retry_after(headers, NOW)
