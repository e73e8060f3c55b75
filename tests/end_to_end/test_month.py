"""The proof of the ledger: a month of corrections, outages and kills, right to the cent."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from threading import Event

import pytest
from support.audit import Labels
from support.lookback import prometheus_of, query_at
from support.tools import SUITES
from support.verdict import (
    by_labels,
    check_activity,
    check_audit,
    check_chargeback,
    check_corrections,
    check_counters,
    labels_of,
)
from support.watch import COST, GPU_HOURS, RETENTION, Scrape, Watch, watching

from trainwave_exporter.simulator import Dialect

STEPS = int(os.environ.get("MONTH_STEPS", "120"))
SEED = int(os.environ.get("MONTH_SEED", "11"))
MONTH = 30 * 86_400
SHORTEST, LONGEST = 600, 80_000
"""Seconds from one step to the next, before they are stretched to a month."""


@pytest.mark.long
@pytest.mark.timeout(120 + 3 * STEPS)
@pytest.mark.parametrize(
    ("dialect", "steps", "kills"),
    [(Dialect.DOCUMENTED, STEPS, 52), (Dialect.DEPLOYED, STEPS // 2, 20)],
    ids=["documented", "deployed"],
)
def test_a_month_of_trouble_is_booked_to_the_cent(
    tmp_path: Path, dialect: Dialect, steps: int, kills: int
) -> None:
    scrapes: list[Scrape] = []
    with watching(tmp_path, dialect, seed=SEED, jobs=4, history=40) as watch:
        for scrape in month(watch, steps, kills):
            if scrapes and not by_labels(scrape.metrics, COST):
                assert scrape.kills > scrapes[-1].kills  # it started while the API was down
                continue
            check_counters(scrape, watch.audit, scrapes[-1] if scrapes else None)
            scrapes.append(scrape)
        assert watch.exporter.events("ledger_failing") == []
    assert "Traceback" not in "".join(watch.exporter.log)
    assert watch.fallen == []
    assert watch.kills == kills
    assert len(watch.audit.jobs) > 500
    check_audit(watch.audit, watch.books)
    check_corrections(scrapes[-1].metrics, watch.audit)
    check_activity(scrapes[-1].metrics, watch.audit)
    check_chargeback(watch.ledger, watch.audit)
    for suite in SUITES:
        check_increase(suite, tmp_path / suite, scrapes)


def month(watch: Watch, steps: int, kills: int) -> Iterator[Scrape]:
    """Let a month pass; yield whenever the exporter has seen and written all it could.

    After kills the exporter comes back at once, or some steps later; at times the API does not
    answer. The last step is a quiet one.
    """
    random = Random(SEED)
    kill_at = set(random.sample(range(steps), kills))
    down_at = set(random.sample(range(1, steps), steps // 20))
    jumps = [0, *drawn_jumps(random, steps - 1)]
    # Jobs that were over for longer than their retention may be told of without their GPU type.
    # Some were at the beginning.
    longest_outage = RETENTION if watch.audit.detailed else MONTH
    looked_at = 0
    off = down = 0
    for step, (seconds, following) in enumerate(zip(jumps, [*jumps[1:], 0], strict=True)):
        last_chance = watch.now + seconds + following > looked_at + longest_outage
        if last_chance:
            off = down = 0
        elif step in down_at:
            down = random.randint(1, 3)
        watch.go_on(seconds, down=down > 0)
        if step in kill_at:
            watch.exporter.ensure_running()
            wait_for_an_instant(random, watch.ledger / "ledger.sqlite3-wal")
            watch.kill(answered=not down)
            if not last_chance and random.random() < 0.4:
                off = random.randint(1, 3)
        if not off:
            watch.exporter.ensure_running()
            yield watch.look(answered=not down)
            looked_at = looked_at if down else watch.now
        off, down = max(0, off - 1), max(0, down - 1)
    watch.go_on(SHORTEST)
    watch.exporter.ensure_running()
    yield watch.look()


def drawn_jumps(random: Random, number: int) -> list[int]:
    """Draw how long each step lasts: as many short as long ones, a month in all."""
    drawn = [SHORTEST * (LONGEST / SHORTEST) ** random.random() for _ in range(number)]
    return [round(seconds * MONTH / sum(drawn)) for seconds in drawn]


def wait_for_an_instant(random: Random, log: Path) -> None:
    """Return at once, after a while, or as soon as the ledger's ``log`` is written."""
    pause = Event()
    match random.randrange(3):
        case 1:
            pause.wait(random.uniform(0, 0.5))
        case 2:
            before = written_at(log)
            for _ in range(500):  # there may be nothing to write
                if written_at(log) != before:
                    break
                pause.wait(0.001)


def written_at(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def check_increase(suite: str, folder: Path, scrapes: Sequence[Scrape]) -> None:
    """Prometheus finds what the counters grew by, but for what it extrapolates.

    Where a window begins before the first sample, that is no more than 1.1 times the mean distance
    of samples; where both begin and end together, it is nothing.
    """
    first, last = scrapes[0].at, scrapes[-1].at
    samples = [(scrape.at, scrape.metrics) for scrape in scrapes]
    with prometheus_of(suite, folder, samples, (COST, GPU_HOURS)) as url:
        for name in (COST, GPU_HOURS):
            values: defaultdict[Labels, list[float]] = defaultdict(list)
            for scrape in scrapes:
                for labels, value in by_labels(scrape.metrics, name).items():
                    values[labels].append(value)
            grown = {labels: told[-1] - told[0] for labels, told in values.items() if told[1:]}

            whole = query_at(url, f"increase({name}[{last - first + 1}s])", last)
            found = {labels_of(sample["metric"]): float(sample["value"][1]) for sample in whole}
            assert found == pytest.approx(grown, rel=1e-4, abs=1e-6)

            beyond = query_at(url, f"increase({name}[60d])", last)
            assert {labels_of(sample["metric"]) for sample in beyond} == grown.keys()
            for sample in beyond:
                labels = labels_of(sample["metric"])
                most = grown[labels] * (1 + 1.1 / (len(values[labels]) - 1))
                assert grown[labels] - 1e-6 <= float(sample["value"][1]) <= most + 1e-6
