"""What each kind of trouble means to people, and what they can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

STORE: Final = "store"
"""The outcome of a ledger that could not be written; all others are those of the API's errors."""


class Advice(Struct, frozen=True):
    """One sentence each."""

    meaning: str
    remedy: str


ADVICE: Mapping[str, Advice] = {
    "timeout": Advice(
        "The API took too long to answer.",
        "Wait if it passes; else look at the network, or raise the timeout.",
    ),
    "connection": Advice(
        "The API could not be reached.",
        "Check name resolution, firewall and proxy between here and the API's address.",
    ),
    "not_json": Advice(
        "What answered did not speak JSON.",
        "Check that the API's URL is right and that no proxy answers in its place.",
    ),
    "unexpected_shape": Advice(
        "The API answered in a shape that is not known.",
        "Look for a newer version of the exporter; what it cannot read it leaves out.",
    ),
    "too_large": Advice(
        "An answer was longer than is safe to read.",
        "Lower the page size.",
    ),
    "redirect": Advice(
        "The API pointed elsewhere, and the key was not sent there.",
        "Set the API's URL to the address that it moved to, if you trust it.",
    ),
    "invalid_key": Advice(
        "The API refused the key.",
        "Put a valid key where the account's key comes from; a file is read again by itself.",
    ),
    "forbidden": Advice(
        "The request was refused, and nothing says that the key is why.",
        "Look at the proxy, firewall or gateway between here and the API, and ask whoever runs it"
        " to let the API's address through; the key is probably good.",
    ),
    "rate_limited": Advice(
        "More was asked than the key's rate limit allows.",
        "See who else uses the key, lower the exporter's share, or ask for a higher limit.",
    ),
    "not_found": Advice(
        "The API knows no such object, or hides it from this key.",
        "Nothing, for a job that was just deleted; else check the account's project and URL.",
    ),
    "bad_request": Advice(
        "The API did not accept a request.",
        "Check the account's organization and project; else look for a newer version.",
    ),
    "server_error": Advice(
        "The API failed.",
        "Wait, and tell the vendor if it lasts; the exporter goes on trying by itself.",
    ),
    STORE: Advice(
        "The ledger could not be written.",
        "Look for a full or read-only disk; what was seen is kept in memory meanwhile.",
    ),
}
