"""The operator's rules for waste and series, in the ledger's units."""

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.ledger.billing.units import milliseconds


class WasteRules(Struct, frozen=True, kw_only=True):
    """When GPU time and money count as wasted, and how many series there are. Milliseconds."""

    idle_threshold: float = 0.05
    """A GPU whose utilization (0 to 1) is below this is idle."""
    warm_up: int = milliseconds(600)
    """How long after its start a job does not count as idle."""
    launch_bound: int = milliseconds(900)
    """How long a job may be billed before it runs; billing for longer is waste."""
    reading_gap: int = milliseconds(300)
    """Longest time between two readings that judge it; what lies in a longer one is unknown."""
    max_groups: int = 0
    """How many sets of labels have series of their own; 0: all."""
