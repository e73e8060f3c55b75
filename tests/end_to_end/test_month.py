"""The proof of the ledger: a month of corrections, outages and kills, right to the cent."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from threading import Event

import pytest
from support.audit import Labels
from support.audit_verdict import (
    by_labels,
    check_activity,
    check_audit,
    check_chargeback,
    check_corrections,
    check_counters,
    labels_of,
)
from support.lookback import prometheus_of, query_at
from support.prometheus_tools import SUITES
from support.watched_world import (
    ACTIVITY,
    COST,
    GPU_HOURS,
    RETENTION,
    START,
    WASTE,
    Backup,
    Scrape,
    Watch,
    watching,
)

from trainwave_exporter.simulator import BillingMix, SimulatedDialect

STEPS = int(os.environ.get("MONTH_STEPS", "90"))
SEED = int(os.environ.get("MONTH_SEED", "11"))
DAY = 86_400
MONTH = 30 * DAY
AROUND_ITS_END = (START + 8 * DAY, 12 * DAY)
"""When shorter trials begin, and how long they are: clocks change in them, and a month ends."""
SHORTEST, LONGEST = 600, 80_000
"""Seconds from one step to the next, before they are stretched to a month."""


UNUSUAL = BillingMix(hourly=0.2, at_end=0.2, repriced=0.25, rerun=1.0)
RESTARTED = replace(UNUSUAL, restarted=0.5)
"""Likewise, but the cost of some that run again begins anew; only a new start shows that."""


@pytest.mark.long
@pytest.mark.timeout(120 + 3 * STEPS)
@pytest.mark.parametrize(
    ("dialect", "steps", "kills"),
    [(SimulatedDialect.DOCUMENTED, STEPS, 40), (SimulatedDialect.DEPLOYED, STEPS * 2 // 3, 20)],
    ids=["documented", "deployed"],
)
def test_a_month_of_trouble_is_booked_to_the_cent(
    tmp_path: Path, dialect: SimulatedDialect, steps: int, kills: int
) -> None:
    with watching(tmp_path, dialect, seed=SEED, jobs=4, history=40) as watch:
        scrapes = list(checked(watch, month(watch, steps, kills)))
    assert watch.kills == kills
    assert len(watch.audit.jobs) > 500
    assert all(bounds.low > 0 for bounds in watch.audit.corrections().values())
    check_all(watch, scrapes, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(120 + 3 * STEPS)
@pytest.mark.parametrize(
    ("dialect", "steps", "billing"),
    [
        (SimulatedDialect.DOCUMENTED, STEPS // 3, RESTARTED),
        (SimulatedDialect.DEPLOYED, STEPS // 4, UNUSUAL),
    ],
    ids=["documented", "deployed"],
)
def test_late_bills_other_prices_and_other_runs_are_booked_to_the_cent(
    tmp_path: Path, dialect: SimulatedDialect, steps: int, billing: BillingMix
) -> None:
    start, seconds = AROUND_ITS_END
    with watching(
        tmp_path, dialect, seed=SEED, jobs=8, history=40, billing=billing, start=start
    ) as watch:
        scrapes = list(checked(watch, month(watch, steps, steps // 4, seconds)))
    check_all(watch, scrapes, tmp_path)
    jobs = watch.audit.jobs.values()
    assert any(job.late and job.over for job in jobs)
    assert any(job.changes(job.looks[0].at, watch.now) for job in jobs)
    assert any(len(job.runs) > 1 for job in jobs)
    assert any(len(job.meters) > 1 for job in jobs) is (dialect is SimulatedDialect.DOCUMENTED)


@pytest.mark.long
@pytest.mark.timeout(120 + 3 * STEPS)
@pytest.mark.parametrize("dialect", list(SimulatedDialect))
def test_after_a_backup_is_restored_all_that_is_reported_is_booked_once(
    tmp_path: Path, dialect: SimulatedDialect
) -> None:
    """What was only ever seen after the copy was made is lost, and nothing else.

    Where the exporter cannot know that its ledger is a copy, counters that this does not have begin
    at zero once more. No others fall, unless a job was corrected downwards whose highest cost was
    lost; no copy is restored where that is so.
    """
    start, seconds = AROUND_ITS_END
    steps = STEPS // 4
    with watching(tmp_path, dialect, seed=SEED, jobs=6, history=40, start=start) as watch:
        watch.corrected = 0.3
        scrapes = list(checked(watch, month(watch, steps, steps // 2, seconds, restores=3)))
    assert watch.restores > 1  # with and without a note
    check_all(watch, scrapes, tmp_path)


def checked(watch: Watch, scrapes: Iterable[Scrape]) -> Iterator[Scrape]:
    """Yield the scrapes with counters, each compared with the audit.

    There are none from a start until the API answers. Where a copy of the ledger was put back and
    the exporter cannot know it, the scrape before is the one before the copy was made.
    """
    earlier: dict[int, Scrape] = {}
    before = None
    for scrape in scrapes:
        if not scrape.caught_up:
            assert not any(scrape.metrics.all(name) for name in (COST, GPU_HOURS, ACTIVITY, WASTE))
            continue
        if before is not None and scrape.restored not in {None, before.restored}:
            before = before if scrape.regained else earlier[scrape.restored]
        check_counters(scrape, watch.audit, before)
        yield scrape
        before = earlier[scrape.at] = scrape


def check_all(watch: Watch, scrapes: Sequence[Scrape], folder: Path) -> None:
    """Compare all that is left in the end with the audit; Prometheus' folders are in ``folder``."""
    assert watch.exporter.events("ledger_failing") == []
    assert "Traceback" not in "".join(watch.exporter.log)
    assert watch.fallen == []
    check_audit(watch.audit, watch.expected_totals)
    check_corrections(scrapes[-1].metrics, watch.audit)
    check_activity(scrapes[-1].metrics, watch.audit)
    inexact = check_chargeback(watch.ledger, watch.audit)
    # In the deployed dialect nobody knows on which day a job ran that was never seen alive.
    assert inexact < (0.1 if watch.audit.detailed else 0.9)
    # Where the API reports no GPU hours, they are counted by what was seen, and that may be lost.
    counters = (COST, GPU_HOURS) if watch.audit.detailed or not watch.restores else (COST,)
    for suite in SUITES:
        check_increase(suite, folder / suite, scrapes, counters)


