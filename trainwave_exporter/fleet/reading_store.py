"""Which readings of a job are shown, and for how long.

How long is by our clock, as each of them came. What is too old by its own timestamp as it comes, or
is contradicted by another source, says nothing of now: its time is shown, and no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from trainwave_exporter.fleet.ages import ReadingAges
from trainwave_exporter.fleet.agreement import Agreement, Outcome, Source
from trainwave_exporter.fleet.entry import Entry, Policy
from trainwave_exporter.fleet.merge import merge_readings
from trainwave_exporter.model import (
    NO_READINGS,
    FactListener,
    Job,
    Metric,
    Reading,
    Readings,
    Unreadable,
)


class ReadingStore:
    """Takes readings in, and drops them when they are too old. Times are Unix seconds."""

    def __init__(self, observe: FactListener) -> None:
        self._ages = ReadingAges()
        self._observe = observe

    def take_in(
        self, entry: Entry, job: Job, reported: Readings, now: float, policy: Policy, source: Source
    ) -> Readings:
        """Return the readings of a job, known so far as ``entry``, after these came.

        One that came more than the policy's staleness ago gives way to any other. A job that is
        over has none.
        """
        if job.finished:
            self.drop(entry)
            return NO_READINGS
        known = entry.job.readings
        if not reported:
            return known
        reported = self._current(job, reported, now - policy.staleness)
        outcome = self._weighed(entry, job, reported, policy, source)
        if outcome is not Outcome.TAKEN:
            reported = replace(reported, gpu_utilization=None)
        bound = now - policy.staleness
        overdue = {metric for metric, received in entry.received_at.items() if received <= bound}
        readings = merge_readings(known, reported, overdue)
        if outcome in {Outcome.DOUBTED, Outcome.CONTRADICTED}:
            readings = replace(readings, gpu_utilization=_doubted(entry))
        for metric, reading in readings.items():
            if reading is not known.get(metric):
                entry.received_at[metric] = now
        self._note_age(entry, job.account)
        return readings

    def _current(self, job: Job, reported: Readings, bound: float) -> Readings:
        """Return the readings, without the values of those taken before ``bound``."""
        stale = {metric: reading for metric, reading in reported.items() if reading.at < bound}
        for metric in stale:
            self._count(job, metric, "stale")
        return replace(reported, **{m: Reading(r.quantity, (), r.at) for m, r in stale.items()})

    def _weighed(
        self, entry: Entry, job: Job, reported: Readings, policy: Policy, source: Source
    ) -> Outcome:
        reading = reported.gpu_utilization
        if reading is None:
            return Outcome.TAKEN
        if entry.agreement is None:
            entry.agreement = Agreement()
        outcome = entry.agreement.weigh(
            source,
            reading,
            job.gpus,
            threshold=policy.idle_threshold,
            gap=policy.reading_gap,
        )
        if outcome is Outcome.CONTRADICTED:
            self._count(job, Metric.GPU_UTILIZATION, "contradicting")
        return outcome

    def _count(self, job: Job, metric: Metric, reason: str) -> None:
        self._observe(Unreadable(account=job.account, subject=metric.value, reason=reason))

    def drop(self, entry: Entry) -> None:
        """Forget that a job had readings."""
        entry.received_at.clear()
        entry.agreement = None
        self._ages.forget(entry.job.account, entry.job.id)

    def take_expired(
        self, entries: Mapping[str, Entry], now: float, max_age: Mapping[str, float]
    ) -> Iterator[tuple[Entry, Readings]]:
        """Yield the jobs that lose readings now, and what is left of them.

        ``max_age``: by account, the seconds that a reading is kept for.
        """
        for account, age in max_age.items():
            for job_id in self._ages.take_older(account, now - age):
                entry = entries.get(job_id)
                if entry is None or not entry.received_at:
                    continue
                bound = now - max_age[entry.job.account]  # another account may report it by now
                expired = [metric for metric, at in entry.received_at.items() if at < bound]
                for metric in expired:
                    del entry.received_at[metric]
                self._note_age(entry, entry.job.account)
                if expired:
                    yield entry, replace(entry.job.readings, **dict.fromkeys(expired))

    def clock_set(self, entries: Mapping[str, Entry], seconds: float) -> None:
        """Note that the clock was set by so much since all these readings came."""
        self._ages.clear()
        for entry in entries.values():
            for metric in entry.received_at:
                entry.received_at[metric] += seconds
            self._note_age(entry, entry.job.account)

    def _note_age(self, entry: Entry, account: str) -> None:
        """Have a job looked at when the oldest of its readings, if it has any, may be too old."""
        if entry.received_at:
            self._ages.put(account, entry.job.id, min(entry.received_at.values()))


def _doubted(entry: Entry) -> Reading | None:
    """Return a reading without a value, as new as what the endpoint says."""
    known = entry.job.readings.gpu_utilization
    endpoint = None if entry.agreement is None else entry.agreement.endpoint
    if endpoint is None:
        return known
    at = endpoint.at if known is None else max(known.at, endpoint.at)
    return Reading(endpoint.quantity, (), at)
