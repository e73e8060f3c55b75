"""Where each dashboard is found: uids that never change, so that links and bookmarks hold."""

from __future__ import annotations

FLEET = "trainwave-fleet"
COST = "trainwave-cost"
EFFICIENCY = "trainwave-efficiency"
JOB = "trainwave-job"
EXPORTER = "trainwave-exporter"

ALL = (FLEET, COST, EFFICIENCY, JOB, EXPORTER)
