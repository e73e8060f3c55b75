"""Which readings of a job are shown, and for how long: all that goes by when each of them came.

By our clock, for the API's own timestamps may lag behind or be ahead for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from trainwave_exporter.fleet.ages import ReadingAges
from trainwave_exporter.fleet.entry import Entry
from trainwave_exporter.fleet.merge import merge_readings
from trainwave_exporter.model import NO_READINGS, Job, Readings


class Reception:
    """Takes readings in, and drops them when they are too old. Times are Unix seconds."""

    def __init__(self, now: float) -> None:
        self._ages = ReadingAges()
        self._latest = now

    def take_in(
        self, entry: Entry, job: Job, told: Readings, now: float, staleness: float
    ) -> Readings:
        """Return the readings of a job, known so far as ``entry``, after these came.

        One that came more than ``staleness`` seconds ago gives way to any other. A job that is over
        has none.
        """
        if job.finished:
            self.drop(entry)
            return NO_READINGS
        known = entry.job.readings
        if not told:
            return known
        bound = now - staleness
        overdue = {metric for metric, received in entry.received_at.items() if received <= bound}
        readings = merge_readings(known, told, overdue)
        for metric, reading in readings.items():
            if reading is not known.get(metric):
                entry.received_at[metric] = now
        self._note_age(entry, job.account)
        return readings

    def drop(self, entry: Entry) -> None:
        """Forget that a job had readings."""
        entry.received_at.clear()
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
                bound = now - max_age[entry.job.account]  # another account may tell of it by now
                expired = [metric for metric, at in entry.received_at.items() if at < bound]
                for metric in expired:
                    del entry.received_at[metric]
                self._note_age(entry, entry.job.account)
                if expired:
                    yield entry, replace(entry.job.readings, **dict.fromkeys(expired))

    def look_at_clock(self, entries: Mapping[str, Entry], now: float) -> None:
        """Once the clock was set back, take readings that came at a time yet to be for new."""
        before, self._latest = self._latest, now
        if before <= now:
            return
        self._ages.clear()
        for entry in entries.values():
            for metric, received in entry.received_at.items():
                entry.received_at[metric] = min(received, now)
            self._note_age(entry, entry.job.account)

    def _note_age(self, entry: Entry, account: str) -> None:
        """Have a job looked at when the oldest of its readings, if it has any, may be too old."""
        if entry.received_at:
            self._ages.put(account, entry.job.id, min(entry.received_at.values()))
