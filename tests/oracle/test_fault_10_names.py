"""Budgets for names that match nothing, beside a job of which it is not known when it ran.

A job on 8 H100s at $36 an hour ran from October 31, 23:00 to November 1, 01:00, and cost $72. The
exporter is started on November 15 with budgets for the month:

| budget | scope | right |
| --- | --- | --- |
| type | `gpu_types: [H10]` | absent; H100 was meant |
| project | `projects: [Visoin]` | absent; Vision was meant |
| right | `gpu_types: [H100]` | documented: 1 of 2 hours is of November, $36; deployed: see below |

The deployed dialect never reports when the job ran: at the earliest from its creation at 23:00 on,
$36 of it in November; or all of it there, $72. So the budget has these bounds. That says nothing of
its GPU type, which the list reports, so that H10 is known to match nothing. The documented list
reports no GPU type, and the job's details do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oracle.scenario import Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time

RUN = Run(utc("2026-10-31 23:00"), utc("2026-11-01 01:00"))
NAMES = Scenario(
    jobs=(Job("j-1", "p-1", (RUN,), price=steps(36.0)),),
    projects=(Project("p-1", always("Vision")),),
)
MONTH = {"limit_dollars": 100, "period": "month", "time_zone": "UTC"}
BUDGETS: list[dict[str, Any]] = [
    {"name": "type", "gpu_types": ["H10"], **MONTH},
    {"name": "project", "projects": ["Visoin"], **MONTH},
    {"name": "right", "gpu_types": ["H100"], **MONTH},
]
WRONG = {"type": ("gpu_types", "H10", "H100"), "project": ("projects", "Visoin", "Vision")}


@both_dialects
@in_fast_time
def test_a_budget_for_a_name_that_matches_nothing(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "NAMES", dialect, tmp_path, utc("2026-11-15 12:00")) as world:
        exporter = world.start(budgets=BUDGETS)
        for budget, (kind, name, nearest) in WRONG.items():
            setting = f"budgets[{budget}].{kind}"
            unknown = {"name": f"{setting}: {name}", "reason": "scope_matches_nothing"}
            exporter.wait(
                lambda metrics, unknown=unknown: metrics.all(  # type: ignore[misc]
                    "trainwave_figure_unknown", figure="scope", **unknown
                ),
                f"{name} to be named",
            )
            told = [
                (event["value"], event["nearest"])
                for event in exporter.events("scope_matches_nothing")
                if event["setting"] == setting
            ]
            check.true(f"{budget} in the log as soon as it is shown", told == [(name, nearest)])
        exporter.wait(
            lambda metrics: metrics.all("trainwave_budget_limit_dollars", budget="right"),
            "the budget of the right name",
        )
        world.until(utc("2026-11-15 12:10"))
        shown = world.stop(exporter)
    for budget in WRONG:
        check.absent(budget, shown.all("trainwave_budget_spent_dollars", budget=budget))
        check.absent(budget, shown.all("trainwave_budget_spent_bound_dollars", budget=budget))
        reasons = shown.by("reason", "trainwave_figure_unknown", figure="budget", name=budget)
        check.true(f"why {budget} is unknown", reasons == {"scope_matches_nothing": 1})
    spent = shown.get("trainwave_budget_spent_dollars", budget="right")
    if dialect is Dialect.DOCUMENTED:
        check.near("right", spent, 36)
    else:
        check.absent("right", spent)
        bounds = shown.by("bound", "trainwave_budget_spent_bound_dollars", budget="right")
        check.near("right, lower bound", bounds.get("lower"), 36)
        check.near("right, upper bound", bounds.get("upper"), 72)
    check.done()
