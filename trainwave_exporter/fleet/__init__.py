"""What is known now: observations go in, changes come out."""

from trainwave_exporter.fleet.entry import Policy
from trainwave_exporter.fleet.fleet import Fleet
from trainwave_exporter.fleet.observations import (
    ClockSet,
    JobMissing,
    JobsSeen,
    Observation,
    OffersSeen,
    OrganizationsSeen,
    ProjectsSeen,
    ReadingSeen,
    SweepEnded,
    SweepFailed,
    TimePassed,
    ViewSeen,
)

__all__ = [
    "ClockSet",
    "Fleet",
    "JobMissing",
    "JobsSeen",
    "Observation",
    "OffersSeen",
    "OrganizationsSeen",
    "Policy",
    "ProjectsSeen",
    "ReadingSeen",
    "SweepEnded",
    "SweepFailed",
    "TimePassed",
    "ViewSeen",
]
