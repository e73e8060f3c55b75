"""Metrics of an account: whether its API key still shows us anything."""

# ruff: noqa: D103  a metric's help text says what its function returns

from __future__ import annotations

from trainwave_exporter.exposition.family import Families
from trainwave_exporter.model import AccountStatus

account = Families(
    AccountStatus, labels=("account", "view"), identity=lambda a: (a.name, a.view or None)
)


@account.gauge("trainwave_up", "1 if the last list of the account's jobs succeeded, else 0.")
def up(a: AccountStatus) -> float | None:
    return a.up


@account.gauge(
    "trainwave_account_last_success_timestamp_seconds",
    "When the account's jobs were last listed successfully.",
)
def last_success(a: AccountStatus) -> float | None:
    return a.confirmed_at
