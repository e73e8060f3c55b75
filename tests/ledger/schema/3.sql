-- A ledger of version 3, dumped when that was the newest. Never to be changed.
PRAGMA application_id = 1415007303;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE accounts (name TEXT PRIMARY KEY, opened INTEGER NOT NULL, counted_before INTEGER) WITHOUT ROWID;
INSERT INTO "accounts" VALUES('production',1700000000001,NULL);
INSERT INTO "accounts" VALUES('research',1700000000000,NULL);
CREATE TABLE balances (
        organization_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        micro INTEGER NOT NULL, billed_lower INTEGER, billed_upper INTEGER,
        PRIMARY KEY (organization_id, at)
    ) WITHOUT ROWID;
INSERT INTO "balances" VALUES('o-1',1700000000000,21,NULL,NULL);
INSERT INTO "balances" VALUES('o-1',1700000000001,-22,NULL,NULL);
CREATE TABLE corrections (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        since INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        PRIMARY KEY (job, at)
    ) WITHOUT ROWID;
CREATE TABLE generation_a (number INTEGER NOT NULL, previous INTEGER NOT NULL);
INSERT INTO "generation_a" VALUES(1342292045,1342292044);
CREATE TABLE generation_b (number INTEGER NOT NULL, previous INTEGER NOT NULL);
INSERT INTO "generation_b" VALUES(1342292046,1342292045);
CREATE TABLE idle_intervals (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        begin INTEGER NOT NULL,
        end INTEGER NOT NULL,
        gpu INTEGER NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (job, begin)
    ) WITHOUT ROWID;
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
    , cost_behind INTEGER NOT NULL DEFAULT 0, gpu_behind INTEGER NOT NULL DEFAULT 0, idle_value INTEGER NOT NULL DEFAULT 0, unpriced_idle INTEGER NOT NULL DEFAULT 0, gpu_use TEXT NOT NULL DEFAULT '', unbilled INTEGER, unbilled_launching INTEGER NOT NULL DEFAULT 0, overbilled INTEGER NOT NULL DEFAULT 0, earlier_price INTEGER, price_since INTEGER, interval_begin INTEGER, interval_end INTEGER, interval_gpu INTEGER, interval_value INTEGER, state TEXT NOT NULL DEFAULT '', run INTEGER NOT NULL DEFAULT 0, run_seen INTEGER, run_since INTEGER NOT NULL DEFAULT 0, cost_base INTEGER NOT NULL DEFAULT 0, gpu_base INTEGER NOT NULL DEFAULT 0, cost_offset INTEGER NOT NULL DEFAULT 0, gpu_offset INTEGER NOT NULL DEFAULT 0, cost_pending INTEGER NOT NULL DEFAULT 0, gpu_pending INTEGER NOT NULL DEFAULT 0, suspect_cost_at INTEGER, suspect_cost INTEGER, suspect_gpu_at INTEGER, suspect_gpu INTEGER, peak_memory INTEGER, memory_limit INTEGER, peak_gpu_memory INTEGER, gpu_memory_limit INTEGER);
INSERT INTO "jobs" VALUES(1,'j-running','research','p-1','','',NULL,NULL,NULL,NULL,NULL,1700000000000,1700000000001,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,0,0,0,0,0,NULL,0,NULL,0,0,NULL,NULL,NULL,0,0,0,0,'',NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'',0,NULL,0,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'j-over','research','p-1','ada','H100','o-1','night run Ω '';',1699999999997,1699999999998,1700000089000,1700000000000,1700000090001,1700000090000,1699999999998,1700000060000,40000,NULL,0,1700000090000,62500,2500000,1,1700000000000,0,2500000,0,1700000090000,62500,2500000,1,1,2,3,4,5,6,7,8,1700000000009,500000,1700000000008,10,11,'p-1','ada','H100',0,0,0,0,'',NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,'',0,NULL,0,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE ledger (  -- what there is one of; always one row
        corrected_up INTEGER NOT NULL,
        corrected_down INTEGER NOT NULL,
        pruned_before INTEGER
    );
INSERT INTO "ledger" VALUES(19,20,1700000000000);
CREATE TABLE "points" (
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        meter INTEGER NOT NULL CHECK (meter IN (0, 1)),
        run INTEGER NOT NULL,
        at INTEGER NOT NULL,
        told INTEGER NOT NULL,
        rate INTEGER,
        over INTEGER NOT NULL,
        PRIMARY KEY (job, meter, run, at)
    ) WITHOUT ROWID;
INSERT INTO "points" VALUES(2,0,0,1700000000000,0,2500000,0);
INSERT INTO "points" VALUES(2,0,0,1700000060000,40000,NULL,0);
INSERT INTO "points" VALUES(2,1,0,1700000000000,0,2500000,0);
CREATE TABLE project_names (  -- all that a project ever had
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (project_id, name)
    ) WITHOUT ROWID;
INSERT INTO "project_names" VALUES('p-1','first');
CREATE TABLE projects (id TEXT PRIMARY KEY, organization_id TEXT, name TEXT) WITHOUT ROWID;
INSERT INTO "projects" VALUES('p-1','o-1','first');
INSERT INTO "projects" VALUES('p-2',NULL,NULL);
CREATE TABLE runs (  -- earlier runs of jobs whose id came back
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        created INTEGER,
        started INTEGER,
        finished INTEGER,
        until INTEGER NOT NULL,
        PRIMARY KEY (job, number)
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
INSERT INTO "series" VALUES('p-1','','',0,0,0,0,0,0,0,0,NULL);
INSERT INTO "series" VALUES('p-1','ada','H100',11,12,13,14,15,16,17,18,0);
CREATE TABLE utilization (  -- in buckets of five minutes
        job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
        begin INTEGER NOT NULL,
        observed INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (job, begin)
    ) WITHOUT ROWID;
COMMIT;
