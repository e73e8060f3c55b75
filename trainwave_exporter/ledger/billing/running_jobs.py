"""The running jobs and what they cost: burn, forecasts, and when money runs out.

Kept in memory only: after a restart the lists bring it back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Final

from msgspec import Struct

from trainwave_exporter.ledger.billing.job_entry import Labels
from trainwave_exporter.ledger.billing.units import HOUR, microdollars, milliseconds
from trainwave_exporter.model import Job

PRICE_BOUND: Final = milliseconds(300)
"""For how long the price of a new job may be unknown without forecasts being so."""


def _as_they_are(labels: Labels) -> Labels:
    return labels


class RunningJob(Struct, frozen=True):
    """A running job."""

    account: str
    organization_id: str | None
    labels: Labels
    rate: int
    """Micro-dollars an hour; 0 where the price is not reported."""
    expires_at: int | None
    """When the service ends it, in milliseconds."""
    unpriced_since: int | None = None
    """Since when its price is not reported; None: it is."""

    def expires_after(self, now: int) -> int | None:
        """Return when it will be ended; None: never, or it should have been and still runs."""
        return self.expires_at if self.expires_at is not None and self.expires_at > now else None

    def overdue(self, now: int) -> bool:
        """Whether its price should have been reported by now."""
        return self.unpriced_since is not None and now - self.unpriced_since >= PRICE_BOUND


class RunningJobs:
    """The jobs that run now, and what they burn by labels."""

    def __init__(self) -> None:
        self._runners: dict[str, RunningJob] = {}
        self._unpriced: dict[str, RunningJob] = {}
        self._burn: defaultdict[Labels, int] = defaultdict(int)
        self._reporters: dict[str, tuple[Labels, str]] = {}
        self._accounts: defaultdict[Labels, Counter[str]] = defaultdict(Counter)
        """By labels, how many jobs each account reports."""

    def put(self, job: Job) -> None:
        """Take over what a job that is shown has become."""
        reporter = Labels.of(job), job.account
        runner = _runner(job, reporter[0], self._runners.get(job.id)) if job.running else None
        if self._reporters.get(job.id) == reporter and self._runners.get(job.id) == runner:
            return  # as for most changes: they do not concern money
        self.remove(job.id)
        self._reporters[job.id] = reporter
        self._accounts[reporter[0]][job.account] += 1
        if runner is not None:
            self._runners[job.id] = runner
            self._burn[runner.labels] += runner.rate
            if runner.unpriced_since is not None:
                self._unpriced[job.id] = runner

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        labels, account = self._reporters.pop(job_id, (None, ""))
        if labels is not None:
            self._accounts[labels][account] -= 1
        runner = self._runners.pop(job_id, None)
        if runner is not None:
            self._burn[runner.labels] -= runner.rate
            self._unpriced.pop(job_id, None)

    def overdue(self, now: int) -> dict[str, RunningJob]:
        """Return the running jobs, by id, whose price should have been reported by now."""
        return {job_id: each for job_id, each in self._unpriced.items() if each.overdue(now)}

    def burn(
        self,
        silent: Collection[str],
        now: int,
        place: Callable[[Labels], Labels] = _as_they_are,
    ) -> dict[Labels, int]:
        """Return the micro-dollars an hour for all labels seen, zero included.

        ``silent``: accounts not all of whose jobs are known. Labels of their jobs are left out, as
        an error is not an empty fleet; so are labels of jobs whose price is overdue. ``place``
        returns the labels that others are summed up under.
        """
        burn: defaultdict[Labels, int] = defaultdict(int)
        groups = {labels: place(labels) for labels in self._accounts}
        unknown = {groups[runner.labels] for runner in self.overdue(now).values()}
        for labels, accounts in self._accounts.items():
            # Where none of the jobs is left, whoever reported one might report another.
            reporting = {account for account, jobs in accounts.items() if jobs} or accounts.keys()
            group = groups[labels]
            if not reporting.isdisjoint(silent):
                unknown.add(group)
            burn[group] += self._burn[labels]
        return {labels: rate for labels, rate in burn.items() if labels not in unknown}

    def forget_idle(self, kept: Collection[Labels]) -> None:
        """Forget the labels that no job has now, but for ``kept``."""
        for labels in [each for each, jobs in self._accounts.items() if not any(jobs.values())]:
            if labels not in kept:
                del self._accounts[labels]
                self._burn.pop(labels, None)

    @property
    def labels(self) -> Collection[Labels]:
        """All labels seen."""
        return self._accounts.keys()

    def runners(self) -> list[RunningJob]:
        """Return all running jobs."""
        return list(self._runners.values())


def _runner(job: Job, labels: Labels, before: RunningJob | None) -> RunningJob:
    expires, unpriced_since = job.expires_at, None
    if job.hourly_cost_dollars is None:
        unpriced_since = None if before is None else before.unpriced_since
        unpriced_since = unpriced_since or milliseconds(job.confirmed_at)
    return RunningJob(
        job.account,
        job.organization_id,
        labels,
        microdollars(job.hourly_cost_dollars or 0.0),
        None if expires is None else milliseconds(expires),
        unpriced_since,
    )


def spent_by(runners: Iterable[RunningJob], now: int, until: int) -> int:
    """Return what running jobs will cost from ``now`` until then, or until they expire."""
    return sum(
        runner.rate * (min(until, runner.expires_after(now) or until) - now) // HOUR
        for runner in runners
    )


def lasts_until(money: int, runners: Iterable[RunningJob], now: int) -> int | None:
    """Return when running jobs will have used up so many micro-dollars; None: never.

    ``now`` where there is nothing left.
    """
    if money <= 0:
        return now
    runners = [runner for runner in runners if runner.rate > 0]
    ends = sorted((end, r.rate) for r in runners if (end := r.expires_after(now)) is not None)
    rate = sum(runner.rate for runner in runners)
    at = now
    for expires_at, less in ends:
        cost = rate * (expires_at - at) // HOUR
        if cost >= money:
            break
        money -= cost
        at = expires_at
        rate -= less
    return at + money * HOUR // rate if rate > 0 else None
