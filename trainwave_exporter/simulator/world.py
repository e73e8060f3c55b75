"""The simulated world: seeded, with a clock of its own, and nothing to do with any wire.

It moves when it is asked: `SimulatedWorld.advance` reads the clock and does what has become due
since. What happens follows from the seed and the orders given alone, however often it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from trainwave_exporter.simulator.accounts import SimulatedAccount
from trainwave_exporter.simulator.billing import BillingMix, JobBilling
from trainwave_exporter.simulator.catalogue import (
    Catalogue,
    SimulatedOrganization,
    SimulatedProject,
)
from trainwave_exporter.simulator.event_queue import EventQueue
from trainwave_exporter.simulator.expected_totals import ExpectedTotals, keep_books
from trainwave_exporter.simulator.ids import IdKind, gather, scatter
from trainwave_exporter.simulator.job_index import JobIndex, Scope
from trainwave_exporter.simulator.jobs import Draft, SimulatedJob
from trainwave_exporter.simulator.lifecycle import (
    LEGAL,
    Behavior,
    Course,
    SimulatedState,
    Status,
    draw_course,
    status_of,
)
from trainwave_exporter.simulator.orders import Order
from trainwave_exporter.simulator.population import Population

_HOUR = 3600


class AlreadyOverError(Exception):
    """A job cannot be stopped any more."""


class SimulatedWorld:
    """Organizations, projects, people and about ``jobs`` jobs at once, with a past.

    From four jobs up there is always one that hangs in LAUNCHING, one that has a GPU idle among
    several, and at the beginning one that has stopped using its GPUs at all.

    ``jobs`` are running or pending, ``history`` (twice as many unless given) are over when the
    world begins at ``start`` (Unix seconds; now, unless given). ``speed`` is simulated seconds for
    each second of ``clock``. A job that is over for ``forget_after`` seconds is not listed any
    more, though it stays in the totals; None: every job is listed for ever. ``billing`` says how
    many jobs have unusual bills, run again or change their price: none unless given.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        jobs: int = 60,
        history: int | None = None,
        speed: float = 1.0,
        forget_after: int | None = None,
        billing: BillingMix = BillingMix(),  # noqa: B008 - it is frozen
        start: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seed = seed
        self.catalogue = Catalogue(seed)
        self.start = int(time.time() if start is None else start)
        self.jobs: list[SimulatedJob] = []
        """Every job there ever was, oldest first."""
        self._speed = speed
        self._forget_after = forget_after
        self._forgotten: set[int] = set()
        self._billing = billing
        self._billings: dict[int, JobBilling] = {}
        """What is unusual about jobs' bills, by ordinal."""
        self._clock = clock
        self._events = EventQueue()
        self._job_index = JobIndex()
        self._accounts = {owner: SimulatedAccount() for owner in self.catalogue.organizations}
        self._population = Population(self.catalogue, Random(seed))
        self._clock_at_start = clock()
        self._begin(jobs, 2 * jobs if history is None else history)

    def _begin(self, jobs: int, history: int) -> None:
        past = list(self._population.past(self.start, jobs, history))
        self.now = self.founded_at = min((at for at, _ in past), default=self.start)
        for account in self._accounts.values():
            self._events.add(self.now, partial(self._top_up, account))
        for submitted_at, draft in past:
            self._events.add(submitted_at, partial(self._submit, draft))
        self._go_to(self.start)

    def advance(self) -> int:
        """Bring the world up to the clock; return the simulated time, in whole Unix seconds."""
        elapsed = self._clock() - self._clock_at_start
        self._go_to(self.start + int(elapsed * self._speed))
        return self.now

    def _go_to(self, instant: int) -> None:
        if instant > self.now:
            self._events.run_until(instant)
            self.now = instant

    # What there is, as of the last advance

    def select(self, scope: Scope = None, status: Status | None = None) -> Sequence[int]:
        """Return the ordinals of an organization's or a project's jobs, oldest first."""
        return self._job_index.select(scope, status)

    def active_jobs(self, project: SimulatedProject) -> int:
        """Return how many of a project's jobs are not over."""
        ended = (Status.COMPLETED, Status.FAILED)
        return len(self.select(project)) - sum(len(self.select(project, s)) for s in ended)

    def job_of_code(self, code: int) -> SimulatedJob | None:
        """Return the job that has this code."""
        ordinal = gather(self.seed, IdKind.JOB, code)
        return self._reported(ordinal)

    def job_of_rid(self, rid: str) -> SimulatedJob | None:
        """Return the job that has this readable id."""
        _, _, number = rid.rpartition("-")
        if not (number.isascii() and number.isdigit() and len(number) < 12):
            return None
        job = self._reported(int(number) - 1)
        return job if job is not None and job.rid == rid else None

    def _reported(self, ordinal: int) -> SimulatedJob | None:
        known = 0 <= ordinal < len(self.jobs) and ordinal not in self._forgotten
        return self.jobs[ordinal] if known else None

    def balance(self, organization: SimulatedOrganization) -> int:
        """Return what credit an organization has left, in micro-dollars."""
        return self._accounts[organization].balance(self.now)

    def expected_totals(self) -> ExpectedTotals:
        """Return the truth about money and GPU time, now."""
        self.advance()
        return keep_books(self.jobs, self._accounts, self.now)

    # What people do

    def submit(self, order: Order) -> SimulatedJob:
        """Take in a job."""
        self.advance()
        return self._submit(self._population.accept(order), self.now)

    def stop(self, job: SimulatedJob) -> None:
        """Cancel a job at once; raises `AlreadyOverError` when there is nothing to cancel."""
        self.advance()
        if job.state not in LEGAL:
            raise AlreadyOverError
        self._enter(job, SimulatedState.USER_CANCELLED, self.now)

    # What the service does beyond what jobs run into

    def corrigible(self, job: SimulatedJob) -> bool:
        """Return whether a job's bill is ordinary: what its price does not explain is corrected."""
        return self._billings[job.ordinal].corrigible

    def correct(self, job: SimulatedJob, amount: int) -> None:
        """Correct what a job costs by so many micro-dollars."""
        self.advance()
        self._settle(job, amount, self.now)

    def pay_in(self, organization: SimulatedOrganization, amount: int) -> None:
        """Pay in so many micro-dollars; less than nothing is a fee, which no job explains."""
        self.advance()
        self._accounts[organization].pay_in(amount, self.now)

    # What happens

    def _submit(self, draft: Draft, at: int) -> SimulatedJob:
        ordinal = len(self.jobs)
        unusual = self._billing.draw(draft.seed)
        job = SimulatedJob(
            ordinal, scatter(self.seed, IdKind.JOB, ordinal), draft, at, billing=unusual.billing
        )
        self._billings[ordinal] = unusual
        self.jobs.append(job)
        self._job_index.add(job)
        self._follow(job, draft.course, at)
        if draft.correction is not None and unusual.corrigible:
            after, part = draft.correction
            self._events.add(at + after, partial(self._correct, job, part))
        return job

    def _follow(self, job: SimulatedJob, course: Course, since: int) -> None:
        """Have a job take the steps of a course, whose seconds count from ``since``."""
        step = partial(self._take_step, job, job.earlier_runs, course, since)
        self._events.add(since + course[0][0], partial(step, 0))

    def _take_step(
        self, job: SimulatedJob, run: int, course: Course, since: int, place: int, at: int
    ) -> None:
        if job.finished_at is not None or job.earlier_runs != run:  # it was stopped meanwhile
            return
        self._enter(job, course[place][1], at)
        if place + 1 < len(course):
            step = partial(self._take_step, job, run, course, since, place + 1)
            self._events.add(since + course[place + 1][0], step)

    def _enter(self, job: SimulatedJob, state: SimulatedState, at: int) -> None:
        before = job.state
        job.enter(state, at)
        self._job_index.move(job, status_of(before), status_of(state))
        unusual = self._billings[job.ordinal]
        if state is SimulatedState.LAUNCHING:
            self._account_of(job).change_rate(job.price, at)
            if unusual.repriced:
                self._plan_price(job, at)
        elif job.finished_at is not None:
            if job.billed_from is not None:
                self._account_of(job).change_rate(-job.price, at)
            if job.draft.recurs and not job.earlier_runs:
                pause, draft = self._population.successor(job.draft)
                self._events.add(at + pause, partial(self._submit, draft))
            if status_of(state) is Status.FAILED and unusual.rerun and not job.earlier_runs:
                self._events.add(at + unusual.pause(), partial(self._run_again, job))
            if self._forget_after is not None:
                self._events.add(at + self._forget_after, partial(self._forget, job))

    def _plan_price(self, job: SimulatedJob, at: int) -> None:
        """Have the price of a job change, and again, until it ends."""
        unusual = self._billings[job.ordinal]
        pause, price = unusual.next_price(job.order.offer.price, job.price)
        self._events.add(at + pause, partial(self._reprice, job, price))

    def _reprice(self, job: SimulatedJob, price: int, at: int) -> None:
        if job.finished_at is None:
            self._account_of(job).change_rate(price - job.price, at)
            job.prices.append((at, price))
            self._plan_price(job, at)

    def _run_again(self, job: SimulatedJob, at: int) -> None:
        if job.ordinal in self._forgotten:
            return
        unusual = self._billings[job.ordinal]
        job.run_again(at, restarted=unusual.restarted)
        course = draw_course(unusual.course_random(), Behavior.STEADY)
        self._enter(job, SimulatedState.LAUNCHING, at)
        rest = tuple(step for step in course if step[1] is not SimulatedState.LAUNCHING)
        self._follow(job, rest, at)

    def _forget(self, job: SimulatedJob, at: int) -> None:
        if job.finished_at is None or at - job.finished_at < (self._forget_after or 0):
            return  # it runs again, or ran again since
        self._job_index.drop(job, status_of(job.state))
        self._forgotten.add(job.ordinal)

    def _correct(self, job: SimulatedJob, part: float, at: int) -> None:
        amount = int(job.cost(at) * part)
        if amount:
            self._settle(job, amount, at)

    def _settle(self, job: SimulatedJob, amount: int, at: int) -> None:
        job.correct(amount, at)
        self._account_of(job).correct(amount)

    def _top_up(self, account: SimulatedAccount, at: int) -> None:
        account.top_up(at)
        self._events.add(at + _HOUR, partial(self._top_up, account))

    def _account_of(self, job: SimulatedJob) -> SimulatedAccount:
        return self._accounts[job.order.project.organization]
