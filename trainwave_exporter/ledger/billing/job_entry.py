"""What the ledger keeps: of each job, and of each set of labels that money is counted under.

All of it is whole numbers (`trainwave_exporter.ledger.billing.units`) and stored as it stands here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from trainwave_exporter.model import Job

UTILIZATION_BUCKET: Final = 300_000
"""Milliseconds of one `UtilizationBucket`."""
ANEW: Final = 0
"""In place of the time at which the history of an account was read as a whole: it has to be read
anew, as the ledger was restored since.
"""


class MeterKind(IntEnum):
    """What is read off a job again and again, and only grows, but for corrections."""

    COST = 0
    """Micro-dollars."""
    GPU = 1
    """GPU milliseconds."""


class MeterSample(Struct, frozen=True, gc=False):
    """What a meter of a job showed at one time."""

    at: int
    """Milliseconds since 1970."""
    value: int
    rate: int | None
    """By how much it grows in an hour while the job is billed (or runs); None: not known then."""
    finished: bool
    """The job was finished then."""


class UnconfirmedValue(Struct, frozen=True, gc=False):
    """What a meter was reported to show, and no price explains."""

    at: int
    """Milliseconds since 1970."""
    value: int


class Meter(Struct, frozen=True, gc=False):
    """The end of a meter's history: the last sample worth keeping, and the last of all.

    The kept samples before these two are in the store only.
    """

    anchor: MeterSample
    last: MeterSample
    behind: int = 0
    """By how much the last was behind what the rate explains, because the meter stood still."""
    pending: int = 0
    """A change that contradicts the rate: a correction, unless the rate turns out to have changed,
    or another run to have begun.
    """


class Life(Struct, frozen=True, gc=False):
    """What is reported of when a job was created, began to run and finished; milliseconds."""

    created: int | None = None
    started: int | None = None
    finished: int | None = None


class Run(Struct, frozen=True, gc=False):
    """An earlier run of a job whose id came back; the present run is the job's own entry."""

    number: int
    """Counted from 0."""
    life: Life
    until: int
    """When the next run was first seen, milliseconds since 1970."""


class IdleInterval(Struct, frozen=True, gc=False):
    """A stretch of time within which some of a job's GPUs were idle."""

    begin: int
    """Milliseconds since 1970."""
    end: int
    gpu: int
    """GPU milliseconds idle within it."""
    value: int
    """What they cost at the price of that time, in micro-dollars; 0 while no price is known."""


class UtilizationBucket(Struct, frozen=True, gc=False):
    """How a job's GPUs were used within five minutes (UTC)."""

    begin: int
    """Milliseconds since 1970, a multiple of `UTILIZATION_BUCKET`."""
    observed: int
    """GPU milliseconds for which the utilization is known."""
    used: int
    """The same, each weighted by its utilization: ``used / observed`` is the mean."""


class Correction(Struct, frozen=True, gc=False):
    """A change of a job's cost that neither its price nor a late bill explains."""

    job_id: str
    at: int
    """When it was seen, milliseconds since 1970."""
    since: int
    """When the job was last seen before; the correction was made between the two."""
    micro: int
    """Micro-dollars; negative when downwards."""


class Labels(Struct, frozen=True, gc=False):
    """What money is broken down by. Empty where the API does not report it."""

    project_id: str
    owner: str
    gpu_type: str

    @classmethod
    def of(cls, job: Job) -> Labels:
        """Return those of a job."""
        return cls(job.project_id, job.owner or "", job.gpu_type or "")


