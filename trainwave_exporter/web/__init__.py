"""The HTTP side: metrics, health, readiness, and a page that somebody else writes."""

from trainwave_exporter.web.access import Access, AccessError
from trainwave_exporter.web.server import HEALTH_PATHS, HtmlPage, ListenError, WebServer
from trainwave_exporter.web.sockets import activated

__all__ = [
    "HEALTH_PATHS",
    "Access",
    "AccessError",
    "HtmlPage",
    "ListenError",
    "WebServer",
    "activated",
]
