"""The store reads back all that it wrote, and drops old detail without a change of sums."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger.store_rig import (
    DAY,
    LABELS,
    MINUTE,
    NOW,
    job,
    names,
    numbered,
    points_after,
    sample,
    seen,
    state_after,
)
from msgspec.structs import replace

from trainwave_exporter.ledger.billing import meter as meters
from trainwave_exporter.ledger.billing.job_entry import (
    UTILIZATION_BUCKET,
    Correction,
    IdleEstimate,
    IdleInterval,
    JobEntry,
    Labels,
    Life,
    Meter,
    MeterKind,
    MeterSample,
    Run,
    SeriesEntry,
    Totals,
    UtilizationBucket,
)
from trainwave_exporter.ledger.billing.meter_value import value_at
from trainwave_exporter.ledger.billing.stored_records import (
    Balance,
    Batch,
    ClosedRun,
    DroppedSamples,
    EarlierRun,
    IdleIntervalUpdate,
    JobHistory,
    KeptSample,
    ProjectEntry,
    StoredState,
    UtilizationUpdate,
)
from trainwave_exporter.ledger.storage import ledger_file as file
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.ledger.storage.store_updates import BALANCES_KEPT, IDLE_INTERVALS_KEPT

numbers = st.integers(-(2**63), 2**63 - 1)
maybe = st.none() | numbers
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
labels = st.builds(Labels, texts, texts, texts)
samples = st.builds(MeterSample, numbers, numbers, maybe, st.booleans())
maybe_meters = st.none() | st.builds(Meter, samples, samples)
totals = st.builds(Totals, *[numbers] * 8)
jobs = st.builds(
    JobEntry,
    id=texts,
    account=texts,
    labels=labels,
    organization_id=st.none() | texts,
    name=st.none() | texts,
    life=st.builds(Life, maybe, maybe, maybe),
    first_seen=numbers,
    last_seen=numbers,
    finished_seen=maybe,
    running_since=maybe,
    cost=maybe_meters,
    gpu=maybe_meters,
    totals=totals,
    idle_estimate=st.builds(
        IdleEstimate,
        maybe,
        numbers,
        maybe,
        *[numbers] * 4,
        st.sampled_from(["", '{"0":0}']),
        maybe,
        numbers,
        numbers,
        maybe,
        maybe,
        st.none() | st.builds(IdleInterval, *[numbers] * 4),
    ),
    series=st.none() | labels,
)


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store.open(None)) as store:
        yield store


def kept(store: Store, job_id: str = "j-1") -> list[int]:
    """Return the times of the kept samples of a job's cost, in milliseconds after `NOW`."""
    history = store.history(job_id)
    assert history is not None
    return [sample.at - NOW for sample in history.cost]


# Writing and reading


def test_a_new_ledger_holds_nothing(store: Store) -> None:
    assert store.load() == StoredState((), (), (0, 0), 0, {}, (), ())
    assert store.pruned_before is None
    assert store.jobs(["j-1"]) == {}
    assert store.history("j-1") is None
    assert list(store.histories(0, NOW)) == []


@given(first=jobs, then=jobs)
def test_a_job_is_read_back_as_it_was_written_last(first: JobEntry, then: JobEntry) -> None:
    then = replace(then, id=first.id)
    with closing(Store.open(None)) as store:
        for entry in (first, then):
            store.write(Batch(jobs=[entry]))
            assert store.jobs([entry.id, "other" + entry.id]) == {entry.id: entry}
            assert store.history(entry.id) == JobHistory(entry, (), ())


@given(st.builds(SeriesEntry, labels=labels, totals=totals, opened_at=maybe), totals)
def test_sums_are_read_back_as_they_were_written_last(entry: SeriesEntry, more: Totals) -> None:
    with closing(Store.open(None)) as store:
        store.write(Batch(series=[entry]))
        assert store.load().series == (entry,)
        entry = replace(entry, totals=more, opened_at=NOW)
        store.write(Batch(series=[entry]))
        assert store.load().series == (entry,)


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    with closing(Store.open(folder)) as store:
        for number in range(1, 9):
            store.write(numbered(number))
    assert names(folder) == {file.NAME}
    with closing(Store.open(folder)) as store:
        assert store.load() == state_after(8)
        assert store.history("j-7") == JobHistory(
            numbered(8).jobs[7], cost=points_after(8), gpu=points_after(8)
        )


