"""Metrics counted over all jobs of a project, whether or not they have series of their own."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import KNOWN_STATES, Distribution, ProjectTally

tally = Families(ProjectTally, labels=("project_id",), identity=lambda t: (t.project_id,))


@tally.gauge("trainwave_jobs", "Jobs currently known, by state.", labels=("state",))
def jobs(t: ProjectTally) -> Mapping[LabelValues, float]:
    if t.jobs is None:
        return {}
    return {(state,): count for state, count in {**_IN_NO_STATE, **t.jobs}.items()}


@tally.counter(
    "trainwave_job_state_transitions_total",
    "Observed changes of a job's state.",
    labels=("from_state", "to_state"),
)
def transitions(t: ProjectTally) -> Mapping[LabelValues, float]:
    return {change: count for change, count in t.transitions.items()}  # noqa: C416  keys widen


@tally.histogram(
    "trainwave_job_queue_duration_seconds",
    "Time from creation to start, of jobs whose start was observed.",
)
def queue_duration(t: ProjectTally) -> Distribution | None:
    return t.queue_duration


@tally.histogram(
    "trainwave_job_run_duration_seconds",
    "Time from start to finish, of jobs whose finish was observed, by final state.",
    labels=("state",),
)
def run_duration(t: ProjectTally) -> Mapping[LabelValues, Distribution]:
    return {(state,): distribution for state, distribution in t.run_duration.items()}


_IN_NO_STATE = dict.fromkeys(KNOWN_STATES, 0)
