"""The client of the Trainwave API: every endpoint, both wire dialects, one rate limit.

Nothing outside knows a wire format: calls return records of `trainwave_exporter.model`, or raise an
error of the tree in `trainwave_exporter.api.errors`.
"""

from trainwave_exporter.api.client import Client
from trainwave_exporter.api.envelope import Dialect
from trainwave_exporter.api.errors import (
    BadRequest,
    BodyTooLarge,
    ConnectionFailed,
    Forbidden,
    InvalidKey,
    NoAnswer,
    NotFound,
    NotJson,
    RateLimited,
    RedirectRefused,
    Refused,
    ServerError,
    Timeout,
    TrainwaveError,
    UnexpectedShape,
    UnsupportedEncoding,
    UnusableAnswer,
)
from trainwave_exporter.api.metric_answers import DEFAULT_INLINE_UNITS, DEFAULT_UNITS
from trainwave_exporter.api.network import NetworkSettings, NetworkSettingsError
from trainwave_exporter.api.new_job import NewJob
from trainwave_exporter.api.paging import Collected, Page, collect, pages
from trainwave_exporter.api.rate_budget import BudgetSnapshot, Priority, RateBudget

__all__ = [
    "DEFAULT_INLINE_UNITS",
    "DEFAULT_UNITS",
    "BadRequest",
    "BodyTooLarge",
    "BudgetSnapshot",
    "Client",
    "Collected",
    "ConnectionFailed",
    "Dialect",
    "Forbidden",
    "InvalidKey",
    "NetworkSettings",
    "NetworkSettingsError",
    "NewJob",
    "NoAnswer",
    "NotFound",
    "NotJson",
    "Page",
    "Priority",
    "RateBudget",
    "RateLimited",
    "RedirectRefused",
    "Refused",
    "ServerError",
    "Timeout",
    "TrainwaveError",
    "UnexpectedShape",
    "UnsupportedEncoding",
    "UnusableAnswer",
    "collect",
    "pages",
]
