"""Bills that come late: the same work billed as it runs, in steps, and at its end.

Four jobs of 8 GPUs at $36 an hour ($0.60 a minute). Their GPUs are busy until 12:20, and idle
from then to the end of the jobs at 12:50: 30 minutes, waste $18, whichever way the bill comes.

| project | runs from | billed | in all |
| --- | --- | --- | --- |
| p-now | 12:08 | as it runs | 42 min: $25.20 |
| p-ten | 12:08 | every ten minutes of running, and at the end | $25.20 |
| p-end | 12:08 | at the end | $25.20 |
| p-hour | 11:30 | every hour of running (12:30), and at the end | 80 min: $48 |

At 12:36, 15 d 11 h 24 min = 371.4 h before the end of November, $13,370.40 at $36:

| project | billed so far | accrued since | spent | forecast |
| --- | --- | --- | --- | --- |
| p-now | 28 min: $16.80 | one list of running jobs at most: $0.60 | $16.80 | $13,387.20 |
| p-ten | 20 min: $12 | 8 min: $4.80 | $16.80 | $13,387.20 |
| p-end | $0 | 28 min: $16.80 | $16.80 | $13,387.20 |
| p-hour | 60 min: $36 | 6 min: $3.60 | $39.60 | $13,410.00 |

Idleness is seen a reading late at its begin and up to a reading early at its end; in fast time up
to three minutes each, so that 24 to 30 minutes are known: 3.2 to 4 GPU hours. They are worth
$4.50 each, $14.40 to $18. In the deployed dialect a start is known to a list of running jobs:
$0.60. Nothing is a correction (up to $2, as an answer that takes a minute of fast time looks like
one).
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    HOUR,
    MINUTE,
    Dialect,
    Job,
    Over,
    Project,
    Run,
    Scenario,
    always,
    billed_at_end,
    billed_in_steps,
    metered,
    steps,
    utc,
)
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

START = utc("2026-11-15 12:04")
LOOK = utc("2026-11-15 12:36")
END = utc("2026-11-15 12:50")
RUN = Run(utc("2026-11-15 12:08"), END)
LONGER = Run(utc("2026-11-15 11:30"), END)
PRICE = steps(36.0)
USE = steps(90.0, (utc("2026-11-15 12:20"), 0.0))


def _job(name: str, run: Run, cost: Over[float]) -> Job:
    return Job(
        f"j-{name}",
        f"p-{name}",
        (run,),
        price=PRICE,
        cost=cost,
        listed_utilization=USE,
        readings={"gpu_utilization": USE},
    )


COST = metered(PRICE, RUN)
BILLS = Scenario(
    jobs=(
        _job("now", RUN, COST),
        _job("ten", RUN, billed_in_steps(COST, RUN, 10 * MINUTE)),
        _job("end", RUN, billed_at_end(COST, RUN)),
        _job("hour", LONGER, billed_in_steps(metered(PRICE, LONGER), LONGER, HOUR)),
    ),
    projects=tuple(Project(f"p-{name}", always(name)) for name in ("now", "ten", "end", "hour")),
)


def _budget(project: str) -> dict[str, object]:
    return {
        "name": project,
        "limit_dollars": 1000,
        "period": "month",
        "time_zone": "UTC",
        "projects": [project],
    }


#        project: spent and accrued at 12:36, forecast, cost in all
WORKED = {
    "p-now": (16.80, 0.00, 13_387.20, 25.20),
    "p-ten": (16.80, 4.80, 13_387.20, 25.20),
    "p-end": (16.80, 16.80, 13_387.20, 25.20),
    "p-hour": (39.60, 3.60, 13_410.00, 48.00),
}


@both_dialects
@in_fast_time
def test_bills_that_come_late(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "BILLS", dialect, tmp_path, START, speed=110) as world:
        exporter = world.start(budgets=[_budget(project) for project in WORKED])
        look = world.look(exporter, LOOK)
        shown = look.shown
        slack = (60 + look.now - LOOK) * 36 / HOUR
        for project, (spent, accrued, forecast, _) in WORKED.items():
            value = shown.get("trainwave_budget_spent_dollars", budget=project)
            check.near(f"{project} spent", value, spent, within=slack)
            value = shown.get("trainwave_budget_accrued_dollars", budget=project)
            check.near(f"{project} accrued", value, accrued, within=slack)
            value = shown.get("trainwave_budget_forecast_dollars", budget=project)
            check.near(f"{project} forecast", value, forecast, within=slack)

        world.until(utc("2026-11-15 12:54"))
        shown = world.stop(exporter)
        reported = world.reported("2026-11-15")
        for project, (*_, cost) in WORKED.items():
            value = sum_of(shown, "trainwave_project_cost_dollars_total", project_id=project)
            check.near(f"{project} cost", value, cost)
            value = sum_of(
                shown, "trainwave_waste_dollars_total", project_id=project, reason="gpu_idle"
            )
            idle = shown.get("trainwave_job_idle_gpu_hours", project_id=project) or 0
            check.between(f"{project} idle GPU hours", idle, 3.2, 4.02)
            worth = max(3.2, idle) * 4.5
            check.near(f"{project} waste", value, worth, within=0.1)
            value = shown.get("trainwave_job_waste_dollars", project_id=project, reason="gpu_idle")
            check.near(f"{project} waste of the job", value, worth, within=0.1)
            value = sum_of(
                shown,
                "trainwave_waste_dollars_total",
                project_id=project,
                reason="billed_after_finish",
            )
            check.near(f"{project} billed after finish", value or 0, 0)
            value = shown.get("trainwave_budget_spent_dollars", budget=project)
            check.near(f"{project} budget in the end", value, cost, within=0.01)
            check.near(f"{project} report", reported[project], cost)
        for direction in ("up", "down"):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, 0, within=2)
    check.done()
