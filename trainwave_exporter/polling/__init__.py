"""What to ask, when, and how much of it: loops over lists, and a planner for the rest."""

from trainwave_exporter.polling.allocation import longest_age
from trainwave_exporter.polling.archive import Wanted as WantedDetails
from trainwave_exporter.polling.intervals import Intervals
from trainwave_exporter.polling.loop import Loop, Work
from trainwave_exporter.polling.pace import (
    readings_in_a_round,
    requests_per_minute,
    round_seconds,
)
from trainwave_exporter.polling.poller import AccountPoller
from trainwave_exporter.polling.schedule import Schedule
from trainwave_exporter.polling.scope import Scope

__all__ = [
    "AccountPoller",
    "Intervals",
    "Loop",
    "Schedule",
    "Scope",
    "WantedDetails",
    "Work",
    "longest_age",
    "readings_in_a_round",
    "requests_per_minute",
    "round_seconds",
]
