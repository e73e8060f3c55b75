"""The Job dashboard."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import uids
from grafana.board import board
from grafana.variables import FILTERS


def dashboard() -> Dashboard:
    """Show the whole life of one job."""
    return board(uid=uids.JOB, title="Trainwave / Job", description="", variables=FILTERS, rows=())