def test_a_batch_changes_only_what_it_names(store: Store) -> None:
    store.write(numbered(1))
    store.write(Batch())
    assert store.load() == state_after(1)
    store.write(Batch(corrections=(5, 6), opened=[("other", 7)]))
    state = store.load()
    assert state.corrections == (5, 6)
    assert state.opened == {"research": 1, "other": 7}
    assert replace(state, corrections=(1, 2), opened={"research": 1}) == state_after(1)


def test_loaded_are_the_jobs_that_are_not_over_or_not_counted(store: Store) -> None:
    running = job("running")
    uncounted = job("uncounted", finished_seen=NOW, series=None)
    nameless = job("nameless", finished_seen=NOW, series=Labels("", "", ""))
    store.write(Batch(jobs=[running, uncounted, nameless, job("over", finished_seen=NOW)]))
    assert set(store.load().live) == {running, uncounted}


def test_any_number_of_jobs_can_be_asked_for_at_once(store: Store) -> None:
    entries = {f"j-{i}": job(f"j-{i}") for i in range(1201)}
    store.write(Batch(jobs=list(entries.values())))
    assert store.jobs({*entries, "j-x"}) == entries
    assert store.jobs(["j-3", "j-5"]) == {"j-3": entries["j-3"], "j-5": entries["j-5"]}
    assert store.jobs([]) == {}


def test_kept_samples_come_in_order_of_time_each_with_its_meter(store: Store) -> None:
    store.write(Batch(jobs=[job(), job("j-2")]))
    early, late = MeterSample(NOW, 1, None, False), sample(NOW + 1, 2, finished=True)
    store.write(
        Batch(
            points=[
                KeptSample("j-1", MeterKind.COST, late),
                KeptSample("j-1", MeterKind.GPU, sample(NOW, 9)),
                KeptSample("j-2", MeterKind.COST, sample(NOW, 7)),
            ]
        )
    )
    store.write(Batch(points=[KeptSample("j-1", MeterKind.COST, early)]))
    assert store.history("j-1") == JobHistory(job(), cost=(early, late), gpu=(sample(NOW, 9),))


def test_kept_samples_can_be_dropped_from_a_time_on_and_another_take_their_place(
    store: Store,
) -> None:
    store.write(seen("j-1", sample(NOW, 1), sample(NOW + 1, 2), sample(NOW + 2, 3)))
    other = sample(NOW + 1, 5)
    dropped = [DroppedSamples("j-1", MeterKind.COST, 0, NOW + 1)]
    store.write(Batch(points=[KeptSample("j-1", MeterKind.COST, other)], dropped=dropped))
    corrected = sample(NOW, 4)
    store.write(
        Batch(
            points=[KeptSample("j-1", MeterKind.COST, corrected)],
            dropped=[
                DroppedSamples("j-1", MeterKind.GPU, 0, NOW),
                DroppedSamples("j-2", MeterKind.COST, 0, NOW + 1),
            ],
        )
    )
    history = store.history("j-1")
    assert history is not None
    assert history.cost == (corrected, other)


def test_balances_are_loaded_in_order_of_time_and_kept_for_days(store: Store) -> None:
    """Of the older ones the last that can be compared is kept: an absence may have begun there."""
    oldest, older = Balance("o-1", NOW, 5, (1, 2)), Balance("o-1", NOW + 2, 7, (3, 4))
    unsettled, other = Balance("o-1", NOW + 3, 6), Balance("o-2", NOW + 1, 9, (5, 5))
    for balance in (older, oldest, unsettled, other):
        store.write(Batch(balances=[balance]))
    assert store.load().balances == (oldest, other, older, unsettled)
    latest = Balance("o-1", NOW + 4 + BALANCES_KEPT, -9)
    store.write(Batch(balances=[latest]))
    assert store.load().balances == (other, older, unsettled, latest)


