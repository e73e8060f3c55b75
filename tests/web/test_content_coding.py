"""Packed answers are sent to those who ask for them."""

from __future__ import annotations

import pytest

from trainwave_exporter.web.content_coding import Coding, preferred


@pytest.mark.parametrize(
    "header",
    [
        "gzip",
        "GZIP",
        "deflate, gzip",
        "gzip;q=0.5",
        "gzip ; q = 1",
        "*",
        "br;q=1, *;q=0.1",
        "gzip, zstd",
        "zstd;q=0.9, gzip",
        "zstd;q=0, *",
    ],
)
def test_gzip_is_sent_where_it_is_named_or_meant_and_liked_no_less(header: str) -> None:
    assert preferred(header) is Coding.GZIP


@pytest.mark.parametrize(
    "header", ["zstd", "ZSTD, gzip;q=0.9", "gzip;q=0, zstd;q=0.1, identity;q=0"]
)
def test_zstd_is_sent_where_it_is_named_and_liked_more(header: str) -> None:
    assert preferred(header) is Coding.ZSTD


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
        "zstd;q=0.5, identity",
        "gzip;q=much",
        "gzip;q=nan",
        "gzipped",
        ",;=",
    ],
)
def test_nothing_is_packed_where_that_is_refused_or_not_mentioned(header: str | None) -> None:
    assert preferred(header) is Coding.IDENTITY
