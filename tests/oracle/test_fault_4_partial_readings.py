"""A partial answer is not the whole, and two answers that contradict each other are none.

Jobs of 8 GPUs at $24 an hour, $3 a GPU, that run all the while. Until 12:10 all GPUs are busy (90
%). What the metric endpoint and, in the documented dialect, the list say from then on, and what
30 minutes of that are by 12:40:

| project | endpoint | list | idle | busy | waste |
| --- | --- | --- | --- | --- | --- |
| p-one | `{"0": 0}` | nothing | 1/8 of 4 = 0.5 GPU h | 0 | 0.5 × 3 = $1.50 |
| p-two | `{"0": 0, "1": 90}` | nothing | 0.5 GPU h | 0.5 GPU h | $1.50 |
| p-list-idle | 90 | 0 | 0 | 0 | $0 |
| p-list-busy | 0 | 90 | 0 | 0 | $0 |

All else is unknown: 3.5, 3, 4 and 4 GPU hours. Before 12:10 at most 10/60 × 8 = 1.333 GPU hours
are known to be busy. GPUs that are unknown are not idle, so that no job is idle as a whole.

A change is seen a reading late and the end up to a reading early; in fast time up to three
minutes each: of 0.5 GPU hours 0.4 are known at the least, and 3/60 × 8 = 0.4 GPU hours more pass
as busy. Whatever is known to be idle is worth $3 a GPU hour.

The list of the deployed dialect brings no utilization along, so that there is no contradiction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracle.scenario import Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of
from support.exporter import Metrics

START = utc("2026-11-15 12:00")
CHANGE = utc("2026-11-15 12:10")
RUN = Run(utc("2026-11-15 11:00"))


def _job(name: str, endpoint: Any, listed: Any, listed_before: Any = None) -> Job:
    return Job(
        f"j-{name}",
        f"p-{name}",
        (RUN,),
        price=steps(24.0),
        listed_utilization=steps(listed_before, (CHANGE, listed)),
        readings={"gpu_utilization": steps(90.0, (CHANGE, endpoint))},
    )


NAMES = ("one", "two", "list-idle", "list-busy")
PARTIAL = Scenario(
    jobs=(
        _job("one", {"0": 0.0}, None),
        _job("two", {"0": 0.0, "1": 90.0}, None),
        _job("list-idle", 90.0, 0.0, 90.0),
        _job("list-busy", 0.0, 90.0, 90.0),
    ),
    projects=tuple(Project(f"p-{name}", always(name)) for name in NAMES),
)


WAITING = 8 * 5 / 60 + 0.3
"""GPU hours of a running job that still wait for a reading: five minutes of eight GPUs."""


@both_dialects
@in_fast_time
def test_partial_and_contradicting_readings(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "PARTIAL", dialect, tmp_path, START) as world:
        exporter = world.start()
        world.until(utc("2026-11-15 12:40"))
        shown = world.stop(exporter)
    _known_in_part(check, shown, "p-one", busy=0)
    _known_in_part(check, shown, "p-two", busy=0.5)
    if dialect is Dialect.DOCUMENTED:
        _unknown(check, shown, "p-list-idle")
        _unknown(check, shown, "p-list-busy")
    check.done()


def _known_in_part(check: Checks, shown: Metrics, project: str, busy: float) -> None:
    activity = _activity(check, shown, project)
    check.between(f"{project} idle", activity.get("idle", 0), 0.4, 0.505)
    check.between(f"{project} busy", activity.get("busy", 0), busy * 0.8, busy + 1.75)
    check.between(f"{project} unknown", activity.get("unknown", 0), 3.1 - busy, 99)
    waste = sum_of(shown, "trainwave_waste_dollars_total", project_id=project, reason="gpu_idle")
    check.near(f"{project} waste", waste or 0, 3 * activity.get("idle", 0), within=0.05)
    check.between(f"{project} waste at the most", waste or 0, 0, 1.51)
    since = shown.get("trainwave_job_idle_since_timestamp_seconds", project_id=project)
    check.absent(f"{project} idle since", since)


def _unknown(check: Checks, shown: Metrics, project: str) -> None:
    activity = _activity(check, shown, project)
    check.near(f"{project} idle", activity.get("idle", 0), 0)
    check.between(f"{project} busy", activity.get("busy", 0), 0, 1.75)
    waste = sum_of(shown, "trainwave_waste_dollars_total", project_id=project, reason="gpu_idle")
    check.near(f"{project} waste", waste or 0, 0)
    since = shown.get("trainwave_job_idle_since_timestamp_seconds", project_id=project)
    check.absent(f"{project} idle since", since)


def _activity(check: Checks, shown: Metrics, project: str) -> dict[str, float]:
    activity = shown.by(
        "activity", "trainwave_project_activity_gpu_hours_total", project_id=project
    )
    used = sum_of(shown, "trainwave_project_gpu_hours_total", project_id=project)
    check.near(f"{project} activity in all", sum(activity.values()), used or 0, within=WAITING)
    return activity
