"""Ledgers of every earlier version are brought up to date, each step whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import (
    IdleEstimate,
    JobEntry,
    Labels,
    Life,
    Meter,
    MeterKind,
    MeterSample,
    SeriesEntry,
    Totals,
)
from trainwave_exporter.ledger.billing.stored_records import (
    Balance,
    Batch,
    KeptSample,
    ProjectEntry,
    StoredState,
)
from trainwave_exporter.ledger.storage import ledger_file as file
from trainwave_exporter.ledger.storage.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.schema import APPLICATION_ID, STEPS
from trainwave_exporter.ledger.storage.store import Store

DUMPS = Path(__file__).with_name("schema")
"""A dump of a ledger of each version, named by it: what an exporter of that time wrote."""

AT = 1_700_000_000_000
H100 = Labels("p-1", "ada", "H100")
FIRST = MeterSample(AT, 0, 2_500_000, finished=False)
CORNER = MeterSample(AT + 60_000, 40_000, None, finished=False)
LAST = MeterSample(AT + 90_000, 62_500, 2_500_000, finished=True)
RUNNING = JobEntry(
    id="j-running",
    account="research",
    labels=Labels("p-1", "", ""),
    organization_id=None,
    name=None,
    life=Life(),
    first_seen=AT,
    last_seen=AT + 1,
)
OVER = JobEntry(
    id="j-over",
    account="research",
    labels=H100,
    organization_id="o-1",
    name="night run Ω ';",
    life=Life(AT - 3, AT - 2, AT + 89_000),
    first_seen=AT,
    last_seen=AT + 90_001,
    finished_seen=AT + 90_000,
    running_since=AT - 2,
    cost=Meter(CORNER, LAST),
    gpu=Meter(FIRST, LAST),
    totals=Totals(1, 2, 3, 4, 5, 6, 7, 8),
    idle_estimate=IdleEstimate(AT + 9, 500_000, AT + 8, 10, 11),
    series=H100,
)
STATE = StoredState(
    series=(
        SeriesEntry(labels=Labels("p-1", "", ""), totals=Totals(), opened_at=None),
        SeriesEntry(labels=H100, totals=Totals(11, 12, 13, 14, 15, 16, 17, 18), opened_at=0),
    ),
    live=(RUNNING,),
    corrections=(19, 20),
    dearest=2_500_000,
    opened={"research": AT, "production": AT + 1},
    projects=(ProjectEntry("p-1", "o-1", "first"), ProjectEntry("p-2", None, None)),
    balances=(Balance("o-1", AT, 21), Balance("o-1", AT + 1, -22)),
)
BATCH = Batch(
    jobs=(RUNNING, OVER),
    points=(
        KeptSample("j-over", MeterKind.COST, FIRST),
        KeptSample("j-over", MeterKind.COST, CORNER),
        KeptSample("j-over", MeterKind.GPU, FIRST),
    ),
    series=STATE.series,
    corrections=STATE.corrections,
    opened=tuple(STATE.opened.items()),
    projects=STATE.projects,
    balances=STATE.balances,
)
"""The content of every dump; fields that a later version added have their defaults."""

ONE = "CREATE TABLE words (word); INSERT INTO words VALUES ('one')"
TWO = "CREATE TABLE more (word); UPDATE words SET word = word || ' and two'"


def tables(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()


def restore(dump: Path, folder: Path) -> None:
    """Make the ledger's file from a dump."""
    with closing(sqlite3.connect(folder / file.NAME)) as connection:
        connection.executescript(dump.read_text())


def test_there_is_a_dump_of_every_version() -> None:
    assert {path.name for path in DUMPS.iterdir()} == {
        f"{number + 1}.sql" for number in range(len(STEPS))
    }


@pytest.mark.parametrize("dump", sorted(DUMPS.iterdir()), ids=lambda dump: dump.stem)
def test_a_ledger_of_an_earlier_version_is_read_right_and_goes_on(
    dump: Path, tmp_path: Path
) -> None:
    restore(dump, tmp_path)
    with closing(Store.open(tmp_path)) as store:
        assert store.load() == STATE
        assert store.jobs(["j-running", "j-over"]) == {"j-running": RUNNING, "j-over": OVER}
        (history,) = store.histories(AT, AT + 1)
        assert (history.entry, history.cost, history.gpu) == (OVER, (FIRST, CORNER), (FIRST,))
        assert store.pruned_before == AT
        store.write(Batch(jobs=[replace(OVER, last_seen=AT + 99_999)], corrections=(23, 24)))
    with closing(Store.open(tmp_path)) as store:
        assert store.load() == replace(STATE, corrections=(23, 24))


@pytest.mark.parametrize("dump", sorted(DUMPS.iterdir()), ids=lambda dump: dump.stem)
def test_an_earlier_version_comes_to_have_the_tables_of_a_new_ledger(
    dump: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    restore(dump, old)
    for folder in (old, new):
        Store.open(folder).close()
    assert tables(old / file.NAME) == tables(new / file.NAME)


def words(connection: sqlite3.Connection) -> str:
    (word,) = connection.execute("SELECT word FROM words").fetchone()
    return str(word)


def test_a_file_takes_the_steps_that_it_lacks_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    for steps, word in [([ONE], "one"), ([ONE, TWO], "one and two"), ([ONE, TWO], "one and two")]:
        with closing(file.open_to_write(path, steps)) as connection:
            assert words(connection) == word
            assert connection.execute("PRAGMA user_version").fetchone() == (len(steps),)
    with pytest.raises(UnfitStoreError, match="of version 2, and this exporter knows none after 1"):
        file.open_to_write(path, [ONE])


def test_a_new_file_takes_all_steps(tmp_path: Path) -> None:
    with closing(file.open_to_write(tmp_path / file.NAME, [ONE, TWO])) as connection:
        assert words(connection) == "one and two"
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_new_file_uses_a_log_before_it_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    file._make(path, STEPS)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    file.open_to_write(path, [ONE]).close()
    with pytest.raises(sqlite3.Error):
        file.open_to_write(path, [ONE, TWO, f"{TWO}; INSERT INTO more VALUES ('three')"])
    with closing(file.open_to_write(path, [ONE, TWO])) as connection:
        assert words(connection) == "one and two"


def test_a_reader_leaves_an_older_version_to_the_exporter(tmp_path: Path) -> None:
    path = tmp_path / file.NAME
    file.open_to_write(path, [ONE]).close()
    with pytest.raises(StoreError, match="is of an older version; start the exporter on it once"):
        file.open_to_read(path, [ONE, TWO])
    file.open_to_write(path, [ONE, TWO]).close()
    with closing(file.open_to_read(path, [ONE, TWO])) as connection:
        assert words(connection) == "one and two"
