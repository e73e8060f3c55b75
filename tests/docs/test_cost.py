"""The examples of `docs/money/cost.md`, recomputed from the tables that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from support.ledger_world import LedgerWorld
from support.worked_examples import PAGES, Row, examples, tables

from trainwave_exporter.ledger import Store
from trainwave_exporter.ledger.billing.job_meters import cost_before
from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.ledger.billing.units import dollars, milliseconds

PAGE = PAGES / "cost.md"
NOVEMBER: Final = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
MINUTE: Final = 60.0
EXAMPLES = examples(PAGE)


def instant(clock: str) -> float:
    """Return a time of October 31, if it is after noon, or else of November 1 (Unix seconds)."""
    hours, minutes = map(int, clock.split(":"))
    return NOVEMBER + (hours * 60 + minutes) * MINUTE - (86_400 if hours >= 12 else 0)


def instants(cell: str) -> Iterator[float]:
    first, _, last = cell.partition(" to ")
    at = instant(first)
    while at <= instant(last or first):
        yield at
        at += MINUTE


def amount(cell: str, minutes: float) -> float:
    """Return an amount such as $3.00, $0.60 a minute, or $3.00 and $0.60 a minute."""
    fixed, growing = 0.0, 0.0
    for part in cell.split(" and "):
        value = float(part.removesuffix(" a minute").strip("$"))
        if part.endswith(" a minute"):
            growing = value
        else:
            fixed = value
    return fixed + growing * minutes


class Replay:
    """A ledger that sees what an example's first table shows."""

    def __init__(self, text: str, folder: Path) -> None:
        described = re.search(r"^Job: (.*)\.$", text, re.MULTILINE)
        assert described is not None
        times = {
            name: instant(clock)
            for name, clock in re.findall(
                r"(started again|started|finished) (\d+:\d+)", described[1]
            )
        }
        self.folder = folder
        self.rows, self.results = tables(text)
        self.world: LedgerWorld | None = None
        for row in self.rows:
            begin = next(instants(row["time"]))
            for at in instants(row["time"]):
                self.see(row, at, amount(row["cost"], (at - begin) / MINUTE), times)
        self.ledger.tick(OPENING / 1000)

    @property
    def ledger(self) -> LedgerWorld:
        assert self.world is not None
        return self.world

    def see(self, row: Row, at: float, cost: float, times: dict[str, float]) -> None:
        again = times.get("started again")
        over = row["state"] in {"SUCCESS", "FAILED"}
        fields: dict[str, Any] = {
            "hourly_cost_dollars": None if row["price"] == "-" else float(row["price"].strip("$")),
            "cost_dollars": cost,
            "created_at": times["started"],
            "started_at": again if again is not None and at >= again else times["started"],
            "finished_at": times.get("finished", at) if over else None,
        }
        if self.world is None:
            self.world = LedgerWorld(self.folder, now=at)
            self.world.open(self.world.job(state=row["state"], **fields))
        else:
            self.world.now = at
            self.world.see(self.world.job(state=row["state"], **fields))

    def result(self, name: str) -> object:
        if name.startswith("cost before "):
            with closing(Store.open_for_reading(self.folder)) as store:
                history = store.history("j-1")
            assert history is not None
            at = milliseconds(instant(name.removeprefix("cost before ")))
            return pytest.approx(dollars(cost_before(history, at)), abs=0.01)
        if name == "counter":
            return pytest.approx(self.ledger.cost(), abs=0.005)
        assert name == "corrections"
        return [pytest.approx(value, abs=0.01) for value in self.ledger.corrections()]


def expected(cell: str) -> object:
    if cell == "none":
        return [0.0, 0.0]
    if cell.endswith(" down"):
        return [0.0, float(cell.removesuffix(" down").strip("$"))]
    return float(cell.strip("$"))


def test_there_are_examples_and_no_page_without_them() -> None:
    assert len(EXAMPLES) == PAGE.read_text().count("### Example") >= 8
    assert all(len(tables(text)) == 2 for text in EXAMPLES.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_comes_to_what_it_says(name: str, tmp_path: Path) -> None:
    replay = Replay(EXAMPLES[name], tmp_path)
    assert replay.results
    for row in replay.results:
        assert expected(row[""]) == replay.result(row["result"]), row["result"]
