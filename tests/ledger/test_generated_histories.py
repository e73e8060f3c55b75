"""Figures of the ledger for made-up histories: the true amount, or bounds that contain it.

The truth of each is worked out by `support.job_histories` alone. To follow one that fails:
`pytest tests/ledger/test_generated_histories.py -k "[17]"` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from support.job_histories import DAY, History, MadeUpJob, made_up
from support.ledger_world import LedgerWorld

from trainwave_exporter.ledger import Budget, Period, Store
from trainwave_exporter.ledger.billing.accrual import BILL_BOUND
from trainwave_exporter.ledger.billing.bounds import cost_before, queue_bound
from trainwave_exporter.ledger.billing.ledger_state import OPENING
from trainwave_exporter.ledger.billing.periods import Span
from trainwave_exporter.ledger.billing.report import Dimension, chargeback
from trainwave_exporter.ledger.billing.units import dollars, milliseconds
from trainwave_exporter.model import BudgetStatus, Spend, Waste

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""Where October ends."""
MONTH = 31 * DAY
ZONE = ZoneInfo("UTC")
BUDGETS = tuple(
    Budget(name=period.value, limit_dollars=1e6, period=period, zone=ZONE)
    for period in (Period.DAY, Period.MONTH)
)
WARM_UP, READING_GAP = 10.0, 5.0
CENTS = 0.05


