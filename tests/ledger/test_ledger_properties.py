"""Whatever is seen in whichever order: sums never fall, and nothing is lost or counted twice."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Store
from trainwave_exporter.ledger.billing.job_entry import JobEntry
from trainwave_exporter.ledger.billing.job_meters import cost_before
from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.ledger.billing.units import MICRO
from trainwave_exporter.model import NO_READINGS, Spend

JOBS = st.sampled_from([f"j-{number}" for number in range(4)])
STATES = st.sampled_from(["LAUNCHING", "RUNNING", "RUNNING", "SUCCESS", "ERROR"])
EVER = 2**53
CENTS = st.integers(0, 99)
"""Less than a dollar: no rise is so high that it waits for a second report."""


class Bill:
    """The cost of a job by all its reports, run by run."""

    def __init__(self) -> None:
        self.earlier = self.included = self.cents = self.highest = 0
        self.run, self.fresh = 0, False

    def report(self, cents: int, entry: JobEntry) -> None:
        """Take in a report; another run is billed from zero, or goes on where the last one was.

        ``entry``: what the ledger made of it. Which report is of another run, or older than the one
        before, is tested case by case elsewhere.
        """
        if entry.run != self.run:
            self.run = entry.run
            self.earlier, self.included = self.earlier + self.cents, self.included + self.cents
            self.fresh = True
        if self.fresh and cents < self.included:
            self.included = 0
        self.cents, self.fresh = max(0, cents - self.included), False
        self.highest = max(self.highest, self.total)

    @property
    def total(self) -> int:
        return self.earlier + self.cents


class Machine(RuleBasedStateMachine):
    """A ledger that is given any report, killed and started again."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.world = LedgerWorld(self.folder)
        self.bills: dict[str, Bill] = {}
        self.owner: dict[str, str] = {}
        self.counters: dict[str, Spend] = {}
        self.corrected = (0.0, 0.0)
        self.world.open()

    @rule(
        job_id=JOBS,
        state=STATES,
        cents=CENTS,
        hours=st.one_of(st.none(), st.integers(0, 40)),
        seconds=st.sampled_from([0, 1, 30, 30, 400, 7200, 100_000, -3600]),
        price=st.sampled_from([3.6, 3.6, 40.0, None]),
        busy=st.one_of(st.none(), st.sampled_from([0.0, 0.5])),
        shown=st.booleans(),
    )
    def see(
        self,
        job_id: str,
        state: str,
        cents: int,
        hours: int | None,
        seconds: int,
        price: float | None,
        busy: float | None,
        shown: bool,
    ) -> None:
        self.world.now += seconds
        owner = self.owner.setdefault(job_id, "ada" if len(self.owner) % 2 else "bo")
        job = self.world.job(
            job_id,
            state,
            owner=owner,
            cost_dollars=cents / 100,
            gpu_hours=hours,
            hourly_cost_dollars=price,
            readings=NO_READINGS if busy is None else self.world.busy(busy),
        )
        self.world.see(job, shown=shown)
        with closing(Store.open_for_reading(self.folder)) as store:
            entry = store.jobs([job_id])[job_id]
        if entry.state == job.state:  # else it was an older answer
            self.bills.setdefault(job_id, Bill()).report(cents, entry)

    @rule()
    def kill(self) -> None:
        """Nothing is closed in good order, but for the lock that the process's end would free."""
        self.world.writer.close()
        before = self.world.shown
        self.world = LedgerWorld(self.folder, now=self.world.now)
        self.world.open()
        assert {key for key in before if key[0] is Spend} <= self.world.shown.keys()

    @rule()
    def wait(self) -> None:
        self.world.tick(OPENING / 1000)

    @invariant()
    def no_sum_falls(self) -> None:
        for spend in self.world.all(Spend):
            before = self.counters.get(spend.key)
            if before is not None:
                assert spend.cost_dollars >= before.cost_dollars
                assert spend.gpu_hours >= before.gpu_hours
                for reason, dollars in spend.waste_dollars.items():
                    assert dollars >= before.waste_dollars[reason] >= 0
                for activity, hours in spend.activity_gpu_hours.items():
                    assert hours >= before.activity_gpu_hours[activity] >= 0
            self.counters[spend.key] = spend
        corrected = self.world.corrections()
        assert corrected[0] >= self.corrected[0]
        assert corrected[1] >= self.corrected[1]
        self.corrected = corrected

    @invariant()
    def parts_are_no_more_than_the_whole(self) -> None:
        for spend in self.world.all(Spend):
            assert sum(spend.waste_dollars.values()) <= spend.cost_dollars + 1e-9
            assert sum(spend.activity_gpu_hours.values()) <= spend.gpu_hours + 1e-9

    @invariant()
    def what_is_stored_is_what_was_reported(self) -> None:
        """Counters add up to the highest cost of each job, meters to the last that was reported."""
        store = Store.open_for_reading(self.folder)
        state = store.load()
        of_owner: dict[str, int] = defaultdict(int)
        for series in state.series:
            of_owner[series.labels.owner] += series.totals.cost
        expected: dict[str, int] = defaultdict(int)
        for job_id, bill in self.bills.items():
            expected[self.owner[job_id]] += bill.highest * MICRO // 100
        assert dict(of_owner) == dict(expected)
        for job_id, bill in self.bills.items():
            history = store.history(job_id)
            assert history is not None
            assert history.entry.cost is not None
            assert cost_before(history, 0) == 0
            assert cost_before(history, EVER) == bill.total * MICRO // 100
        store.close()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.writer.close()
            shutil.rmtree(self.folder)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
