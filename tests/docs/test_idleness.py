"""The examples of `docs/money/idleness.md`, recomputed from the tables that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.fleet_world import World
from support.ledger_world import START, LedgerWorld
from support.worked_examples import PAGES, Row, examples, tables

from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.model import (
    Activity,
    Metric,
    Point,
    Quantity,
    Reading,
    Readings,
    Spend,
    Unreadable,
    Waste,
)

PAGE = PAGES / "idleness.md"
MINUTE = 60.0
EXAMPLES = examples(PAGE)


def number(text: str) -> float:
    return float(text.strip(" $%"))


def reading(cell: str, at: float) -> Reading:
    """Return what a cell says of the GPUs."""
    devices = re.findall(r"GPU (\d+): ([\d.]+) %", cell)
    points = [Point(float(value) / 100, device) for device, value in devices]
    whole = re.search(r"([\d.]+) %$", cell)
    assert whole is not None
    return Reading.of(Quantity.RATIO, points or [Point(float(whole[1]) / 100)], at)


class Replay:
    """A fleet and a ledger that see what an example's first table shows."""

    def __init__(self, text: str) -> None:
        told = re.search(
            r"^Job: (\d+) GPUs?(?: at \$([\d.]+) an hour)?(?:, started at minute (\d+))?\.$",
            text,
            re.MULTILINE,
        )
        assert told is not None
        self.gpus = float(told[1])
        self.price = None if told[2] is None else float(told[2])
        self.started = START + MINUTE * float(told[3] or 0)
        self.ledger = LedgerWorld()
        self.ledger.open()
        self.fleet = World()
        for row in tables(text)[0]:
            for minute in minutes(row["minute"]):
                self.see(row, minute)
        self.ended = self.ledger.now
        self.ledger.tick(OPENING / 1000)

    def see(self, row: Row, minute: float) -> None:
        now = self.ledger.now = self.fleet.now = START + minute * MINUTE
        over = row["state"] == "SUCCESS"
        running = row["state"] == "RUNNING"
        if not over:
            self.end = START + (minute + 1) * MINUTE
        ran = max(0.0, (self.end if over else now) - self.started)
        price = number(row["price"]) if "price" in row else self.price
        cost = row["cost"].removesuffix("a minute")
        described: dict[str, Any] = {
            "gpus": self.gpus,
            "hourly_cost_dollars": price,
            "created_at": START,
            "started_at": self.started if now >= self.started else None,
            "finished_at": self.end if over else None,
            "gpu_hours": self.gpus * ran / 3600,
            "cost_dollars": number(cost) * (1 if cost == row["cost"] else minute),
        }
        cell = row["utilization"]
        listed = cell.startswith("list")
        if listed:
            described["readings"] = Readings(gpu_utilization=reading(cell, now))
        self.fleet.see(self.ledger.job("j-1", row["state"], **described))
        if cell and not listed and running:
            self.fleet.read("j-1", *reading(cell, now).points, metric=Metric.GPU_UTILIZATION)
        self.ledger.see(self.fleet.shown())


def minutes(cell: str) -> Iterator[int]:
    first, _, last = cell.partition(" to ")
    yield from range(int(first), int(last or first) + 1)


def test_there_are_examples_and_no_page_without_them() -> None:
    assert len(EXAMPLES) == PAGE.read_text().count("### Example") >= 10
    assert all(len(tables(text)) == 2 for text in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_comes_out_as_the_page_says(name: str) -> None:
    replay = Replay(EXAMPLES[name])
    spend = replay.ledger.one(Spend)
    results = tables(EXAMPLES[name])[1]
    assert results
    for result in results:
        what, value = result["result"], result[""]
        if what in {"idle", "busy", "unknown"}:
            hours = spend.activity_gpu_hours[Activity(what)]
            assert hours * 60 == pytest.approx(number(value.removesuffix("GPU minutes")))
        elif what == "of the job":
            idleness = replay.ledger.idleness()
            assert idleness is not None
            assert idleness.waste_dollars[Waste.GPU_IDLE] == pytest.approx(number(value))
        elif what == "idle since":
            assert _idle_since(replay) == value
        elif what == "contradicting":
            reasons = [fact.reason for fact in replay.fleet.facts if isinstance(fact, Unreadable)]
            assert reasons == [what] * int(value)
        else:
            assert spend.waste_dollars[Waste(what)] == pytest.approx(number(value), abs=1e-6)


def _idle_since(replay: Replay) -> str:
    idleness = replay.ledger.idleness()
    if idleness is None or idleness.idle_since is None:
        return "absent"
    return f"minute {(idleness.idle_since - START) / MINUTE:g}"
