"""What was seen to happen to jobs: each change of state, and how long each waited and ran.

Everything is counted once, and only if it was witnessed: history found at the start adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainwave_exporter.fleet import lifecycle
from trainwave_exporter.fleet.entry import Entry
from trainwave_exporter.fleet.noted_jobs import Memory
from trainwave_exporter.fleet.tally import Tallies
from trainwave_exporter.model import ClampedDuration, FactListener, IllegalTransition, Job

TIMES_PATIENCE_SECONDS = 90.0
"""How long a finished job's own times are waited for before the witnessed ones are taken."""


class TransitionCounter:
    """Has tallies count what happened since ``began`` (Unix seconds)."""

    def __init__(self, tallies: Tallies, observe: FactListener, began: float) -> None:
        self._tallies = tallies
        self._observe = observe
        self._began = began
        self._vanished = Memory()
        """Jobs that vanished after their durations were counted."""
        self._untimed: set[str] = set()
        """Jobs that were seen to finish, and whose own times are waited for."""

    def admitted(self, entry: Entry) -> None:
        """Take a job in; one that vanished and comes again is not counted twice."""
        entry.queue_counted = entry.run_counted = self._vanished.take(entry.job.id)

    def vanished(self, entry: Entry, now: float) -> None:
        """Remember what was counted of a job that may come again."""
        if entry.run_counted:
            self._vanished.note(entry.job.id, now)

    def transition(self, entry: Entry, before: Job, after: Job, now: float) -> None:
        """Count a change of state, and note what it says of the job's times."""
        self._tallies.transition(before, after)
        if not lifecycle.is_legal(before.state, after.state):
            self._observe(IllegalTransition(after.account, before.state, after.state))
        if after.running and not lifecycle.has_started(before):
            entry.started_seen = now
        if after.finished != before.finished:
            entry.finished_seen = now if after.finished else None

    def durations(self, entry: Entry, now: float) -> None:
        """Count how long a job waited and ran, once that is known or was waited for too long."""
        self._count_queue(entry)
        self._count_run(entry, now)
        if entry.untimed:
            self._untimed.add(entry.job.id)
        else:
            self._untimed.discard(entry.job.id)

    def pass_time(self, entries: Mapping[str, Entry], now: float) -> None:
        """Look again at the jobs whose own times are waited for."""
        self._vanished.tidy(now)
        for job_id in tuple(self._untimed):
            entry = entries.get(job_id)
            if entry is None:
                self._untimed.discard(job_id)
            else:
                self.durations(entry, now)

    def _count_queue(self, entry: Entry) -> None:
        job = entry.job
        started = job.started_at or entry.started_seen
        if entry.queue_counted or started is None:
            return
        entry.queue_counted = True
        if job.created_at is not None and started >= self._began:
            self._tallies.queued(job, self._duration(job, "queue", job.created_at, started))

    def _count_run(self, entry: Entry, now: float) -> None:
        job = entry.job
        if entry.run_counted or not job.finished:
            return
        started = job.started_at or entry.started_seen
        finished, seen = job.finished_at, entry.finished_seen
        if finished is None and seen is not None and now - seen >= TIMES_PATIENCE_SECONDS:
            finished = seen
        if finished is not None:
            entry.run_counted = True
            if started is not None and (seen is not None or finished >= self._began):
                self._tallies.ran(job, self._duration(job, "run", started, finished))

    def _duration(self, job: Job, name: str, begin: float, end: float) -> float:
        if end < begin:
            self._observe(ClampedDuration(account=job.account, duration=name))
            return 0.0
        return end - begin
