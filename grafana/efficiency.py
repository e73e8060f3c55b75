"""The GPU efficiency dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import uids
from grafana.board import board
from grafana.variables import FILTERS


def dashboard() -> Dashboard:
    """Show what GPUs do for their money."""
    return board(
        uid=uids.EFFICIENCY,
        title="Trainwave / GPU efficiency",
        description="",
        variables=FILTERS,
        rows=(),
    )
