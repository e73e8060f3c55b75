"""What survives of the ledger, in SQLite: jobs with what their meters showed, and all sums.

Calls come one after the other, from whichever thread; meanwhile other processes may read. Whatever
goes wrong is a `StoreError` and changes nothing; the store can go on being used when the trouble is
over.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from msgspec import Struct
from msgspec.structs import astuple, replace

from trainwave_exporter.ledger import database, file, generation, note, rescue, rows
from trainwave_exporter.ledger.entry import (
    Correction,
    IdleInterval,
    JobEntry,
    Labels,
    Meter,
    Run,
    SeriesEntry,
    Sighting,
    UtilizationBucket,
)
from trainwave_exporter.ledger.errors import LostStoreError, StoreError
from trainwave_exporter.ledger.guard import FileGuard
from trainwave_exporter.ledger.units import DAY, HOUR

R = TypeVar("R")

BALANCES_KEPT: Final = 3 * DAY
"""For how long told balances are kept."""
UTILIZATION_KEPT: Final = 14 * DAY
"""For how long utilization buckets are kept: no more than 4,032 of a job."""
IDLE_INTERVALS_KEPT: Final = 1000
"""How many idle intervals are kept of a job, the newest."""
_RANDOM_BYTES: Final = 4
"""By how much, at most, an opening raises the generation. Half a million openings fill a number."""
_CHUNK: Final = 500
"""Ids in one query; SQLite takes no more than 999 in its older versions."""


class Point(Struct, frozen=True):
    """A sighting that is kept."""

    job_id: str
    meter: Meter
    sighting: Sighting
    run: int = 0


class ProjectEntry(Struct, frozen=True):
    """What is kept of a project, for reports on jobs that have long been over."""

    id: str
    organization_id: str | None
    name: str | None
    earlier: frozenset[str] = frozenset()
    """Names that it had before."""

    @property
    def names(self) -> frozenset[str]:
        """All names that it has or had."""
        return self.earlier | ({self.name} if self.name else set())

    def after(self, known: ProjectEntry | None) -> ProjectEntry:
        """Return this with the names that were known before."""
        if known is None:
            return self
        return replace(self, earlier=known.names - {self.name or ""})


class Balance(Struct, frozen=True):
    """What credit an organization was said to have."""

    organization_id: str
    at: int
    """Milliseconds since 1970."""
    micro: int
    """Micro-dollars."""
    billed: tuple[int, int] | None = None
    """Bounds of what all its jobs were billed in all when it was read, micro-dollars."""


class ClosedRun(Struct, frozen=True):
    """A run of a job that is over, as another run with its id was seen."""

    job_id: str
    run: Run


class Idled(Struct, frozen=True):
    """An idle interval of a job; one with the same begin takes the place of an earlier."""

    job_id: str
    interval: IdleInterval


class Used(Struct, frozen=True):
    """What is added to a utilization bucket of a job."""

    job_id: str
    bucket: UtilizationBucket


class Dropped(Struct, frozen=True):
    """The kept sightings of a meter of a job's run from a time on."""

    job_id: str
    meter: Meter
    run: int
    at: int


class Batch(Struct, frozen=True):
    """What is written at once: all of it or nothing."""

    jobs: Sequence[JobEntry] = ()
    points: Sequence[Point] = ()
    dropped: Sequence[Dropped] = ()
    """Sightings that are dropped before ``points`` are added."""
    series: Sequence[SeriesEntry] = ()
    corrections: tuple[int, int] | None = None
    """By how many micro-dollars costs were corrected in all, upwards and downwards."""
    corrected: Sequence[Correction] = ()
    """Each of those that is new."""
    runs: Sequence[ClosedRun] = ()
    idled: Sequence[Idled] = ()
    used: Sequence[Used] = ()
    opened: Sequence[tuple[str, int]] = ()
    """Accounts whose history is counted as a whole, and since when."""
    projects: Sequence[ProjectEntry] = ()
    balances: Sequence[Balance] = ()


class Wanted(Struct, frozen=True):
    """What the details of finished jobs are wanted for."""

    begins: Collection[int] = ()
    """Instants, milliseconds: of a job that may have run on both sides the times are wanted."""
    within: Collection[int] = ()
    """Likewise: of a job created since, the type of GPU is wanted."""
    queue: int = 0
    """The longest plausible queue, milliseconds."""


