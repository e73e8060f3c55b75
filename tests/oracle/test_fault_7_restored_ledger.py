"""A ledger that is restored from a backup, or loses its files under the running exporter.

One job of $18 an hour ($0.30 a minute) runs from 14 November 11:00 on; lists of jobs take 45 s.

Restored: the exporter is stopped on the 14th at 12:10, when the job has cost $21, and the ledger
is copied. It goes on, sees $450 on the 15th at 12:00, and is stopped at 12:08 ($452.40). Then the
copy of the day before is put in its place, and the exporter is started at once. Its counter shows
nothing, or at least what it showed last, in every scrape: else `increase()` takes $21 → $452 for
$431 of spend. In the end it shows what the job cost at the last list, a minute before at the
earliest.

Lost: a second job ran from 11:00 to 12:04 ($19.20) and is deleted at 12:08. At 12:20 the
write-ahead log is removed, or the file overwritten with an empty ledger, under the running
exporter. Writes fail from then on, and are counted; counters stay. `report` fails, or says $19.20
of that job. A later start shows nothing of that job, or at least $19.20.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from oracle.scenario import MINUTE, Dialect, Job, Project, Run, Scenario, always, steps, utc
from oracle.world import Checks, World, both_dialects, in_fast_time, sum_of

FIRST_DAY = utc("2026-11-14 12:00")
NEXT_DAY = utc("2026-11-15 12:00")
BEGAN = utc("2026-11-14 11:00")
COUNTER = "trainwave_project_cost_dollars_total"
PROJECTS = (Project("p-1", always("Vision")), Project("p-gone", always("Gone")))
RUNNING = Job("j-1", "p-1", (Run(BEGAN),), price=steps(18.0), listed_utilization=always(90.0))
RESTORED = Scenario(jobs=(RUNNING,), projects=PROJECTS, list_delay=45)
LOST = Scenario(
    jobs=(
        RUNNING,
        Job(
            "j-gone",
            "p-gone",
            (Run(BEGAN, utc("2026-11-14 12:04")),),
            price=steps(18.0),
            listed_utilization=always(90.0),
            listed_until=utc("2026-11-14 12:08"),
        ),
    ),
    projects=PROJECTS,
)


@both_dialects
@in_fast_time
def test_a_ledger_of_the_day_before(dialect: Dialect, tmp_path: Path) -> None:
    check = Checks()
    with World(__file__, "RESTORED", dialect, tmp_path, FIRST_DAY) as world:
        exporter = world.start()
        world.until(utc("2026-11-14 12:10"))
        world.stop(exporter)
        copy = shutil.copytree(world.ledger, tmp_path / "copy")
        world.jump(NEXT_DAY)
        exporter = world.start()
        world.until(utc("2026-11-15 12:08"))
        before = sum_of(world.stop(exporter), COUNTER)
        check.between("counter before", before, 451, 452.5)

        shutil.rmtree(world.ledger)
        shutil.copytree(copy, world.ledger)
        exporter = world.start()
        scrapes = world.scrapes_until(exporter, utc("2026-11-15 12:16"), COUNTER)
        counted = [sum_of(metrics, COUNTER) for metrics in scrapes]
        lowest = min((value for value in counted if value is not None), default=None)
        check.between("lowest counter after", lowest, before or 0, 455)
        shown = world.stop(exporter)
        listed = shown.get("trainwave_account_last_success_timestamp_seconds") or 0
        least, most = ((at - BEGAN) * 0.30 / MINUTE for at in (listed - 120, world.now()))
        check.between("counter in the end", sum_of(shown, COUNTER), least, most)
        check.between("report", world.reported("2026-11")["p-1"], least, most)
    check.done()


def _without_log(ledger: Path) -> None:
    (ledger / "ledger.sqlite3-wal").unlink()


def _overwritten(ledger: Path) -> None:
    """Put the tables of the ledger, without a row, into the file that stands there."""
    name = ledger / "ledger.sqlite3"
    empty = ledger.parent / "empty.sqlite3"
    with closing(sqlite3.connect(name)) as full, closing(sqlite3.connect(empty)) as other:
        version = full.execute("PRAGMA user_version").fetchone()[0]
        for (statement,) in full.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ):
            other.execute(statement)
        other.execute(f"PRAGMA user_version = {version}")
    with name.open("r+b") as file:
        file.write(empty.read_bytes())
        file.truncate()


@both_dialects
@pytest.mark.parametrize(
    "lose", [_without_log, _overwritten], ids=["log-removed", "file-overwritten"]
)
@in_fast_time
def test_a_ledger_that_is_lost_while_it_is_written(
    dialect: Dialect, lose: Callable[[Path], None], tmp_path: Path
) -> None:
    check = Checks()
    with World(__file__, "LOST", dialect, tmp_path, FIRST_DAY) as world:
        exporter = world.start("--polling.sweep-interval=2m")
        world.until(utc("2026-11-14 12:20"))
        before = exporter.metrics()
        gone = sum_of(before, COUNTER, project_id="p-gone")
        check.near("what is gone, before", gone, 19.2)
        lose(world.ledger)
        world.until(utc("2026-11-14 12:26"))
        shown = exporter.metrics()
        failed = sum_of(shown, "trainwave_exporter_ledger_writes_total", outcome="error") or 0
        check.between("failed writes", failed, 1, 1000)
        check.near("what is gone, after", sum_of(shown, COUNTER, project_id="p-gone"), 19.2)
        running = sum_of(before, COUNTER, project_id="p-1") or 0
        check.between("what runs", sum_of(shown, COUNTER, project_id="p-1"), running, 27)
        code, rows = world.try_report("2026-11")
        told = sum(float(row["cost_dollars"]) for row in rows if row["project_id"] == "p-gone")
        check.true(f"report: exit {code}, ${told:g}", code or abs(told - 19.2) < 0.01)
        world.stop(exporter)

        again = world.try_start("--polling.sweep-interval=2m")
        if again is not None:  # it may refuse to start on such a file
            world.until(world.now() + 5 * MINUTE)
            left = sum_of(again.metrics(), COUNTER, project_id="p-gone")
            check.true(f"counter of what is gone: {left}", left is None or abs(left - 19.2) < 0.01)
    check.done()