class Totals(Struct, frozen=True, gc=False):
    """What is counted, of a job or of a set of labels. No number in it ever falls."""

    cost: int = 0
    """The highest cost reported: corrections downwards do not lower it."""
    gpu: int = 0
    """The highest GPU time reported; of it idle, busy and unknown are parts."""
    idle: int = 0
    busy: int = 0
    unknown: int = 0
    waste_idle: int = 0
    waste_launching: int = 0
    waste_after_finish: int = 0

    def __add__(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals(*[a + b for a, b in zip(astuple(self), astuple(other), strict=True)])

    def __sub__(self, other: Totals) -> Totals:
        """Return what this has more than the other."""
        return Totals(*[a - b for a, b in zip(astuple(self), astuple(other), strict=True)])


class IdleEstimate(Struct, frozen=True, gc=False):
    """What is known of how a job used its GPUs, as of its last reading of GPU utilization."""

    read_at: int | None = None
    """When the last reading was taken; None: there was none, or the job is over."""
    idle_millionths: int = 0
    """The part of its GPUs that was known to do nothing by that reading."""
    idle_since: int | None = None
    """Since when none of its GPUs did anything."""
    owed_idle: int = 0
    """GPU milliseconds judged idle that the meter of GPU time has not reached yet."""
    owed_busy: int = 0
    idle_value: int = 0
    """Micro-dollars that idle GPU time was worth at its hour's price and that no bill covers yet.

    They become waste as the bill comes."""
    unpriced_idle: int = 0
    """GPU milliseconds idle whose price is not known yet."""
    use: str = ""
    """How each GPU was used by the last reading (`gpu_use.encoded`)."""
    unbilled: int | None = None
    """Micro-dollars that its running time was worth and that no bill covers yet; negative, and no
    more than an hour's worth, where more was billed; None: its price is not known."""
    unbilled_launching: int = 0
    """Likewise of the time before it ran. Whether that is billed at all shows with the bill."""
    overbilled: int = 0
    """Micro-dollars steadily billed beyond its price, at most an hour's worth: if its price changed
    without notice, that says since when."""
    earlier_price: int | None = None
    """Its price before the last change, micro-dollars an hour; None: it never changed."""
    price_since: int | None = None
    """When that was."""
    interval: IdleInterval | None = None
    """The last idle interval, which the next idle time may go on with."""


class Peaks(Struct, frozen=True, gc=False):
    """The most that a job used of its memory, and what it was given; bytes, None: not reported."""

    memory: int | None = None
    memory_limit: int | None = None
    gpu_memory: int | None = None
    """Of one device, as is its limit."""
    gpu_memory_limit: int | None = None


class JobEntry(Struct, frozen=True, kw_only=True):
    """What is kept of a job, as long as the API names it and beyond."""

    id: str
    account: str
    labels: Labels
    organization_id: str | None
    """As the job itself reports; else its project may know."""
    name: str | None
    life: Life
    first_seen: int
    last_seen: int
    """To the day only where nothing else changes, so that history costs no writing."""
    finished_seen: int | None = None
    """When it was first seen finished."""
    running_since: int | None = None
    """When it started to run, as reported or else as seen."""
    cost: Meter | None = None
    gpu: Meter | None = None
    totals: Totals = Totals()
    idle_estimate: IdleEstimate = IdleEstimate()
    series: Labels | None = None
    """Under which labels it is counted; None: not yet, as they may still become known."""
    state: str = ""
    """As last reported; empty in ledgers of version 2 and before."""
    run: int = 0
    """Which run of its id this is, counted from 0."""
    run_seen: int | None = None
    """When this run was first seen; None: when the job was, as it is the first."""
    run_since: int = 0
    """When the run before it was last seen; 0: there was none."""
    cost_base: int = 0
    """What its earlier runs cost, micro-dollars; samples are of the present run alone."""
    gpu_base: int = 0
    """Likewise GPU milliseconds."""
    cost_offset: int = 0
    """What the API still includes of earlier runs in the cost that it reports; 0 where that began
    anew with the run."""
    gpu_offset: int = 0
    """Likewise GPU milliseconds."""
    unconfirmed_cost: UnconfirmedValue | None = None
    """A cost too high to be believed at first sight; it waits for a second one."""
    unconfirmed_gpu: UnconfirmedValue | None = None
    """Likewise GPU time."""
    peaks: Peaks = Peaks()

    @property
    def finished(self) -> bool:
        """Whether it was finished when it was last seen."""
        return self.finished_seen is not None

    @property
    def described(self) -> bool:
        """Whether its GPU type is known, or it is known to have none: details bring a name, too."""
        return bool(self.labels.gpu_type) or self.name is not None


class SeriesEntry(Struct, frozen=True, kw_only=True):
    """What is counted under one set of labels."""

    labels: Labels
    totals: Totals = Totals()
    opened_at: int | None = None
    """Since when it is shown as zero, milliseconds; 0: in full; None: not shown yet."""