class Undescribed(Struct, frozen=True):
    """Finished jobs whose details are wanted, the most wanted first."""

    urgent: Sequence[str] = ()
    others: Sequence[str] = ()


class State(Struct, frozen=True):
    """What an exporter has to know when it starts."""

    series: tuple[SeriesEntry, ...]
    live: tuple[JobEntry, ...]
    """Jobs that are not over, or not counted yet."""
    corrections: tuple[int, int]
    dearest: int
    """The highest price stored of a job, micro-dollars an hour; 0: none is."""
    opened: dict[str, int]
    projects: tuple[ProjectEntry, ...]
    balances: tuple[Balance, ...]
    """In order of time."""
    counted_before: dict[str, int] = {}
    """Accounts whose jobs that are over and were created before then are counted, known or not."""


class EarlierRun(Struct, frozen=True):
    """A run of a job before its present one, with all sightings that are kept of its meters."""

    run: Run
    cost: tuple[Sighting, ...]
    gpu: tuple[Sighting, ...]


class Story(Struct, frozen=True):
    """A job with all sightings that are kept of its meters, in order of time."""

    entry: JobEntry
    cost: tuple[Sighting, ...]
    """Those of its present run."""
    gpu: tuple[Sighting, ...]
    earlier: tuple[EarlierRun, ...] = ()


def _upsert(table: str, columns: Sequence[str], keys: Collection[str]) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in keys)
    marks = ", ".join("?" * len(columns))
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    )


_PUT_JOB: Final = _upsert("jobs", rows.JOB, ("id",))
_PUT_SERIES: Final = _upsert("series", rows.SERIES, rows.SERIES[:3])
_PUT_ACCOUNT: Final = _upsert("accounts", ("name", "opened"), ("name",))
_PUT_PROJECT: Final = _upsert("projects", ("id", "organization_id", "name"), ("id",))
_BALANCE = ("organization_id", "at", "micro", "billed_lower", "billed_upper")
_PUT_BALANCE: Final = _upsert("balances", _BALANCE, _BALANCE[:2])
_BALANCES: Final = f"SELECT {', '.join(_BALANCE)} FROM balances ORDER BY at"  # noqa: S608 - our own names
_DROP_BALANCES: Final = """
    DELETE FROM balances WHERE at < :before AND EXISTS (
        SELECT * FROM balances AS later
        WHERE later.organization_id = balances.organization_id
            AND later.at > balances.at AND later.at < :before
            AND later.billed_lower IS NOT NULL
    )"""
