"""The Exporter dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import uids
from grafana.board import board
from grafana.variables import FILTERS


def dashboard() -> Dashboard:
    """Show how the exporter fares."""
    return board(
        uid=uids.EXPORTER, title="Trainwave / Exporter", description="", variables=FILTERS, rows=()
    )
