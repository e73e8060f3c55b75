"""What rules are made of, and how they read in Prometheus' own format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """A recording rule."""

    record: str
    expr: str

    def document(self) -> dict[str, object]:
        """Write the rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """An alerting rule.

    `concern` names what the alert is about: a critical alert silences the warnings of the same
    concern about the same thing. `dashboard` is what follows the address of Grafana; the address
    of the runbook follows from the name.
    """

    alert: str
    severity: Severity
    concern: str
    expr: str
    summary: str
    description: str
    dashboard: str
    pending: str | None = None
    keep_firing: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    def document(self, grafana_url: str, runbook_url: str) -> dict[str, object]:
        """Write the rule as Prometheus reads it."""
        times = {"for": self.pending, "keep_firing_for": self.keep_firing}
        return {
            "alert": self.alert,
            "expr": self.expr,
            **{key: time for key, time in times.items() if time},
            "labels": {"severity": self.severity, "concern": self.concern, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "dashboard_url": f"{grafana_url}{self.dashboard}",
                "runbook_url": f"{runbook_url}#{self.alert.lower()}",
            },
        }


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that Prometheus evaluates one after the other."""

    name: str
    rules: tuple[Record | Alert, ...]
