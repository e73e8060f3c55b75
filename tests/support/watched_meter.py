"""A meter watched as the ledger watches it: the samples kept, and its value at any time."""

from __future__ import annotations

from trainwave_exporter.ledger.billing import meter as meters
from trainwave_exporter.ledger.billing.job_entry import Life, Meter, MeterSample
from trainwave_exporter.ledger.billing.late_bills import Origin
from trainwave_exporter.ledger.billing.meter import Step
from trainwave_exporter.ledger.billing.meter_value import value_at

NOON = 1_711_022_400_000
"""2024-03-21T12:00:00Z, in milliseconds."""


class WatchedMeter:
    """Holds what the store would hold of a meter."""

    def __init__(self, life: Life | None = None) -> None:
        self.life = life or Life()
        self.meter: Meter | None = None
        self.kept: list[MeterSample] = []
        self.corrections: list[int] = []
        self.first_seen: int | None = None

    def see(self, at: int, value: int, rate: int | None, *, finished: bool = False) -> None:
        new = MeterSample(at, value, rate, finished)
        origin = Origin(
            self.first_seen or at, self.life.created, self.life.started, self.life.finished
        )
        self.first_seen = self.first_seen or at
        step: Step = (
            meters.begin(new, origin)
            if self.meter is None
            else meters.extend(self.meter, new, origin)
        )
        self.meter = step.meter
        if step.dropped is not None:
            self.kept = [sample for sample in self.kept if sample.at < step.dropped]
        self.kept.extend(step.kept)
        self.corrections.extend(step.corrections)

    @property
    def unexplained(self) -> list[int]:
        """The corrections, and what may turn out to be one."""
        assert self.meter is not None
        return self.corrections + ([self.meter.pending] if self.meter.pending else [])

    @property
    def last(self) -> MeterSample:
        assert self.meter is not None
        return self.meter.last

    def at(self, at: int) -> int:
        """Return what it showed just before an instant."""
        return value_at(self.kept, self.last, self.life, at)
