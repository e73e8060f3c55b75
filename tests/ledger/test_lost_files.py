"""The ledger's files are removed, replaced or overwritten in use: it is noticed, nothing is lost.

Each way in which that can happen is tried on real files. What is right does not depend on it: a
finished job of 5 dollars, which only the ledger knows, and a running one of 3.60 dollars an hour.
"""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger.interrupted import at_call, killed
from ledger.store_rig import locked, log_kept, names, read_only
from support.ledger_world import START, LedgerWorld

from trainwave_exporter.ledger import Budget, Period, stored_report
from trainwave_exporter.ledger.billing.periods import Span
from trainwave_exporter.ledger.billing.report import Dimension
from trainwave_exporter.ledger.billing.stored_records import Batch, ProjectEntry
from trainwave_exporter.ledger.billing.units import MICRO, milliseconds
from trainwave_exporter.ledger.ledger_writer import PendingObservations
from trainwave_exporter.ledger.storage.errors import LostStoreError, StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.ledger_file import NAME
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.model import BudgetStatus, Job

UTC = ZoneInfo("UTC")
EVERYTHING = Budget(name="all", limit_dollars=9.0, period=Period.MONTH, zone=UTC)


def finished(world: LedgerWorld) -> Job:
    """Return the job that was over long ago."""
    times = {"created_at": START - 90_000, "finished_at": START - 86_400}
    return world.job("j-over", "SUCCESS", cost_dollars=5.0, **times)


def running(world: LedgerWorld) -> Job:
    """Return the job that costs a tenth of a cent in a second."""
    return world.job("j-runs", created_at=START, cost_dollars=(world.now - START) / 1000)


def right(world: LedgerWorld) -> float:
    """Return what was spent in all."""
    return 5 + (world.now - START) / 1000


def lived(folder: Path, budgets: tuple[Budget, ...] = ()) -> LedgerWorld:
    """Return a world whose ledger knows of both jobs, and was written three times."""
    world = LedgerWorld(folder, budgets=budgets)
    world.see(finished(world), shown=False, counted=True)
    shutil.copyfile(folder / NAME, folder.parent / "older")
    for _ in range(2):
        world.now += 60
        world.see(running(world))
    world.now += 200  # the counter is no longer shown as zero
    world.see(running(world))
    assert world.cost() == pytest.approx(right(world))
    return world


def look(world: LedgerWorld) -> None:
    """Let a minute pass and see the running job."""
    world.now += 60
    world.see(running(world))


def go_on_in_vain(world: LedgerWorld) -> str:
    """See the job while the ledger is lost; return how that is said."""
    with pytest.raises(LostStoreError) as caught:
        look(world)
    cost = world.cost()
    assert cost is not None
    assert right(world) - 0.1801 <= cost <= right(world)  # it may stand still for a while
    return str(caught.value)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def removed(path: Path) -> None:
    path.unlink()


def moved_away(path: Path) -> None:
    (path.parent.parent / "away").mkdir()
    for part in path.parent.glob(f"{NAME}*"):
        part.rename(path.parent.parent / "away" / part.name)


def replaced(path: Path) -> None:
    (path.parent.parent / "older").rename(path)


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def overwritten_by_an_older_copy(path: Path) -> None:
    shutil.copyfile(path.parent.parent / "older", path)


