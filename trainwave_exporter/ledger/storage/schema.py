"""The tables of the ledger's file, as steps from each version to the next.

Steps are only ever added: a file of any earlier version is brought up to date by those it lacks.
Its version is its ``user_version``, the number of steps taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x54574C47
"""By which a file is known as a ledger, whatever it is called ("TWLG")."""

STEPS: Final = (
    # Numbers are whole: micro-dollars, milliseconds, GPU milliseconds. What a column means is said
    # in `trainwave_exporter.ledger.billing.job_entry`, at the field of its name.
    """
    CREATE TABLE jobs (
        key INTEGER PRIMARY KEY,  -- stands for the id in `points`, where that would be long
        id TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        project_id TEXT NOT NULL,
        owner TEXT NOT NULL,
        gpu_type TEXT NOT NULL,
        organization_id TEXT,
        name TEXT,
        created INTEGER,
        started INTEGER,
        finished INTEGER,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        over_seen INTEGER,
        running_since INTEGER,
        cost_anchor_at INTEGER,
        cost_anchor_told INTEGER,
        cost_anchor_rate INTEGER,
        cost_anchor_over INTEGER,
        cost_last_at INTEGER,
        cost_last_told INTEGER,
        cost_last_rate INTEGER,
        cost_last_over INTEGER,
        gpu_anchor_at INTEGER,
        gpu_anchor_told INTEGER,
        gpu_anchor_rate INTEGER,
        gpu_anchor_over INTEGER,
        gpu_last_at INTEGER,
        gpu_last_told INTEGER,
        gpu_last_rate INTEGER,
        gpu_last_over INTEGER,
        cost INTEGER NOT NULL,
        gpu INTEGER NOT NULL,
        idle INTEGER NOT NULL,
        busy INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        waste_idle INTEGER NOT NULL,
        waste_launching INTEGER NOT NULL,
        waste_after_finish INTEGER NOT NULL,
        read_at INTEGER,
        idle_millionths INTEGER NOT NULL,
        idle_since INTEGER,
        owed_idle INTEGER NOT NULL,
        owed_busy INTEGER NOT NULL,
        series_project_id TEXT,
        series_owner TEXT,
        series_gpu_type TEXT
    );
    CREATE TABLE points (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        meter INTEGER NOT NULL CHECK (meter IN (0, 1)),
        at INTEGER NOT NULL,
        told INTEGER NOT NULL,
        rate INTEGER,
        over INTEGER NOT NULL,
        PRIMARY KEY (job, meter, at)
    ) WITHOUT ROWID;
    CREATE TABLE series (
        project_id TEXT NOT NULL,
        owner TEXT NOT NULL,
        gpu_type TEXT NOT NULL,
        cost INTEGER NOT NULL,
        gpu INTEGER NOT NULL,
        idle INTEGER NOT NULL,
        busy INTEGER NOT NULL,
        unknown INTEGER NOT NULL,
        waste_idle INTEGER NOT NULL,
        waste_launching INTEGER NOT NULL,
        waste_after_finish INTEGER NOT NULL,
        opened_at INTEGER,
        PRIMARY KEY (project_id, owner, gpu_type)
    ) WITHOUT ROWID;
    CREATE TABLE accounts (name TEXT PRIMARY KEY, opened INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE projects (id TEXT PRIMARY KEY, organization_id TEXT, name TEXT) WITHOUT ROWID;
    CREATE TABLE balances (
        organization_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        PRIMARY KEY (organization_id, at)
    ) WITHOUT ROWID;
    CREATE TABLE ledger (  -- what there is one of; always one row
        corrected_up INTEGER NOT NULL,
        corrected_down INTEGER NOT NULL,
        pruned_before INTEGER
    );
    INSERT INTO ledger VALUES (0, 0, NULL);
    """,
    """
    ALTER TABLE jobs ADD COLUMN cost_behind INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN gpu_behind INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE jobs ADD COLUMN idle_value INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN unpriced_idle INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN gpu_use TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN unbilled INTEGER;
    ALTER TABLE jobs ADD COLUMN unbilled_launching INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN overbilled INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN earlier_price INTEGER;
    ALTER TABLE jobs ADD COLUMN price_since INTEGER;
    ALTER TABLE jobs ADD COLUMN interval_begin INTEGER;
    ALTER TABLE jobs ADD COLUMN interval_end INTEGER;
    ALTER TABLE jobs ADD COLUMN interval_gpu INTEGER;
    ALTER TABLE jobs ADD COLUMN interval_value INTEGER;
    ALTER TABLE jobs ADD COLUMN state TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN run_seen INTEGER;
    ALTER TABLE jobs ADD COLUMN run_since INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cost_base INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN gpu_base INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cost_offset INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN gpu_offset INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cost_pending INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN gpu_pending INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN suspect_cost_at INTEGER;
    ALTER TABLE jobs ADD COLUMN suspect_cost INTEGER;
    ALTER TABLE jobs ADD COLUMN suspect_gpu_at INTEGER;
    ALTER TABLE jobs ADD COLUMN suspect_gpu INTEGER;
    ALTER TABLE jobs ADD COLUMN peak_memory INTEGER;
    ALTER TABLE jobs ADD COLUMN memory_limit INTEGER;
    ALTER TABLE jobs ADD COLUMN peak_gpu_memory INTEGER;
    ALTER TABLE jobs ADD COLUMN gpu_memory_limit INTEGER;
    CREATE TABLE runs (  -- earlier runs of jobs whose id came back
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        created INTEGER,
        started INTEGER,
        finished INTEGER,
        until INTEGER NOT NULL,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID;
    CREATE TABLE points_by_run (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        meter INTEGER NOT NULL CHECK (meter IN (0, 1)),
        run INTEGER NOT NULL,
        at INTEGER NOT NULL,
        told INTEGER NOT NULL,
        rate INTEGER,
        over INTEGER NOT NULL,
        PRIMARY KEY (job, meter, run, at)
    ) WITHOUT ROWID;
    INSERT INTO points_by_run SELECT job, meter, 0, at, told, rate, over FROM points;
    DROP TABLE points;
    ALTER TABLE points_by_run RENAME TO points;
    CREATE TABLE idle_intervals (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        begin INTEGER NOT NULL,
        end INTEGER NOT NULL,
        gpu INTEGER NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (job, begin)
    ) WITHOUT ROWID;
    CREATE TABLE utilization (  -- in buckets of five minutes
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        begin INTEGER NOT NULL,
        observed INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (job, begin)
    ) WITHOUT ROWID;
    CREATE TABLE corrections (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        since INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        PRIMARY KEY (job, at)
    ) WITHOUT ROWID;
    -- See `trainwave_exporter.ledger.storage.generation`; one row each.
    CREATE TABLE generation_a (number INTEGER NOT NULL, previous INTEGER NOT NULL);
    CREATE TABLE generation_b (number INTEGER NOT NULL, previous INTEGER NOT NULL);
    INSERT INTO generation_a VALUES (0, 0);
    INSERT INTO generation_b VALUES (0, 0);
    ALTER TABLE accounts ADD COLUMN counted_before INTEGER;
    CREATE TABLE project_names (  -- all that a project ever had
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (project_id, name)
    ) WITHOUT ROWID;
    INSERT INTO project_names SELECT id, name FROM projects WHERE name IS NOT NULL;
    -- Ends of jobs that only lists reported were guessed in version 2.
    UPDATE jobs SET finished = NULL WHERE over_seen = first_seen AND name IS NULL AND gpu_type = '';
    ALTER TABLE balances ADD COLUMN billed_lower INTEGER;
    ALTER TABLE balances ADD COLUMN billed_upper INTEGER;
    """,
)


def is_ledger(connection: sqlite3.Connection) -> bool:
    """Return whether a database says that it is a ledger."""
    return bool(connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID)


def version(connection: sqlite3.Connection) -> int:
    """Return how many steps were taken in a database."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Take the steps that a database lacks: all of them, or none."""
    before = version(connection)
    if before < len(steps):
        script = ";".join(steps[before:])
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {len(steps)}; COMMIT;"
        )