class Replay:
    """A ledger that sees a history, and all that is wrong in its figures."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.wrong: list[str] = []
        self.highest: dict[tuple[str, int], float] = {}
        """The highest cost that was seen of each run."""
        self.seen_idle = dict.fromkeys((job.id for job in history.jobs), 0.0)
        """Dollars that GPUs cost while two looks in a row saw them idle."""
        self.store = Store.open(None)
        self.world = self.started(history.looks[0])
        before = None
        for look in history.looks:
            if look in history.restarts:
                history.restart()
                self.world = self.started(look)
            self.see(look, before)
            if look in history.checks:
                self.world.tick(15)
                self.check_budgets(look)
            before = look
        self.world.tick(OPENING / 1000)
        self.check_counters()
        self.check_report()

    def started(self, minute: float) -> LedgerWorld:
        now = MIDNIGHT + minute * 60
        return LedgerWorld(budgets=BUDGETS, now=now, open_store=lambda: self.store)

    def see(self, look: float, before: float | None) -> None:
        self.world.now = MIDNIGHT + look * 60
        seen = []
        for job in self.history.jobs:
            if look < job.created:
                continue
            fields = self.history.reported(job, look)
            for name in ("created", "started", "finished"):
                minute = fields.pop(name, None)
                fields[f"{name}_at"] = None if minute is None else MIDNIGHT + minute * 60
            idle = job.idle[0] <= look <= job.idle[1]
            if fields["state"] == "RUNNING":
                fields["readings"] = self.world.busy(0.0 if idle else 0.9)
            seen.append(self.world.job(job.id, **fields))
            run = job.run_at(look)
            place = job.id, job.runs.index(run) if job.begins_at_zero else 0
            if look >= run.start or not job.begins_at_zero:
                self.highest[place] = max(self.highest.get(place, 0.0), job.billed(look))
            if before is not None and look - before <= READING_GAP:
                begin = max(before, job.idle[0], run.start)
                if job.idle[0] <= before and look <= job.idle[1]:
                    self.seen_idle[job.id] += job.value(max(begin, run.start + WARM_UP), look)
        self.world.see(*seen, counted=True)

    def compare(
        self, what: str, shown: tuple[float, float], true: tuple[float, float], slack: float
    ) -> None:
        """Note where what is shown, from the lower to the upper bound, cannot be true."""
        if shown[1] + slack < true[0] or shown[0] - slack > true[1]:
            self.wrong.append(
                f"{what}: {shown[0]:.2f} to {shown[1]:.2f}, truly {true[0]:.2f} to {true[1]:.2f}"
                f" (give or take {slack:.2f})"
            )

    def slack(self, job: MadeUpJob) -> float:
        """Return what a job costs in the time by which a figure may be early or late."""
        minutes = self.history.pace + 1
        if job.billing.step and not (self.history.documented and not self.history.outages):
            minutes += 2 * job.billing.late  # no start is known from which bills were late
        if not self.history.documented and 0 <= self.history.looks[0] - job.created <= 5:
            minutes += 5  # it is taken to have started when it was first seen
        return CENTS + job.dearest / 60 * minutes

    def true(self, job: MadeUpJob, minute: float, now: float = 1e9) -> tuple[float, float]:
        """Return what a job had cost by a minute, refunds as of now, between their two times."""
        spent = job.spent(minute)
        if job.refund is None or job.refund[0] > now:
            return spent, spent
        at, amount = job.refund
        late = min(self.history.seen_at(at), now)
        return spent - (amount if minute >= at else 0), spent - (amount if minute > late else 0)

    def check_budgets(self, look: float) -> None:
        now = look + 0.25
        for shown in self.world.all(BudgetStatus):
            begin = now // DAY * DAY if shown.name == "day" else 0.0 if now >= 0 else -MONTH
            if any(self.is_given_up(job, now) for job in self.history.jobs):
                continue
            if any(self.is_price_stale(job, now) for job in self.history.jobs):
                continue
            low = high = slack = 0.0
            for job in self.history.jobs:
                then, at = self.true(job, begin, now), self.true(job, now, now)
                low, high = low + at[0] - then[1], high + at[1] - then[0]
                slack += self.slack(job)
            if shown.spent_dollars is not None:
                bounds = (shown.spent_dollars, shown.spent_dollars)
            else:
                least, most = shown.spent_lower_dollars, shown.spent_upper_dollars
                bounds = (-1e9 if least is None else least, 1e9 if most is None else most)
            self.compare(f"budget of the {shown.name} at {now}", bounds, (low, high), slack)

    def is_given_up(self, job: MadeUpJob, now: float) -> bool:
        """Whether no bill is expected any more of a job that is over, though one will come."""
        bound = BILL_BOUND / 60_000
        return any(run.end + bound - 3 <= now for run in job.runs) and now < job.last_bill + 2

    def is_price_stale(self, job: MadeUpJob, now: float) -> bool:
        """Whether a price changed that the documented dialect reports with the next bill."""
        if not self.history.documented or job.billing.step == 0:
            return False
        return any(
            since <= now and job.billed(now - 3) == job.billed(since)
            for since, _ in job.prices[1:]
            if since < job.runs[-1].end
        ) or (len(job.prices) > 1 and now > job.prices[1][0] and job.billed(now - 3) == 0)

    def check_counters(self) -> None:
        shown = self.world.all(Spend)
        counted = sum(spend.cost_dollars for spend in shown)
        highest = sum(self.highest.values())
        self.compare("counter", (counted, counted), (highest, highest), CENTS)
        up, down = self.world.corrections()
        taken = sum(job.refund[1] for job in self.history.jobs if job.refund is not None)
        slack = CENTS + (sum(self.slack(job) for job in self.history.jobs) if taken else 0)
        self.compare("corrections up", (up, up), (0, 0), CENTS)
        self.compare("corrections down", (down, down), (0, taken), slack)
        for reason in Waste:
            wasted = sum(spend.waste_dollars[reason] for spend in shown)
            truly = sum(self.seen_idle.values()) if reason is Waste.GPU_IDLE else 0.0
            slack = sum(self.slack(job) for job in self.history.jobs)
            first = self.history.looks[0]
            least = (
                truly
                if all(
                    self.history.is_watched(job.runs[0].start, job.last_bill + 3)
                    and job.refund is None
                    and first <= job.runs[0].start
                    and (
                        len(job.prices) == 1 or job.billing.step == 0 or not self.history.documented
                    )
                    for job in self.history.jobs
                )
                else 0.0
            )
            self.compare(f"waste {reason}", (wasted, wasted), (least, truly), slack)

    def check_report(self) -> None:
        queue = queue_bound(self.store.longest_queue())
        for job in self.history.jobs:
            history = self.store.history(job.id)
            if history is None:
                continue
            for minute in self.instants(job):
                found = cost_before(history, milliseconds(MIDNIGHT + minute * 60), queue)
                shown = dollars(found.lower), dollars(found.upper)
                what = f"cost of {job.id} before {minute}"
                self.compare(what, shown, self.true(job, minute), self.slack(job))
        for begin, end in ((-DAY, 0.0), (0.0, DAY), (DAY, 2 * DAY), (-MONTH, 0.0), (0.0, MONTH)):
            span = Span(*(milliseconds(MIDNIGHT + minute * 60) for minute in (begin, end)))
            histories = self.store.histories(span.begin, span.end)
            found = chargeback(histories, {}, span, ZONE, [Dimension.PROJECT], queue).total.cost
            shown = dollars(found.lower), dollars(found.upper)
            low = high = slack = 0.0
            for job in self.history.jobs:
                if job.created > self.history.looks[-1]:
                    continue
                then, at = self.true(job, begin), self.true(job, end)
                low, high = low + at[0] - then[1], high + at[1] - then[0]
                slack += self.slack(job)
            self.compare(f"report of {begin} to {end}", shown, (low, high), slack)

    def instants(self, job: MadeUpJob) -> Iterator[float]:
        """Yield the minutes at which the cost of a job is compared."""
        yield from (-DAY, 0.0, DAY)
        start, end = job.runs[0].start, job.runs[-1].end
        yield from (start + (end - start) // 3, start + (end - start) * 3 // 4)


@pytest.mark.parametrize("seed", range(150))
def test_what_is_shown_of_a_history_is_true(seed: int) -> None:
    history = made_up(seed)
    wrong = Replay(history).wrong
    assert not wrong, "\n".join([str(history), *wrong])
