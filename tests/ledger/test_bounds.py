"""Bounds of what a job cost before an instant that nobody watched; equal where it is known.

Times are hours after some noon. The instant is midnight, hour 12, where nothing else is said.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainwave_exporter.ledger.billing.bounds import Bounds, cost_before, gpu_before, queue_bound
from trainwave_exporter.ledger.billing.job_entry import JobEntry, Labels, Life, Meter, MeterSample
from trainwave_exporter.ledger.billing.stored_records import JobHistory
from trainwave_exporter.ledger.billing.units import DAY, HOUR

NOON = 1_700_000_000_000
COST = 8_000_000
"""Eight dollars."""


def at(hour: float) -> int:
    return NOON + round(hour * HOUR)


def history(
    *,
    created: float | None = 10,
    started: float | None = None,
    finished: float | None = None,
    price: int | None = None,
    gpu_hours: float | None = None,
    gpus: int | None = None,
    seen: float = 100,
    over: bool = True,
    cost: float = 8,
) -> JobHistory:
    """Return a job, first seen so; times are hours, cost and price are in dollars."""

    def meter(value: int, rate: int | None) -> Meter:
        sample = MeterSample(at(seen), value, rate, over)
        return Meter(sample, sample)

    billed = meter(round(cost * 1_000_000), None if price is None else price * 1_000_000)
    gpu = None
    if gpu_hours is not None:
        gpu = meter(round(gpu_hours * HOUR), None if gpus is None else gpus * HOUR)
    times = (None if hour is None else at(hour) for hour in (created, started, finished))
    entry = JobEntry(
        id="j-1",
        account="a",
        labels=Labels("p-1", "ada", ""),
        organization_id=None,
        name=None,
        life=Life(*times),
        first_seen=at(seen),
        last_seen=at(seen),
        finished_seen=at(seen) if over else None,
        cost=billed,
        gpu=gpu,
    )
    return JobHistory(entry, (billed.last,), () if gpu is None else (gpu.last,))


def dollars(bounds: Bounds) -> tuple[float, float]:
    return bounds.lower / 1e6, bounds.upper / 1e6


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param({"gpu_hours": 5}, (0, 8), id="all before or all after"),
        pytest.param({"created": 12, "gpu_hours": 5}, (0, 0), id="created at midnight"),
        pytest.param({"created": -17, "gpu_hours": 5}, (8, 8), id="24 h + 5 h after its creation"),
        pytest.param({"created": -16, "gpu_hours": 5}, (6.4, 8), id="an hour of 5 may be after"),
        pytest.param({"created": -13, "gpu_hours": 5}, (1.6, 8), id="one hour of 5 at the least"),
        pytest.param({"created": -17, "gpu_hours": 40, "gpus": 8}, (8, 8), id="5 h on 8 GPUs"),
        pytest.param({"price": 2}, (0, 4), id="2 of 4 hours at the most"),
        pytest.param({"created": -14, "price": 2}, (4, 8), id="2 of 4 hours at the least"),
        pytest.param({"created": None, "gpu_hours": 5}, (0, 8), id="no creation"),
        pytest.param({"created": -36, "seen": 36}, (4, 8), id="begun by -12, 24 of 48 h at least"),
        pytest.param({}, (0, 8), id="no length"),
        pytest.param({"created": 8, "finished": 14, "gpu_hours": 4}, (0, 4), id="end, 4 h at most"),
        pytest.param({"started": 10, "gpu_hours": 4}, (4, 8), id="begin, 4 h at most"),
        pytest.param({"started": 10, "finished": 14}, (4, 4), id="begin and end"),
        pytest.param({"created": 8, "finished": 13, "price": 2}, (6, 6), id="end and price"),
        pytest.param({"started": 11, "price": 2}, (2, 2), id="begin and price"),
        pytest.param({"created": 8, "seen": 16, "over": False}, (0, 4), id="running, 4 of 8 h"),
        pytest.param(
            {"created": 8, "seen": 16, "over": False, "gpu_hours": 5}, (0, 1.6), id="1 of 5 h"
        ),
        pytest.param({"seen": 16, "over": False, "price": 2}, (0, 0), id="running, 4 h ago"),
        pytest.param({"gpu_hours": 5, "seen": 11}, (8, 8), id="seen before"),
        pytest.param({"gpu_hours": 5, "seen": 13}, (0, 8), id="seen finished an hour later"),
        pytest.param({"created": 14, "seen": 13, "gpu_hours": 1}, (0, 0), id="a clock that is off"),
    ],
)
def test_the_bounds_are_worked_out_by_hand(
    known: dict[str, Any], expected: tuple[float, float]
) -> None:
    assert dollars(cost_before(history(**known), at(12), DAY)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("known", "cost", "expected"),
    [
        pytest.param(
            {"started": 0, "seen": 228, "over": False, "price": 36}, 6264, (0, 882), id="dearer now"
        ),
        pytest.param(
            {"started": 0, "seen": 16, "over": False, "price": 2}, 64, (32, 64), id="cheaper now"
        ),
        pytest.param({"started": 10, "finished": 14, "price": 2}, 16, (0, 16), id="over"),
        pytest.param({"started": 10, "finished": 14, "price": 2}, 8.4, (4.2, 4.2), id="launched"),
        pytest.param({"created": 4, "seen": 20, "price": 1}, 32, (0, 32), id="since creation"),
    ],
)
def test_a_price_that_changed_before_the_job_was_seen_leaves_bounds(
    known: dict[str, Any], cost: float, expected: tuple[float, float]
) -> None:
    """At no more than twice the dearest known: $36, and the means $4, $4 and $2 an hour.

    In the first, 12.25 hours at $72 are $882: billing may begin a quarter of an hour before the
    start. In the second, the four hours from midnight on cost $32 at most. For four hours at $2,
    $8.40 are no contradiction: they are spread evenly.
    """
    assert dollars(cost_before(history(cost=cost, **known), at(12), DAY)) == pytest.approx(expected)


def test_gpu_time_has_bounds_likewise() -> None:
    found = gpu_before(history(created=-16, gpu_hours=5), at(12), DAY)
    assert (found.lower / HOUR, found.upper / HOUR) == (4, 5)
    assert gpu_before(history(), at(12), DAY) == Bounds(0, 0)


def test_a_longer_queue_was_plausible_once_it_was_seen() -> None:
    assert queue_bound(None) == queue_bound(11 * HOUR) == DAY
    assert queue_bound(30 * HOUR) == 60 * HOUR
    old = history(created=-17, gpu_hours=5)
    assert dollars(cost_before(old, at(12), queue_bound(30 * HOUR))) == (0, 8)


hours = st.integers(0, 40)


@given(hours, hours, hours, st.integers(1, 8), hours, st.sets(st.sampled_from("sfpg")))
def test_the_truth_lies_within_the_bounds_whatever_is_reported(
    queued: int, ran: int, later: int, gpus: int, instant: int, reported: set[str]
) -> None:
    """A job is created at hour 0, waits a day at the most, runs, and is seen afterwards."""
    assume(queued <= 24)
    assume(ran > 0)
    end = queued + ran
    price = 8 / ran
    known = history(
        created=0,
        started=queued if "s" in reported else None,
        finished=end if "f" in reported else None,
        gpu_hours=gpus * ran if "g" in reported else None,
        seen=end + later,
    )
    assert known.entry.cost is not None
    if "p" in reported:
        first = MeterSample(at(end + later), COST, round(price * 1_000_000), finished=True)
        known = JobHistory(known.entry, (first,), known.gpu)
    truth = COST * min(1, max(0, (instant - queued) / ran))
    bounds = cost_before(known, at(instant), DAY)
    assert bounds.lower - 100 <= truth <= bounds.upper + 100
    if {"s", "f"} <= reported:
        assert bounds.width == 0
