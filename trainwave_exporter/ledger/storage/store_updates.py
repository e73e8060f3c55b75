"""The changes of the ledger's database, each within a transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from msgspec.structs import asdict, astuple

from trainwave_exporter.ledger.billing.stored_records import Batch, ClosedRun, KeptSample
from trainwave_exporter.ledger.billing.units import DAY
from trainwave_exporter.ledger.storage import rows

BALANCES_KEPT: Final = 3 * DAY
"""For how long reported balances are kept."""
UTILIZATION_KEPT: Final = 14 * DAY
"""For how long utilization buckets are kept: no more than 4,032 of a job."""
IDLE_INTERVALS_KEPT: Final = 1000
"""How many idle intervals are kept of a job, the newest."""


def _upsert(table: str, columns: Sequence[str], keys: Collection[str]) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in keys)
    marks = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    )


_PUT_JOB: Final = _upsert("jobs", rows.JOB, ("id",))
_PUT_SERIES: Final = _upsert("series", rows.SERIES, rows.SERIES[:3])
_PUT_ACCOUNT: Final = (
    "INSERT INTO accounts (name, opened) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET opened = excluded.opened"
)
_PUT_PROJECT: Final = _upsert("projects", ("id", "organization_id", "name"), ("id",))
_PUT_BALANCE: Final = _upsert("balances", rows.BALANCE, rows.BALANCE[:2])
_DROP_BALANCES: Final = """
    DELETE FROM balances WHERE at < :before AND EXISTS (
        SELECT * FROM balances AS later
        WHERE later.organization_id = balances.organization_id
            AND later.at > balances.at AND later.at < :before
            AND later.billed_lower IS NOT NULL
    )"""
"""All but the last of each organization: credit is compared with it after an absence."""
_DROP_POINT: Final = (
    "DELETE FROM points WHERE job = (SELECT key FROM jobs WHERE id = ?)"
    " AND meter = ? AND run = ? AND at >= ?"
)
_PUT_POINT: Final = (
    "INSERT OR REPLACE INTO points (meter, run, at, told, rate, over, job)"
    " VALUES (?, ?, ?, ?, ?, ?, (SELECT key FROM jobs WHERE id = ?))"
)
_PUT_RUN: Final = """
    INSERT OR REPLACE INTO runs (number, created, started, finished, until, job)
    VALUES (?, ?, ?, ?, ?, (SELECT key FROM jobs WHERE id = ?))"""
_PUT_IDLE: Final = """
    INSERT OR REPLACE INTO idle_intervals (begin, end, gpu, value, job)
    VALUES (:begin, :end, :gpu, :value, (SELECT key FROM jobs WHERE id = :job_id))"""
_ADD_UTILIZATION: Final = """
    INSERT INTO utilization (begin, observed, used, job)
    VALUES (:begin, :observed, :used, (SELECT key FROM jobs WHERE id = :job_id))
    ON CONFLICT (job, begin) DO UPDATE SET
        observed = observed + excluded.observed, used = used + excluded.used"""
_PUT_CORRECTION: Final = """
    INSERT OR REPLACE INTO corrections (at, since, micro, job)
    VALUES (:at, :since, :micro, (SELECT key FROM jobs WHERE id = :job_id))"""
_DROP_OLD_POINTS: Final = """
    DELETE FROM points WHERE at < :before AND EXISTS (
        SELECT * FROM points AS later
        WHERE later.job = points.job AND later.meter = points.meter AND later.run = points.run
            AND later.at > points.at AND later.at < :before
        LIMIT 1 OFFSET 1
    )"""
"""All but the last two of each meter: they show how it was billed when ``before`` came."""
_DROP_OLD_DETAIL: Final = (
    "DELETE FROM idle_intervals WHERE end < ?",
    "DELETE FROM utilization WHERE begin < ?",
    "DELETE FROM corrections WHERE at < ?",
)
_LOSE_DETAIL: Final = "UPDATE ledger SET pruned_before = max(ifnull(pruned_before, ?1), ?1)"
_DROP_OLD_UTILIZATION: Final = "DELETE FROM utilization WHERE begin < ?"
_OLD_UTILIZATION: Final = "SELECT 1 FROM utilization WHERE begin < ? LIMIT 1"
_MANY_IDLE: Final = "SELECT 1 FROM idle_intervals GROUP BY job HAVING count(*) > ? LIMIT 1"
_DROP_OLD_BUCKETS: Final = (
    "DELETE FROM utilization WHERE job = (SELECT key FROM jobs WHERE id = ?) AND begin < ?"
)
_DROP_MORE_IDLE: Final = """
    DELETE FROM idle_intervals WHERE (job, begin) IN (
        SELECT job, begin FROM (
            SELECT job, begin, row_number() OVER (PARTITION BY job ORDER BY begin DESC) AS place
            FROM idle_intervals
        ) WHERE place > ?
    )"""
_PUT_PROJECT_NAME: Final = "INSERT OR IGNORE INTO project_names (project_id, name) VALUES (?, ?)"


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch."""
    many = connection.executemany
    many(_PUT_JOB, map(rows.job_row, batch.jobs))
    many(_DROP_POINT, map(astuple, batch.dropped))
    many(_PUT_POINT, map(_point_row, batch.points))
    many(_PUT_RUN, map(_run_row, batch.runs))
    many(_PUT_IDLE, [{**asdict(i.interval), "job_id": i.job_id} for i in batch.idled])
    many(_ADD_UTILIZATION, [{**asdict(u.bucket), "job_id": u.job_id} for u in batch.used])
    newest = {u.job_id: u.bucket.begin for u in batch.used}
    many(_DROP_OLD_BUCKETS, [(i, at - UTILIZATION_KEPT) for i, at in newest.items()])
    many(_PUT_CORRECTION, map(asdict, batch.corrected))
    many(_PUT_SERIES, map(rows.series_row, batch.series))
    many(_PUT_ACCOUNT, batch.opened)
    many(_PUT_PROJECT, [(p.id, p.organization_id, p.name) for p in batch.projects])
    many(_PUT_PROJECT_NAME, [(p.id, p.name) for p in batch.projects if p.name])
    many(_PUT_BALANCE, map(rows.balance_row, batch.balances))
    if batch.balances:
        latest = max(balance.at for balance in batch.balances)
        connection.execute(_DROP_BALANCES, {"before": latest - BALANCES_KEPT})
    if batch.corrections is not None:
        connection.execute(
            "UPDATE ledger SET corrected_up = ?, corrected_down = ?", batch.corrections
        )


