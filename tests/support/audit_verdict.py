"""Whether what an exporter shows of money and GPU time is what the audit expects."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from support.audit import CENT, Audit, Bounds, Labels
from support.exporter import Metrics
from support.watched_world import ACTIVITY, CORRECTIONS, COST, GPU_HOURS, Scrape
from trainwave_exporter.simulator import ExpectedTotals

ZONE = ZoneInfo("Europe/Berlin")
DOLLAR = 1_000_000
"""Micro-dollars."""
MOMENT = 100
"""Micro-dollars: what some milliseconds cost, by which two answers of one time are put apart."""
FIGURE = 1e-4
"""GPU hours are told with four decimals."""
READING_GAP = 300 / 3600
"""Hours between two readings that tell what was between."""


def by_labels(metrics: Metrics, name: str) -> dict[Labels, float]:
    """Return the samples of a counter, summed over all labels that not all counters have."""
    sums: defaultdict[Labels, float] = defaultdict(float)
    for labels, value in metrics.all(name):
        sums[labels_of(labels)] += value
    return dict(sums)


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Return the three that tell money apart; Prometheus leaves out what is empty."""
    return labels["project_id"], labels.get("owner", ""), labels["gpu_type"]


def check_counters(scrape: Scrape, audit: Audit, before: Scrape | None) -> None:
    """Counters are the highest that was told; but all that are not there at first begin at zero.

    They stay there while the clock stands still, and once more after a kill. What an exporter may
    have seen before it was killed is counted, or is not. ``before``: the scrape with counters
    before this one.
    """
    costs, hours = by_labels(scrape.metrics, COST), by_labels(scrape.metrics, GPU_HOURS)
    known = audit.by_labels()
    assert hours.keys() == costs.keys()
    assert costs.keys() <= known.keys(), costs.keys() - known.keys()
    sure = {labels for labels, jobs in known.items() if any(job.surely for job in jobs)}
    assert sure <= costs.keys(), {labels: known[labels] for labels in sure - costs.keys()}
    previous = {} if before is None else by_labels(before.metrics, COST)
    killed = scrape.kills > (0 if before is None else before.kills)
    for labels, dollars in costs.items():
        cost, jobs = round(dollars * DOLLAR), known[labels]
        if before is not None and labels not in previous and not scrape.regained:
            assert (cost, hours[labels]) == (0, 0), labels
            continue
        if killed and not previous.get(labels) and not cost:
            continue
        least, most = total(job.bounds(lambda look: look.cost, max) for job in jobs)
        assert least <= cost <= most, (labels, least, cost, most, scrape.at, scrape.kills, jobs)
        if audit.detailed:  # else the exporter reckons GPU hours itself, as well as it can
            least, most = total(job.bounds(lambda look: look.gpu_hours, max) for job in jobs)
            slack = FIGURE * len(jobs)
            assert least - slack <= hours[labels] <= most + slack, (labels, scrape.at, jobs)


def check_audit(audit: Audit, expected_totals: ExpectedTotals) -> None:
    """What is expected are the totals of the simulator, which have corrections when made."""
    days: defaultdict[str, int] = defaultdict(int)
    for job in audit.jobs.values():
        for day, amount in audit.as_made(job, ZoneInfo("UTC")):
            days[day] += amount
    assert dict(days) == {day: total.microdollars for day, total in expected_totals.by_day.items()}


def check_corrections(metrics: Metrics, audit: Audit) -> None:
    """What is plainly corrected is counted, and nothing is that was not corrected."""
    corrected = [job for job in audit.jobs.values() if job.entry.corrections]
    slack = (MOMENT if audit.detailed else 2 * CENT) * len(corrected)
    for direction, dollars in metrics.by("direction", CORRECTIONS).items():
        least, most = audit.corrections()[direction]
        assert least - slack <= dollars * DOLLAR <= most + slack, direction


