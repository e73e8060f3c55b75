"""The spend of a period is broken down by who and what, and adds up to the unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import StoreError
from trainwave_exporter.ledger.billing import meter as meters
from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds, cost_before, gpu_before
from trainwave_exporter.ledger.billing.job_entry import JobEntry, Labels, Life, Meter, MeterSample
from trainwave_exporter.ledger.billing.periods import Span, parse_span
from trainwave_exporter.ledger.billing.report import Dimension, Row, chargeback, columns
from trainwave_exporter.ledger.billing.stored_records import JobHistory, ProjectEntry
from trainwave_exporter.ledger.billing.units import DAY, HOUR
from trainwave_exporter.ledger.stored_report import read
from trainwave_exporter.model import Project

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
OCTOBER = parse_span("2026-10", BERLIN)
PROJECTS = {
    "p-1": ProjectEntry("p-1", "o-1", "Vision"),
    "p-2": ProjectEntry("p-2", None, None),
}
PRICE = HOUR
"""A micro-dollar in a millisecond; and one GPU."""


def at(text: str, zone: ZoneInfo = UTC) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000


def entry_of(
    job_id: str, life: Life, cost: Meter | None, gpu: Meter | None, first_seen: int
) -> JobEntry:
    return JobEntry(
        id=job_id,
        account="a",
        labels=Labels("p-1", "ada", "H100"),
        organization_id=None,
        name=None,
        life=life,
        first_seen=first_seen,
        last_seen=first_seen,
        cost=cost,
        gpu=gpu,
    )


def job(job_id: str, begin: int, end: int, labels: Labels | None = None) -> JobHistory:
    """Return a job that ran on one GPU, at a micro-dollar in a millisecond."""
    kept = (
        MeterSample(begin, 0, PRICE, finished=False),
        MeterSample(end, end - begin, PRICE, finished=True),
    )
    meter = Meter(*kept)
    entry = entry_of(job_id, Life(begin, begin, end), meter, meter, begin)
    return JobHistory(replace(entry, labels=labels or entry.labels), kept, kept)


def report(
    histories: Sequence[JobHistory], *by: Dimension, span: Span = OCTOBER, zone: ZoneInfo = BERLIN
) -> list[Row]:
    found = chargeback(histories, PROJECTS, span, zone, by)
    lower, upper = (sum(getattr(row.cost, end) for row in found.rows) for end in ("lower", "upper"))
    assert lower <= found.total.cost.lower <= found.total.cost.upper <= upper
    return [*found.rows]


def exactly(keys: tuple[str, ...], cost: int, gpu: int) -> Row:
    return Row(keys, Bounds(cost, cost), Bounds(gpu, gpu))


def test_only_what_was_spent_within_the_period_counts() -> None:
    over_its_begin = job("j-1", OCTOBER.begin - 2 * HOUR, OCTOBER.begin + HOUR)
    over_its_end = job("j-2", OCTOBER.end - 5 * HOUR, OCTOBER.end + 7 * HOUR)
    assert report([over_its_begin, over_its_end], Dimension.JOB) == [
        exactly(("j-2", ""), 5 * HOUR, 5 * HOUR),
        exactly(("j-1", ""), HOUR, HOUR),
    ]


def test_what_was_not_spent_within_the_period_has_no_row() -> None:
    before = job("j-1", OCTOBER.begin - 2 * HOUR, OCTOBER.begin)
    after = job("j-2", OCTOBER.end, OCTOBER.end + HOUR)
    assert report([before, after], Dimension.JOB) == []


@pytest.mark.parametrize(
    ("dimension", "names", "keys"),
    [
        (Dimension.PROJECT, ("project_id", "project_name"), ("p-1", "Vision")),
        (Dimension.OWNER, ("owner",), ("ada",)),
        (Dimension.GPU_TYPE, ("gpu_type",), ("H100",)),
        (Dimension.ORGANIZATION, ("organization_id",), ("o-1",)),
        (Dimension.JOB, ("job_id", "job_name"), ("j-1", "bert")),
        (Dimension.DAY, ("day",), ("2026-10-01",)),
    ],
)
def test_spend_is_broken_down_by(
    dimension: Dimension, names: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    history = job("j-1", OCTOBER.begin, OCTOBER.begin + HOUR)
    history = JobHistory(replace(history.entry, name="bert"), history.cost, history.gpu)
    assert columns([dimension]) == names
    assert report([history], dimension) == [exactly(keys, HOUR, HOUR)]


def test_the_columns_come_in_the_order_asked_for() -> None:
    by = Dimension.OWNER, Dimension.DAY, Dimension.PROJECT
    assert columns(by) == ("owner", "day", "project_id", "project_name")
    (row,) = report([job("j-1", OCTOBER.begin, OCTOBER.begin + HOUR)], *by)
    assert row.keys == ("ada", "2026-10-01", "p-1", "Vision")


@pytest.mark.parametrize("project_id", ["p-2", "p-3"])
def test_what_is_not_known_stays_empty(project_id: str) -> None:
    history = job("j-1", OCTOBER.begin, OCTOBER.begin + HOUR, Labels(project_id, "", ""))
    by = Dimension.PROJECT, Dimension.OWNER, Dimension.GPU_TYPE, Dimension.ORGANIZATION
    (row,) = report([history], *by)
    assert row.keys == (project_id, "", "", "", "")


def test_a_job_that_reports_its_organization_knows_better_than_its_project() -> None:
    history = job("j-1", OCTOBER.begin, OCTOBER.begin + HOUR)
    history = JobHistory(replace(history.entry, organization_id="o-9"), history.cost, history.gpu)
    (row,) = report([history], Dimension.ORGANIZATION)
    assert row.keys == ("o-9",)


def test_jobs_alike_are_summed_and_the_dearest_come_first() -> None:
    begin = OCTOBER.begin
    rows = report(
        [
            job("j-1", begin, begin + 2 * HOUR, Labels("p-1", "ada", "H100")),
            job("j-2", begin, begin + HOUR, Labels("p-1", "zoe", "H100")),
            job("j-3", begin, begin + 2 * HOUR, Labels("p-1", "grace", "H100")),
            job("j-4", begin, begin + HOUR, Labels("p-1", "grace", "A100")),
            job("j-5", begin, begin + HOUR, Labels("p-1", "bob", "A100")),
        ],
        Dimension.OWNER,
    )
    assert [(row.keys[0], row.cost.lower // HOUR) for row in rows] == [
        ("grace", 3),
        ("ada", 2),
        ("bob", 1),
        ("zoe", 1),
    ]


def test_the_days_of_the_zone_come_one_after_the_other_and_the_dearest_first_in_each() -> None:
    clocks_set_back = at("2026-10-25", BERLIN)
    rows = report(
        [
            job("j-1", clocks_set_back - 2 * HOUR, clocks_set_back + 26 * HOUR),
            job("j-2", clocks_set_back - HOUR, clocks_set_back),
            job("j-3", clocks_set_back - 5 * HOUR, clocks_set_back),
        ],
        Dimension.JOB,
        Dimension.DAY,
    )
    assert [(row.keys[0], row.keys[2], row.cost.lower // HOUR) for row in rows] == [
        ("j-3", "2026-10-24", 5),
        ("j-1", "2026-10-24", 2),
        ("j-2", "2026-10-24", 1),
        ("j-1", "2026-10-25", 25),
        ("j-1", "2026-10-26", 1),
    ]


def test_what_is_taken_back_counts_on_the_day_on_which_that_was_seen() -> None:
    begin = at("2026-10-05", BERLIN)
    kept = (
        MeterSample(begin, 0, PRICE, finished=False),
        MeterSample(begin + 2 * HOUR, 2 * HOUR, PRICE, finished=True),
        MeterSample(begin + 30 * HOUR, HOUR, PRICE, finished=True),
    )
    life = Life(begin, begin, begin + 2 * HOUR)
    entry = entry_of("j-1", life, Meter(kept[1], kept[2]), None, begin)
    assert report([JobHistory(entry, kept, ())], Dimension.DAY) == [
        exactly(("2026-10-05",), 2 * HOUR, 0),
        exactly(("2026-10-06",), -HOUR, 0),
    ]
    assert report([JobHistory(entry, kept, ())], Dimension.OWNER) == [exactly(("ada",), HOUR, 0)]


def test_a_refund_may_be_of_a_job_that_cost_nothing_within_the_period() -> None:
    """It cost 10, wholly before or wholly within the period; of which 5 are taken back in it."""
    begin = OCTOBER.begin
    kept = (
        MeterSample(begin + 10 * HOUR, 10 * HOUR, None, finished=True),
        MeterSample(begin + 20 * HOUR, 5 * HOUR, None, finished=True),
    )
    entry = entry_of("j-1", Life(begin - 2 * HOUR), Meter(*kept), None, begin + 10 * HOUR)
    (row,) = report([JobHistory(entry, kept, ())], Dimension.OWNER)
    assert row.cost == Bounds(-5 * HOUR, 5 * HOUR)


def test_gpu_time_without_a_cost_has_a_row_and_a_job_without_either_has_none() -> None:
    history = job("j-1", OCTOBER.begin, OCTOBER.begin + HOUR)
    free = JobHistory(replace(history.entry, cost=None), (), history.gpu)
    silent = JobHistory(entry_of("j-2", Life(), None, None, OCTOBER.begin), (), ())
    assert report([free, silent], Dimension.JOB) == [exactly(("j-1", ""), 0, HOUR)]


Known: TypeAlias = Callable[[JobHistory, int, int], Bounds]
WEEK = parse_span("2026-W43", BERLIN)
moments = st.integers(WEEK.begin, WEEK.end)
samples = st.builds(
    MeterSample,
    moments,
    st.integers(0, 1000 * HOUR),
    st.none() | st.sampled_from([PRICE, 3 * PRICE]),
    st.booleans(),
)


@st.composite
def histories(draw: st.DrawFn) -> JobHistory:
    def meter() -> tuple[tuple[MeterSample, ...], Meter | None]:
        kept: list[MeterSample] = []
        now = None
        seen = draw(st.lists(samples, max_size=5, unique_by=lambda s: s.at))
        for sample in sorted(seen, key=lambda s: s.at):
            step = meters.begin(sample) if now is None else meters.extend(now, sample)
            kept = [s for s in kept if step.dropped is None or s.at < step.dropped]
            kept += step.kept
            now = step.meter
        return tuple(kept), now

    life = Life(*(draw(st.none() | moments) for _ in range(3)))
    (cost, cost_now), (gpu, gpu_now) = meter(), meter()
    first_seen = min((sample.at for sample in (*cost, *gpu)), default=0)
    entry = entry_of(draw(st.sampled_from("abcdef")), life, cost_now, gpu_now, first_seen)
    owner = draw(st.sampled_from(["ada", "zoe", ""]))
    return JobHistory(replace(entry, labels=Labels("p-1", owner, "H100")), cost, gpu)


@given(st.lists(histories(), max_size=3), moments, moments)
@settings(max_examples=60, deadline=None)
def test_however_it_is_broken_down_the_rows_add_up_to_all_that_was_spent(
    value: list[JobHistory], one: int, other: int
) -> None:
    assume(one != other)
    span = Span(min(one, other), max(one, other))

    def spent(known: Known) -> Bounds:
        return reduce(
            Bounds.plus,
            (known(each, span.end, DAY).since(known(each, span.begin, DAY)) for each in value),
            NOTHING,
        )

    cost, gpu = spent(cost_before), spent(gpu_before)
    for by in [(Dimension.OWNER,), (Dimension.JOB, Dimension.OWNER)]:
        rows = report(value, *by, span=span)
        assert reduce(Bounds.plus, (row.cost for row in rows), NOTHING) == cost
        assert reduce(Bounds.plus, (row.gpu for row in rows), NOTHING) == gpu
        assert len({row.keys for row in rows}) == len(rows)
    for by in [(Dimension.DAY,), tuple(Dimension)]:
        rows = report(value, *by, span=span)
        by_day = reduce(Bounds.plus, (row.cost for row in rows), NOTHING)
        assert by_day.lower <= cost.lower <= cost.upper <= by_day.upper
        assert by_day.width or by_day == cost
        assert len({row.keys for row in rows}) == len(rows)


def test_a_ledger_is_read_while_it_is_written(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    world.open()
    world.directory(Project(account="a", id="p-1", name="Vision", organization_id="o-1"))
    begin = world.now
    world.see(world.job(created_at=begin, started_at=begin, cost_dollars=0.0, gpu_hours=0.0))
    world.now += 7200
    world.see(world.job(created_at=begin, started_at=begin, cost_dollars=7.2, gpu_hours=2.0))
    by = Dimension.PROJECT, Dimension.ORGANIZATION
    midnight = parse_span("2023-11-14", UTC)
    assert midnight.begin < START * 1000 < midnight.end
    rows = read(tmp_path, midnight, UTC, by).rows
    seconds = midnight.end // 1000 - START
    assert rows == [exactly(("p-1", "Vision", "o-1"), round(seconds * 1000), round(seconds * 1000))]
    assert [row.cost for row in read(tmp_path, parse_span("2023", UTC), UTC, by).rows] == [
        Bounds(7_200_000, 7_200_000)
    ]


def test_a_period_of_which_detail_was_dropped_is_refused_and_what_follows_is_not(
    tmp_path: Path,
) -> None:
    world = LedgerWorld(tmp_path, retention=32 * 24 * HOUR)
    world.open(world.job(cost_dollars=1.0))
    world.tick(3600)
    kept = round(world.now * 1000) - 32 * 24 * HOUR
    with pytest.raises(StoreError) as caught:
        read(tmp_path, Span(kept - 1, kept + HOUR), BERLIN, [Dimension.DAY])
    value = "2023-10-14 01:13+02:00"
    assert str(caught.value) == f"{tmp_path}: only totals are kept of the time before {value}"
    assert read(tmp_path, Span(kept, kept + HOUR), BERLIN, [Dimension.DAY]).rows == []


def test_where_there_is_no_ledger_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger"):
        read(tmp_path, OCTOBER, BERLIN, [Dimension.DAY])
    assert list(tmp_path.iterdir()) == []
