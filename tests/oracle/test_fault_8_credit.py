"""Credit against the ledger (deployed dialect: the documented one shows no balance).

Refunds and late bills, one organization each; differences are looked at at 12:42, when all is
settled:

- o-balance: a job at $36 an hour runs from 11:00 to 12:30; another was over at 11:50 for $30, of
  which $20 are refunded: seen in the balance at 12:12, in the job at 12:24. The credit falls by
  what the jobs cost: difference 0, and never more than what passes between two lists of
  organizations (5 min) and of jobs: $3.60 + $0.60.
- o-job: the same the other way round: in the job at 12:12, in the balance at 12:24. In the end 0.
- o-steps: a job at $36 an hour, 11:00 to 12:30, billed every ten minutes; the balance falls at
  the same instants. 0 in the end, and never more than one step ($6).
- o-late: the balance falls as it runs, the bill comes at the end ($54). 0 in the end; as that end
  is known to a list of running jobs, give or take $0.60.

Where nothing can be compared yet the difference may be absent.

One project: an organization has $1,000 and two jobs at $36 an hour, in two projects. Seen through
one project its runway (1,000 / 72 = 13.89 h) cannot be known, and is absent; so is a difference.

Deleted: a job at $36 an hour runs from 11:00 to 13:00 and is deleted at 13:05. The exporter sees
it until 12:10 and comes back at 14:00. From 12:10 to 13:00 it cost $30, which no job explains any
more: the credit fell $30 beyond what was booked. What passed between the last two lists of
jobs, and until the exporter stopped, is $1.20 at most.
"""

from __future__ import annotations

from pathlib import Path

from oracle.scenario import (
    HOUR,
    MINUTE,
    Dialect,
    Job,
    Organization,
    Project,
    Run,
    Scenario,
    always,
    billed_at_end,
    billed_in_steps,
    corrected,
    metered,
    steps,
    utc,
)
from oracle.world import Checks, World, in_fast_time, sum_of

START = utc("2026-11-15 12:02")
RUN = Run(utc("2026-11-15 11:00"), utc("2026-11-15 12:30"))
OVER = Run(utc("2026-11-15 11:00"), utc("2026-11-15 11:50"))
EARLY, LATE = utc("2026-11-15 12:12"), utc("2026-11-15 12:24")
PRICE = steps(36.0)
COST = metered(PRICE, RUN)
IN_STEPS = billed_in_steps(COST, RUN, 10 * MINUTE)
BUSY = always(90.0)


def _refunded(name: str, in_job: float, in_balance: float) -> tuple[list[Job], Organization]:
    cost = corrected(always(30.0), in_job, -20)
    jobs = [
        Job(f"j-{name}-1", f"p-{name}", (RUN,), price=PRICE, listed_utilization=BUSY),
        Job(f"j-{name}-2", f"p-{name}", (OVER,), price=PRICE, cost=cost),
    ]
    balance = corrected(lambda now: 970 - COST(now), in_balance, 20)
    return jobs, Organization(f"o-{name}", name, balance)


FIRST_JOBS, FIRST = _refunded("balance", in_job=LATE, in_balance=EARLY)
SECOND_JOBS, SECOND = _refunded("job", in_job=EARLY, in_balance=LATE)
SETTLED = Scenario(
    jobs=(
        *FIRST_JOBS,
        *SECOND_JOBS,
        Job("j-steps", "p-steps", (RUN,), price=PRICE, cost=IN_STEPS, listed_utilization=BUSY),
        Job(
            "j-late",
            "p-late",
            (RUN,),
            price=PRICE,
            cost=billed_at_end(COST, RUN),
            listed_utilization=BUSY,
        ),
    ),
    projects=tuple(
        Project(f"p-{name}", always(name), f"o-{name}")
        for name in ("balance", "job", "steps", "late")
    ),
    organizations=(
        FIRST,
        SECOND,
        Organization("o-steps", "steps", lambda now: 1000 - IN_STEPS(now)),
        Organization("o-late", "late", lambda now: 1000 - COST(now)),
    ),
)
ENDLESS = Run(utc("2026-11-15 11:00"))
HALF_SEEN = Scenario(
    jobs=tuple(
        Job(f"j-{n}", f"p-{n}", (ENDLESS,), price=PRICE, listed_utilization=BUSY) for n in (1, 2)
    ),
    projects=(Project("p-1", always("one")), Project("p-2", always("two"))),
    organizations=(Organization("o-1", "Acme", always(1000.0)),),
)
LONGER = Run(utc("2026-11-15 11:00"), utc("2026-11-15 13:00"))
DELETED = Scenario(
    jobs=(
        Job(
            "j-1",
            "p-1",
            (LONGER,),
            price=PRICE,
            listed_utilization=BUSY,
            listed_until=utc("2026-11-15 13:05"),
        ),
    ),
    projects=(Project("p-1", always("one")),),
    organizations=(Organization("o-1", "Acme", lambda now: 1000 - metered(PRICE, LONGER)(now)),),
)
DIFFERENCE = "trainwave_reconciliation_difference_dollars"
RUNWAY = "trainwave_organization_credit_exhaustion_timestamp_seconds"


@in_fast_time
def test_refunds_and_late_bills(tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "SETTLED", Dialect.DEPLOYED, tmp_path, START) as world:
        exporter = world.start()
        scrapes = world.scrapes_until(exporter, utc("2026-11-15 12:42"), DIFFERENCE)
        shown = world.stop(exporter)
        for name, most in (("balance", 4.3), ("job", None), ("steps", 6.1), ("late", None)):
            organization = f"o-{name}"
            last = shown.get(DIFFERENCE, organization_id=organization)
            check.near(f"{name} in the end", last or 0, 0, within=0.7 if name == "late" else 0.1)
            seen = [
                abs(value)
                for metrics in scrapes
                for _, value in metrics.all(DIFFERENCE, organization_id=organization)
            ]
            if most is not None:
                check.between(f"{name} at the most", max(seen, default=0), 0, most)
    check.done()


@in_fast_time
def test_an_organization_that_is_seen_through_one_project(tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "HALF_SEEN", Dialect.DEPLOYED, tmp_path, START) as world:
        exporter = world.start()
        world.until(utc("2026-11-15 12:08"))
        now, shown = world.now(), world.stop(exporter)
        whole = (shown.get(RUNWAY) or 0) - now
        check.near("runway of the whole, h", whole / HOUR, 1000 / 72, within=0.2)
        exporter = world.start("--trainwave.project=p-1", f"--storage.path={tmp_path / 'other'}")
        world.until(world.now() + 8 * MINUTE)
        shown = world.stop(exporter)
        check.near(
            "spend rate of the project", sum_of(shown, "trainwave_burn_dollars_per_hour"), 36
        )
        check.absent("runway", shown.get(RUNWAY))
        check.absent("difference", shown.get(DIFFERENCE))
    check.done()


@in_fast_time
def test_a_job_that_is_deleted_in_an_outage(tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "DELETED", Dialect.DEPLOYED, tmp_path, START) as world:
        exporter = world.start()
        world.until(utc("2026-11-15 12:10"))
        last = sum_of(world.stop(exporter), "trainwave_project_cost_dollars_total") or 0
        world.jump(utc("2026-11-15 13:58"))
        exporter = world.start()
        world.until(utc("2026-11-15 14:10"))
        shown = world.stop(exporter)
        check.near("difference", shown.get(DIFFERENCE), 72 - last, within=1.2)
    check.done()
