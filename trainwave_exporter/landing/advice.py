"""What each kind of trouble means to people, and what they can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

STORE: Final = "store"
"""The outcome of a ledger that could not be written; all others are those of the API's errors."""
STORE_LOST: Final = "store_lost"
"""The outcome of a ledger whose file another program changed."""


class Advice(Struct, frozen=True):
    """One sentence each."""

    meaning: str
    remedy: str


ADVICE: Mapping[str, Advice] = {
    "timeout": Advice(
        "The API took too long to answer.",
        "If it lasts, check the network, or raise the timeout.",
    ),
    "connection": Advice(
        "The API could not be reached.",
        "Check name resolution, firewall and proxy between here and the API's address.",
    ),
    "not_json": Advice(
        "The answer was not JSON.",
        "Check that the API's URL is right and that no proxy answers in its place.",
    ),
    "unexpected_shape": Advice(
        "The API's answer has an unknown shape.",
        "Look for a newer version of the exporter; values that it cannot parse are dropped.",
    ),
    "too_large": Advice(
        "An answer was too long, or held too many values, to read safely.",
        "Lower the page size.",
    ),
    "unsupported_encoding": Advice(
        "The answer was compressed by other means than gzip, which alone was asked for.",
        "Have whatever compresses answers between here and the API use gzip, once, or nothing.",
    ),
    "redirect": Advice(
        "The API redirected elsewhere; the key was not sent there.",
        "Set the API's URL to the new address, if you trust it.",
    ),
    "invalid_key": Advice(
        "The API refused the key.",
        "Replace the account's key with a valid one; a key file is read again by itself.",
    ),
    "forbidden": Advice(
        "The request was refused, but nothing indicates that the key is the reason.",
        "Check the proxy, firewall or gateway between here and the API, and have it let requests"
        " to the API through; the key is probably valid.",
    ),
    "rate_limited": Advice(
        "Requests exceeded the key's rate limit.",
        "Find out what else uses the key, lower the exporter's share, or ask for a higher limit.",
    ),
    "not_found": Advice(
        "The API knows no such object, or this key may not see it.",
        "If the job was just deleted, do nothing; else check the account's project and URL.",
    ),
    "bad_request": Advice(
        "The API rejected a request.",
        "Check the account's organization and project; else look for a newer version.",
    ),
    "server_error": Advice(
        "The API failed.",
        "Wait, and report it to the vendor if it lasts; the exporter retries by itself.",
    ),
    STORE: Advice(
        "The ledger could not be written.",
        "Look for a full or read-only disk; changes are kept in memory meanwhile.",
    ),
    STORE_LOST: Advice(
        "The ledger's file was removed, replaced or overwritten while in use.",
        "Restart the exporter: it continues with ledger.sqlite3.rescued, which it writes"
        " meanwhile.",
    ),
}

STALE_VALUE: Final = Advice(
    "The API reports values that are too old; they are not shown.",
    "If it lasts, report it to the vendor.",
)
CONTRADICTING: Final = Advice(
    "The API's list and its metric endpoint contradict each other; the value is not shown.",
    "Compare the job with the vendor's page, and report it to the vendor.",
)
UNREADABLE: Final = Advice(
    "The API reported a value that could not be read; it was left out.",
    "Set the unit of that metric, or look for a newer version of the exporter.",
)


def of_unreadable(reason: str) -> Advice:
    """Return what it means that something in an answer could not be used."""
    return {"stale": STALE_VALUE, "contradicting": CONTRADICTING}.get(reason, UNREADABLE)