def month(
    watch: Watch, steps: int, kills: int, seconds: int = MONTH, restores: int = 0
) -> Iterator[Scrape]:
    """Let a month pass; yield whenever the exporter has seen and written all it could.

    It may be ``seconds`` long instead. After kills the exporter comes back at once, or some steps
    later; at times the API does not answer. The last step is a quiet one. So often as ``restores``
    says, a copy of the ledger that is some steps old is put in its place after a kill.
    """
    random = Random(SEED)
    kill_at = set(random.sample(range(steps), kills))
    down_at = set(random.sample(range(1, steps), steps // 20))
    jumps = [0, *drawn_jumps(random, steps - 1, seconds)]
    # Jobs that were over for longer than their retention may be told of without their GPU type.
    # Some were at the beginning.
    longest_outage = RETENTION if watch.audit.detailed else MONTH
    looked_at = 0
    off = down = 0
    backups: list[Backup] = []
    for step, (pause, following) in enumerate(zip(jumps, [*jumps[1:], 0], strict=True)):
        last_chance = watch.now + pause + following > looked_at + longest_outage
        if last_chance:
            off = down = 0
        elif step in down_at:
            down = random.randint(1, 3)
        watch.go_on(pause, down=down > 0)
        if step in kill_at:
            watch.exporter.ensure_running()
            wait_for_an_instant(random, watch.ledger / "ledger.sqlite3-wal")
            watch.kill(answered=not down)
            restoring = not down and watch.restores < restores
            if restoring and (backup := restorable(watch, backups)):
                watch.restore(backup, noted=watch.restores % 2 == 0)
                backups.clear()
                off = 0
            elif not last_chance and random.random() < 0.4:
                off = random.randint(1, 3)
        if not off:
            watch.exporter.ensure_running()
            yield watch.look(answered=not down)
            looked_at = looked_at if down else watch.now
            if restores and not down:
                backups.append(watch.back_up())
        off, down = max(0, off - 1), max(0, down - 1)
    watch.corrected = 0
    watch.go_on(2 * SHORTEST)  # growth that the price does not explain waits for so long
    watch.exporter.ensure_running()
    yield watch.look()


def restorable(watch: Watch, backups: Sequence[Backup]) -> Backup | None:
    """Return the oldest of the last copies with which no counter falls that is looked at now."""
    for backup in backups[-5:-1]:
        if watch.now - backup.at < RETENTION // 2 and not watch.audit.falls_without(backup.at):
            return backup
    return None


def drawn_jumps(random: Random, number: int, whole: int) -> list[int]:
    """Draw how long each step lasts: as many short as long ones, ``whole`` seconds in all.

    None is longer than jobs are shown after their end.
    """
    drawn = [SHORTEST * (LONGEST / SHORTEST) ** random.random() for _ in range(number)]
    jumps = [round(seconds * whole / sum(drawn)) for seconds in drawn]
    return jumps if max(jumps) < RETENTION else drawn_jumps(random, number, whole)


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


def check_increase(
    suite: str, folder: Path, scrapes: Sequence[Scrape], counters: Sequence[str]
) -> None:
    """Prometheus finds what the counters grew by, but for what it extrapolates.

    None falls, but for those that begin at zero once more as the ledger was lost that had them.

    Where a window begins before the first sample, and that is not zero, it extrapolates over no
    more than 1.1 times the mean distance of samples.
    """
    first, last = scrapes[0].at, scrapes[-1].at
    samples = [(scrape.at, scrape.metrics) for scrape in scrapes]
    with prometheus_of(suite, folder, samples, counters) as url:
        for name in counters:
            values: defaultdict[Labels, list[float]] = defaultdict(list)
            for scrape in scrapes:
                for labels, value in by_labels(scrape.metrics, name).items():
                    values[labels].append(value)
            grown = {labels: increase(told) for labels, told in values.items() if told[1:]}

            for window in (f"{last - first + 1}s", "60d"):
                found = query_at(url, f"increase({name}[{window}])", last)
                assert {labels_of(sample["metric"]) for sample in found} == grown.keys()
                for sample in found:
                    labels = labels_of(sample["metric"])
                    told, most = values[labels], grown[labels]
                    whole = len(told) == len(scrapes) and window != "60d"
                    if told[0] and not whole:
                        most *= 1 + 1.1 / (len(told) - 1)
                    slack = 1e-4 * most + 1e-6
                    assert grown[labels] - slack <= float(sample["value"][1]) <= most + slack


def increase(values: Sequence[float]) -> float:
    """Return how much a counter grew, that only ever falls to zero."""
    assert all(after >= before or after == 0 for before, after in pairwise(values))
    return sum(after - before for before, after in pairwise(values) if after > before)
