"""The queries of the ledger's database."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct

from trainwave_exporter.ledger.billing.job_entry import (
    Correction,
    IdleInterval,
    JobEntry,
    Labels,
    MeterKind,
    MeterSample,
    UtilizationBucket,
)
from trainwave_exporter.ledger.billing.stored_records import (
    DetailsWanted,
    EarlierRun,
    JobHistory,
    ProjectEntry,
    StoredState,
    UndescribedJobs,
)
from trainwave_exporter.ledger.billing.units import HOUR
from trainwave_exporter.ledger.storage import database, rows

S = TypeVar("S", bound=Struct)

ALL: Final = -1
MOST_LOADED: Final = 20_000
"""How many jobs that are not over are loaded at a start."""
_CHUNK: Final = 500
"""Ids in one query; SQLite takes no more than 999 in its older versions."""
_BALANCES: Final = f"SELECT {', '.join(rows.BALANCE)} FROM balances ORDER BY at"  # noqa: S608 - our own names
_MOVED: Final = """
    WHERE max(ifnull(cost_last_at, 0), ifnull(gpu_last_at, 0)) >= ? AND (
        created IS NULL  -- it may have run long before it was seen
        OR min(created, first_seen, ifnull(started, created), ifnull(finished, created)) < ?
    )"""
_ACCOUNTS_BY_LABELS: Final = """
    SELECT DISTINCT account, series_project_id, series_owner, series_gpu_type
    FROM jobs WHERE series_owner IS NOT NULL"""
_UNDESCRIBED: Final = """
    SELECT id, {distance} AS distance FROM jobs
    WHERE account = ? AND over_seen IS NOT NULL
        AND (distance < {far} OR (name IS NULL AND gpu_type = ''))
    ORDER BY distance, created DESC LIMIT ?"""
_MAY_STRADDLE: Final = """
    CASE WHEN created < {begin} AND finished IS NULL AND over_seen = first_seen
        AND (started IS NULL OR cost_last_rate IS NULL)
        AND created + {queue} + CASE
            WHEN cost_last_rate > 0 THEN cost_last_told * {hour} / cost_last_rate
            ELSE ifnull(gpu_last_told, {far}) END > {begin}
    THEN {begin} - created ELSE {far} END"""
"""How far before an instant a job was created that may have run after it; of a job whose end is
unknown, and which may have run for as long as its GPU hours take on one GPU."""
_WITHIN: Final = """
    CASE WHEN created >= {begin} AND name IS NULL AND gpu_type = '' THEN {near} ELSE {far} END"""
_FAR: Final = 10**15
_NEAR: Final = 10**14
_LIVE: Final = """
    WHERE series_owner IS NULL
        OR key IN (SELECT key FROM jobs WHERE over_seen IS NULL ORDER BY last_seen DESC LIMIT ?)"""
_JOBS: Final = f"SELECT key, {', '.join(rows.JOB)} FROM jobs"  # noqa: S608 - our own names
_SERIES: Final = f"SELECT {', '.join(rows.SERIES)} FROM series"  # noqa: S608 - our own names


class StoreReader:
    """Reads a ledger's database; whatever fails raises `StoreError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        """``path``: where it is; None in memory."""
        self._connection = connection
        self._path = path

    @property
    def pruned_before(self) -> int | None:
        """Since when all detail is kept, milliseconds since 1970; None: nothing was dropped."""
        with self._trouble():
            (before,) = self._connection.execute("SELECT pruned_before FROM ledger").fetchone()
        return None if before is None else int(before)

    def load(self, most: int = MOST_LOADED) -> StoredState:
        """Return all that an exporter has to know when it starts.

        Of the jobs that are not over, at most ``most``: those that were seen last. An API may have
        made up any number of others that it never reported again.
        """
        with self._trouble():
            select = self._connection.execute
            up, down = select("SELECT corrected_up, corrected_down FROM ledger").fetchone()
            names: defaultdict[str, set[str]] = defaultdict(set)
            for project_id, name in select("SELECT project_id, name FROM project_names"):
                names[project_id].add(name)
            return StoredState(
                series=tuple(map(rows.series_entry, select(_SERIES))),
                live=tuple(rows.job_entry(row[1:]) for row in select(f"{_JOBS} {_LIVE}", (most,))),
                corrections=(up, down),
                dearest=self._number("SELECT ifnull(max(cost_last_rate), 0) FROM jobs"),
                opened=dict(select("SELECT name, opened FROM accounts")),
                projects=tuple(
                    ProjectEntry(key, organization_id, name, frozenset(names[key]) - {name})
                    for key, organization_id, name in select(
                        "SELECT id, organization_id, name FROM projects"
                    )
                ),
                balances=tuple(map(rows.balance, select(_BALANCES))),
                counted_before=dict(
                    select(
                        "SELECT name, counted_before FROM accounts WHERE counted_before IS NOT NULL"
                    )
                ),
            )

    def jobs(self, ids: Collection[str]) -> dict[str, JobEntry]:
        """Return the entries of jobs, by id; jobs that are not known are left out."""
        found = {}
        rest = iter(ids)
        with self._trouble():
            while chunk := list(islice(rest, _CHUNK)):
                marks = ", ".join("?" * len(chunk))
                for row in self._connection.execute(f"{_JOBS} WHERE id IN ({marks})", chunk):
                    entry = rows.job_entry(row[1:])
                    found[entry.id] = entry
        return found

    def accounts_by_labels(self) -> dict[Labels, frozenset[str]]:
        """Return which accounts last reported the jobs counted under each set of labels."""
        found: dict[Labels, frozenset[str]] = {}
        with self._trouble():
            for account, *labels in self._connection.execute(_ACCOUNTS_BY_LABELS):
                known = found.get(Labels(*labels), frozenset())
                found[Labels(*labels)] = known | {account}
        return found

    def accounts(self) -> set[str]:
        """Return the accounts that reported any job."""
        with self._trouble():
            found = self._connection.execute("SELECT DISTINCT account FROM jobs")
            return {account for (account,) in found}

    def longest_queue(self) -> int | None:
        """Return the longest time from creation to start that was reported, in milliseconds."""
        with self._trouble():
            (longest,) = self._connection.execute(
                "SELECT max(started - created) FROM jobs WHERE started IS NOT NULL"
            ).fetchone()
        return None if longest is None else int(longest)

    def billed(self) -> dict[tuple[str | None, str], int]:
        """Return what all jobs are billed, by the organization they report and their project."""
        with self._trouble():
            return {
                (organization_id, project_id): micro
                for organization_id, project_id, micro in self._connection.execute(
                    "SELECT organization_id, project_id,"
                    " sum(cost_base + ifnull(cost_last_told, 0)) FROM jobs"
                    " GROUP BY organization_id, project_id"
                )
            }

    def undescribed(self, account: str, wanted: DetailsWanted, most: int) -> UndescribedJobs:
        """Return the finished jobs of an account whose details are wanted, at most ``most``.

        Urgent are those that periods need, the nearest to the begin of a period first; of the
        others, the latest come first.
        """
        places = {"queue": wanted.queue, "hour": HOUR, "far": _FAR, "near": _NEAR}
        distances = [_MAY_STRADDLE.format(begin=begin, **places) for begin in wanted.begins]
        distances += [_WITHIN.format(begin=begin, **places) for begin in wanted.within]
        distance = f"min({', '.join([*distances, str(_FAR)])}, {_FAR})"
        query = _UNDESCRIBED.format(distance=distance, far=_FAR)
        with self._trouble():
            found = self._connection.execute(query, (account, most)).fetchall()
        urgent = tuple(job_id for job_id, away in found if away < _FAR)
        return UndescribedJobs(urgent, tuple(job_id for job_id, _ in found[len(urgent) :]))

    def histories(self, begin: int, end: int) -> Iterator[JobHistory]:
        """Yield the jobs whose meters may have moved within [begin, end), milliseconds.

        Nothing may be written until all are taken. Samples before `pruned_before` are kept in part
        only.
        """
        return self._histories(_MOVED, (begin, end))

    def history(self, job_id: str) -> JobHistory | None:
        """Return a job with its samples; None if it is not known."""
        return next(self._histories("WHERE id = ?", (job_id,)), None)

    def _histories(self, condition: str, values: Sequence[Any]) -> Iterator[JobHistory]:
        with self._trouble():
            for key, *row in self._connection.execute(f"{_JOBS} {condition}", values):
                entry = rows.job_entry(row)
                kept = self._kept(key)
                yield JobHistory(
                    entry,
                    kept[entry.run, MeterKind.COST],
                    kept[entry.run, MeterKind.GPU],
                    self._earlier(key, kept) if entry.run else (),
                )

    def _kept(self, key: int) -> defaultdict[tuple[int, int], tuple[MeterSample, ...]]:
        """Return the kept samples of a job by run and meter, in order of time."""
        found: defaultdict[tuple[int, int], tuple[MeterSample, ...]] = defaultdict(tuple)
        select = self._connection.execute(
            f"SELECT run, meter, {', '.join(rows.SAMPLE)} FROM points WHERE job = ?"  # noqa: S608 - our own names
            " ORDER BY meter, run, at",
            (key,),
        )
        for place, group in groupby(select, key=itemgetter(0, 1)):
            found[place] = tuple(
                rows.sample(dict(zip(rows.SAMPLE, columns, strict=True)))
                for _run, _meter, *columns in group
            )
        return found

    def _earlier(
        self, key: int, kept: Mapping[tuple[int, int], tuple[MeterSample, ...]]
    ) -> tuple[EarlierRun, ...]:
        select = self._connection.execute(
            f"SELECT {', '.join(rows.RUN)} FROM runs WHERE job = ? ORDER BY number",  # noqa: S608 - our own names
            (key,),
        )
        return tuple(
            EarlierRun(run, kept[run.number, MeterKind.COST], kept[run.number, MeterKind.GPU])
            for run in map(rows.run, select)
        )

    def idle_intervals(self, job_id: str) -> list[IdleInterval]:
        """Return when a job's GPUs were idle, in order of time."""
        return self._of_job("idle_intervals", job_id, IdleInterval)

    def utilization(self, job_id: str) -> list[UtilizationBucket]:
        """Return how a job's GPUs were used, in order of time."""
        return self._of_job("utilization", job_id, UtilizationBucket)

    def corrections(self, begin: int, end: int) -> list[Correction]:
        """Return the corrections seen within [begin, end), milliseconds, in order of time."""
        with self._trouble():
            return [
                Correction(*row)
                for row in self._connection.execute(
                    "SELECT id, at, since, micro FROM corrections JOIN jobs ON key = job"
                    " WHERE at >= ? AND at < ? ORDER BY at, id",
                    (begin, end),
                )
            ]

    def _of_job(self, table: str, job_id: str, kind: type[S]) -> list[S]:
        """Return the records of a job in a table whose columns are their fields."""
        columns = ", ".join(kind.__struct_fields__)
        query = (
            f"SELECT {columns} FROM {table}"  # noqa: S608 - our own names
            " WHERE job = (SELECT key FROM jobs WHERE id = ?) ORDER BY begin"
        )
        with self._trouble():
            return [kind(*row) for row in self._connection.execute(query, (job_id,))]

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def _trouble(self) -> AbstractContextManager[None]:
        return database.trouble_with(self._path or "ledger in memory")
