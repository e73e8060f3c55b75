"""The first start on a history so long that its details take hours to read.

All amounts were worked out by hand. A GPU costs two dollars an hour. It is noon of November 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.history_rig import PastJob, first_start

from trainwave_exporter.ledger import Budget, Period

NOW = "2026-11-03T12:00"
MONTH = Budget(name="all", limit_dollars=200_000.0, period=Period.MONTH, zone=ZoneInfo("UTC"))


def before_november(jobs: int) -> Iterator[PastJob]:
    """Yield jobs of 8 hours on 8 GPUs, every 14 minutes back from October 30, 15:46."""
    created = datetime(2026, 10, 30, 15, 46, tzinfo=UTC)
    for _ in range(jobs):
        at = created.strftime("%Y-%m-%dT%H:%M")
        yield PastJob(created=at, started=at, hours=8)
        created -= timedelta(minutes=14)


def ten_thousand() -> list[PastJob]:
    """Return 10,000 jobs, of which November has to pay 72,100 dollars.

    ====  ===========================================  =======  ========
    jobs  what they did                                 each     November
    ====  ===========================================  =======  ========
    300   ran October 31, 20:00 to November 1, 04:00    4 of 8 h  $19,200
    200   ran October 31, 00:00 to 04:00                0 of 4 h       $0
    50    queued October 31, 22:00, ran 02:00 to 06:00  4 of 4 h   $3,200
    497   created in November, 6.25 hours               $100      $49,700
    8953  before                                                       $0
    ====  ===========================================  =======  ========
    """
    over = PastJob(created="2026-10-31T19:50", started="2026-10-31T20:00", hours=8)
    october = PastJob(created="2026-10-31T00:00", started="2026-10-31T00:00", hours=4)
    queued = PastJob(created="2026-10-31T22:00", started="2026-11-01T02:00", hours=4)
    november = PastJob(created="2026-11-02T01:00", started="2026-11-02T01:05", hours=6.25)
    few = [*[over] * 300, *[october] * 200, *[queued] * 50, *[november] * 497]
    return [*few, *before_november(8953)]


def six_hundred() -> list[PastJob]:
    """Return 600 jobs: 12 over midnight for 64 dollars each, 30 in November for 16: $1,248."""
    over = PastJob(created="2026-10-31T19:50", started="2026-10-31T20:00", hours=8)
    november = PastJob(created="2026-11-02T01:00", started="2026-11-02T01:05", hours=1)
    return [*[over] * 12, *[november] * 30, *before_november(558)]


@pytest.mark.parametrize(
    ("jobs", "spent", "running"),
    [(ten_thousand(), 72_100.0, 20), (six_hundred(), 1_248.0, 0)],
    ids=["10,000 jobs", "600 jobs"],
)
async def test_documented_a_budget_is_absent_until_it_is_exact_and_that_within_20_minutes(
    jobs: list[PastJob], spent: float, running: int
) -> None:
    async with first_start(jobs, NOW, [MONTH], deployed=False, running=running) as start:
        while (shown := start.budget()) is None or shown.spent_dollars is None:
            if shown is not None:
                assert start.unknown("budget") == {"history_incomplete"}
                assert shown.spent_lower_dollars is not None
                assert shown.spent_lower_dollars <= spent + 0.005
                upper = shown.spent_upper_dollars
                assert upper is None or upper >= spent - 0.005
            assert start.minutes < 20
            await start.second()
        assert shown.spent_dollars == pytest.approx(spent, abs=0.005)
        assert shown.forecast_dollars == pytest.approx(spent, abs=0.005)
        assert start.unknown("budget") == set()
        assert start.api.most_in_a_minute <= 100


async def test_deployed_the_bounds_of_what_nobody_reports_remain_and_say_so() -> None:
    """Lists report price and cost, so how long a job ran is known, and not when.

    ====  ==========================================  ===============  ===============
    jobs  November at the least and at the most        each             together
    ====  ==========================================  ===============  ===============
    300   8 h from October 31, 19:50, or in November   $61.33 to $128   $18,400 to $38,400
    200   4 h from October 31, 00:00, or in November   $0 to $64        $0 to $12,800
    50    4 h from October 31, 22:00, or in November   $32 to $64       $1,600 to $3,200
    497   created in November                          $100             $49,700
    8953  over by October 31, 23:46 at the latest      $0               $0
    ====  ==========================================  ===============  ===============
    """
    async with first_start(ten_thousand(), NOW, [MONTH], deployed=True) as start:
        await start.until(12)
        shown = start.budget()
        assert shown is not None
        assert shown.spent_dollars is None
        assert shown.forecast_dollars is None
        assert shown.spent_lower_dollars == pytest.approx(69_700, abs=0.01)
        assert shown.spent_upper_dollars == pytest.approx(104_100, abs=0.01)
        assert shown.forecast_lower_dollars == pytest.approx(69_700, abs=0.01)
        assert shown.forecast_upper_dollars == pytest.approx(104_100, abs=0.01)
        assert start.unknown("budget") == {"history_incomplete"}
        assert start.unknown("budget_forecast") == {"history_incomplete"}


async def test_a_budget_stays_absent_while_the_first_list_takes_over_a_quarter_of_an_hour() -> None:
    """At 20 requests a minute and two jobs a page, 600 jobs take some 19 minutes."""
    slow = {"deployed": False, "limit": 20, "page_cap": 2}
    async with first_start(six_hundred(), NOW, [MONTH], **slow) as start:
        await start.until(16)
        shown = start.budget()
        assert start.api.asked["list"] < 300
        assert shown is not None
        assert shown.spent_dollars is None
        assert shown.spent_upper_dollars is None
        assert start.unknown("budget") == {"history_incomplete"}
