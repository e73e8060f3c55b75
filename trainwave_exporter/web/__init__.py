"""The HTTP side: metrics, health, readiness and the landing page."""

from trainwave_exporter.web.access import Access, AccessError
from trainwave_exporter.web.overview import (
    AccountOverview,
    JobOverview,
    LoopOverview,
    Overview,
    SettingOverview,
    TroubleOverview,
    UnknownOverview,
)
from trainwave_exporter.web.server import HEALTH_PATHS, ListenError, WebServer
from trainwave_exporter.web.sockets import activated

__all__ = [
    "HEALTH_PATHS",
    "Access",
    "AccessError",
    "AccountOverview",
    "JobOverview",
    "ListenError",
    "LoopOverview",
    "Overview",
    "SettingOverview",
    "TroubleOverview",
    "UnknownOverview",
    "WebServer",
    "activated",
]
