"""Whatever came, changed, went and was wanted: the bytes are those of a fresh exposition."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.metrics import OWN, appeared, changed, departed, make_exposition, make_reading

from trainwave_exporter.exposition import Format
from trainwave_exporter.exposition import table as table_module
from trainwave_exporter.metrics import Exposition, Selection
from trainwave_exporter.model import (
    AccountStatus,
    Idleness,
    Job,
    Metric,
    Point,
    Project,
    ProjectTally,
    Quantity,
    Readings,
    Record,
)

JOB_IDS = tuple("abcdefgh")
numbers = st.sampled_from([0.0, -0.0, 0.1, 1.0, 1.5, 2e-7, float("inf"), float("nan")])
known_numbers = st.none() | numbers
names = st.sampled_from(["train", 'a "b"\\\n', ""])
states = st.sampled_from(["LAUNCHING", "RUNNING", "RUNNING", "SUCCESS", "never seen"])
points = st.lists(st.builds(Point, numbers, device=st.sampled_from([None, "0", "1"])), max_size=3)
readings = st.dictionaries(
    st.sampled_from(Metric), st.tuples(st.sampled_from(Quantity), points), max_size=3
).map(
    lambda told: Readings(
        **{
            metric: make_reading(quantity, *values, rates=tuple(values))
            for metric, (quantity, values) in told.items()
        }
    )
)
jobs = st.builds(
    Job,
    account=st.just("main"),
    id=st.sampled_from(JOB_IDS),
    state=states,
    confirmed_at=st.just(1000.0),
    name=names,
    project_id=st.sampled_from(["p-1", "p-2"]),
    gpus=known_numbers,
    cost_dollars=known_numbers,
    memory_limit_bytes=known_numbers,
    finished_at=st.none() | st.sampled_from([1.0, 2.0]),
    readings=readings,
)
idleness = st.builds(
    Idleness, job_id=st.sampled_from(JOB_IDS), idle_since=known_numbers, gpu_hours=numbers
)
others: st.SearchStrategy[Record] = st.one_of(
    st.builds(AccountStatus, name=names, up=st.booleans()),
    st.builds(Project, account=st.just("main"), id=names, name=names),
    st.builds(
        ProjectTally, project_id=names, jobs=st.dictionaries(states, st.integers(0, 3), max_size=2)
    ),
)
patterns = st.lists(
    st.sampled_from(["*_dollars", "*_ratio", "*idle*", "trainwave_job*", "trainwave_up"]),
    max_size=2,
)


def first(known: Sequence[Record], exposition: Exposition) -> tuple[list[Record], list[Record]]:
    """Return what has series of its own now, or needs none; and what is left.

    Who came first keeps its place, so that a fresh exposition is told of those first.
    """
    text = b"".join(exposition.answer.plain(Format.TEXT)).decode()
    shown = set(re.findall(r'^trainwave_job_info{.*job_id="(\w)"', text, re.MULTILINE))
    waiting: list[Record] = [one for one in known if isinstance(one, Job) and one.id not in shown]
    return [one for one in known if one not in waiting], waiting


class Churn(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.worn = make_exposition()
        self.known: dict[tuple[type, str], Record] = {}
        self.selection = Selection(deny=OWN)
        self.max_jobs = 0
        self.published = True

    @rule(record=jobs | idleness | others)
    def tell(self, record: Record) -> None:
        before = self.known.get((type(record), record.key))
        self.worn.apply(appeared(record) if before is None else changed(before, record))
        self.known[type(record), record.key] = record
        self.published = False

    @rule(batch=st.lists(jobs, min_size=4, max_size=12))
    def tell_much(self, batch: Sequence[Job]) -> None:
        for job in batch:
            self.tell(job)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.known:
            place = data.draw(st.sampled_from(sorted(self.known, key=repr)))
            self.worn.apply(departed(self.known.pop(place)))
            self.published = False

    @rule(allow=patterns, deny=patterns, max_jobs=st.sampled_from([0, 0, 1, 3, 5]))
    def reload(self, allow: list[str], deny: list[str], max_jobs: int) -> None:
        if allow:
            allow = ["trainwave_job_info", *allow]
        deny = [pattern for pattern in deny if pattern != "trainwave_job*"]
        self.selection = Selection(allow=allow, deny=(*OWN, *deny))
        self.max_jobs = max_jobs
        self.worn.reconfigure(selection=self.selection, max_jobs=max_jobs)
        self.published = False

    @rule()
    def publish(self) -> None:
        self.worn.publish()
        self.published = True

    @invariant()
    def the_bytes_are_those_of_a_fresh_exposition(self) -> None:
        if not self.published:
            return
        fresh = make_exposition(
            allow=self.selection.allow, deny=self.selection.deny, max_jobs=self.max_jobs
        )
        for batch in first([*self.known.values()], self.worn):
            fresh.apply(appeared(*batch))
            fresh.publish()
        for form in Format:
            plain, expected = (b"".join(each.answer.plain(form)) for each in (self.worn, fresh))
            assert plain == expected
            assert gzip.decompress(b"".join(self.worn.answer.gzip(form))) == expected

    def teardown(self) -> None:
        if hasattr(self, "worn"):
            self.publish()
            self.the_bytes_are_those_of_a_fresh_exposition()


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("size", [1, 2, 256])
def test_after_any_churn_the_bytes_are_those_of_a_fresh_exposition(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "SIZE", size)  # with few objects, blocks part and unite
    run_state_machine_as_test(
        Churn, settings=settings(max_examples=30, stateful_step_count=25, deadline=None)
    )
