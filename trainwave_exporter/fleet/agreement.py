"""Whether the two sources of a job's GPU utilization agree: the job's own entry, and the endpoint.

A list or a job's page carries one number, the metric's endpoint another. They are read at different
moments, so that a difference may be a change, which the other source confirms when it is read next.
If it does not, what the GPUs do is unknown; if the first source then repeats the difference, too,
they contradict each other. They differ where the one shows idle GPUs, the other does not, and more
than `MARGIN` lies between; and only as long as both readings are of about the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import Final

from trainwave_exporter.model import Quantity, Reading

MARGIN: Final = 0.05
"""Utilizations that are closer than this may belong to one GPU that goes up and down a little."""


class Source(Enum):
    """Where a reading comes from."""

    JOB = "job"
    """A list's entry or the job's own page."""
    ENDPOINT = "endpoint"


class Outcome(Enum):
    """What becomes of a reading."""

    TAKEN = "taken"
    HELD = "held"
    """It may be a change: the other source has to confirm it."""
    DOUBTED = "doubted"
    """The other source did not confirm it: neither is believed."""
    CONTRADICTED = "contradicted"
    """Both sources repeated what they say."""


@dataclass(slots=True)
class _Difference:
    first: Source
    """Which source differed first, and at what time."""
    since: float
    repeated: bool = False
    """The other source has been read since, and still differs."""
    confirmed: bool = False
    """After that the first one has."""


@dataclass(slots=True)
class Agreement:
    """The last reading of each source of one job, and whether they differ."""

    job: Reading | None = None
    endpoint: Reading | None = None
    difference: _Difference | None = None
    """None: they agree."""

    def weigh(
        self, source: Source, reading: Reading, gpus: float | None, *, threshold: float, gap: float
    ) -> Outcome:
        """Take in a reading, and return what becomes of it.

        ``threshold``: the utilization below which a GPU is idle. ``gap``: the seconds between two
        readings beyond which they are of different times.
        """
        if source is Source.JOB:
            other, self.job = self.endpoint, reading
        else:
            other, self.endpoint = self.job, reading
        if (
            other is None
            or abs(other.at - reading.at) > gap
            or not differ(other, reading, gpus, threshold)
        ):
            self.difference = None
            return Outcome.TAKEN
        difference = self.difference
        if difference is None:
            self.difference = _Difference(source, reading.at)
            return Outcome.HELD
        if difference.first is source:
            difference.confirmed = difference.repeated
        elif reading.at > difference.since:
            difference.repeated = True
        if difference.confirmed:
            return Outcome.CONTRADICTED
        if difference.repeated:
            return Outcome.DOUBTED
        # A point of the other source from before the difference says nothing against it.
        return Outcome.HELD if difference.first is source else Outcome.TAKEN


def differ(one: Reading, other: Reading, gpus: float | None, threshold: float) -> bool:
    """Return whether one reading shows idle GPUs and the other cannot be of the same job then."""
    bounds = _bounds(one, gpus), _bounds(other, gpus)
    if None in bounds:
        return False
    (_, idle_most), (busy_least, _) = sorted(b for b in bounds if b is not None)
    return idle_most < threshold <= busy_least and busy_least - idle_most > MARGIN


def _bounds(reading: Reading, gpus: float | None) -> tuple[float, float] | None:
    """Return the least and the highest that the mean of all GPUs can be; None: not known."""
    if reading.quantity is not Quantity.RATIO or not reading.points:
        return None
    if not isinstance(reading.value, tuple):
        return reading.value, reading.value
    used = sorted(point.value for point in reading.points)
    number = max(1, ceil(gpus or len(used)))
    if len(used) >= number:  # of which of them the job has, nothing is known
        return sum(used[:number]) / number, sum(used[-number:]) / number
    return sum(used) / number, (sum(used) + number - len(used)) / number
