"""What an operator decides about waste and series, in the ledger's units."""

from __future__ import annotations

from msgspec import Struct

from trainwave_exporter.ledger.billing.units import milliseconds


class WasteRules(Struct, frozen=True, kw_only=True):
    """When GPU time and money count as wasted, and under what. Times are milliseconds."""

    idle_threshold: float = 0.05
    """A GPU that is used less than this part of it is idle."""
    warm_up: int = milliseconds(600)
    """A job is not idle so soon after its start."""
    launch_bound: int = milliseconds(900)
    """For so long a job may be billed before it runs."""
    reading_gap: int = milliseconds(300)
    """What lies between two readings farther apart is not known."""
    max_groups: int = 0
    """So many sets of labels that money is counted under have series of their own; 0: all."""
