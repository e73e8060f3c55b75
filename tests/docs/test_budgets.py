"""The examples in ``docs/money/budgets.md`` are right."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from math import floor
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.ledger_world import LedgerWorld

from trainwave_exporter.config import load
from trainwave_exporter.daemon.wiring import ledger_options
from trainwave_exporter.landing import unknown_figures as unknown
from trainwave_exporter.ledger import Budget, Period, Store, milliseconds, stored_report
from trainwave_exporter.ledger.billing.bounds import cost_before, queue_bound
from trainwave_exporter.ledger.billing.periods import parse_span
from trainwave_exporter.ledger.billing.report import Dimension
from trainwave_exporter.model import BudgetStatus, Funds, Organization, Project

DOCUMENT = Path(__file__).parents[2] / "docs" / "money" / "budgets.md"
ZONE = ZoneInfo("UTC")
PRICE = 36.0
POLL = 30


def table(first_column: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this title."""
    lines = DOCUMENT.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def dollars(text: str) -> float:
    return float(text.removeprefix("$"))


def moment(text: str) -> float:
    """Return the Unix time of a day such as October 31, 22:00, in 2026."""
    return datetime.strptime(f"2026 {text}", "%Y %B %d, %H:%M").replace(tzinfo=UTC).timestamp()


def clock(text: str) -> float:
    """Return the seconds since midnight of a time of day."""
    hour, minute = text.split(":")
    return int(hour) * 3600 + int(minute) * 60


@pytest.mark.parametrize("row", table("Created"))
def test_the_bounds_of_history_without_details(row: list[str], tmp_path: Path) -> None:
    created, started, finished, price, gpu_hours, least, most = row
    now = moment("November 3, 12:00")
    world = LedgerWorld(tmp_path, now=now)
    told: dict[str, Any] = {
        "created_at": moment(created),
        "started_at": moment(started) if started else None,
        "finished_at": moment(finished) if finished else None,
        "hourly_cost_dollars": dollars(price) if price else None,
        "gpu_hours": float(gpu_hours) if gpu_hours else None,
        "gpus": None,
        "gpu_type": None,
    }
    world.see(world.job("j-1", "SUCCESS", cost_dollars=80.0, **told), shown=False, counted=True)
    with closing(Store.open_for_reading(tmp_path)) as store:
        history = store.history("j-1")
    assert history is not None
    begin = milliseconds(moment("November 1, 00:00"))
    before = cost_before(history, begin, queue_bound(None))
    in_november = (80 - before.upper / 1e6, 80 - before.lower / 1e6)
    assert in_november == pytest.approx((dollars(least), dollars(most)))


def test_accrued_spend() -> None:
    midnight = moment("November 3, 00:00")
    began = midnight + clock("10:00")
    budget = Budget(name="all", limit_dollars=1000.0, period=Period.DAY, zone=ZONE)
    world = LedgerWorld(budgets=(budget,), now=began)
    world.open()
    billed = 0.0
    started: dict[str, Any] = {
        "created_at": began,
        "started_at": began,
        "hourly_cost_dollars": PRICE,
    }
    for time, *amounts in table("Time | Billed"):
        while world.now <= midnight + clock(time):
            billed = PRICE * floor((world.now - began) / 3600)
            world.see(world.job("j-1", cost_dollars=billed, **started))
            world.now += POLL
        world.now -= POLL
        world.tick(10)
        shown = world.one(BudgetStatus)
        found = (billed, shown.accrued_dollars, shown.spent_dollars, shown.forecast_dollars)
        # Within what a look and a half cost.
        assert found == pytest.approx(tuple(map(dollars, amounts)), abs=0.45)
        world.now += POLL - 10


def test_late_bills_and_closed_months(tmp_path: Path) -> None:
    midnight, end = moment("November 1, 00:00"), moment("November 1, 02:00")
    began = moment("October 31, 22:00")
    world = LedgerWorld(tmp_path, now=began - 600)
    world.open(world.job("j-0", "SUCCESS", cost_dollars=0.0, finished_at=began - 900))
    world.now = began
    at_midnight = None
    for time, *expected in table("Asked on November 1 at"):
        while world.now <= midnight + clock(time):
            over = world.now >= end
            told: dict[str, Any] = {"created_at": began, "started_at": began}
            told |= {"finished_at": end, "cost_dollars": 144.0} if over else {"cost_dollars": 0.0}
            state = "SUCCESS" if over else "RUNNING"
            if world.now >= midnight and at_midnight is None:
                at_midnight = world.cost()
            world.see(world.job("j-1", state, hourly_cost_dollars=PRICE, **told))
            world.now += POLL
        reported = []
        for month in ("2026-10", "2026-11"):
            report = stored_report.read(tmp_path, parse_span(month, ZONE), ZONE, [Dimension.JOB])
            assert report.total.cost.width == report.unbilled.width == 0
            reported += [report.total.cost.lower / 1e6, report.unbilled.lower / 1e6]
        counted = world.cost()
        assert at_midnight is not None
        assert counted is not None
        found = (*reported, at_midnight, counted - at_midnight)
        assert found == pytest.approx(tuple(map(dollars, expected)), abs=0.35)