def prune(connection: sqlite3.Connection, before: int) -> int:
    """Drop detail of times before ``before``; return how many samples were dropped."""
    changes = connection.total_changes
    connection.execute(_DROP_OLD_POINTS, {"before": before})
    dropped = connection.total_changes - changes
    for old in _DROP_OLD_DETAIL:
        connection.execute(old, (before,))
    connection.execute(_LOSE_DETAIL, (before,))
    _give_room_back(connection)
    return dropped


def is_beyond_bounds(connection: sqlite3.Connection, now: int) -> bool:
    """Whether `bound` would drop anything."""
    old, most = (now - UTILIZATION_KEPT,), (IDLE_INTERVALS_KEPT,)
    select = connection.execute
    return any(select(_OLD_UTILIZATION, old)) or any(select(_MANY_IDLE, most))


def bound(connection: sqlite3.Connection, now: int) -> None:
    """Drop utilization and idle intervals beyond their limits."""
    connection.execute(_DROP_OLD_UTILIZATION, (now - UTILIZATION_KEPT,))
    connection.execute(_DROP_MORE_IDLE, (IDLE_INTERVALS_KEPT,))
    _give_room_back(connection)


def give_up_detail(connection: sqlite3.Connection, now: int) -> None:
    """Note that only sums are kept of the time before ``now``, and that these are complete."""
    connection.execute(_LOSE_DETAIL, (now,))
    connection.execute("UPDATE accounts SET counted_before = ?", (now,))


def _give_room_back(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(pages):
        # one page, whatever is asked for
        connection.execute("PRAGMA incremental_vacuum")


def _point_row(point: KeptSample) -> rows.Row:
    return (point.kind, point.run, *rows.sample_row(point.sample), point.job_id)


def _run_row(closed: ClosedRun) -> rows.Row:
    run = closed.run
    return (run.number, *astuple(run.life), run.until, closed.job_id)
