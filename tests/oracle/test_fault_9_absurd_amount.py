"""One absurd amount does not freeze a counter.

Jobs at $30 an hour ($0.50 a minute) that run from 11:39 to 12:30: 51 minutes, $25.50. At 12:00
they have cost $10.50. The first answer after 12:10 that names them says $2,147,483 for two of
them:

- p-priced: the price is known. A rise over twice 30 × time since the last sight, plus $1, waits
  for a second sample, which never comes. The counter ends at $25.50, as do budget and report;
  it never shows more; nothing is corrected.
- p-unpriced: no price is known of it; the dearest price of any job seen stands in. $25.50
  likewise.
- p-real: $100 are added to the bill at 12:12 and stay. Seen twice, that is believed: $125.50, of
  which $100 are a correction upwards.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    Dialect,
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
RUN = Run(utc("2026-11-15 11:39"), utc("2026-11-15 12:30"))
PRICE = steps(30.0)
BUSY = always(90.0)
ONCE = (utc("2026-11-15 12:10"), 2_147_483.0)
ABSURD = Scenario(
    jobs=(
        Job("j-priced", "p-priced", (RUN,), price=PRICE, listed_utilization=BUSY),
        Job(
            "j-unpriced",
            "p-unpriced",
            (RUN,),
            price=PRICE,
            price_shown=False,
            listed_utilization=BUSY,
        ),
        Job(
            "j-real",
            "p-real",
            (RUN,),
            price=PRICE,
            cost=corrected(metered(PRICE, RUN), utc("2026-11-15 12:12"), 100),
            listed_utilization=BUSY,
        ),
    ),
    projects=tuple(Project(f"p-{name}", always(name)) for name in ("priced", "unpriced", "real")),
    absurd_once={"j-priced": ONCE, "j-unpriced": ONCE},
)
COUNTER = "trainwave_project_cost_dollars_total"
SPENT = "trainwave_budget_spent_dollars"
WORKED = {"p-priced": 25.50, "p-unpriced": 25.50, "p-real": 125.50}
BUDGETS = [
    {
        "name": project,
        "limit_dollars": 1000,
        "period": "day",
        "time_zone": "UTC",
        "projects": [project],
    }
    for project in WORKED
]


@both_dialects
@in_fast_time
def test_an_absurd_amount(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "ABSURD", dialect, tmp_path, START) as world:
        exporter = world.start(budgets=BUDGETS)
        scrapes = world.scrapes_until(exporter, utc("2026-11-15 12:36"), COUNTER, SPENT)
        shown = world.stop(exporter)
        reported = world.reported("2026-11-15")
        for project, cost in WORKED.items():
            value = sum_of(shown, COUNTER, project_id=project)
            check.near(f"{project} cost", value, cost, within=0.01)
            highest = max(sum_of(metrics, COUNTER, project_id=project) or 0 for metrics in scrapes)
            check.between(f"{project} highest", highest, 10, cost + 0.01)
            highest = max(metrics.get(SPENT, budget=project) or 0 for metrics in scrapes)
            check.between(f"{project} highest of the budget", highest, 10, cost + 2)
            spent = shown.get(SPENT, budget=project)
            check.near(f"{project} spent", spent, cost, within=0.01)
            check.near(f"{project} report", reported[project], cost, within=0.01)
        for direction, amount in (("up", 100), ("down", 0)):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, amount, within=2)
    check.done()
