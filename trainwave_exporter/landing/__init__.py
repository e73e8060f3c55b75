"""The page for people: what it shows, followed all the while, and its HTML."""

from trainwave_exporter.landing.collector import OverviewCollector
from trainwave_exporter.landing.overview import (
    AccountOverview,
    JobOverview,
    LoopOverview,
    Overview,
    SettingOverview,
    TroubleOverview,
    UnknownOverview,
)
from trainwave_exporter.landing.page import CONTENT_SECURITY_POLICY, render

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "AccountOverview",
    "JobOverview",
    "LoopOverview",
    "Overview",
    "OverviewCollector",
    "SettingOverview",
    "TroubleOverview",
    "UnknownOverview",
    "render",
]
