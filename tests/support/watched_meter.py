"""A meter that is watched as the ledger watches one: what it keeps, and what it says afterwards."""

from __future__ import annotations

from trainwave_exporter.ledger import curve
from trainwave_exporter.ledger.curve import Step
from trainwave_exporter.ledger.curve_value import value_at
from trainwave_exporter.ledger.entry import Curve, Life, Sighting
from trainwave_exporter.ledger.late_bills import Origin

NOON = 1_711_022_400_000
"""2024-03-21T12:00:00Z, in milliseconds."""


class WatchedMeter:
    """Holds what the store would hold of it."""

    def __init__(self, life: Life | None = None) -> None:
        self.life = life or Life()
        self.curve: Curve | None = None
        self.kept: list[Sighting] = []
        self.corrections: list[int] = []
        self.first_seen: int | None = None

    def see(self, at: int, told: int, rate: int | None, *, over: bool = False) -> None:
        new = Sighting(at, told, rate, over)
        origin = Origin(
            self.first_seen or at, self.life.created, self.life.started, self.life.finished
        )
        self.first_seen = self.first_seen or at
        step: Step = (
            curve.begin(new, origin)
            if self.curve is None
            else curve.extend(self.curve, new, origin)
        )
        self.curve = step.curve
        if step.dropped is not None:
            self.kept = [sighting for sighting in self.kept if sighting.at < step.dropped]
        self.kept.extend(step.kept)
        self.corrections.extend(step.corrections)

    @property
    def unexplained(self) -> list[int]:
        """The corrections, and what may turn out to be one."""
        assert self.curve is not None
        return self.corrections + ([self.curve.pending] if self.curve.pending else [])

    @property
    def last(self) -> Sighting:
        assert self.curve is not None
        return self.curve.last

    def at(self, at: int) -> int:
        """Return what it showed just before an instant."""
        return value_at(self.kept, self.last, self.life, at)
