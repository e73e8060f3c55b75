"""A failed job runs again under the same id, seen only after an outage in which the month ended.

A job of 8 GPUs at $30 an hour runs on 31 October from 20:00 to 22:10, fails, and runs again from
23:00 to 1 November 01:10: 130 minutes each, $65 each. The exporter sees it fail, is away from
22:18 to 01:00, and sees the rest. The documented dialect shows when the second run started.

- Cost $130, GPU hours 2 × 8 × 130/60 = 34.667.
- October: 65 + 30 × 1 = $95. November: 30 × 70/60 = $35.
- Nothing was billed after a finish, nothing was corrected (up to $2, as an answer that takes a
  minute of fast time looks like a correction).

That holds for a job whose cost goes on (p-on: at 01:00 65 + 60 = $125 for $65 before) and for one
whose cost restarts at 0 (p-again: $60 for $65).

In the deployed dialect an end is known to a list of running jobs: 60 s, $0.50.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import Dialect, End, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

RUNS = (
    Run(utc("2026-10-31 20:00"), utc("2026-10-31 22:10"), End.FAILED),
    Run(utc("2026-10-31 23:00"), utc("2026-11-01 01:10")),
)
AGAIN = Scenario(
    jobs=tuple(
        Job(
            f"j-{name}",
            f"p-{name}",
            RUNS,
            price=steps(30.0),
            restarts=restarts,
            listed_utilization=always(90.0),
        )
        for name, restarts in (("on", False), ("again", True))
    ),
    projects=(Project("p-on", always("on")), Project("p-again", always("again"))),
)


@both_dialects
@in_fast_time
def test_the_same_id_after_an_outage(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "AGAIN", dialect, tmp_path, utc("2026-10-31 22:05")) as world:
        exporter = world.start()
        world.until(utc("2026-10-31 22:18"))
        world.stop(exporter)
        world.jump(utc("2026-11-01 00:58"))
        exporter = world.start()
        world.until(utc("2026-11-01 01:15"))
        shown = world.stop(exporter)
        october, november = world.reported("2026-10"), world.reported("2026-11")
        # An answer may take half a minute of fast time, in which it seems to run on at $30/h.
        slack = 0.25 if dialect is Dialect.DOCUMENTED else 0.55
        for project in ("p-on", "p-again"):
            cost = sum_of(shown, "trainwave_project_cost_dollars_total", project_id=project)
            check.near(f"{project} cost", cost, 130, within=0.01)
            used = sum_of(shown, "trainwave_project_gpu_hours_total", project_id=project)
            check.near(f"{project} GPU hours", used, 34.667, within=0.02)
            late = sum_of(
                shown,
                "trainwave_waste_dollars_total",
                project_id=project,
                reason="billed_after_finish",
            )
            check.near(f"{project} billed after finish", late or 0, 0)
            check.near(f"{project} October", october[project], 95, within=slack)
            check.near(f"{project} November", november[project], 35, within=slack)
        for direction in ("up", "down"):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, 0, within=2)
    check.done()
