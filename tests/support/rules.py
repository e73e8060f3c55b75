"""The rules as they are built, and what series there are once they are recorded."""

from __future__ import annotations

from deploy.prometheus import build, recording
from deploy.prometheus.rule import Alert, Record
from deploy.prometheus.settings import load
from support.promql import Schema, exposed, recorded

RECORDS = [
    (rule.record, rule.expr)
    for group in recording.GROUPS
    for rule in group.rules
    if isinstance(rule, Record)
]
ALERTS = [rule for group in build.alerts(load()) for rule in group.rules if isinstance(rule, Alert)]


def known_series() -> Schema:
    """Return what is exposed and what is recorded."""
    return recorded(exposed(), RECORDS)[0]
