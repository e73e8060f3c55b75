"""What becomes of an organization's credit, and whether it falls as the jobs cost."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import Funds

funds = Families(Funds, labels=("organization_id",), identity=lambda f: (f.organization_id,))


@funds.gauge(
    "trainwave_organization_credit_exhaustion_timestamp_seconds",
    "When no credit will be left if running jobs keep running until they expire; absent if the"
    " credit will last, or that is unknown.",
)
def exhaustion(f: Funds) -> float | None:
    return f.exhausted_at


@funds.gauge(
    "trainwave_reconciliation_difference_dollars",
    "Fall of the credit beyond the cost of the jobs in the same time.",
    additive=True,
)
def difference(f: Funds) -> float | None:
    return f.difference_dollars