def test_a_project_is_known_as_it_was_reported_last_and_by_its_earlier_names(store: Store) -> None:
    store.write(Batch(projects=[ProjectEntry("p-1", None, "old"), ProjectEntry("p-2", "o-1", "")]))
    store.write(Batch(projects=[ProjectEntry("p-1", "o-1", None)]))
    assert set(store.load().projects) == {
        ProjectEntry("p-1", "o-1", None, frozenset({"old"})),
        ProjectEntry("p-2", "o-1", ""),
    }


def test_a_store_may_be_used_from_one_thread_after_the_other(tmp_path: Path) -> None:
    opened: list[Store] = []
    thread = threading.Thread(target=lambda: opened.append(Store.open(tmp_path)))
    thread.start()
    thread.join()
    (store,) = opened
    store.write(numbered(1))
    assert store.load() == state_after(1)
    store.close()


def test_its_size_is_that_of_its_files(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    empty = store.size_bytes
    store.write(numbered(1))
    database, log = tmp_path / file.NAME, tmp_path / f"{file.NAME}-wal"
    assert store.size_bytes == database.stat().st_size + log.stat().st_size > empty > 0
    store.close()
    assert store.size_bytes == database.stat().st_size


def test_the_size_of_a_ledger_in_memory_grows_too(store: Store) -> None:
    empty = store.size_bytes
    store.write(numbered(1))
    assert store.size_bytes > empty > 0


# Histories


def test_histories_are_those_of_the_jobs_that_moved_within_the_time(store: Store) -> None:
    begin, end = NOW, NOW + DAY
    moved = {
        "until the begin": (NOW - DAY, NOW),
        "before the end": (NOW + DAY - 1, NOW + 9 * DAY),
        "all along": (NOW - DAY, NOW + 9 * DAY),
    }
    still = {"over before": (NOW - DAY, NOW - 1), "new after": (NOW + DAY, NOW + 2 * DAY)}
    for job_id, (first, last) in (moved | still).items():
        store.write(seen(job_id, sample(first, 0), sample(last, 5), life=Life(created=first)))
    store.write(Batch(jobs=[job("never reported", life=Life(created=NOW))]))
    histories = {history.entry.id: history for history in store.histories(begin, end)}
    assert histories.keys() == moved.keys()
    assert histories["all along"] == store.history("all along")


def test_the_meter_of_gpu_time_alone_makes_a_history(store: Store) -> None:
    shown = sample(NOW, 3)
    store.write(
        Batch(
            jobs=[job(gpu=Meter(shown, shown), life=Life(created=NOW))],
            points=[KeptSample("j-1", MeterKind.GPU, shown)],
        )
    )
    (history,) = store.histories(NOW, NOW + 1)
    assert (history.cost, history.gpu) == ((), (shown,))


@st.composite
def seen_jobs(draw: st.DrawFn) -> Batch:
    """Draw a job as it stands after some samples of its cost, in small numbers."""
    at = sorted(draw(st.lists(st.integers(1, 200), min_size=1, max_size=8, unique=True)))
    rates = st.sampled_from([None, 0, 3_600_000, 7_200_000])
    samples = [
        MeterSample(
            at * MINUTE * 5,
            draw(st.integers(0, 40)) * MINUTE * 5,
            draw(rates),
            draw(st.booleans()),
        )
        for at in at
    ]
    step = meters.begin(samples[0])
    points = {sample.at: sample for sample in step.kept}
    for new in samples[1:]:
        step = meters.extend(step.meter, new)
        if step.dropped is not None:
            points = {at: sample for at, sample in points.items() if at < step.dropped}
        points |= {sample.at: sample for sample in step.kept}
    times = st.none() | st.integers(0, 200 * MINUTE * 5)
    life = Life(draw(times), draw(times), draw(times))
    entry = job(first_seen=samples[0].at, last_seen=samples[-1].at, life=life, cost=step.meter)
    if samples[-1].finished:
        entry = replace(entry, finished_seen=samples[-1].at)
    return Batch(
        jobs=[entry], points=[KeptSample("j-1", MeterKind.COST, s) for s in points.values()]
    )


instants = st.integers(0, 1100 * MINUTE)


def cost_at(history: JobHistory, at: int) -> int:
    assert history.entry.cost is not None
    return value_at(history.cost, history.entry.cost.last, history.entry.life, at)


@given(seen_jobs(), instants, instants)
def test_no_job_that_moved_is_without_a_history(batch: Batch, a: int, b: int) -> None:
    begin, end = min(a, b), max(a, b)
    with closing(Store.open(None)) as store:
        store.write(batch)
        history = store.history("j-1")
        assert history is not None
        if cost_at(history, begin) != cost_at(history, end):
            assert list(store.histories(begin, end)) == [history]


# Retention


@given(seen_jobs(), instants, st.lists(instants, min_size=1, max_size=9))
def test_pruning_changes_no_value_from_then_on(batch: Batch, before: int, later: list[int]) -> None:
    with closing(Store.open(None)) as store:
        store.write(batch)
        history = store.history("j-1")
        store.prune(before)
        pruned = store.history("j-1")
        assert history is not None
        if pruned is not None:
            for at in [before, *(before + more for more in later)]:
                assert cost_at(pruned, at) == cost_at(history, at)
        else:
            assert history.entry.last_seen < before
            assert cost_at(history, before) == cost_at(history, 2 * before + 1)


def test_pruning_drops_what_concerns_earlier_times_only(store: Store) -> None:
    times = [0, 10, 20, 30, 40, 50]
    store.write(seen("j-1", *(sample(NOW + at, at) for at in times)))
    assert store.prune(NOW + 40) == 2
    assert kept(store) == [20, 30, 40, 50]
    assert store.prune(NOW + 40) == 0
    assert store.prune(NOW + 41) == 1
    assert kept(store) == [30, 40, 50]


def test_pruning_leaves_each_meter_of_each_job_its_own(store: Store) -> None:
    for job_id in ("j-1", "j-2"):
        store.write(seen(job_id, sample(NOW, 1), sample(NOW + 1, 2)))
    gpu = [KeptSample("j-1", MeterKind.GPU, sample(NOW + at, at)) for at in (2, 3)]
    store.write(Batch(points=gpu))
    assert store.prune(NOW + DAY - 1) == 0
    assert kept(store, "j-1") == kept(store, "j-2") == [0, 1]


def test_a_job_that_nobody_named_for_long_stays_known_so_that_it_is_not_counted_again(
    store: Store,
) -> None:
    store.write(seen("j-1", sample(NOW - DAY, 1, finished=True), last_seen=NOW - DAY))
    store.write(Batch(series=[SeriesEntry(labels=LABELS, totals=Totals(cost=2))]))
    store.prune(NOW + 999 * DAY)
    assert store.jobs(["j-1"])
    assert store.load().series == (SeriesEntry(labels=LABELS, totals=Totals(cost=2)),)


def test_it_stays_known_before_when_detail_is_missing(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.prune(NOW)
        assert store.pruned_before == NOW
        store.prune(NOW - DAY)
    with closing(Store.open(tmp_path)) as store:
        assert store.pruned_before == NOW
        store.prune(NOW + 1)
        assert store.pruned_before == NOW + 1


def test_pruning_gives_its_room_back(tmp_path: Path) -> None:
    points = [KeptSample("j-1", MeterKind.COST, sample(NOW + at, at)) for at in range(30_000)]
    with closing(Store.open(tmp_path)) as store:
        store.write(Batch(jobs=[job("j-1")], points=points))
    size = (tmp_path / file.NAME).stat().st_size
    with closing(Store.open(tmp_path)) as store:
        assert store.prune(NOW + DAY) == len(points) - 2
    assert (tmp_path / file.NAME).stat().st_size < size / 4


def use(store: Store, job_id: str = "j-1") -> tuple[list[int], list[int]]:
    """Return when the idle intervals and the utilization buckets begin that are kept of a job."""
    return (
        [interval.begin for interval in store.idle_intervals(job_id)],
        [bucket.begin for bucket in store.utilization(job_id)],
    )


def test_pruning_drops_the_use_of_earlier_times_and_what_was_corrected_then(store: Store) -> None:
    run = ClosedRun("j-1", Run(0, Life(0, 0, 1), 2))
    store.write(
        Batch(
            jobs=[job("j-1", run=1, cost_base=5), job("j-2")],
            series=[SeriesEntry(labels=LABELS, totals=Totals(cost=2, waste_idle=1))],
            corrections=(7, 8),
            runs=[run],
            idled=[
                IdleIntervalUpdate("j-1", IdleInterval(NOW + at, NOW + at + 9, 1, 1))
                for at in (0, 10, 20)
            ],
            used=[
                UtilizationUpdate(name, UtilizationBucket(NOW + at, 1, 1))
                for at in (0, UTILIZATION_BUCKET)
                for name in ("j-1", "j-2")
            ],
            corrected=[Correction("j-1", NOW + at, NOW, 3) for at in (10, 20)],
        )
    )
    store.prune(NOW + 15)
    assert use(store) == ([NOW + 10, NOW + 20], [NOW + UTILIZATION_BUCKET])
    assert use(store, "j-2") == ([], [NOW + UTILIZATION_BUCKET])
    assert [correction.at for correction in store.corrections(0, 2 * NOW)] == [NOW + 20]
    # The sums, and which run is the present one, outlive what they were made of.
    assert store.load().corrections == (7, 8)
    assert store.load().series[0].totals == Totals(cost=2, waste_idle=1)
    history = store.history("j-1")
    assert history is not None
    earlier = [earlier.run for earlier in history.earlier]
    assert (history.entry.run, history.entry.cost_base, earlier) == (1, 5, [run.run])


def test_no_job_keeps_utilization_of_more_than_two_weeks(store: Store) -> None:
    store.write(Batch(jobs=[job("j-1"), job("j-2")]))
    for begin in range(NOW, NOW + 15 * DAY, DAY):
        store.write(Batch(used=[UtilizationUpdate("j-1", UtilizationBucket(begin, 1, 1))]))
    store.write(Batch(used=[UtilizationUpdate("j-2", UtilizationBucket(NOW, 1, 1))]))
    assert use(store)[1] == list(range(NOW, NOW + 15 * DAY, DAY))
    store.write(Batch(used=[UtilizationUpdate("j-1", UtilizationBucket(NOW + 15 * DAY, 1, 1))]))
    assert use(store)[1] == list(range(NOW + DAY, NOW + 16 * DAY, DAY))
    assert use(store, "j-2")[1] == [NOW]
    store.bound(NOW + 14 * DAY)
    assert use(store, "j-2")[1] == [NOW]
    store.bound(NOW + 14 * DAY + 1)
    assert use(store, "j-2")[1] == []


def test_no_job_keeps_more_idle_intervals_than_the_newest_thousand(store: Store) -> None:
    for name, number in (("j-1", IDLE_INTERVALS_KEPT + 3), ("j-2", IDLE_INTERVALS_KEPT)):
        intervals = [IdleInterval(NOW + at, NOW + at + 1, 1, 1) for at in range(number)]
        store.write(
            Batch(jobs=[job(name)], idled=[IdleIntervalUpdate(name, each) for each in intervals])
        )
    store.bound(NOW)
    assert use(store)[0] == [NOW + at for at in range(3, IDLE_INTERVALS_KEPT + 3)]
    assert use(store, "j-2")[0] == [NOW + at for at in range(IDLE_INTERVALS_KEPT)]


def test_bounds_change_nothing_else(store: Store) -> None:
    store.write(numbered(1))
    store.bound(NOW + 999 * DAY)
    assert store.load() == state_after(1)
    assert store.pruned_before is None


# Speed


def test_ten_thousand_changed_jobs_take_little_of_a_sweep(tmp_path: Path) -> None:
    shown = sample(NOW, 1)
    entries = [
        job(f"j-{i:012x}", name=f"run {i}", cost=Meter(shown, shown), gpu=Meter(shown, shown))
        for i in range(10_000)
    ]
    with closing(Store.open(tmp_path)) as store:
        store.write(Batch(jobs=entries))
        began = time.process_time()
        store.write(Batch(jobs=[replace(entry, last_seen=NOW + MINUTE) for entry in entries]))
        taken = time.process_time() - began
    assert taken < 0.05 * 30


def test_the_file_is_an_ordinary_database_for_those_who_ask(tmp_path: Path) -> None:
    with closing(Store.open(tmp_path)) as store:
        store.write(numbered(1))
    with closing(sqlite3.connect(tmp_path / file.NAME)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT corrected_up FROM ledger").fetchone() == (1,)


def test_what_is_kept_of_a_job_besides_its_meters_is_read_as_it_was_written() -> None:
    store = Store.open(None)
    first, second = IdleInterval(NOW, NOW + 60_000, 60_000, 1_000), IdleInterval(NOW + 9, NOW, 1, 0)
    run = Run(0, Life(NOW - 2, NOW - 1, NOW), NOW + 5)
    store.write(
        Batch(
            jobs=[job("j-1", run=1, cost_base=7, gpu_base=8, state="RUNNING"), job("j-2")],
            points=[
                KeptSample("j-1", MeterKind.COST, sample(NOW, 1), 0),
                KeptSample("j-1", MeterKind.COST, sample(NOW, 2), 1),
            ],
            runs=[ClosedRun("j-1", run)],
            idled=[
                IdleIntervalUpdate("j-1", first),
                IdleIntervalUpdate("j-1", second),
                IdleIntervalUpdate("j-2", second),
            ],
            used=[
                UtilizationUpdate("j-1", UtilizationBucket(0, 10, 4)),
                UtilizationUpdate("j-1", UtilizationBucket(0, 5, 5)),
            ],
            corrected=[Correction("j-2", NOW, NOW - 1, -5), Correction("j-1", NOW, NOW - 2, 3)],
        )
    )
    longer = IdleInterval(NOW, NOW + 90_000, 90_000, 1_500)
    store.write(Batch(idled=[IdleIntervalUpdate("j-1", longer)]))
    history = store.history("j-1")
    assert history is not None
    assert (history.entry.run, history.entry.cost_base, history.entry.gpu_base) == (1, 7, 8)
    assert history.earlier == (EarlierRun(run, (sample(NOW, 1),), ()),)
    assert history.cost == (sample(NOW, 2),)
    assert store.idle_intervals("j-1") == [longer, second]
    assert store.utilization("j-1") == [UtilizationBucket(0, 15, 9)]
    assert store.utilization("j-2") == []
    assert store.corrections(NOW, NOW + 1) == [
        Correction("j-1", NOW, NOW - 2, 3),
        Correction("j-2", NOW, NOW - 1, -5),
    ]
    assert store.corrections(NOW + 1, NOW + 9) == []


def rights(folder: Path) -> dict[str, int]:
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    return {**found, ".": stat.S_IMODE(folder.stat().st_mode)}


def test_what_is_new_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with closing(Store.open(folder)) as store:
        store.write(Batch(corrections=(1, 2)))
        found = rights(folder)
    assert found.pop(".") == 0o700
    names = {file.NAME, *(f"{file.NAME}-{end}" for end in ("wal", "shm", "generation"))}
    assert found == dict.fromkeys(names, 0o600)


def test_what_exists_is_left_as_its_owner_set_it_and_what_comes_beside_it_is_alike(
    tmp_path: Path,
) -> None:
    Store.open(tmp_path).close()
    tmp_path.chmod(0o750)
    (tmp_path / file.NAME).chmod(0o640)
    (tmp_path / f"{file.NAME}-generation").unlink(missing_ok=True)
    with closing(Store.open(tmp_path)) as store:
        store.write(Batch(corrections=(1, 2)))
        found = rights(tmp_path)
    assert found.pop(".") == 0o750
    assert set(found.values()) == {0o640}
