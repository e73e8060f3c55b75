"""First start on a long history of finished jobs.

Every ten minutes a job starts; each was created 5 minutes before, ran for 10 hours on 8 GPUs at
$8 an hour, and thus cost $80 for 80 GPU hours. Job k started at 1 November 00:00 + k × 10
minutes. At the start of the world, 15 November 00:00, job 1956 has just ended and is the last
one.

Spend of November, by hand:

- Jobs 0 to 1956 started in November and are over: 1957 × $80 = $156,560.
- Jobs -1 to -59 straddle its begin: of job -j, 600 - 10 j minutes are in November. In all
  10 × (59 + 58 + … + 1) = 17,700 minutes = 295 hours, at $8: $2,360.
- Together $158,920.

Documented dialect: only a job's own page says when it started and ended. The budget is absent
until what may straddle is known, and exact from then on, at most 20 minutes after the start (and
a minute is left for the first look). A job of 80 GPU hours ran for 80 hours at most, so that 480
jobs may straddle; 80 of 100 requests a minute are the exporter's own.

Deployed dialect: neither start nor end is reported. There are only bounds, and no single number.
The lower is $156,480 at least, as jobs 1 to 1956 were created in November (job 0 was created at
31 October 23:55). Whatever bounds are shown, the truth is between them.

One more job of another project runs since 14 November 12:00 at $100 an hour. Until 1 December
00:00 these are 396 hours, $39,600: with the history a forecast of $198,520. Of $180,000 the
history leaves $21,080, which last for 210.8 hours: until 23 November 06:48. (Deployed: bounds, and
no such time.)

A slow list: 2,000 jobs in pages of 20, each of which takes 10 s: 1,000 s, more than a quarter of
an hour. These are jobs 1956 to -43, so that job -j with j ≤ 43 straddles:
43 × 600 - 10 × (43 × 44 / 2) = 25,800 - 9,460 = 16,340 minutes, at $8 an hour $2,178.67. With
$156,560 as above $158,738.67. No other number is ever shown.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import HOUR, MINUTE, Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time
from support.exporter import Metrics

NOVEMBER = utc("2026-11-01 00:00")
START = utc("2026-11-15 00:00")
TRUE_SPEND = 158_920.00
CREATED_IN_NOVEMBER = 156_480.00
SLOW_SPEND = 158_738.67


def _job(number: int) -> Job:
    started = NOVEMBER + number * 10 * MINUTE
    run = Run(started, started + 10 * HOUR)
    return Job(f"j-{number:+05d}", "p-1", (run,), price=steps(8.0), created=started - 5 * MINUTE)


PROJECTS = (Project("p-1", always("Vision")), Project("p-2", always("Speech")))
RUNNING = Job(
    "j-runs",
    "p-2",
    (Run(utc("2026-11-14 12:00"), utc("2026-12-02 00:00")),),
    price=steps(100.0),
    created=utc("2026-11-14 11:59"),
)
TRUE_FORECAST = 198_520.00
EXHAUSTED = utc("2026-11-23 06:48")
LONG = Scenario(
    jobs=(RUNNING, *(_job(k) for k in range(1956, 1956 - 10_000, -1))), projects=PROJECTS
)
SLOW = Scenario(
    jobs=tuple(_job(k) for k in range(1956, 1956 - 2_000, -1)),
    projects=PROJECTS,
    list_delay=10,
)
SPENT = "trainwave_budget_spent_dollars"
FORECAST = "trainwave_budget_forecast_dollars"
EXHAUSTION = "trainwave_budget_exhaustion_timestamp_seconds"
BUDGET = {
    "name": "history",
    "limit_dollars": 1_000_000,
    "period": "month",
    "time_zone": "UTC",
    "projects": ["p-1"],
}
WHOLE = {"name": "all", "limit_dollars": 180_000, "period": "month", "time_zone": "UTC"}


@both_dialects
@in_fast_time
def test_ten_thousand_finished_jobs(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "LONG", dialect, tmp_path, START, speed=50) as world:
        exporter = world.start(budgets=[BUDGET, WHOLE])
        scrapes = world.scrapes_until(
            exporter, utc("2026-11-15 00:21"), SPENT, FORECAST, EXHAUSTION
        )
        shown = exporter.metrics()
        spent = _seen(scrapes, SPENT, "history")
        forecasts, exhaustions = _seen(scrapes, FORECAST, "all"), _seen(scrapes, EXHAUSTION, "all")
        refused = sum(n for what, n in world.requests().items() if what.endswith(" 429"))
        check.near("requests refused", refused, 0)
        if dialect is Dialect.DOCUMENTED:
            check.near(
                "spend after 20 min",
                shown.get(SPENT, budget="history"),
                TRUE_SPEND,
                within=0.05,
            )
            check.near("wrong spend shown before", _farthest(spent, TRUE_SPEND), 0, within=0.05)
            forecast = shown.get(FORECAST, budget="history")
            check.near("forecast, as nothing runs", forecast, TRUE_SPEND, within=0.05)
            check.near("forecast", shown.get(FORECAST, budget="all"), TRUE_FORECAST, within=2)
            check.near("wrong forecast before", _farthest(forecasts, TRUE_FORECAST), 0, within=2)
            check.near("exhaustion", shown.get(EXHAUSTION, budget="all"), EXHAUSTED, within=90)
            check.near("wrong exhaustion before", _farthest(exhaustions, EXHAUSTED), 0, within=90)
            world.stop(exporter)
            check.near("report", world.reported("2026-11")["p-1"], TRUE_SPEND, within=0.05)
        else:
            check.absent("a single number", sorted(spent | forecasts | exhaustions))
            bound = shown.by("bound", "trainwave_budget_forecast_bound_dollars", budget="all")
            check.between("least forecast", bound.get("lower"), 0, TRUE_FORECAST + 2)
            check.between("highest forecast", bound.get("upper"), TRUE_FORECAST - 2, 10_000 * 80)
            bound = shown.by("bound", "trainwave_budget_spent_bound_dollars", budget="history")
            check.between("lower", bound.get("lower"), CREATED_IN_NOVEMBER, TRUE_SPEND)
            check.between("upper", bound.get("upper"), TRUE_SPEND, 10_000 * 80)
    check.done()


@in_fast_time
def test_a_first_list_that_takes_over_a_quarter_of_an_hour(tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "SLOW", Dialect.DOCUMENTED, tmp_path, START, speed=70) as world:
        exporter = world.start("--trainwave.page-size=20", budgets=[BUDGET])
        scrapes = world.scrapes_until(exporter, utc("2026-11-15 00:38"), SPENT)
        shown = scrapes[-1].get(SPENT, budget="history")
        check.near("spend after 38 min", shown, SLOW_SPEND, within=0.05)
        spent = {value for metrics in scrapes for _, value in metrics.all(SPENT)}
        check.near("wrong spend shown before", _farthest(spent, SLOW_SPEND), 0, within=0.05)
    check.done()


def _seen(scrapes: list[Metrics], name: str, budget: str) -> set[float]:
    return {value for metrics in scrapes for _, value in metrics.all(name, budget=budget)}


def _farthest(values: set[float], right: float) -> float:
    return max((abs(value - right) for value in values), default=0.0)
