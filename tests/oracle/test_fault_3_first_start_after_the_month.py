"""The first start finds jobs that have run since last month and are not billed yet.

Jobs at $36 an hour that end on 1 November 00:20. The exporter is started after midnight.

- p-end runs since 31 October 23:00, and is billed at its end: 80 min, $48. October: 60 min, $36;
  November: 20 min, $12.
- p-hour runs since 31 October 22:30, is billed after each hour of running (23:30; the next would
  be 00:30) and at its end: 110 min, $66. October: 90 min, $54; November $12.

A budget of November at 00:15, before the bill: price × time since its begin, $9 of each job. But
for two of them only the time since the first look at 00:02 or a little later is certain, and all
since midnight is possible: a lower bound of $7.20 to $7.80, and an upper one of $9.

- p-hour, where its start is reported: $36 for 92 minutes may be bills that are behind, or another
  price until the first look. It may have been twice as high since midnight: up to five minutes at
  $0.60 more, $3. The next bill shows which it was.
- p-end, where no start is reported. The bill of p-hour shows that it ran before November.

In the deployed dialect the end is known to a list of running jobs: 60 s, $0.60.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    HOUR,
    Dialect,
    Job,
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

MONTH = utc("2026-11-01 00:00")
END = utc("2026-11-01 00:20")
AT_END = Run(utc("2026-10-31 23:00"), END)
HOURLY = Run(utc("2026-10-31 22:30"), END)
PRICE = steps(36.0)
STRADDLING = Scenario(
    jobs=(
        Job(
            "j-end",
            "p-end",
            (AT_END,),
            price=PRICE,
            cost=billed_at_end(metered(PRICE, AT_END), AT_END),
            listed_utilization=always(90.0),
        ),
        Job(
            "j-hour",
            "p-hour",
            (HOURLY,),
            price=PRICE,
            cost=billed_in_steps(metered(PRICE, HOURLY), HOURLY, HOUR),
            listed_utilization=always(90.0),
        ),
    ),
    projects=(Project("p-end", always("end")), Project("p-hour", always("hour"))),
)
BUDGETS = [
    {
        "name": project,
        "limit_dollars": 1000,
        "period": "month",
        "time_zone": "UTC",
        "projects": [project],
    }
    for project in ("p-end", "p-hour")
]


@both_dialects
@in_fast_time
def test_jobs_that_run_since_last_month(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    documented = dialect is Dialect.DOCUMENTED
    with World(__file__, "STRADDLING", dialect, tmp_path, utc("2026-11-01 00:02")) as world:
        exporter = world.start(budgets=BUDGETS)
        look = world.look(exporter, utc("2026-11-01 00:15"))
        shown = look.shown
        least, most = (36 * (at - MONTH) / HOUR for at in (look.listed - 60, look.now))
        for project in ("p-end", "p-hour"):
            spent = shown.get("trainwave_budget_spent_dollars", budget=project)
            if documented is (project == "p-end"):
                check.between(f"{project} spent at 00:15", spent, least, most)
                continue
            check.absent(f"{project} spent at 00:15", spent)
            bounds = shown.by("bound", "trainwave_budget_spent_bound_dollars", budget=project)
            check.between(f"{project} least at 00:15", bounds.get("lower"), least - 1.8, most - 1.2)
            dearer = 3 if project == "p-hour" else 0
            upper = bounds.get("upper")
            check.between(f"{project} most at 00:15", upper, least, most + dearer)
        world.until(utc("2026-11-01 00:25"))
        shown = world.stop(exporter)
        october_report, november_report = world.reported("2026-10"), world.reported("2026-11")
        slack = 0.02 if documented else 0.65
        for project, october in (("p-end", 36), ("p-hour", 54)):
            counter = sum_of(shown, "trainwave_project_cost_dollars_total", project_id=project)
            check.near(f"{project} cost", counter, october + 12)
            check.near(f"{project} October", october_report[project], october, within=slack)
            check.near(f"{project} November", november_report[project], 12, within=slack)
            spent = shown.get("trainwave_budget_spent_dollars", budget=project)
            check.near(f"{project} spent at 00:25", spent, 12, within=slack)
    check.done()
