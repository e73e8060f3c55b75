"""The Cost dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import uids
from grafana.board import board
from grafana.variables import FILTERS


def dashboard() -> Dashboard:
    """Show where money goes."""
    return board(
        uid=uids.COST, title="Trainwave / Cost", description="", variables=FILTERS, rows=()
    )
