"""The proof of the ledger: a month of corrections, outages and kills, right to the cent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.audit import Audit, Bounds, Labels
from support.exporter import Metrics
from support.lookback import prometheus_of, query_at
from support.month import ACTIVITY, CORRECTIONS, COST, GPU_HOURS, Month, Scrape
from support.tools import SUITES

from trainwave_exporter.simulator import Books, Dialect

STEPS = int(os.environ.get("MONTH_STEPS", "120"))
SEED = int(os.environ.get("MONTH_SEED", "11"))
ZONE = ZoneInfo("Europe/Berlin")
DOLLAR = 1_000_000
"""Micro-dollars."""
MOMENT = 100
"""Micro-dollars: what some milliseconds cost, by which two answers of one time are put apart."""
FIGURE = 1e-4
"""GPU hours are told with four decimals."""
READING_GAP = 300 / 3600
"""Hours between two readings that tell what was between."""


@pytest.mark.timeout(120 + 3 * STEPS)
@pytest.mark.parametrize(
    ("dialect", "steps", "kills"),
    [(Dialect.DOCUMENTED, STEPS, 52), (Dialect.DEPLOYED, STEPS // 2, 20)],
    ids=["documented", "deployed"],
)
def test_a_month_of_trouble_is_booked_to_the_cent(
    tmp_path: Path, dialect: Dialect, steps: int, kills: int
) -> None:
    month = Month(tmp_path, dialect, seed=SEED, jobs=4, history=40)
    hours_told = dialect is Dialect.DOCUMENTED
    scrapes: list[Scrape] = []
    for scrape in month.pass_by(steps, kills):
        check_counters(scrape, month.audit, scrapes, hours_told=hours_told)
        scrapes.append(scrape)
    assert month.kills == kills
    assert len(month.audit.jobs) > 500
    assert month.fallen == []
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "ledger_failing" not in log
    check_audit(month.audit, month.books)
    check_corrections(scrapes[-1].metrics, month.audit)
    check_activity(scrapes[-1].metrics, month.audit)
    check_chargeback(tmp_path / "ledger", month.audit, hours_told=hours_told)
    for suite in SUITES:
        check_increase(suite, tmp_path / suite, scrapes)


def by_labels(metrics: Metrics, name: str) -> dict[Labels, float]:
    """Return the samples of a counter, summed over all labels that are not for all counters."""
    sums: defaultdict[Labels, float] = defaultdict(float)
    for labels, value in metrics.all(name):
        sums[labels_of(labels)] += value
    return dict(sums)


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Return the three that tell money apart; Prometheus leaves out what is empty."""
    return labels["project_id"], labels.get("owner", ""), labels["gpu_type"]


def check_counters(
    scrape: Scrape, audit: Audit, before: Sequence[Scrape], *, hours_told: bool
) -> None:
    """Counters are the highest that was told; but all that are not there at first begin at zero.

    They stay there while the clock stands still, and once more after a kill. What an exporter may
    have seen before it was killed is counted, or is not.
    """
    costs, hours = by_labels(scrape.metrics, COST), by_labels(scrape.metrics, GPU_HOURS)
    assert costs.keys() == hours.keys() == audit.by_labels().keys()
    previous = by_labels(before[-1].metrics, COST) if before else {}
    for labels, jobs in audit.by_labels().items():
        cost = round(costs[labels] * DOLLAR)
        if before and labels not in previous:
            assert (cost, hours[labels]) == (0, 0), labels
            continue
        if before and not previous[labels] and not cost and scrape.kills > before[-1].kills:
            continue
        least = sum(max(look.cost for look in job.surely) for job in jobs)
        most = sum(max(look.cost for look in job.looks) for job in jobs)
        assert least <= cost <= most, (labels, scrape.at)
        if hours_told:
            told = sum(job.surely[-1].gpu_hours for job in jobs)
            assert hours[labels] == pytest.approx(told, abs=FIGURE * len(jobs)), labels


def check_audit(audit: Audit, books: Books) -> None:
    """What is expected is what the simulator's books say, which have corrections when made."""
    days: defaultdict[str, int] = defaultdict(int)
    for job in audit.jobs.values():
        for day, amount in audit.as_made(job, ZoneInfo("UTC")):
            days[day] += amount
    assert dict(days) == {day: total.microdollars for day, total in books.by_day.items()}


def check_corrections(metrics: Metrics, audit: Audit) -> None:
    """What is plainly corrected is counted, and nothing is that was not corrected."""
    for direction, dollars in metrics.by("direction", CORRECTIONS).items():
        least, most = audit.corrections()[direction]
        slack = MOMENT * len(audit.jobs)
        assert 0 < least - slack <= dollars * DOLLAR <= most + slack


def check_activity(metrics: Metrics, audit: Audit) -> None:
    """Idle, busy and unknown are all of the GPU hours, but for what can still be judged."""
    activity, hours = by_labels(metrics, ACTIVITY), by_labels(metrics, GPU_HOURS)
    for labels, jobs in audit.by_labels().items():
        open_hours = READING_GAP * sum(job.entry.gpus for job in jobs if not job.over)
        assert hours[labels] - open_hours - 1e-6 <= activity[labels] <= hours[labels] + 1e-6


def check_chargeback(ledger: Path, audit: Audit, *, hours_told: bool) -> None:
    """The report is what the books say, for all labels, and for each of their days."""
    costs: defaultdict[tuple[Labels, str], int] = defaultdict(int)
    hours: defaultdict[tuple[Labels, str], float] = defaultdict(float)
    for row in chargeback(ledger):
        costs[labels_of(row), row["day"]] = round(row["cost_dollars"] * DOLLAR)
        hours[labels_of(row), row["day"]] = row["gpu_hours"]
    for labels, jobs in audit.by_labels().items():
        whole = sum(cost for (its_labels, _), cost in costs.items() if its_labels == labels)
        assert whole == sum(job.surely[-1].cost for job in jobs)

        days: defaultdict[str, Bounds] = defaultdict(Bounds)
        ran: defaultdict[str, int] = defaultdict(int)
        for job in jobs:
            for day, bounds in audit.cost_by_day(job, ZONE).items():
                days[day] = days[day].plus(*bounds)
            for day, seconds in audit.gpu_seconds_by_day(job, ZONE).items():
                ran[day] += seconds
        slack = MOMENT * len(jobs)
        for day, (least, most) in days.items():
            assert least - slack <= costs.pop((labels, day), 0) <= most + slack, (day, jobs)
        for day, seconds in ran.items() if hours_told else ():
            found = hours[labels, day]
            assert found == pytest.approx(seconds / 3600, abs=10 * FIGURE * len(jobs)), (day, jobs)
    assert not costs


def chargeback(ledger: Path) -> list[dict[str, Any]]:
    """Have the exporter print the chargeback of the year."""
    by = "--by=project,owner,gpu_type,day"
    report = subprocess.run(
        [
            *(sys.executable, "-m", "trainwave_exporter", "report", f"--storage.path={ledger}"),
            *("--period=2026", by, "--format=json", f"--time-zone={ZONE.key}"),
        ],
        check=True,
        capture_output=True,
    )
    rows: list[dict[str, Any]] = json.loads(report.stdout)["rows"]
    return rows


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
