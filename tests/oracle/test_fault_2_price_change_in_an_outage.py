"""A price changes while the exporter is away, and the month ends, too.

A job of 8 GPUs runs from 31 October 20:00 to 1 November 02:06. It costs $36 an hour until 23:00,
then $72. The exporter watches until 20:20, and again from 02:00 on. Its GPUs never do anything.

- Cost: 36 × 3 + 72 × 3.1 = 108 + 223.20 = $331.20.
- At the first look after the outage two prices and a cost are known. At 20:20 it had cost $12; at
  02:00 it has cost 108 + 72 × 3 = $324. Of the 340 minutes between, x at $36 and the rest at $72
  come to $312: 36 x + 72 (5.6667 - x) = 312, x = 2.6667 h after 20:20, that is 23:00. One change
  is solvable.
- October: 108 + 72 × 1 = $180. November: 72 × 2.1 = $151.20.
- GPU hours: 8 × 6.1 = 48.8.
- No correction (up to $2, as an answer that takes a minute of fast time looks like one).
- Waste: warm-up is over at 20:10. Idle is known from then to 20:20 (at $36, $4.50 a GPU hour, $6
  at most) and from 01:58 at the earliest to 02:06 (at $72, $9 a GPU hour, $9.60 at most); what
  passed in the outage is unknown. How much of either is seen differs by a reading or two at each
  begin and end, and GPU hours say how much: the price of each tells the waste.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of
from support.exporter import Metrics

RUN = Run(utc("2026-10-31 20:00"), utc("2026-11-01 02:06"))
AWAY = Scenario(
    jobs=(
        Job(
            "j-1",
            "p-1",
            (RUN,),
            price=steps(36.0, (utc("2026-10-31 23:00"), 72.0)),
            listed_utilization=always(0.0),
            readings={"gpu_utilization": always(0.0)},
        ),
    ),
    projects=(Project("p-1", always("Vision")),),
)


def idle_hours(shown: Metrics) -> float:
    """Return the idle GPU hours of all jobs."""
    return sum_of(shown, "trainwave_project_activity_gpu_hours_total", activity="idle") or 0.0


@both_dialects
@in_fast_time
def test_a_price_that_changes_in_an_outage(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "AWAY", dialect, tmp_path, utc("2026-10-31 20:06")) as world:
        exporter = world.start()
        world.until(utc("2026-10-31 20:20"))
        before = idle_hours(world.stop(exporter))
        world.jump(utc("2026-11-01 01:58"))
        exporter = world.start()
        world.until(utc("2026-11-01 02:10"))
        shown = world.stop(exporter)
        check.near("cost", sum_of(shown, "trainwave_project_cost_dollars_total"), 331.20)
        check.near("October", world.reported("2026-10")["p-1"], 180, within=0.1)
        check.near("November", world.reported("2026-11")["p-1"], 151.20, within=0.1)
        used = sum_of(shown, "trainwave_project_gpu_hours_total")
        check.near("GPU hours", used, 48.8, within=0.15)
        for direction in ("up", "down"):
            changed = sum_of(shown, "trainwave_cost_corrections_dollars_total", direction=direction)
            check.near(f"corrected {direction}", changed or 0, 0, within=2)
        waste = sum_of(shown, "trainwave_waste_dollars_total", reason="gpu_idle")
        after = idle_hours(shown) - before
        check.between("idle GPU hours before the outage", before, 0.9, 1.34)
        check.between("idle GPU hours after it", after, 0.4, 1.27)
        # Up to a minute and a half before the stop was not shown any more, and was at $36.
        most = 4.5 * before + 9 * after
        check.between("waste", waste, most - 4.5 * 0.2 - 0.1, most + 0.1)
    check.done()
