"""An ordinary job, of which everything is known to the second.

The job has 8 GPUs at $36 an hour. It runs from 11:30 to 12:30; the exporter is started at 12:00.

- 12:00 to 12:30: the spend rate is $36/h, GPU utilization 0.9, 8 GPUs.
- At 12:20 it cost 36 × 50/60 = $30. What is shown was right at most a minute before
  the last list of jobs, and is right by now at the latest; forecast and limit follow.
- A budget of $100 for the month: at 12:20 $30 are spent; the month has 30 d - 14 d 12 h 20 min =
  371.667 h left, so the forecast is 30 + 36 × 371.667 = $13,410; the limit is reached 70/36 h
  later, at 14:16:40.
- In all it cost 36 × 1 h = $36.00, and used 8 × 1 h = 8 GPU hours. All of that is on the 15th.
- All GPUs were busy from the exporter's first look on, and are seen to be until a reading before
  the end (2 min at the most): nothing is wasted.
- Activity: idle + busy + unknown = 8 GPU hours. What was before the exporter's first look (4 GPU
  hours and a little) is unknown.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import HOUR, Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

START = utc("2026-11-15 12:00")
RUN = Run(utc("2026-11-15 11:30"), utc("2026-11-15 12:30"))
ORDINARY = Scenario(
    jobs=(Job("j-1", "p-1", (RUN,), price=steps(36.0), listed_utilization=always(90.0)),),
    projects=(Project("p-1", always("Vision")),),
)
BUDGET = {"name": "all", "limit_dollars": 100, "period": "month", "time_zone": "UTC"}


@both_dialects
@in_fast_time
def test_an_ordinary_job(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "ORDINARY", dialect, tmp_path, START) as world:
        exporter = world.start(budgets=[BUDGET])
        exporter.wait(
            lambda metrics: metrics.all("trainwave_job_gpu_utilization_ratio"), "a first reading"
        )
        observed = (RUN.finished - world.now()) / HOUR
        look = world.look(exporter, utc("2026-11-15 12:20"))
        shown = look.shown
        least, most = (36 * (at - RUN.started) / HOUR for at in (look.listed - 60, look.now))
        check.near("spend rate", sum_of(shown, "trainwave_burn_dollars_per_hour"), 36)
        check.near("price", shown.get("trainwave_job_hourly_cost_dollars", job_id="j-1"), 36)
        check.near("GPUs", shown.get("trainwave_job_gpus", job_id="j-1"), 8)
        for ratio in (
            value for _, value in shown.all("trainwave_job_gpu_utilization_ratio", job_id="j-1")
        ):
            check.near("utilization", ratio, 0.9)
        check.between("cost", shown.get("trainwave_job_cost_dollars"), least, most)
        spent = shown.get("trainwave_budget_spent_dollars", budget="all")
        check.between("budget spent", spent, least, most)
        forecast = shown.get("trainwave_budget_forecast_dollars", budget="all")
        check.near("forecast", forecast, 13_410, within=most - least)
        exhausted = shown.get("trainwave_budget_exhaustion_timestamp_seconds", budget="all")
        check.near("limit reached", exhausted, utc("2026-11-15 14:16:40"), within=60 + look.age)

        world.until(utc("2026-11-15 12:35"))
        shown = exporter.metrics()
        check.near("counter", sum_of(shown, "trainwave_project_cost_dollars_total"), 36)
        hours = sum_of(shown, "trainwave_project_gpu_hours_total")
        check.near("GPU hours", hours, 8, within=8 * 40 / HOUR)
        activity = shown.by("activity", "trainwave_project_activity_gpu_hours_total")
        check.near("idle", activity.get("idle", 0), 0)
        check.between("busy", activity.get("busy"), 8 * (observed - 2 / 60), 4)
        check.near("activity", sum(activity.values()), hours or 0, within=0.01)
        check.near("waste", sum_of(shown, "trainwave_waste_dollars_total") or 0, 0)
        world.stop(exporter)
        check.near("report of the 15th", world.reported("2026-11-15")["p-1"], 36)
        check.near("report of November", world.reported("2026-11")["p-1"], 36)
        check.near("report of October", world.reported("2026-10")["p-1"], 0)
    check.done()