def overwritten_by_a_newer_copy(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.copyfile(path, elsewhere / NAME)
    world = LedgerWorld(elsewhere, now=START + 9999)
    world.see(world.job("j-other", cost_dollars=77.0), counted=True)
    world.writer.close()
    shutil.copyfile(elsewhere / NAME, path)


def overwritten_by_empty_tables(path: Path) -> None:
    """Another program may make such a ledger, but no exporter."""
    bare = path.parent.parent / "bare"
    with closing(sqlite3.connect(path)) as full, closing(sqlite3.connect(bare)) as other:
        for (statement,) in full.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
            other.execute(statement)
        for name in ("application_id", "user_version"):
            (value,) = full.execute(f"PRAGMA {name}").fetchone()
            other.execute(f"PRAGMA {name} = {value}")
    shutil.copyfile(bare, path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garbled(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * 8192)


def log_removed(path: Path) -> None:
    wal(path).unlink()


def index_removed(path: Path) -> None:
    path.with_name(path.name + "-shm").unlink()


def both_removed(path: Path) -> None:
    log_removed(path)
    index_removed(path)


def log_made_anew(path: Path) -> None:
    """Remove the log, and have another program make one."""
    both_removed(path)
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM ledger')"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def log_written_anew(path: Path) -> None:
    """Likewise, and have that one write, and then be killed."""
    both_removed(path)
    script = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute(\"INSERT INTO projects VALUES ('p-x', NULL, 'x')\"); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert wal(path).stat().st_size > 0


def log_emptied(path: Path) -> None:
    os.truncate(wal(path), 0)


WHOLE: tuple[Callable[[Path], None], ...] = (removed, moved_away, replaced, folder_removed)
"""The exporter still reads all of the ledger: it goes on as if nothing had been."""
SUMS: tuple[Callable[[Path], None], ...] = (
    overwritten_by_an_older_copy,
    overwritten_by_a_newer_copy,
    overwritten_by_empty_tables,
    emptied,
    cut_short,
    garbled,
)
"""It only has what is in memory: sums, and the jobs that are shown."""
SIDES: tuple[Callable[[Path], None], ...] = (
    log_removed,
    index_removed,
    both_removed,
    log_made_anew,
)
"""The file itself is as it was."""


def clear(path: Path) -> None:
    """Move away what bears the ledger's name, as an operator does."""
    away = path.parent / "damaged"
    away.mkdir(exist_ok=True)
    for part in (path, wal(path), path.with_name(path.name + "-shm")):
        if part.exists():
            part.rename(away / part.name)


def restarted(world: LedgerWorld, folder: Path) -> LedgerWorld:
    """Return the world after a restart, with all jobs listed anew."""
    world.writer.close()
    after = LedgerWorld(folder, now=world.now + 60)
    after.tick(0)
    assert after.cost() is None
    after.see(finished(after), shown=False)
    after.see(running(after), counted=True)
    return after


def reported(folder: Path, begin: float, end: float) -> float:
    """Return the dollars that a report of a time comes to."""
    span = Span(milliseconds(begin), milliseconds(end))
    found = stored_report.read(folder, span, UTC, [Dimension.OWNER])
    assert found.total.cost.width == 0
    return found.total.cost.lower / MICRO


def refused_report(folder: Path) -> str:
    """Return why there is no report, as it is printed."""
    command = ["report", f"--storage.path={folder}", "--period=2023-11", "--time-zone=UTC"]
    done = subprocess.run(
        [sys.executable, "-m", "trainwave_exporter", *command],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert str(folder) in done.stderr
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize("happens", WHOLE)
def test_a_ledger_that_is_moved_or_removed_goes_on_whole(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    world = lived(folder)
    happens(folder / NAME)
    said = go_on_in_vain(world)
    assert f"{folder / NAME} was removed or replaced while in use" in said
    assert f"the exporter goes on in {folder / NAME}.rescued" in said
    assert (
        f"{folder / NAME} was lost while in use, and what it held is in {folder / NAME}.rescued;"
        f" to make that the ledger, move {NAME} (and {NAME}-wal, {NAME}-shm, if they are there)"
        " away if the exporter runs, or else start it\n"
    ) in refused_report(folder)
    if happens is replaced:
        clear(folder / NAME)
    look(world)
    assert world.cost() == pytest.approx(right(world))
    assert reported(folder, START - 100_000, world.now) == pytest.approx(right(world))
    after = restarted(world, folder)
    assert after.cost() == pytest.approx(right(after))


@pytest.mark.parametrize("happens", SUMS)
@pytest.mark.parametrize("cleared", [True, False], ids=["cleared", "restarted"])
def test_a_ledger_that_is_overwritten_goes_on_with_its_sums(
    folder: Path, happens: Callable[[Path], None], cleared: bool
) -> None:
    world = lived(folder)
    happens(folder / NAME)
    damaged = (folder / NAME).read_bytes()
    refused_report(folder)
    assert f"{folder / NAME} was overwritten while in use" in go_on_in_vain(world)
    lost_at = world.now
    for _ in range(2):
        assert f"goes on in {folder / NAME}.rescued" in go_on_in_vain(world)
    assert "was lost while in use" in refused_report(folder)
    assert (folder / NAME).read_bytes() == damaged
    if cleared:
        clear(folder / NAME)
        look(world)
        assert world.cost() == pytest.approx(right(world))
    after = restarted(world, folder)
    assert after.cost() == pytest.approx(right(after))
    assert reported(folder, lost_at, after.now) == pytest.approx((after.now - lost_at) / 1000)
    with pytest.raises(StoreError, match="only totals are kept"):
        reported(folder, START, after.now)
    if not cleared:
        assert (folder / f"{NAME}.lost-1").read_bytes() == damaged


@pytest.mark.parametrize("happens", [overwritten_by_an_older_copy, emptied])
def test_a_ledger_that_is_overwritten_at_any_step_of_a_write_goes_on_with_its_sums(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    """Also where that is right before pages are moved into the file, which is then of two."""
    for step in count(1):
        world = lived(folder, budgets=(EVERYTHING,))
        in_vain = False
        with at_call(step, partial(happens, folder / NAME)) as reached, suppress(LostStoreError):
            in_vain = True
            look(world)
            in_vain = False
        if not reached():
            break
        if not in_vain:
            assert f"{folder / NAME} was overwritten while in use" in go_on_in_vain(world)
        with pytest.raises(StoreError, match="was lost while in use"):
            Store.open_for_reading(folder)
        after = restarted(world, folder)
        assert after.cost() == pytest.approx(right(after))
        after.writer.close()
        shutil.rmtree(folder)
    assert step > 40


@pytest.mark.parametrize("happens", [removed, replaced])
def test_a_ledger_that_is_removed_at_any_step_of_a_write_goes_on_whole(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    """Nothing is left in its log that would keep the rescued one from becoming the ledger."""
    for step in count(1):
        world = lived(folder)
        with at_call(step, partial(happens, folder / NAME)) as reached, suppress(LostStoreError):
            look(world)
        if not reached():
            break
        with suppress(LostStoreError):  # where it was not noticed before
            look(world)
        if happens is replaced:
            (folder / NAME).unlink()
        look(world)
        assert world.cost() == pytest.approx(right(world))
        assert reported(folder, START - 100_000, world.now) == pytest.approx(right(world))
        world.writer.close()
        shutil.rmtree(folder)
    assert step > 40


@pytest.mark.parametrize("happens", SIDES)
@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_lost_what_is_beside_it_is_opened_anew(
    folder: Path, happens: Callable[[Path], None], restart: bool
) -> None:
    world = lived(folder)
    happens(folder / NAME)
    assert reported(folder, START - 100_000, world.now) == pytest.approx(right(world))
    assert "was removed or replaced while in use; opened anew, it holds" in go_on_in_vain(world)
    if restart:
        world = restarted(world, folder)
    else:
        look(world)
    assert world.cost() == pytest.approx(right(world))
    assert reported(folder, START - 100_000, world.now) == pytest.approx(right(world))
    assert names(folder) <= {NAME, f"{NAME}-wal", f"{NAME}-shm"}


@pytest.mark.parametrize("happens", [*SIDES, log_written_anew])
def test_a_log_that_is_lost_with_what_only_it_holds_is_read_by_the_exporter(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    """A reader keeps SQLite from moving what is in the log into the file."""
    world = lived(folder)
    with log_kept(folder):
        look(world)
        happens(folder / NAME)
        if happens is not index_removed:
            assert "is not what an exporter last wrote here" in refused_report(folder)
        assert "goes on in" in go_on_in_vain(world)
    clear(folder / NAME)
    look(world)
    assert world.cost() == pytest.approx(right(world))
    assert reported(folder, START - 100_000, world.now) == pytest.approx(right(world))


def test_a_log_that_is_emptied_with_what_only_it_holds_leaves_the_sums(folder: Path) -> None:
    world = lived(folder)
    with log_kept(folder):
        look(world)
        log_emptied(folder / NAME)
        refused_report(folder)
        assert f"{folder / NAME}-wal was overwritten while in use" in go_on_in_vain(world)
    after = restarted(world, folder)
    assert after.cost() == pytest.approx(right(after))


def test_a_log_with_nothing_in_it_may_be_emptied(folder: Path) -> None:
    world = lived(folder)
    log_emptied(folder / NAME)
    look(world)
    assert world.cost() == pytest.approx(right(world))


def test_what_other_programs_do_by_the_rules_of_sqlite_is_no_loss(folder: Path) -> None:
    world = lived(folder)
    for statement in (
        "UPDATE projects SET name = 'other'",
        "VACUUM",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ):
        with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as other:
            other.execute(statement)
        look(world)
        assert world.cost() == pytest.approx(right(world))


def test_a_copy_put_in_place_is_not_changed_by_what_was_still_to_be_written(
    folder: Path, tmp_path: Path
) -> None:
    """The last connection that is closed would write its log into the operator's copy."""
    world = lived(folder)
    copy = tmp_path / "older"
    with log_kept(folder):
        look(world)
        overwritten_by_an_older_copy(folder / NAME)
        go_on_in_vain(world)
    world.writer.close()
    assert (folder / NAME).read_bytes() == copy.read_bytes()


@pytest.mark.parametrize("happens", [emptied, garbled])
def test_damage_is_not_made_worse_by_what_was_still_to_be_written(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    world = lived(folder)
    with log_kept(folder):
        look(world)
        happens(folder / NAME)
        go_on_in_vain(world)
    after = restarted(world, folder)
    assert after.cost() == pytest.approx(right(after))


def test_a_log_that_is_lost_while_it_is_written_is_noticed_right_after(tmp_path: Path) -> None:
    class Removing(Sequence[ProjectEntry]):
        """What is written, at the cost of the log."""

        def __len__(self) -> int:
            return 1

        def __getitem__(self, place: Any) -> Any:
            if place > 0:
                raise IndexError
            wal(tmp_path / NAME).unlink(missing_ok=True)
            return ProjectEntry("p-1", None, None)

    with closing(Store.open(tmp_path)) as store:
        store.write(Batch(projects=Removing()))
        with pytest.raises(LostStoreError, match=f"{NAME}-wal was removed or replaced"):
            store.check()


def test_a_ledger_that_is_lost_when_a_budget_is_read_from_it_is_rescued(folder: Path) -> None:
    lived(folder).writer.close()
    world = LedgerWorld(folder, now=START + 400, budgets=(EVERYTHING,))
    now = milliseconds(world.now)
    world.writer.write(PendingObservations(), now)
    emptied(folder / NAME)
    with pytest.raises(LostStoreError, match="was overwritten while in use; the exporter goes on"):
        world.writer.compute(now)
    assert (folder / f"{NAME}.rescued").exists()


def test_a_ledger_that_is_only_read_is_not_rescued(folder: Path) -> None:
    lived(folder).writer.close()
    world = LedgerWorld(folder, now=START + 400, budgets=(EVERYTHING,))
    now = milliseconds(world.now)
    with locked(folder), pytest.raises(StoreError, match="it can be read only"):
        world.writer.write(PendingObservations(), now)
    emptied(folder / NAME)
    world.writer.close()  # so that it reads nothing any more
    with pytest.raises(StoreError, match="closed database") as caught:
        world.writer.compute(now)
    assert type(caught.value) is StoreError
    assert not (folder / f"{NAME}.rescued").exists()


def test_what_cannot_be_looked_at_now_is_not_taken_for_lost(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(Store.open(tmp_path)) as store, log_kept(tmp_path):
        store.write(Batch(projects=[ProjectEntry("p-1", None, None)]))
        os.utime(tmp_path / NAME)
        with ExitStack() as opened:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with suppress(OSError):
                while True:
                    opened.enter_context(Path(os.devnull).open())
            with pytest.raises(StoreError, match="unable to open database file") as caught:
                store.check()
        assert type(caught.value) is StoreError
        store.check()


@pytest.mark.parametrize("happens", [*WHOLE, *SUMS, log_removed])
def test_nothing_is_lost_when_the_exporter_is_killed_right_after(
    folder: Path, happens: Callable[[Path], None]
) -> None:
    """Of what was seen since the last write only what the API names anew is counted."""
    world = lived(folder)
    happens(folder / NAME)
    go_on_in_vain(world)
    with suppress(LostStoreError):
        look(world)
    left = folder.parent / "left"
    shutil.copytree(folder, left)
    after = LedgerWorld(left, now=world.now + 60)
    after.see(running(after), counted=True)  # the job that is over is not named any more
    assert after.cost() == pytest.approx(right(after))


def test_what_cannot_be_written_elsewhere_is_kept_and_tried_again(open_folder: Path) -> None:
    world = lived(open_folder)
    (open_folder / NAME).unlink()
    with read_only(open_folder):
        for _ in range(2):
            assert "cannot be written elsewhere" in go_on_in_vain(world)
    go_on_in_vain(world)
    look(world)
    assert world.cost() == pytest.approx(right(world))


def test_what_was_rescued_may_be_lost_again(folder: Path) -> None:
    world = lived(folder)
    overwritten_by_an_older_copy(folder / NAME)
    go_on_in_vain(world)
    (folder / f"{NAME}.rescued").unlink()
    assert f"{NAME}.rescued was removed" in go_on_in_vain(world)
    after = restarted(world, folder)
    assert after.cost() == pytest.approx(right(after))


def test_each_file_that_is_put_aside_keeps_its_own_name(folder: Path) -> None:
    world = lived(folder)
    for damage in ("damage 1", "damage 2"):
        (folder / NAME).write_text(damage)
        go_on_in_vain(world)
        world = restarted(world, folder)
    for number in (1, 2):
        assert (folder / f"{NAME}.lost-{number}").read_text() == f"damage {number}"


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("happens", [removed, log_written_anew, overwritten_by_an_older_copy])
def test_killed_at_any_step_a_rescued_ledger_still_becomes_the_ledger(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    world = lived(tmp_path / "data")
    with log_kept(tmp_path / "data"):
        look(world)
        happens(tmp_path / "data" / NAME)
        go_on_in_vain(world)
    go_on_in_vain(world) if happens is not removed else None
    folders = [tmp_path / str(step) for step in range(140)]
    for folder in folders:
        shutil.copytree(tmp_path / "data", folder)
    found = wal(folders[0] / NAME).read_bytes() if happens is log_written_anew else None
    done = killed("open", folders)
    assert done > 10
    for folder in folders[: done + 1]:
        after = LedgerWorld(folder, now=world.now + 60)
        after.see(finished(after), shown=False)
        after.see(running(after), counted=True)
        assert after.cost() == pytest.approx(right(after))
        after.writer.close()
        assert not (folder / f"{NAME}.rescued").exists()
        if found is not None:  # it stays beside the file that it belongs to
            assert (folder / f"{NAME}.lost-1").exists()
            assert (folder / f"{NAME}.lost-1-wal").read_bytes() == found


def test_a_rescued_ledger_that_is_damaged_is_named_and_stays(folder: Path) -> None:
    world = lived(folder)
    (folder / NAME).unlink()
    go_on_in_vain(world)
    world.writer.close()
    (folder / f"{NAME}.rescued").write_text("no database")
    with pytest.raises(UnfitStoreError, match=f"{NAME}.rescued"):
        Store.open(folder)
    assert (folder / f"{NAME}.rescued").read_text() == "no database"


def test_a_budget_is_unknown_where_part_of_its_period_was_lost(folder: Path) -> None:
    world = LedgerWorld(folder, budgets=(EVERYTHING,))
    world.open(running(world))
    look(world)
    emptied(folder / NAME)
    for _ in range(2):
        with pytest.raises(LostStoreError):
            look(world)
    assert world.one(BudgetStatus).spent_dollars is None
    assert world.unknown("budget", "all") == {"history_incomplete"}
