"""The HTTP side: metrics, health, readiness and the landing page."""

from trainwave_exporter.web.overview import AccountOverview, LoopOverview, Overview
from trainwave_exporter.web.server import ListenError, WebServer

__all__ = [
    "AccountOverview",
    "ListenError",
    "LoopOverview",
    "Overview",
    "WebServer",
]
