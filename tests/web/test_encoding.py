"""Gzip is sent to those who ask for it."""

from __future__ import annotations

import pytest

from trainwave_exporter.web.encoding import accepts_gzip


@pytest.mark.parametrize(
    "header",
    ["gzip", "GZIP", "deflate, gzip", "gzip;q=0.5", "gzip ; q = 1", "*", "br;q=1, *;q=0.1"],
)
def test_gzip_is_accepted_where_it_is_named_or_meant(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip;q=0, *",
        "gzip;q=0.5, identity",
        "gzip;q=much",
        "gzip;q=nan",
        "gzipped",
        ",;=",
    ],
)
def test_gzip_is_not_accepted_where_it_is_refused_or_not_mentioned(header: str | None) -> None:
    assert not accepts_gzip(header)
