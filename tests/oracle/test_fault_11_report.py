"""A report by project and by day, of projects whose names have letters beyond ASCII.

Job j-1 of project "Müsli" costs $36 an hour, j-2 of "Vision" $18. Both run from 14 November 23:30
to 15 November 00:30. Half an hour is on each day: $18 and $9. In the deployed dialect the end is
known to a list of running jobs: 60 s, $0.60.
"""

from __future__ import annotations

import json
from pathlib import Path

from oracle.scenario import Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time

RUN = Run(utc("2026-11-14 23:30"), utc("2026-11-15 00:30"))
TWO = Scenario(
    jobs=(
        Job("j-1", "p-1", (RUN,), price=steps(36.0), listed_utilization=always(90.0)),
        Job("j-2", "p-2", (RUN,), price=steps(18.0), listed_utilization=always(90.0)),
    ),
    projects=(Project("p-1", always("Müsli")), Project("p-2", always("Vision"))),
)


@both_dialects
@in_fast_time
def test_a_report_by_project_and_day(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "TWO", dialect, tmp_path, utc("2026-11-14 23:28")) as world:
        exporter = world.start()
        world.until(utc("2026-11-14 23:34"))
        world.stop(exporter)
        world.jump(utc("2026-11-15 00:28"))
        exporter = world.start()
        world.until(utc("2026-11-15 00:34"))
        world.stop(exporter)
        code, text = world.printed("2026-11", "--by=project", "--by=day")
        check.near("exit code", code, 0)
        check.true("the name as it is", '"Müsli"' in text)
        rows = json.loads(text)["rows"]
        found = {(row["project_name"], row["day"]): row["cost_dollars"] for row in rows}
        check.near("rows", len(rows), 4)
        within = 0.02 if dialect is Dialect.DOCUMENTED else 0.65
        for name, dollars in (("Müsli", 18), ("Vision", 9)):
            for day in ("2026-11-14", "2026-11-15"):
                check.near(f"{name} {day}", found.get((name, day)), dollars, within=within)
    check.done()
