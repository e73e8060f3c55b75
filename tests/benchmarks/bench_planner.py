"""How soon idle GPUs are seen, and how far what is shown is from what is true.

Run by ``make bench``. Two sections: `idle_delays`, in front of an API whose readings stand still
until they change at once; and a simulated day of a hundred running jobs at 80 requests a minute of
a limit of 100, whose peers and rules are in `planner_day` (``PLANNER_HOURS`` makes it shorter).
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
from typing import Final

import structlog
from idle_delays import MEDIAN, P95, Case, Delays, measure
from planner_day import INTERVAL, SCORE_SECONDS, WARM_UP, Day, live
from results import Goal, Table, chart, publish

from trainwave_exporter.simulator import SimulatedDialect

HOURS: Final = float(os.environ.get("PLANNER_HOURS", "24"))
OURS: Final = "planner"
STEP: Final = 600 // SCORE_SECONDS
"""Looks that a point of the charts is the mean of: ten minutes."""
_RULES: Final = f"""\
The fixed-interval peers ask for each of the six readings of every running job every {INTERVAL} s:
one spreads its budget evenly, one ignores the limit and is refused, one has no limit at all, which
is the best that the interval allows. In the documented dialect, where lists bring some readings
along, a further one takes these from the list.

The error is the mean distance of GPU and CPU utilization from the truth, 0 to 1, weighted by price;
the age is that of GPU utilization; the delay is the median time from all GPUs of a job going idle
until a reading made since says so."""


_IDLE_RULES: Final = """\
60 running jobs of 1 to 8 GPUs at $0.50 to $36 an hour, a limit of 100 requests a minute, all
defaults. The API is one of the benchmark's own: readings stand still until a job goes idle; then
its GPU utilization falls to nothing at once, in every other run its other readings with it. Seconds
from then until the exporter shows it, to the full second, while everything is read for the first
time (first five minutes) and afterwards; of a fixed and of a sliding window of the limit, whose
`X-RateLimit-Reset` is always a minute ahead; and of a first start beside 2,000 finished jobs."""


def main() -> None:
    """Measure both sections in both dialects, and publish them."""
    logging.disable()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    _publish_idle_delays()
    _publish_day()


def _publish_idle_delays() -> None:
    measured = asyncio.run(measure())
    rows = [
        [
            f"{case.dialect}, {case.phase}, {case.window} window{', long history' * case.history}",
            f"{len(delays.seconds)}",
            f"{delays.median:.0f}",
            f"{delays.p95:.0f}",
            f"{max(delays.seconds)}",
            f"{delays.per_minute:.1f}",
        ]
        for case, delays in measured.items()
    ]
    headings = ["", "idle jobs", "median, s", "p95, s", "longest, s", "requests a minute"]
    goals = [goal for case, delays in measured.items() for goal in _idle_goals(case, delays)]
    publish(
        "planner_idle",
        "How soon an idle GPU is seen",
        _IDLE_RULES,
        Table(headings, rows),
        goals=goals,
    )


def _idle_goals(case: Case, delays: Delays) -> list[Goal]:
    what = f"{case.dialect}, {case.phase}"
    if case.history:
        what += ", long history"
    if case.window == "sliding":
        what += ", sliding window"
    goals = [
        Goal(f"idle GPU seen after, median, {what}", delays.median, at_most=MEDIAN, unit=" s"),
        Goal(f"idle GPU seen after, p95, {what}", delays.p95, at_most=P95, unit=" s"),
    ]
    if case.window == "sliding" and case.phase == "first five minutes":  # when there is most to ask
        sent = f"requests a minute of 80 allowed, {what}"
        goals.append(Goal(sent, delays.per_minute, at_least=75))
    return goals


def _publish_day() -> None:
    parts: list[str | Table] = [_RULES]
    goals: list[Goal] = []
    for dialect in SimulatedDialect:
        day = asyncio.run(live(dialect, int(HOURS * 3600)))
        parts += _parts(day)
        goals += _goals(day)
    publish("planner", f"A simulated day of the planner ({HOURS:g} h)", *parts, goals=goals)


def _goals(day: Day) -> list[Goal]:
    ours, robin = day.scores[OURS], day.scores["round robin"]
    heedless = day.scores["ignores the limit"]
    bare = day.scores["without a limit"].mean_error / robin.mean_error
    late = Goal(f"idle told after, {day.dialect}", ours.median_delay, at_most=45, unit=" s")
    if day.dialect == SimulatedDialect.DEPLOYED:
        late = Goal(
            f"idle told after, ours / round robin, {day.dialect}",
            ours.median_delay / robin.median_delay,
            at_most=0.334,  # a third of delays that are multiples of ten seconds
            why_missed="the other readings are not left to age even more for it",
            explained=0.45,
        )
    return [
        Goal(
            f"error, ours / round robin, {day.dialect}",
            ours.mean_error / robin.mean_error,
            at_most=0.334,
            why_missed=(
                "utilizations change within a minute, below which nothing is asked again: asking"
                f" for everything once a minute, without any limit, would come to {bare:.2f}"
            ),
            explained=0.7,
        ),
        Goal(
            f"error, ours / ignoring the limit, {day.dialect}",
            ours.mean_error / heedless.mean_error,
            at_most=0.2,
        ),
        late,
    ]


def _parts(day: Day) -> list[str | Table]:
    ours = day.scores[OURS]
    rows = [
        [
            name,
            f"{score.mean_error:.4f}",
            f"{ours.mean_error / score.mean_error:.2f}",
            f"{score.mean_age:.0f}",
            f"{score.median_delay:.0f}",
            f"{ours.median_delay / score.median_delay:.2f}",
        ]
        for name, score in day.scores.items()
    ]
    headings = ["", "error", "ours / theirs", "mean age, s", "idle told after, s", "ours / theirs"]
    picture = f"planner_{day.dialect}"
    return [
        f"### {day.dialect.capitalize()} dialect",
        (
            f"{day.running:.0f} jobs ran on average, {len(ours.delays)} went idle;"
            f" {day.requests:,} requests, {day.refused} of them refused, where the one that ignores"
            f" the limit was refused {day.heedless_refused:,} times."
        ),
        Table(headings, rows),
        chart(
            f"{picture}_error.svg",
            f"Dollar-weighted error of utilization, {day.dialect} dialect",
            {name: _points(score.error) for name, score in day.scores.items()},
            x="hours",
            y="error",
        ),
        chart(
            f"{picture}_age.svg",
            f"Mean age of GPU utilization, {day.dialect} dialect",
            {name: _points(score.age) for name, score in day.scores.items()},
            x="hours",
            y="seconds",
        ),
    ]


def _points(values: list[float]) -> list[tuple[float, float]]:
    means = [statistics.fmean(values[n : n + STEP]) for n in range(0, len(values), STEP)]
    return [((WARM_UP + n * STEP * SCORE_SECONDS) / 3600, mean) for n, mean in enumerate(means)]


if __name__ == "__main__":
    main()