"""But for the last before that: from there credit is compared after an absence."""
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
    VALUES (?, ?, ?, ?, (SELECT key FROM jobs WHERE id = ?))"""
_ADD_UTILIZATION: Final = """
    INSERT INTO utilization (begin, observed, used, job)
    VALUES (?, ?, ?, (SELECT key FROM jobs WHERE id = ?))
    ON CONFLICT (job, begin) DO UPDATE SET
        observed = observed + excluded.observed, used = used + excluded.used"""
_PUT_CORRECTION: Final = """
    INSERT OR REPLACE INTO corrections (at, since, micro, job)
    VALUES (?, ?, ?, (SELECT key FROM jobs WHERE id = ?))"""
_DROP_OLD_POINTS: Final = """
    DELETE FROM points WHERE at < :before AND EXISTS (
        SELECT * FROM points AS later
        WHERE later.job = points.job AND later.meter = points.meter AND later.run = points.run
            AND later.at > points.at AND later.at < :before
        LIMIT 1 OFFSET 1
    )"""
"""All but the last two of each meter: these tell how it was billed when ``before`` came."""
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
_MOVED: Final = """
    WHERE max(ifnull(cost_last_at, 0), ifnull(gpu_last_at, 0)) >= ? AND (
        created IS NULL  -- it may have run long before it was seen
        OR min(created, first_seen, ifnull(started, created), ifnull(finished, created)) < ?
    )"""
_PUT_PROJECT_NAME: Final = "INSERT OR IGNORE INTO project_names (project_id, name) VALUES (?, ?)"
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
_JOBS: Final = f"SELECT key, {', '.join(rows.JOB)} FROM jobs"  # noqa: S608 - our own names
_SERIES: Final = f"SELECT {', '.join(rows.SERIES)} FROM series"  # noqa: S608 - our own names


class Store:
    """The ledger's database; opened with `open` or `open_for_reading`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        place: Path | None = None,
        path: Path | None = None,
        hold: file.Hold | None = None,
    ) -> None:
        """``place``: where the ledger has to be; None in memory. ``path``: where it is.

        ``hold``: what keeps others from its folder; None where it is only read.
        """
        self._connection = connection
        self._place = place
        self._path = path or place
        self._hold = hold
        self._generation = 0
        self.restored = False
        """Whether a ledger was written here before that knew more: this one was restored."""
        self._guard = None if self._path is None else FileGuard(self._path)

    @classmethod
    def open(cls, folder: Path | None) -> Self:
        """Open the ledger in a folder, which is made if there is none; None: in memory.

        Raises `UnfitStoreError` if it must not be used, `StoreError` if it cannot be now.
        """
        if folder is None:
            return cls(file.open_in_memory())
        place = file.place_in(folder)
        with database.trouble_with(place):
            hold = file.Hold(place.parent)
            with file.undone_on_failure(hold.close):
                rescue.take_place(place)
                return cls._opened(place, place, hold)

    @classmethod
    def _opened(cls, place: Path, path: Path, hold: file.Hold) -> Self:
        connection = file.open_to_write(path)
        with file.undone_on_failure(connection.close):
            store = cls(connection, place, path, hold)
            store._begin()
            return store

    @classmethod
    def _of_memory(cls, held: Batch, now: int, number: int) -> Self:
        """Return a ledger in memory of what is held there, and what it has to say of the rest.

        Its generation is the one that was last written, as it is to be taken for that.
        """
        store = cls(file.open_in_memory())
        store.write(held)
        store.give_up_detail(now)
        with store._transaction(number):
            pass
        return store

    def _begin(self) -> None:
        """Begin a generation that no copy of this ledger comes to have, wherever it is used."""
        assert self._place is not None and self._path is not None  # noqa: S101, PT018 - a file
        found = file.generation_of(self._path, self._connection)
        noted = note.read(self._place) or note.Written(found, found)
        self.restored = noted.low > found
        self._generation = max(noted.low, found)  # a restored one stays one until it is written
        beyond = 1 + int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
        with self._transaction(max(noted.high, found) + beyond):
            pass

    @classmethod
    def open_for_reading(cls, folder: Path) -> Self:
        """Open the ledger in a folder as it is now, while an exporter may go on writing it.

        Raises `UnfitStoreError` if it must not be used, `StoreError` if there is none, or it cannot
        be read now, or it is not what an exporter last wrote there.
        """
        place = file.place_in(folder)
        with database.trouble_with(place):
            rescued = rescue.rescued_of(place)
            if rescued.exists():
                raise StoreError(
                    f"{place} was lost while in use, and what it held is in {rescued}; to make"
                    f" that the ledger, move {database.all_of(place)} away if the exporter runs,"
                    " or else start it"
                )
            before = note.read(place)
            connection = file.open_to_read(place)
            with file.undone_on_failure(connection.close):
                found = file.generation_of(place, connection)
                if not note.allows(before, found, after := note.read(place)):
                    wrote = after or before
                    raise StoreError(
                        f"{place} is not what an exporter last wrote here (generation"
                        f" {wrote and wrote.high}, and not {found}), but was put in its place;"
                        " start the exporter on it"
                    )
            return cls(connection, place)

    @property
    def size_bytes(self) -> int:
        """What the database and its write-ahead log take."""
        if self._path is None:
            with self._trouble():
                return self._number("PRAGMA page_count") * self._number("PRAGMA page_size")
        return sum(_size(part) for part in (self._path, database.wal_of(self._path)))

    @property
    def displaced(self) -> Path | None:
        """The file written in place of the ledger's own, which was lost; None: it was not."""
        return self._path if self._path != self._place else None

    @property
    def place_is_free(self) -> bool:
        """Whether nothing bears the ledger's name: when it is opened anew, this store will."""
        return self._place is not None and rescue.is_free(self._place)

    @property
    def pruned_before(self) -> int | None:
        """Since when all detail is there, milliseconds; None: from the first."""
        with self._trouble():
            (before,) = self._connection.execute("SELECT pruned_before FROM ledger").fetchone()
        return None if before is None else int(before)

    def load(self) -> State:
        """Return what an exporter has to know when it starts."""
        with self._trouble():
            select = self._connection.execute
            up, down = select("SELECT corrected_up, corrected_down FROM ledger").fetchone()
            names: defaultdict[str, set[str]] = defaultdict(set)
            for project_id, name in select("SELECT project_id, name FROM project_names"):
                names[project_id].add(name)
            return State(
                series=tuple(map(rows.series_entry, select(_SERIES))),
                live=tuple(
                    rows.job_entry(row[1:])
                    for row in select(f"{_JOBS} WHERE over_seen IS NULL OR series_owner IS NULL")
                ),
                corrections=(up, down),
                dearest=self._number("SELECT ifnull(max(cost_last_rate), 0) FROM jobs"),
                opened=dict(select("SELECT name, opened FROM accounts")),
                projects=tuple(
                    ProjectEntry(key, organization_id, name, frozenset(names[key]) - {name})
                    for key, organization_id, name in select(
                        "SELECT id, organization_id, name FROM projects"
                    )
                ),
                balances=tuple(map(_balance, select(_BALANCES))),
                counted_before=dict(
                    select(
                        "SELECT name, counted_before FROM accounts WHERE counted_before IS NOT NULL"
                    )
                ),
            )

    def jobs(self, ids: Collection[str]) -> dict[str, JobEntry]:
        """Return those of the jobs that are known."""
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
        """Return which accounts last told of the jobs that are counted under each set of labels."""
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

    def undescribed(self, account: str, wanted: Wanted, most: int) -> Undescribed:
        """Return the finished jobs of an account whose details are wanted, at most so many.

        Urgent are those that periods need, the nearest to the begin of a period first; of the
        others the latest come first.
        """
        places = {"queue": wanted.queue, "hour": HOUR, "far": _FAR, "near": _NEAR}
        distances = [_MAY_STRADDLE.format(begin=begin, **places) for begin in wanted.begins]
        distances += [_WITHIN.format(begin=begin, **places) for begin in wanted.within]
        distance = f"min({', '.join([*distances, str(_FAR)])}, {_FAR})"
        query = _UNDESCRIBED.format(distance=distance, far=_FAR)
        with self._trouble():
            found = self._connection.execute(query, (account, most)).fetchall()
        urgent = tuple(job_id for job_id, away in found if away < _FAR)
        return Undescribed(urgent, tuple(job_id for job_id, _ in found[len(urgent) :]))

    def stories(self, begin: int, end: int) -> Iterator[Story]:
        """Yield the jobs whose meters may have moved within [begin, end), milliseconds.

        Nothing may be written until all are taken. What moved before `pruned_before` is told in
        part only.
        """
        return self._stories(_MOVED, (begin, end))

    def story(self, job_id: str) -> Story | None:
        """Return a job with its sightings; None if it is not known."""
        return next(self._stories("WHERE id = ?", (job_id,)), None)

    def _stories(self, condition: str, values: Sequence[Any]) -> Iterator[Story]:
        with self._trouble():
            for key, *row in self._connection.execute(f"{_JOBS} {condition}", values):
                entry = rows.job_entry(row)
                kept = self._kept(key)
                yield Story(
                    entry,
                    kept[entry.run, Meter.COST],
                    kept[entry.run, Meter.GPU],
                    self._earlier(key, kept) if entry.run else (),
                )

    def _kept(self, key: int) -> defaultdict[tuple[int, int], tuple[Sighting, ...]]:
        """Return the kept sightings of a job by run and meter, in order of time."""
        found: defaultdict[tuple[int, int], tuple[Sighting, ...]] = defaultdict(tuple)
        select = self._connection.execute(
            "SELECT run, meter, at, told, rate, over FROM points WHERE job = ?"
            " ORDER BY meter, run, at",
            (key,),
        )
        for place, group in groupby(select, key=itemgetter(0, 1)):
            found[place] = tuple(rows.sighting(row[2:]) for row in group)
        return found

    def _earlier(
        self, key: int, kept: Mapping[tuple[int, int], tuple[Sighting, ...]]
    ) -> tuple[EarlierRun, ...]:
        select = self._connection.execute(
            "SELECT number, created, started, finished, until FROM runs WHERE job = ?"
            " ORDER BY number",
            (key,),
        )
        return tuple(
            EarlierRun(run, kept[run.number, Meter.COST], kept[run.number, Meter.GPU])
            for run in map(rows.run, select)
        )

    def idle_intervals(self, job_id: str) -> list[IdleInterval]:
        """Return when a job's GPUs were idle, in order of time."""
        return self._of_job(
            "SELECT begin, end, gpu, value FROM idle_intervals", job_id, rows.idle_interval
        )

    def utilization(self, job_id: str) -> list[UtilizationBucket]:
        """Return how a job's GPUs were used, in order of time."""
        return self._of_job(
            "SELECT begin, observed, used FROM utilization", job_id, rows.utilization_bucket
        )

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

    def _of_job(self, select: str, job_id: str, read: Callable[[rows.Row], R]) -> list[R]:
        with self._trouble():
            condition = "WHERE job = (SELECT key FROM jobs WHERE id = ?) ORDER BY begin"
            return [
                read(row) for row in self._connection.execute(f"{select} {condition}", (job_id,))
            ]

    def write(self, batch: Batch) -> None:
        """Write a batch; when this returns, not even a power cut loses it."""
        self.check()
        with self._transaction() as connection:
            many = connection.executemany
            many(_PUT_JOB, map(rows.job_row, batch.jobs))
            many(_DROP_POINT, map(astuple, batch.dropped))
            many(_PUT_POINT, map(_point_row, batch.points))
            many(_PUT_RUN, map(_run_row, batch.runs))
            many(_PUT_IDLE, [(*astuple(i.interval), i.job_id) for i in batch.idled])
            many(_ADD_UTILIZATION, [(*astuple(u.bucket), u.job_id) for u in batch.used])
            newest = {u.job_id: u.bucket.begin for u in batch.used}
            many(_DROP_OLD_BUCKETS, [(i, at - UTILIZATION_KEPT) for i, at in newest.items()])
            many(_PUT_CORRECTION, [(c.at, c.since, c.micro, c.job_id) for c in batch.corrected])
            many(_PUT_SERIES, map(rows.series_row, batch.series))
            many(_PUT_ACCOUNT, batch.opened)
            many(_PUT_PROJECT, [(p.id, p.organization_id, p.name) for p in batch.projects])
            many(_PUT_PROJECT_NAME, [(p.id, p.name) for p in batch.projects if p.name])
            many(
                _PUT_BALANCE,
                [
                    (b.organization_id, b.at, b.micro, *(b.billed or (None, None)))
                    for b in batch.balances
                ],
            )
            if batch.balances:
                latest = max(balance.at for balance in batch.balances)
                connection.execute(_DROP_BALANCES, {"before": latest - BALANCES_KEPT})
            if batch.corrections is not None:
                connection.execute(
                    "UPDATE ledger SET corrected_up = ?, corrected_down = ?", batch.corrections
                )

    def check(self) -> None:
        """Raise `LostStoreError` where the files are not what was last written."""
        if self._guard is not None:
            with self._trouble():
                if self._hold is None:  # whatever is written by others is not seen
                    self._guard.check_identity()
                else:
                    self._guard.check()

    def rescue(self, lost: LostStoreError, held: Batch, now: int) -> Store:
        """Return a store of another file that holds what this one held, and close this one.

        Where nobody can read this one any more, ``held`` is all there is: sums, and what is watched
        now (``now`` in milliseconds). Jobs over that are not in it count as counted, and what was
        spent on what before is not known any more. Raises `StoreError` where that cannot be
        written; this store is then as it was.
        """
        place, hold = self._place, self._hold
        assert place is not None and hold is not None and self._guard is not None  # noqa: S101, PT018
        with self._trouble():
            if not hold.holds(place.parent):
                hold = file.Hold(place.parent)
            with file.undone_on_failure(hold.close if hold is not self._hold else lambda: None):
                if lost.readable:
                    path = rescue.write(place, self._connection)
                else:
                    with closing(self._of_memory(held, now, self._generation)) as memory:
                        path = rescue.write(place, memory._connection)  # noqa: SLF001 - its like
                store = self._opened(place, path, hold)
        left_alone = None
        if not lost.readable and self._path is not None and self._guard.pending:
            left_alone = database.connect_left_alone(self._path)
        self._connection.close()
        if left_alone is not None:
            left_alone.close()
        if hold is not self._hold and self._hold is not None:
            self._hold.close()
        return store

    def prune(self, before: int) -> int:
        """Drop what tells only of times before ``before``; return how many sightings went.

        From ``before`` on, each job's story stays the same to the unit; earlier it is not told any
        more. The jobs themselves are kept, with their runs, as are all sums: whatever the API still
        names, or names again after a long silence, must be known, or it would be counted once more.
        """
        with self._transaction() as connection:
            changes = connection.total_changes
            connection.execute(_DROP_OLD_POINTS, {"before": before})
            dropped = connection.total_changes - changes
            for old in _DROP_OLD_DETAIL:
                connection.execute(old, (before,))
            connection.execute(_LOSE_DETAIL, (before,))
            self._give_room_back()
        return dropped

    def bound(self, now: int) -> None:
        """Drop what is kept of each job's use beyond bounds of its own; ``now`` in milliseconds.

        Nothing is written where there is nothing to be dropped.
        """
        old, most = (now - UTILIZATION_KEPT,), (IDLE_INTERVALS_KEPT,)
        with self._trouble():
            select = self._connection.execute
            if not any(select(_OLD_UTILIZATION, old)) and not any(select(_MANY_IDLE, most)):
                return
        with self._transaction() as connection:
            connection.execute(_DROP_OLD_UTILIZATION, old)
            connection.execute(_DROP_MORE_IDLE, most)
            self._give_room_back()

    def give_up_detail(self, now: int) -> None:
        """Say that of the time before ``now`` only sums are known, and that those are whole."""
        with self._transaction() as connection:
            connection.execute(_LOSE_DETAIL, (now,))
            connection.execute("UPDATE accounts SET counted_before = ?", (now,))

    def _give_room_back(self) -> None:
        for _ in range(self._number("PRAGMA freelist_count")):
            # one page, whatever is asked for
            self._connection.execute("PRAGMA incremental_vacuum")

    def close(self) -> None:
        """Close the store, for good. Calls after the first do nothing."""
        self._connection.close()
        self._guard = None
        if self._hold is not None:
            self._hold.close()

    @contextmanager
    def _transaction(self, number: int | None = None) -> Iterator[sqlite3.Connection]:
        """Have all of what is written within committed, or nothing.

        ``number``: the generation to be written; if it is not given, the next one.
        """
        connection, guard, number = self._connection, self._guard, number or self._generation + 1
        with self._trouble():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                generation.write(
                    connection, number, in_file=guard is not None and not guard.pending
                )
                if self._place is not None:
                    note.announce(self._place, self._generation, number)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # some errors end it by themselves
                    connection.execute("ROLLBACK")
                raise
            self._generation = number
            if self._place is not None:
                note.settle(self._place, number)
            if guard is not None:
                guard.wrote(number, partial(database.backfill, connection))

    def _trouble(self) -> AbstractContextManager[None]:
        return database.trouble_with(self._path or "ledger in memory")

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])


def _point_row(point: Point) -> rows.Row:
    return (point.meter, point.run, *rows.sighting_row(point.sighting), point.job_id)


def _run_row(closed: ClosedRun) -> rows.Row:
    run = closed.run
    return (run.number, *astuple(run.life), run.until, closed.job_id)


def _balance(row: rows.Row) -> Balance:
    organization_id, at, micro, *billed = row
    return Balance(
        organization_id, at, micro, None if billed[0] is None else (billed[0], billed[1])
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
