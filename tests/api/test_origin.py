"""Which URLs an API may have, and where a redirect may lead."""

from __future__ import annotations

import pytest

from trainwave_exporter.api.errors import RedirectRefused
from trainwave_exporter.api.origin import base_of, redirect_target

URL = "https://api.test/api/v1/jobs"


@pytest.mark.parametrize(
    ("reported", "base"),
    [
        ("https://api.test/api/v1/", "https://api.test/api/v1"),
        (" http://127.0.0.1:8000 ", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/api", "http://[::1]:8000/api"),
    ],
)
def test_a_base_url_loses_its_last_slash(reported: str, base: str) -> None:
    assert base_of(reported) == base


@pytest.mark.parametrize(
    "reported",
    [
        "",
        "api.test",
        "ftp://api.test",
        "https://",
        "https://user:secret@api.test",
        "https://api.test/?a=1",
        "https://api.test/#a",
        "http://api\x00.test",
        "http://api.test:port",
    ],
)
def test_what_is_no_plain_http_url_is_refused_without_repeating_it(reported: str) -> None:
    with pytest.raises(ValueError) as refused:
        base_of(reported)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/api/v1/jobs/?limit=5", "https://api.test/api/v1/jobs/?limit=5"),
        ("https://api.test:443/x/", "https://api.test/x/"),
        ("//api.test/x/", "https://api.test/x/"),
        ("https://API.test/x/", "https://api.test/x/"),
    ],
)
def test_a_redirect_within_the_origin_leads_on(location: str, target: str) -> None:
    assert redirect_target(URL, location, str) == target


@pytest.mark.parametrize(
    "location",
    [
        "http://api.test/api/v1/jobs/",
        "https://api.test:8443/api/v1/jobs/",
        "https://evil.test/api/v1/jobs/",
        "//evil.test/",
        "https://api.test@evil.test/",
        "https://user@api.test/",
        "ftp://api.test/",
        "mailto:someone@api.test",
        "https://api\x00.test/",
        "https://api.test:99999999/",
    ],
)
def test_a_redirect_out_of_the_origin_or_nowhere_is_refused(location: str) -> None:
    with pytest.raises(RedirectRefused, match=r"^redirected to "):
        redirect_target(URL, location, str)
