"""Instants as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def write_time(at: int) -> str:
    """Write Unix seconds in ISO 8601, in UTC, with a Z."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
