"""A failed job runs again under the same id, while the exporter watches.

Jobs of 8 GPUs at $30 an hour.

- p-on runs from 11:10 to 12:10, fails, and runs again from 12:20 to 12:36; its cost goes on: 60 +
  16 minutes, 30 + 8 = $38, 8 × 76/60 = 10.133 GPU hours.
- p-again likewise, but its cost restarts at 0: two runs, $38 and 10.133 GPU hours as well; never
  does its counter fall, and a budget of the day says $38, too.
- p-late runs from 11:10 to 12:10 and is over, but at 12:20 $5 are added to its bill of $30: $5
  were billed after the finish, and are a correction upwards.

Nothing else was billed after a finish or corrected (up to $2, as an answer that takes a minute of
fast time looks like a correction), and the others waste nothing.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    Dialect,
    End,
    Job,
    Project,
    Run,
    Scenario,
    always,
    corrected,
    metered,
    steps,
    utc,
)
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

START = utc("2026-11-15 12:04")
FIRST = Run(utc("2026-11-15 11:10"), utc("2026-11-15 12:10"), End.FAILED)
SECOND = Run(utc("2026-11-15 12:20"), utc("2026-11-15 12:36"))
PRICE = steps(30.0)
BUSY = always(90.0)
AGAIN = Scenario(
    jobs=(
        Job("j-on", "p-on", (FIRST, SECOND), price=PRICE, listed_utilization=BUSY),
        Job(
            "j-again",
            "p-again",
            (FIRST, SECOND),
            price=PRICE,
            restarts=True,
            listed_utilization=BUSY,
        ),
        Job(
            "j-late",
            "p-late",
            (FIRST,),
            price=PRICE,
            cost=corrected(metered(PRICE, FIRST), utc("2026-11-15 12:20"), 5),
            listed_utilization=BUSY,
        ),
    ),
    projects=tuple(Project(f"p-{name}", always(name)) for name in ("on", "again", "late")),
)
COUNTER = "trainwave_project_cost_dollars_total"
BUDGETS = [
    {
        "name": project,
        "limit_dollars": 1000,
        "period": "day",
        "time_zone": "UTC",
        "projects": [project],
    }
    for project in ("p-on", "p-again", "p-late")
]


@both_dialects
@in_fast_time
def test_the_same_id_again(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "AGAIN", dialect, tmp_path, START) as world:
        exporter = world.start(budgets=BUDGETS)
        scrapes = world.scrapes_until(exporter, utc("2026-11-15 12:41"), COUNTER)
        shown = world.stop(exporter)
        for project, cost, late, minutes in (
            ("p-on", 38, 0, 76),
            ("p-again", 38, 0, 76),
            ("p-late", 35, 5, 60),
        ):
            counter = sum_of(shown, COUNTER, project_id=project)
            check.near(f"{project} cost", counter, cost, within=0.01)
            spent = shown.get("trainwave_budget_spent_dollars", budget=project)
            check.near(f"{project} spent", spent, cost, within=0.01)
            check.near(
                f"{project} report", world.reported("2026-11-15")[project], cost, within=0.01
            )
            used = sum_of(shown, "trainwave_project_gpu_hours_total", project_id=project)
            # In the deployed dialect, of p-late's $5 it is not known whether time was behind it.
            slack = (
                0.15 if project != "p-late" or dialect is Dialect.DOCUMENTED else 8 * 5 / 30 + 0.01
            )
            check.near(f"{project} GPU hours", used, 8 * minutes / 60, within=slack)
            waste = sum_of(
                shown,
                "trainwave_waste_dollars_total",
                project_id=project,
                reason="billed_after_finish",
            )
            # An answer takes up to half a minute of fast time, in which the job seems to run on at
            # $30/h. In the deployed dialect no end is reported: up to two looks before it was seen.
            unsure = 0.25 if dialect is Dialect.DOCUMENTED else 1.0
            least = late - (unsure if project == "p-late" else 0.0) - 0.01
            check.between(f"{project} billed after finish", waste or 0, least, late + 0.01)
        counted = [sum_of(metrics, COUNTER, project_id="p-again") or 0 for metrics in scrapes]
        check.true("the counter never falls", counted == sorted(counted))
        for direction, amount in (("up", 5), ("down", 0)):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, amount, within=2)
    check.done()
