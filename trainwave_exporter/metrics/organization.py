"""Metrics of an organization: what it is and what credit it has left."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Organization

organization = Families(Organization, labels=("organization_id",), identity=lambda o: (o.id,))


@organization.info(
    "trainwave_organization_info",
    "Description of an organization, to be joined to other series; always 1.",
    labels=("organization_rid", "organization_name", "account"),
)
def info(o: Organization) -> LabelValues:
    return (o.rid or "", o.name or "", o.account)


@organization.gauge("trainwave_organization_credit_balance_dollars", "Credit left.", additive=True)
def credit_balance(o: Organization) -> float | None:
    return o.credit_balance_dollars