def test_credit() -> None:
    midnight = moment("November 3, 00:00")
    world = LedgerWorld(now=midnight)
    fee_at = midnight + clock("2:30")
    looks = {clock(time): tuple(map(dollars, told)) for time, *told in table("Time | Balance")}
    started: dict[str, Any] = {
        "created_at": midnight,
        "started_at": midnight,
        "hourly_cost_dollars": PRICE,
    }
    while world.now <= midnight + clock("3:00"):
        since = world.now - midnight
        billed = PRICE * floor(since / 3600)
        world.see(world.job("j-1", cost_dollars=billed, **started), counted=True)
        credit = 1000 - billed - (10 if world.now >= fee_at else 0)
        if since % 300 == 0:
            world.directory(
                Project(account="a", id="p-1", organization_id="o-1"),
                Organization(
                    account="a", id="o-1", credit_balance_dollars=credit, confirmed_at=world.now
                ),
            )
        if since in looks:
            world.tick(125)  # it settles
            found = (credit, billed, world.one(Funds).difference_dollars)
            assert found == pytest.approx(looks.pop(since), abs=0.01)
            world.now = midnight + since
        world.now += POLL
    assert looks == {}


def test_all_figures_and_reasons_are_explained() -> None:
    figures = {re.sub("`", "", row[0]) for row in table("figure")}
    reasons = {re.sub("`", "", row[0]) for row in table("reason")}
    assert figures == unknown.FIGURES.keys()
    assert reasons == unknown.REASONS.keys()


def test_a_budget_as_it_is_declared(tmp_path: Path) -> None:
    """The budget of the page's own settings, at the moment that the page describes."""
    (settings,) = re.findall(
        r"^```yaml\n(budgets:\n.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    file = tmp_path / "exporter.yml"
    file.write_text(settings)
    budgets = ledger_options(load({}, {}, file)).budgets
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 21, tzinfo=zone)
    world = LedgerWorld(budgets=budgets, now=now.timestamp())
    started: dict[str, Any] = {
        "project_id": "p-vision",
        "created_at": world.now,
        "started_at": world.now,
    }
    run = 300 * 3600
    over = started | {
        "created_at": world.now - run,
        "started_at": world.now - run,
        "finished_at": world.now,
        "hourly_cost_dollars": 10.0,
    }
    cheap = started | {"hourly_cost_dollars": 2.5, "cost_dollars": 0.0}
    ending = started | {"hourly_cost_dollars": 20.0, "cost_dollars": 0.0}
    world.directory(Project(account="a", id="p-vision", name="Vision"))
    world.open(
        world.job("j-0", "SUCCESS", cost_dollars=3000.0, **over),
        *(world.job(f"j-{number}", **cheap) for number in range(1, 5)),
        world.job("j-5", expires_at=world.now + 86_400, **ending),
    )
    world.tick(10)  # which cost 8 cents, of what is foreseen
    shown = next(
        record
        for record in world.shown.values()
        if isinstance(record, BudgetStatus) and record.name == "vision-h100"
    )

    def in_berlin(at: float | None) -> str:
        assert at is not None
        day = datetime.fromtimestamp(at, zone)
        return f"{day.day} {day:%B}, {day.hour}:{day:%M}"

    found = {
        "limit_dollars": f"{shown.limit_dollars:g}",
        "spent_dollars": f"{shown.spent_dollars:.0f}",
        "forecast_dollars": f"{shown.forecast_dollars:.0f}",
        "exhaustion_timestamp_seconds": in_berlin(shown.exhausted_at),
        "period_start_timestamp_seconds": in_berlin(shown.begins_at),
        "period_end_timestamp_seconds": in_berlin(shown.ends_at),
    }
    rows = table('Metric, with `budget="vision-h100"`')
    assert {
        name.strip("`").removeprefix("trainwave_budget_"): value for name, value, _ in rows
    } == found
