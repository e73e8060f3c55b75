"""The types of settings read what people write, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwave_exporter.config.values import (
    ApiUrl,
    Duration,
    HostName,
    Interval,
    LabelText,
    ListenAddress,
    RetentionDuration,
    TelemetryPath,
    TimeZone,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("1y2w3d", 33_004_800),
        ("0", 0),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "1.5s", "-1s", "30s1m", "1s1s", " 30s", "1S", "٣s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0", "99ms"])
def test_an_interval_is_never_so_short_that_it_would_be_a_busy_loop(text: str) -> None:
    with pytest.raises(ValueError, match="100ms or more"):
        Interval.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("32d", 32 * 86_400), ("2y", 63_072_000)])
def test_detail_is_kept_for_more_than_a_month_or_for_ever(text: str, seconds: float) -> None:
    assert RetentionDuration.parse(text) == seconds


@pytest.mark.parametrize("text", ["1ms", "31d", "4w", "-1y", ""])
def test_detail_of_a_month_that_is_not_over_is_never_dropped(text: str) -> None:
    with pytest.raises(ValueError, match="32d or more"):
        RetentionDuration.parse(text)


@given(st.integers(0, 10**13).map(lambda milliseconds: Duration(milliseconds / 1000)))
def test_a_duration_reads_back_from_its_text(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == pytest.approx(duration)
    assert f"{duration}" == str(duration)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://backend.trainwave.ai/api/v1/", "https://backend.trainwave.ai/api/v1"),
        ("http://127.0.0.1:8080/api/v1", "http://127.0.0.1:8080/api/v1"),
        ("HTTP://[::1]:80", "HTTP://[::1]:80"),
    ],
)
def test_a_url_is_kept_without_the_slash_at_its_end(text: str, url: str) -> None:
    assert ApiUrl.parse(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://example.org",
        "//example.org",
        "https://",
        "https://:80",
        "https://a b",
        "https://example.org/\n",
        "https://example.org/?key=1",
        "https://example.org/#top",
        "https://user@example.org",
        "https://example.org:port",
        "https://example.org:0",
        "https://[::1",
    ],
)
def test_what_is_no_base_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ApiUrl.parse(text)


@pytest.mark.parametrize(
    "text", [":9877", "127.0.0.1:0", "[::1]:9877", "[fe80::1%eth0]:80", "exporter.local:65535"]
)
def test_an_address_to_listen_on_is_kept_as_it_is(text: str) -> None:
    assert ListenAddress.parse(text) == text


@pytest.mark.parametrize("text", ["", "9877", ":", "::1:80", "[::1]", ":65536", "a/b:80", ":+80"])
def test_what_is_no_address_to_listen_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an address"):
        ListenAddress.parse(text)


def test_a_host_name_is_kept_in_lower_case() -> None:
    assert HostName.parse("Exporter.Example.org") == "exporter.example.org"
    assert HostName.parse("::1") == "::1"


@pytest.mark.parametrize("text", ["", "exporter:9877", "http://a", "[::1]", "a b"])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="without a port"):
        HostName.parse(text)


@pytest.mark.parametrize("text", ["/metrics", "/internal/trainwave-metrics", "/~me/m.txt"])
def test_a_plain_path_is_a_telemetry_path(text: str) -> None:
    assert TelemetryPath.parse(text) == text


@pytest.mark.parametrize(
    "text", ["", "metrics", "/", "/-/metrics", "/metrics/", "//metrics", "/../m", "/{m}", "/m?x"]
)
def test_a_path_that_is_taken_or_ambiguous_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a path"):
        TelemetryPath.parse(text)


@pytest.mark.parametrize("text", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_a_time_zone_is_one_that_can_be_looked_up(text: str) -> None:
    assert TimeZone.parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mars/Olympus",
        "Europe",
        "/etc/localtime",
        "../UTC",
        "UTC\0",
        "tzdata.zi",
        "Z" * 300,
        "é",
    ],
)
def test_what_cannot_be_looked_up_is_no_time_zone(text: str) -> None:
    with pytest.raises(ValueError, match="a time zone"):
        TimeZone.parse(text)


@pytest.mark.parametrize("text", ["ada", "RTX A6000", "Große Sprachmodelle", "=1+1"])
def test_a_label_may_say_anything_that_can_be_read(text: str) -> None:
    assert LabelText.parse(text) == text


@pytest.mark.parametrize("text", ["", " ", " ada", "ada ", "\u00a0", "a\nb", "\x7f"])
def test_what_looks_like_another_label_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="names or ids"):
        LabelText.parse(text)
