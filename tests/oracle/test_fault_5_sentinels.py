"""Values that stand for "not known", values a hair out of range, and points that never renew.

Jobs of 8 GPUs at $36 an hour ($4.50 a GPU) that run all the while. Until 12:10 all GPUs are busy.
What is reported of their utilization from then on (in the documented dialect by the list, too,
where it is a plain number), and what is right by 12:40, 30 minutes later:

| project | reported, in percent | shown | waste |
| --- | --- | --- | --- |
| p-minus | -1 | nothing | $0 |
| p-over | 101 | nothing | $0 |
| p-low | -0.4 | 0: idle | 36 × 0.5 = $18 |
| p-high | 100.4 | 1: busy | $0 |
| p-device | `{"0": -1, "1": 0, … "7": 0}` | 0 of seven GPUs | 7 × 4.50 × 0.5 = $15.75 |
| p-stale | `{"timestamp": 09:00, "value": 0}` | nothing | $0 |
| p-points | `[[09:00, 0]]` | nothing | $0 |

Half a percent is tolerated at either end of the range; what is beyond is unreadable and counted.
What was measured at 09:00 says nothing about now. Where nothing is known GPU hours are unknown: 8
× 0.5 = 4 at least, and none is idle.

Idleness is seen a reading late at its begin, and up to a reading ago by now; in fast time up to
three minutes each: 24 of 30 min at the least, $14.40 and $12.60, and at most 10 + 3 minutes pass
as busy where nothing is known (1.733 GPU hours).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracle.scenario import Dialect, Job, Project, Run, Scenario, always, iso, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

START = utc("2026-11-15 12:00")
CHANGE = utc("2026-11-15 12:10")
RUN = Run(utc("2026-11-15 08:00"))
LONG_AGO = utc("2026-11-15 09:00")
REPORTED: dict[str, Any] = {
    "minus": -1,
    "over": 101.0,
    "low": -0.4,
    "high": 100.4,
    "device": {"0": -1, **{str(device): 0.0 for device in range(1, 8)}},
    "stale": {"timestamp": iso(LONG_AGO), "value": 0.0},
    "points": [[LONG_AGO, 0.0]],
}


def _job(name: str, reported: Any) -> Job:
    plain = isinstance(reported, int | float)
    return Job(
        f"j-{name}",
        f"p-{name}",
        (RUN,),
        price=steps(36.0),
        listed_utilization=steps(90.0, (CHANGE, reported)) if plain else always(None),
        readings={"gpu_utilization": steps(90.0, (CHANGE, reported))},
    )


SENTINELS = Scenario(
    jobs=tuple(_job(name, reported) for name, reported in REPORTED.items()),
    projects=tuple(Project(f"p-{name}", always(name)) for name in REPORTED),
    requests_per_minute=300,
)


WAITING = 8 * 5 / 60 + 0.3
"""GPU hours of a running job that still wait for a reading: five minutes of eight GPUs."""


@both_dialects
@in_fast_time
def test_sentinels_and_stale_points(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "SENTINELS", dialect, tmp_path, START) as world:
        exporter = world.start()
        world.until(utc("2026-11-15 12:09"))
        unreadable = sum_of(exporter.metrics(), "trainwave_exporter_unreadable_total") or 0
        world.until(utc("2026-11-15 12:40"))
        shown = world.stop(exporter)
    for name, ratio, least, most in (
        ("minus", None, 0, 0),
        ("over", None, 0, 0),
        ("low", 0, 14.4, 18.05),
        ("high", 1, 0, 0),
        ("device", 0, 12.6, 15.8),
        ("stale", None, 0, 0),
        ("points", None, 0, 0),
    ):
        project = f"p-{name}"
        ratios = [
            value
            for _, value in shown.all("trainwave_job_gpu_utilization_ratio", project_id=project)
        ]
        if ratio is None:
            check.absent(f"{name} utilization", ratios)
        else:
            check.near(f"{name} GPUs with a utilization", len(ratios), 7 if name == "device" else 1)
            for value in ratios:
                check.near(f"{name} utilization", value, ratio)
        waste = sum_of(
            shown, "trainwave_waste_dollars_total", project_id=project, reason="gpu_idle"
        )
        check.between(f"{name} waste", waste or 0, least, most + 0.005)
        activity = shown.by(
            "activity", "trainwave_project_activity_gpu_hours_total", project_id=project
        )
        if ratio is None:
            check.near(f"{name} idle", activity.get("idle", 0), 0)
            check.between(f"{name} busy", activity.get("busy", 0), 0, 1.75)
        if name == "high":
            check.between("high busy", activity.get("busy", 0), 4, 5.34)
        used = sum_of(shown, "trainwave_project_gpu_hours_total", project_id=project)
        check.near(f"{name} activity in all", sum(activity.values()), used or 0, within=WAITING)
    # Three jobs, each looked at once at the least.
    counted = (sum_of(shown, "trainwave_exporter_unreadable_total") or 0) - unreadable
    check.between("counted as unreadable", counted, 3, 100_000)
    check.done()
