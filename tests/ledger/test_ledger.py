"""The ledger within an event loop: a thread writes, the loop publishes, trouble is logged once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.store_rig import locked, read_only
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import (
    Budget,
    Ledger,
    LedgerOptions,
    Period,
    Store,
    StoreError,
    UnfitStoreError,
    WatchedScope,
)
from trainwave_exporter.ledger.billing.ledger_state import SeenJob
from trainwave_exporter.ledger.ledger import CLOSE_TIMEOUT_SECONDS, RETRY_SECONDS
from trainwave_exporter.model import (
    NO_READINGS,
    AccountStatus,
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
    Fact,
    Funds,
    HistoricalJob,
    Job,
    LedgerRun,
    Organization,
    Project,
    Quantity,
    Reading,
    Readings,
    Record,
    Spend,
    UnknownFigure,
)
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.failure_log import SUMMARY_SECONDS


class Desk:
    """A ledger, what it published, and a store that can be made to fail."""

    def __init__(self, folder: Path | None = None, budgets: tuple[Budget, ...] = ()) -> None:
        self.now = START
        self.facts: list[Fact] = []
        self.shown: dict[str, Record] = {}
        self.trouble: StoreError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.costs: list[float] = []
        """The published costs of the one series, in order."""
        self._folder = folder
        self.ledger = Ledger(
            open_store=self._open,
            read_store=None if folder is None else partial(Store.open_for_reading, folder),
            options=LedgerOptions(accounts={"a": WatchedScope()}, budgets=budgets),
            publish=self._publish,
            observe=self.facts.append,
            clock=Clock(time=lambda: self.now, monotonic=lambda: self.now),
        )

    def _open(self) -> Store:
        assert self.gate.wait(30)
        if self.trouble is not None:
            raise self.trouble
        return Store.open(self._folder)

    def _publish(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Appeared(record) | Changed(_, record):
                    self.shown[type(record).__name__ + record.key] = record
                    if isinstance(record, Spend):
                        self.costs.append(record.cost_dollars)
                case Departed(record):
                    del self.shown[type(record).__name__ + record.key]

    def see(self, *records: Record) -> None:
        self.ledger.apply([Appeared(record) for record in records])

    def cost(self) -> float | None:
        found = [record for record in self.shown.values() if isinstance(record, Spend)]
        return found[0].cost_dollars if found else None

    @property
    def runs(self) -> list[LedgerRun]:
        return [fact for fact in self.facts if isinstance(fact, LedgerRun)]


def job(job_id: str = "j-1", **fields: Any) -> Job:
    return LedgerWorld().job(job_id, **fields)


COUNTED = AccountStatus(name="a", counted=True)


async def test_much_is_published_in_parts_and_others_have_their_turn_in_between() -> None:
    desk = Desk()
    await desk.ledger.open()
    idle = LedgerWorld().busy(0.0)
    desk.see(COUNTED, *(job(f"j-{n}", gpu_hours=1.0, readings=idle) for n in range(600)))
    turns: list[int] = []
    running = asyncio.ensure_future(desk.ledger.run())
    while not running.done():
        await asyncio.sleep(0)
        turns.append(len(desk.shown))
    assert len(desk.shown) > 600
    assert max(after - before for before, after in pairwise([0, *turns])) <= 256
    await desk.ledger.close()


@pytest.mark.parametrize(
    ("changed", "written"),
    [
        ({"readings": Readings(cpu=Reading(Quantity.RATIO, 0.7, START + 5))}, 0),
        ({"readings": Readings(gpu_utilization=Reading(Quantity.RATIO, 0.7, START + 5))}, 1),
        ({"readings": Readings(memory=Reading(Quantity.BYTES, 9e9, START + 5))}, 1),
        ({"readings": Readings(memory=Reading(Quantity.BYTES, 7e9, START + 5))}, 0),
        ({"readings": Readings(gpu_memory=Reading(Quantity.BYTES, 1.0, START + 5))}, 1),
        ({"readings": NO_READINGS}, 0),
        ({"cost_dollars": 2.5}, 1),
        ({"confirmed_at": START + 5}, 1),
        ({"state": "SUCCESS"}, 1),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_only_what_says_something_of_money_or_gpu_time_is_looked_at(
    changed: dict[str, Any], written: int
) -> None:
    desk = Desk()
    await desk.ledger.open()
    memory = Reading(Quantity.BYTES, 8e9, START)
    before = job(cost_dollars=2.0, readings=Readings(memory=memory))
    desk.see(COUNTED, before)
    await desk.ledger.run()
    runs = len(desk.runs)
    desk.ledger.apply([Changed(before, replace(before, **changed))])
    await desk.ledger.run()
    assert len(desk.runs) == runs + written
    await desk.ledger.close()


async def test_what_is_seen_is_written_and_published() -> None:
    desk = Desk()
    await desk.ledger.open()
    desk.see(COUNTED, job(cost_dollars=2.0))
    assert desk.cost() is None
    await desk.ledger.run()
    assert desk.cost() == 2
    assert [(run.succeeded, run.waiting) for run in desk.runs] == [(True, 0)]
    await desk.ledger.run()
    assert len(desk.runs) == 1  # nothing was seen, so nothing was written
    await desk.ledger.close()


async def test_history_that_is_not_shown_counts_and_what_has_no_money_in_it_does_not() -> None:
    desk = Desk()
    desk.see(COUNTED, job("j-1", cost_dollars=2.0))
    old = job("j-2", state="SUCCESS", cost_dollars=3.0)
    desk.ledger.apply(
        [
            HistoricalJob(old),
            Departed(job("j-1", cost_dollars=2.5), Departure.RETENTION),
            Departed(Project(account="a", id="p-1"), Departure.VANISHED),
        ]
    )
    await desk.ledger.run()
    assert desk.cost() == 5.5


async def test_details_are_kept_where_a_list_names_the_job_before_they_are_written(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    await desk.ledger.open()
    finished = job("j-1", state="SUCCESS", cost_dollars=4.0, started_at=1000.0, finished_at=2000.0)
    lacking: dict[str, Any] = {"gpu_type": None, "gpus": None, "hourly_cost_dollars": None}
    listed = replace(finished, started_at=None, finished_at=None, cost_dollars=5.0, **lacking)
    desk.ledger.apply([HistoricalJob(replace(finished, name="mnist"))])
    desk.ledger.apply([HistoricalJob(listed)])
    await desk.ledger.run()
    await desk.ledger.close()
    with closing(Store.open_for_reading(tmp_path)) as store:
        entry = store.jobs(["j-1"])["j-1"]
    assert (entry.name, entry.labels.gpu_type) == ("mnist", "H100")
    assert (entry.life.started, entry.life.finished) == (1_000_000, 2_000_000)
    assert entry.totals.cost == 5_000_000


async def test_a_job_that_runs_again_takes_over_no_end_of_its_earlier_run() -> None:
    ended = SeenJob(job("j-1", state="SUCCESS", finished_at=2000.0), shown=False)
    again = SeenJob(job("j-1", state="RUNNING"), shown=False)
    assert again.after(ended) == again


async def test_a_name_that_matches_nothing_is_logged_once_with_the_nearest() -> None:
    budget = Budget(
        name="typo",
        limit_dollars=1.0,
        period=Period.DAY,
        zone=ZoneInfo("UTC"),
        projects=frozenset({"Visoin"}),
    )
    desk = Desk(budgets=(budget,))
    await desk.ledger.open()
    listed = replace(COUNTED, organizations_listed=True, projects_listed=True)
    desk.see(listed, Project(account="a", id="p-1", name="Vision"))
    with capture_logs() as logs:
        await desk.ledger.run()
        shown = [each for each in desk.shown.values() if isinstance(each, UnknownFigure)]
        assert {each.figure for each in shown} == {"scope", "budget"}
        assert len(logs) == 1  # when it is shown
        for _ in range(8):
            desk.now += 20
            await desk.ledger.run()
    assert logs == [
        {
            "event": "scope_matches_nothing",
            "log_level": "warning",
            "setting": "budgets[typo].projects",
            "value": "Visoin",
            "nearest": "Vision",
        }
    ]


async def test_an_organization_that_nobody_reports_any_more_has_no_funds() -> None:
    desk = Desk()
    rich = Organization(account="a", id="o-1", credit_balance_dollars=9.0, confirmed_at=START)
    desk.see(COUNTED, rich)
    desk.see(rich)
    await desk.ledger.run()
    assert any(isinstance(record, Funds) for record in desk.shown.values())
    desk.ledger.apply([Departed(rich, Departure.EXPIRED)])
    desk.now += 60
    await desk.ledger.run()
    assert not any(isinstance(record, Funds) for record in desk.shown.values())


async def test_a_store_that_must_not_be_used_stops_the_start() -> None:
    desk = Desk()
    desk.trouble = UnfitStoreError("damaged")
    with pytest.raises(UnfitStoreError, match="damaged"):
        await desk.ledger.open()


async def test_trouble_is_reported_once_tried_again_and_costs_nothing() -> None:
    desk = Desk()
    desk.trouble = StoreError("the disk is full")
    with capture_logs() as logs:
        await desk.ledger.open()
        desk.see(COUNTED, job(cost_dollars=2.0))
        await desk.ledger.run()
        assert desk.cost() is None
        assert desk.runs == []  # too soon to try again
        desk.see(job("j-2", cost_dollars=1.0))
        for _ in range(3):
            desk.now += RETRY_SECONDS
            await desk.ledger.run()
        assert [(run.succeeded, run.waiting) for run in desk.runs] == [(False, 2)] * 3
        desk.now += SUMMARY_SECONDS
        await desk.ledger.run()
        desk.trouble = None
        desk.see(job("j-2", cost_dollars=1.5))
        desk.now += RETRY_SECONDS
        await desk.ledger.run()
    assert desk.cost() == 3.5
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("ledger_failing", "error"),
        ("ledger_still_failing", "error"),
        ("ledger_recovered", "info"),
    ]
    assert logs[0]["error"] == "the disk is full"


async def test_files_that_are_lost_in_use_are_reported_until_all_is_well(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ledger.open()
    desk.see(COUNTED, job(cost_dollars=2.0))
    await desk.ledger.run()
    (tmp_path / "ledger.sqlite3").write_bytes(b"overwritten")
    with capture_logs() as logs:
        desk.see(job(cost_dollars=3.0))
        for _ in range(3):
            desk.now += RETRY_SECONDS
            await desk.ledger.run()
        assert desk.costs == [2, 3]
        assert [(run.succeeded, run.lost, run.waiting) for run in desk.runs[1:]] == [
            (False, True, 1)
        ] * 3
        (tmp_path / "ledger.sqlite3").unlink()
        desk.now += RETRY_SECONDS
        await desk.ledger.run()
        assert [(run.succeeded, run.lost, run.waiting) for run in desk.runs[4:]] == [
            (True, False, 0)
        ]
        await desk.ledger.run()
        assert len(desk.runs) == 5
    assert [line["event"] for line in logs] == [
        "ledger_failing",
        "ledger_rescued",
        "ledger_recovered",
    ]
    assert "ledger.sqlite3 was overwritten while in use" in logs[0]["error"]
    await desk.ledger.close()


async def test_a_write_that_is_given_up_on_loses_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ledger.open()
    desk.see(COUNTED, job(cost_dollars=2.0))
    await desk.ledger.run()
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    desk.see(job(cost_dollars=2.5))
    await desk.ledger.run()
    assert desk.cost() == 2
    other.execute("ROLLBACK")
    other.close()
    desk.now += RETRY_SECONDS
    await desk.ledger.run()
    assert desk.cost() == 2.5
    await desk.ledger.close()


def let_all_read(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o644)


@pytest.mark.parametrize("trouble", [locked, read_only])
async def test_what_can_only_be_read_is_shown_and_goes_on_when_it_can_be_written(
    open_folder: Path, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    before = Desk(open_folder)
    before.see(COUNTED, job(cost_dollars=2.0))
    await before.ledger.run()
    await before.ledger.close()
    let_all_read(open_folder)
    desk = Desk(open_folder)
    with capture_logs() as logs:
        with trouble(open_folder):
            await desk.ledger.open()
            await desk.ledger.run()
            assert desk.cost() is None
            desk.see(COUNTED, job(cost_dollars=2.5), job("j-2", cost_dollars=1.0))
            for _ in range(2):
                desk.now += RETRY_SECONDS
                await desk.ledger.run()
            assert [(run.succeeded, run.waiting) for run in desk.runs] == [(False, 2)] * 2
            assert all(run.size_bytes for run in desk.runs)
        desk.see(job("j-2", cost_dollars=1.5))
        desk.now += RETRY_SECONDS
        await desk.ledger.run()
    assert desk.costs == [3.5, 4]
    await desk.ledger.close()
    failing, recovered = logs
    assert (failing["event"], recovered["event"]) == ("ledger_failing", "ledger_recovered")
    assert failing["error"].endswith("; it can be read only, and what is seen waits")
    after = Desk(open_folder)
    await after.ledger.open()
    after.see(COUNTED)
    await after.ledger.run()
    assert after.costs == [4]
    await after.ledger.close()


async def test_a_run_that_is_cancelled_goes_on_in_its_thread_and_is_not_doubled() -> None:
    desk = Desk()
    desk.gate.clear()
    desk.see(COUNTED, job(cost_dollars=2.0))
    run = asyncio.create_task(desk.ledger.run())
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await desk.ledger.run()  # returns at once: the thread is not done
    assert desk.cost() is None
    desk.gate.set()
    await desk.ledger.close()
    assert desk.cost() == 2


async def test_the_last_observations_are_written_when_it_closes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.ledger.open()
    desk.see(COUNTED, job(cost_dollars=2.0))
    await desk.ledger.close()
    again = Desk(tmp_path)
    await again.ledger.open()
    again.see(COUNTED)
    await again.ledger.run()
    assert again.cost() == 2
    await again.ledger.close()


async def test_a_disk_that_hangs_does_not_hold_up_the_end_for_long() -> None:
    desk = Desk()
    desk.gate.clear()
    desk.see(COUNTED, job(cost_dollars=2.0))
    began = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await desk.ledger.close()
    assert asyncio.get_running_loop().time() - began < CLOSE_TIMEOUT_SECONDS + 5
    assert [line["event"] for line in logs] == ["ledger_not_closed"]
    desk.gate.set()


async def test_a_bug_loses_no_observation() -> None:
    desk = Desk()
    await desk.ledger.open()
    broken = job(cost_dollars=float("nan"))
    desk.see(COUNTED, broken)
    with pytest.raises(ValueError, match="NaN"):
        await desk.ledger.run()
    desk.see(job(cost_dollars=2.0))
    await desk.ledger.run()
    assert desk.cost() == 2
