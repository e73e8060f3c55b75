"""A running job's price changes while the exporter watches.

Two jobs of 8 GPUs run from 11:00 to 12:40; at 12:20 the price of one rises from $36 to $72 an
hour, that of the other falls from $72 to $36. Their GPUs are busy until 12:10 and do nothing from
then on.

The rise:

- cost 36 × 80/60 + 72 × 20/60 = 48 + 24 = $72; none of it is a correction (up to $2, as an answer
  that takes a minute of fast time looks like one).
- From 12:20 on the spend rate is $72/h. At 12:24 it cost 48 + 72 × 4/60 = $52.80, and 15 d 11 h
  36 min = 371.6 h of November are left: forecast 52.80 + 72 × 371.6 = $26,808. A limit of $100 is
  reached (100 - 52.80) / 72 h = 39 min 20 s later, at 13:03:20.
- GPU hours: 8 × 100/60 = 13.333, also where they have to come from cost and price.
- Idle from 12:10 to 12:40: waste 36 × 10/60 + 72 × 20/60 = 6 + 24 = $30, and 8 × 30/60 = 4
  GPU hours. Idleness is seen a reading late at its begin (at $36, $4.50 a GPU hour) and up to a
  reading early at its end (at $72, $9); in fast time up to three minutes each, 0.8 GPU hours in
  all. Whatever is missing from 4 GPU hours costs between $4.50 and $9 an hour less.

The fall: cost 72 × 80/60 + 36 × 20/60 = 96 + 12 = $108; waste 72 × 10/60 + 36 × 20/60 = 12 + 12 =
$24, of which is missing what is not seen, at $4.50 to $9 as well.

Credit (deployed dialect): the balance is $10,000 at 12:24 and falls by what both jobs cost, $108
an hour from 12:20 on: it lasts 10,000 / 108 = 92.593 h from 12:24.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    HOUR,
    Dialect,
    Job,
    Organization,
    Project,
    Run,
    Scenario,
    always,
    metered,
    steps,
    utc,
)
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

START = utc("2026-11-15 12:04")
CHANGE = utc("2026-11-15 12:20")
LOOK = utc("2026-11-15 12:24")
RUN = Run(utc("2026-11-15 11:00"), utc("2026-11-15 12:40"))
USE = steps(90.0, (utc("2026-11-15 12:10"), 0.0))
RISE = steps(36.0, (CHANGE, 72.0))
FALL = steps(72.0, (CHANGE, 36.0))


def _job(number: int, price: object) -> Job:
    assert isinstance(price, type(RISE))
    return Job(
        f"j-{number}",
        f"p-{number}",
        (RUN,),
        price=price,
        listed_utilization=USE,
        readings={"gpu_utilization": USE},
    )


def _balance(now: float) -> float:
    spent = (metered(price, RUN) for price in (RISE, FALL))
    return 10_000 + sum(each(LOOK) - each(now) for each in spent)


PRICES = Scenario(
    jobs=(_job(1, RISE), _job(2, FALL)),
    projects=(Project("p-1", always("Rise")), Project("p-2", always("Fall"))),
    organizations=(Organization("o-1", "Acme", _balance),),
)
BUDGET = {
    "name": "rise",
    "limit_dollars": 100,
    "period": "month",
    "time_zone": "UTC",
    "projects": ["p-1"],
}


@both_dialects
@in_fast_time
def test_prices_that_change(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "PRICES", dialect, tmp_path, START) as world:
        exporter = world.start(budgets=[BUDGET])
        look = world.look(exporter, LOOK)
        shown = look.shown
        for project, price in (("p-1", 72), ("p-2", 36)):
            burn = sum_of(shown, "trainwave_burn_dollars_per_hour", project_id=project)
            check.near(f"{project} spend rate", burn, price)
            hourly = shown.get("trainwave_job_hourly_cost_dollars", project_id=project)
            check.near(f"{project} price", hourly, price)
        forecast = shown.get("trainwave_budget_forecast_dollars", budget="rise")
        check.near("forecast", forecast, 26_808, within=72 * (60 + look.age) / HOUR)
        exhausted = shown.get("trainwave_budget_exhaustion_timestamp_seconds", budget="rise")
        check.near("limit reached", exhausted, utc("2026-11-15 13:03:20"), within=60 + look.age)
        if dialect is Dialect.DEPLOYED:
            lasts = shown.get("trainwave_organization_credit_exhaustion_timestamp_seconds")
            check.near("credit lasts, h", ((lasts or 0) - LOOK) / HOUR, 92.593, within=0.2)

        world.until(utc("2026-11-15 12:44"))
        shown = exporter.metrics()
        for direction in ("up", "down"):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, 0, within=2)
        for project, cost, wasted in (("p-1", 72, 30), ("p-2", 108, 24)):
            counter = sum_of(shown, "trainwave_project_cost_dollars_total", project_id=project)
            check.near(f"{project} cost", counter, cost)
            used = sum_of(shown, "trainwave_project_gpu_hours_total", project_id=project)
            check.near(f"{project} GPU hours", used, 8 * 100 / 60, within=0.1)
            idle = shown.get("trainwave_job_idle_gpu_hours", project_id=project) or 0
            check.between(f"{project} idle GPU hours", idle, 3.2, 4.02)
            unseen = max(0.0, min(0.8, 4 - idle))
            least, most = wasted - 9 * unseen - 0.1, wasted - 4.5 * unseen + 0.1
            waste = sum_of(
                shown, "trainwave_waste_dollars_total", project_id=project, reason="gpu_idle"
            )
            check.between(f"{project} waste", waste, least, most)
            of_job = shown.get("trainwave_job_waste_dollars", project_id=project, reason="gpu_idle")
            check.between(f"{project} waste of the job", of_job, least, most)
            activity = shown.by(
                "activity", "trainwave_project_activity_gpu_hours_total", project_id=project
            )
            check.near(f"{project} activity", sum(activity.values()), used or 0, within=0.02)
        world.stop(exporter)
        check.near("report of the rise", world.reported("2026-11-15")["p-1"], 72)
        check.near("report of the fall", world.reported("2026-11-15")["p-2"], 108)
    check.done()