def check_activity(metrics: Metrics, audit: Audit) -> None:
    """Idle, busy and unknown are all of the GPU hours, but for what can still be judged."""
    activity, hours = by_labels(metrics, ACTIVITY), by_labels(metrics, GPU_HOURS)
    for labels, jobs in audit.by_labels().items():
        open_hours = READING_GAP * sum(job.entry.gpus for job in jobs if not job.over)
        least, most = hours[labels] - open_hours - 1e-6, hours[labels] + 1e-6
        assert least <= activity[labels] <= most, (labels, least, activity[labels], most, jobs)


def check_chargeback(ledger: Path, audit: Audit) -> float:
    """The report has the expected totals, for all labels, and for each of their days.

    Where it cannot know these to the micro-dollar, they lie between its bounds.
    Returns the part of its rows for which that is so.
    """
    inexact = 0
    costs: defaultdict[tuple[Labels, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    hours: defaultdict[tuple[Labels, str], float | None] = defaultdict(float)
    for row in _chargeback(ledger):
        bounds = round(row["lower_bound_dollars"] * DOLLAR), row["upper_bound_dollars"]
        costs[labels_of(row), row["day"]] = bounds[0], round(bounds[1] * DOLLAR)
        assert (row["cost_dollars"] is None) == (row["lower_bound_dollars"] != bounds[1])
        hours[labels_of(row), row["day"]] = row["gpu_hours"]
        inexact += row["cost_dollars"] is None
    rows = len(costs)
    for labels, jobs in audit.by_labels().items():
        whole = total(costs[key] for key in costs if key[0] == labels)
        least, most = total(job.bounds(lambda look: look.cost, last) for job in jobs)
        assert whole[0] <= most, (labels, least, whole, most, jobs)
        assert least <= whole[1], (labels, least, whole, most, jobs)

        days: defaultdict[str, Bounds] = defaultdict(Bounds)
        ran: defaultdict[str, Bounds] = defaultdict(Bounds)
        for job in jobs:
            for day, bounds in audit.cost_by_day(job, ZONE).items():
                days[day] = days[day].plus(*bounds)
            for day, bounds in audit.gpu_seconds_by_day(job, ZONE).items():
                ran[day] = ran[day].plus(*bounds)
        slack = MOMENT * len(jobs)
        for day, (low, high) in days.items():
            found = costs.pop((labels, day), (0, 0))
            concerned = [job for job in jobs if day in audit.cost_by_day(job, ZONE)]
            assert found[0] <= high + slack, (labels, day, low, found, high, concerned)
            assert low - slack <= found[1], (labels, day, low, found, high, concerned)
        for day, (low, high) in ran.items() if audit.detailed else ():
            allowed = 10 * FIGURE * len(jobs)
            used = hours[labels, day]
            concerned = [job for job in jobs if day in audit.gpu_seconds_by_day(job, ZONE)]
            within = used is None or low / 3600 - allowed <= used <= high / 3600 + allowed
            assert within, (day, used, concerned)
    # A day on which a job may have run, but cost nothing as far as is known, has a row, too.
    assert all(low <= 0 <= high for low, high in costs.values()), costs
    return inexact / max(1, rows)


def total(bounds: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Return the sums of the lower and of the higher ones."""
    both = list(bounds)
    return sum(low for low, _ in both), sum(high for _, high in both)


def last(numbers: Iterable[float]) -> float:
    """Return the last of some numbers."""
    return list(numbers)[-1]


def _chargeback(ledger: Path) -> list[dict[str, Any]]:
    """Have the exporter print the chargeback of the year."""
    by = "--by=project,owner,gpu_type,day"
    report = subprocess.run(
        [
            *(sys.executable, "-m", "trainwave_exporter", "report", f"--storage.path={ledger}"),
            *("--period=2026", by, "--format=json", f"--time-zone={ZONE.key}"),
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    rows: list[dict[str, Any]] = json.loads(report.stdout)["rows"]
    return rows
