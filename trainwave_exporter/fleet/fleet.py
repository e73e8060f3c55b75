"""The one place where what is known of the fleet is kept.

`Fleet.apply` takes an observation and returns what changed by it. No I/O, and no clock of its own:
the time comes with every call. The rules it keeps:

* An error is not an empty fleet. Only absence from several complete sweeps, or the end of its
  retention, removes a job.
* When an account cannot be read for longer than a bound, its jobs are hidden, not forgotten: when
  they are seen again they go on where they stopped, and nothing is counted twice.
* A list that is never whole proves no absence. So a live job is hidden likewise, and forgotten in
  the end, when lists go on without it and no answer of its own confirms it for longer than a bound.
* Where the API does not report when a job finished, its retention begins when it was first seen
  finished, unless its bill shows that it must have ended long before. Lists go on naming jobs whose
  retention ended, so those are remembered.
* Lists are the authority on state and cost. A job's own page may lag behind them, so it cannot take
  a state back or a cost down.
* What happened is counted only when it was witnessed: history found at the start is shown, but adds
  nothing to transitions and durations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from trainwave_exporter.fleet import job_money, lifecycle
from trainwave_exporter.fleet.account_statuses import AccountStatuses
from trainwave_exporter.fleet.agreement import Source
from trainwave_exporter.fleet.directory import Directory
from trainwave_exporter.fleet.entry import Entry, Policy
from trainwave_exporter.fleet.merge import merge_jobs
from trainwave_exporter.fleet.observations import (
    ClockSet,
    JobMissing,
    JobsSeen,
    Observation,
    OffersSeen,
    OrganizationsSeen,
    ProjectsSeen,
    ReadingSeen,
    SweepEnded,
    SweepFailed,
    TimePassed,
    ViewSeen,
)
from trainwave_exporter.fleet.reading_store import ReadingStore
from trainwave_exporter.fleet.retention_queue import RetentionQueue
from trainwave_exporter.fleet.tally import Tallies
from trainwave_exporter.fleet.transition_counter import TransitionCounter
from trainwave_exporter.model import (
    NO_READINGS,
    AccountStatus,
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
    FactListener,
    HistoricalJob,
    Job,
    KnownRun,
    Organization,
    Project,
    ProjectTally,
    Readings,
)


def _unknown(_: str) -> None:
    return None


class Fleet:
    """What is known now of the jobs, projects, organizations and accounts."""

    def __init__(
        self,
        *,
        accounts: Sequence[str],
        policy: Policy,
        observe: FactListener,
        now: float,
        known_run: Callable[[str], KnownRun | None] = _unknown,
    ) -> None:
        """``known_run``: what was known of a job's present run before the start."""
        self._policy = policy
        self._known_run = known_run
        self._entries: dict[str, Entry] = {}
        self._live: dict[str, Entry] = {}
        """Those of them whose jobs are not finished, which may be one in a hundred."""
        self._projects: Directory[Project] = Directory(accounts, now)
        self._organizations: Directory[Organization] = Directory(accounts, now)
        self._accounts = AccountStatuses(accounts, now)
        self._tallies = Tallies(policy.max_groups)
        self._published: dict[str, ProjectTally] = {}
        self._retention = RetentionQueue()
        self._transition_counter = TransitionCounter(self._tallies, observe, now)
        self._reading_store = ReadingStore(observe)

    # What is known

    def status(self, account: str) -> AccountStatus:
        """Return whether an account can be read."""
        return self._accounts.status(account)

    def counted(self, account: str) -> bool:
        """Whether a full sweep succeeded since this account became readable."""
        return self._accounts.status(account).counted

    def jobs(self, account: str) -> Iterator[Job]:
        """Yield the jobs shown that this account reports, finished ones included."""
        for entry in self._entries.values():
            if entry.shown and entry.job.account == account:
                yield entry.job

    def job(self, job_id: str) -> Job | None:
        """Return a job that is shown."""
        entry = self._entries.get(job_id)
        return entry.job if entry is not None and entry.shown else None

    def project(self, project_id: str) -> Project | None:
        """Return a project that some account reports."""
        return self._projects.get(project_id)

    def organization(self, organization_id: str) -> Organization | None:
        """Return an organization that some account reports."""
        return self._organizations.get(organization_id)

    def introduce(self) -> tuple[Change, ...]:
        """Return the changes that show a new listener everything that is shown now."""
        shown = (entry.job for entry in self._entries.values() if entry.shown)
        return tuple(
            Appeared(record)
            for records in (
                self._accounts.all(),
                self._organizations.all(),
                self._projects.all(),
                shown,
                self._published.values(),
            )
            for record in records
        )

    # What changes it

    def reconfigure(
        self, *, accounts: Sequence[str], policy: Policy, now: float
    ) -> tuple[Change, ...]:
        """Watch these accounts and go by this policy from now on; return what that changed.

        What is known of accounts that stay is kept; what others reported leaves.
        """
        self._policy = policy
        self._tallies.limit = policy.max_groups
        changes: list[Change] = []
        for name in sorted(self._accounts.names - set(accounts)):
            changes.extend(self._unwatch(name, now))
        for name in accounts:
            changes.extend(self._accounts.watch(name, now))
        changes.extend(self._projects.reconfigure(accounts, now))
        changes.extend(self._organizations.reconfigure(accounts, now))
        for entry in self._entries.values():
            self._retention.schedule(entry, policy.finished_retention)
        changes.extend(self._tally_changes())
        return tuple(changes)

    def _unwatch(self, name: str, now: float) -> Iterator[Change]:
        yield from self._set_counted(name, counted=False)
        for entry in list(self._entries.values()):
            if entry.job.account == name:
                yield from self._forget(entry, Departure.UNWATCHED, now)
        yield from self._accounts.unwatch(name)

    def apply(self, observation: Observation, now: float) -> tuple[Change, ...]:
        """Take in an observation made at ``now`` (Unix seconds) and return what it changed."""
        changes: list[Change] = []
        match observation:
            case ClockSet():
                self._clock_set(observation.seconds)
            case JobsSeen():
                changes.extend(self._accounts.answered(observation.account, now))
                for job in observation.jobs:
                    changes.extend(self._job_seen(job, observation, now))
            case JobMissing():
                changes.extend(self._job_missing(observation, now))
            case SweepEnded():
                changes.extend(self._sweep_ended(observation, now))
            case SweepFailed():
                changes.extend(self._accounts.note(observation.account, up=False))
            case ReadingSeen():
                changes.extend(self._reading_seen(observation, now))
            case ProjectsSeen() | OrganizationsSeen() | OffersSeen() | ViewSeen():
                changes.extend(self._directory_seen(observation, now))
            case TimePassed():
                changes.extend(self._time_passed(observation, now))
        changes.extend(self._tally_changes())
        return tuple(changes)

    def _clock_set(self, seconds: float) -> None:
        """Go on with all ages as they were."""
        self._accounts.clock_set(seconds)
        self._projects.clock_set(seconds)
        self._organizations.clock_set(seconds)
        self._reading_store.clock_set(self._entries, seconds)

    # Accounts

    def _set_counted(self, name: str, *, counted: bool) -> Iterator[Change]:
        if self.counted(name) != counted:
            self._tallies.touch(name)
            yield from self._accounts.note(name, counted=counted)

    def _sweep_ended(self, sweep: SweepEnded, now: float) -> Iterator[Change]:
        yield from self._accounts.answered(sweep.account, now)
        yield from self._accounts.note(sweep.account, up=True, confirmed_at=now)
        if sweep.full:
            yield from self._set_counted(sweep.account, counted=True)
        yield from self._unconfirmed(sweep, now)
        if not sweep.complete:
            return
        for job_id in sorted(self._entries.keys() - sweep.seen):
            entry = self._entries[job_id]
            confirmed_meanwhile = sweep.began_at <= entry.job.confirmed_at <= now
            if entry.job.account == sweep.account and not confirmed_meanwhile:
                yield from self._missed(entry, now)

    def _unconfirmed(self, sweep: SweepEnded, now: float) -> Iterator[Change]:
        """Hide the live jobs that neither this walk of a list nor anything else confirmed in time.

        The list of running jobs says nothing of those that wait to run.
        """
        running_bound = self._policy.staleness
        bound = max(running_bound, self._policy.listed_at_least_every)
        for entry in list(self._live.values()):
            job = entry.job
            if (
                job.confirmed_at >= sweep.began_at
                or job.account != sweep.account
                or job.id in sweep.seen
            ):
                continue
            age = now - job.confirmed_at
            if age >= 2 * bound:
                yield from self._forget(entry, Departure.EXPIRED, now)
            elif (job.running and age >= running_bound) or (sweep.full and age >= bound):
                yield from self._hide(entry, Departure.EXPIRED)

    def _job_missing(self, missing: JobMissing, now: float) -> Iterator[Change]:
        entry = self._entries.get(missing.job_id)
        if entry is not None and entry.job.account == missing.account:
            yield from self._missed(entry, now)

    def _missed(self, entry: Entry, now: float) -> Iterator[Change]:
        entry.misses += 1
        if entry.misses >= self._policy.vanish_after_sweeps:
            yield from self._forget(entry, Departure.VANISHED, now)

    # Jobs

    def _job_seen(self, reported: Job, seen: JobsSeen, now: float) -> Iterator[Change]:
        entry = self._entries.get(reported.id)
        if entry is None:
            if self._retention.is_over(reported, now, self._policy.finished_retention):
                yield HistoricalJob(self._named(job_money.with_own_gpu_hours(reported, now)))
            else:
                yield from self._admit(reported, now)
            return
        known = entry.job
        if known.account != reported.account and not self._orphaned(entry):
            return  # two keys see the same job: the one that reported it first goes on reporting
        if lifecycle.is_backward(known.state, reported.state):
            if seen.asked_at < known.confirmed_at:
                return  # an answer that was overtaken by a newer one
            if seen.details:
                reported = replace(reported, state=known.state, confirmed_at=known.confirmed_at)
        if seen.details and (reported.cost_dollars or 0.0) < (known.cost_dollars or 0.0):
            reported = replace(
                reported, cost_dollars=None
            )  # it neither lowers nor confirms what is known
        entry.misses = 0
        merged = merge_jobs(known, reported)
        merged = replace(merged, readings=self._readings(entry, merged, reported.readings, now))
        merged = job_money.with_reported(entry, merged, reported, self._policy, now)
        if merged.state != known.state:
            self._transition_counter.transition(entry, known, merged, now)
        if known.finished and not merged.finished:  # another run begins
            entry.price = entry.billed_since = None
        yield from self._update(entry, self._derived(entry, merged, now))
        self._follow_up(entry, now)

    def _follow_up(self, entry: Entry, now: float) -> None:
        self._retention.schedule(entry, self._policy.finished_retention)
        self._transition_counter.durations(entry, now)

    def _admit(self, reported: Job, now: float) -> Iterator[Change]:
        entry = Entry(replace(reported, readings=NO_READINGS), admitted_at=now)
        self._transition_counter.admitted(entry)
        known = self._known_run(reported.id) if reported.running else None
        if known is not None:
            entry.price, entry.billed_since = known.price, known.since
        self._entries[reported.id] = entry
        job = replace(reported, readings=self._readings(entry, reported, reported.readings, now))
        job = job_money.with_reported(entry, job, reported, self._policy, now)
        yield from self._update(entry, self._derived(entry, job, now))
        self._follow_up(entry, now)

    def _update(self, entry: Entry, job: Job) -> Iterator[Change]:
        before = entry.job
        entry.job = job
        if job.finished:
            self._live.pop(job.id, None)
        else:
            self._live[job.id] = entry
        if not entry.shown:
            entry.shown = True
            self._tallies.shown(None, job)
            yield Appeared(job)
        elif job != before:
            if _counted_as(job) != _counted_as(before):
                self._tallies.shown(before, job)
            yield Changed(before, job)

    def _derived(self, entry: Entry, job: Job, now: float) -> Job:
        """Add what answers do not report: GPU hours, and the project's name."""
        return self._named(job_money.with_gpu_hours(entry, job, now))

    def _named(self, job: Job) -> Job:
        project = self._projects.get(job.project_id)
        if project is None or project.name in {None, job.project_name}:
            return job
        return replace(job, project_name=project.name)

    def _orphaned(self, entry: Entry) -> bool:
        return entry.misses > 0 or self._accounts.status(entry.job.account).expired

    def _reading_seen(self, seen: ReadingSeen, now: float) -> Iterator[Change]:
        entry = self._entries.get(seen.job_id)
        if entry is None or not entry.shown or entry.job.account != seen.account:
            return
        reported = Readings(**{seen.metric: seen.reading})
        readings = self._readings(entry, entry.job, reported, now, Source.ENDPOINT)
        yield from self._update(entry, replace(entry.job, readings=readings))

    def _readings(
        self, entry: Entry, job: Job, reported: Readings, now: float, source: Source = Source.JOB
    ) -> Readings:
        return self._reading_store.take_in(entry, job, reported, now, self._policy, source)

    # Leaving

    def _forget(self, entry: Entry, reason: Departure, now: float) -> Iterator[Change]:
        del self._entries[entry.job.id]
        self._live.pop(entry.job.id, None)
        if reason is Departure.VANISHED:
            self._transition_counter.vanished(entry, now)
        yield from self._hide(entry, reason)

    def _hide(self, entry: Entry, reason: Departure) -> Iterator[Change]:
        if entry.shown:
            entry.shown = False
            self._tallies.shown(entry.job, None)
            yield Departed(entry.job, reason)
            entry.job = replace(entry.job, readings=NO_READINGS)
            self._reading_store.drop(entry)

    def _time_passed(self, passed: TimePassed, now: float) -> Iterator[Change]:
        yield from self._expire_accounts(now)
        yield from self._projects.expire(now, self._policy.directory_staleness)
        yield from self._organizations.expire(now, self._policy.directory_staleness)
        for entry in self._retention.take_due(self._entries, now):
            yield from self._forget(entry, Departure.RETENTION, now)
        self._transition_counter.pass_time(self._entries, now)
        for entry, left in self._reading_store.take_expired(
            self._entries, now, passed.readings_max_age
        ):
            yield from self._update(entry, replace(entry.job, readings=left))

    def _expire_accounts(self, now: float) -> Iterator[Change]:
        bound = now - self._policy.staleness
        for name, silent in self._accounts.unreadable(bound, now):
            if silent:
                yield from self._accounts.note(name, up=False, expired=True)
            # Of a list that keeps failing on the way, the part that still comes stays.
            for entry in self._entries.values():
                if entry.job.account == name and (silent or entry.job.confirmed_at <= bound):
                    yield from self._set_counted(name, counted=False)
                    yield from self._hide(entry, Departure.EXPIRED)

    # The directory

    def _directory_seen(
        self, seen: ProjectsSeen | OrganizationsSeen | OffersSeen | ViewSeen, now: float
    ) -> Iterator[Change]:
        match seen:
            case ProjectsSeen():
                yield from self._projects_seen(seen, now)
                if seen.complete:
                    yield from self._accounts.note(seen.account, projects_listed=True)
            case OrganizationsSeen(account=account, organizations=reported, complete=complete):
                yield from self._organizations.take_in(account, reported, now, complete=complete)
                if complete:
                    yield from self._accounts.note(account, organizations_listed=True)
            case OffersSeen(account=account, dearest_dollars=dearest):
                yield from self._accounts.note(account, dearest_offer_dollars=dearest)
            case ViewSeen():
                yield from self._accounts.viewed(seen.account, seen.view)

    def _projects_seen(self, seen: ProjectsSeen, now: float) -> Iterator[Change]:
        changes = tuple(
            self._projects.take_in(seen.account, seen.projects, now, complete=seen.complete)
        )
        yield from changes
        if not any(isinstance(change, Appeared | Changed) for change in changes):
            return  # nothing new of any project, as nearly always: jobs are many
        for entry in self._entries.values():
            if entry.shown:
                yield from self._update(entry, self._named(entry.job))

    # Tallies

    def _tally_changes(self) -> Iterator[Change]:
        for tally in self._tallies.take_touched(self._accounts.uncounted):
            before = self._published.get(tally.project_id)
            self._published[tally.project_id] = tally
            if before is None:
                yield Appeared(tally)
            elif tally != before:
                yield Changed(before, tally)


def _counted_as(job: Job) -> tuple[str, str, str]:
    return job.account, job.project_id, job.state
