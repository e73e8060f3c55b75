"""What is requested from the API and when: loops for lists, and a planner for single jobs."""

from trainwave_exporter.polling.allocation import (
    longest_age,
    requests_per_minute,
    round_seconds,
)
from trainwave_exporter.polling.history_details import WantedDetails
from trainwave_exporter.polling.loop import Loop, Work
from trainwave_exporter.polling.pending_readings import readings_in_a_round
from trainwave_exporter.polling.poller import AccountPoller
from trainwave_exporter.polling.schedule import Schedule
from trainwave_exporter.polling.scope import Intervals, WatchScope

__all__ = [
    "AccountPoller",
    "Intervals",
    "Loop",
    "Schedule",
    "WantedDetails",
    "WatchScope",
    "Work",
    "longest_age",
    "readings_in_a_round",
    "requests_per_minute",
    "round_seconds",
]
