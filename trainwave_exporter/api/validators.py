"""Answers that a server lets one ask for again under a condition: only if they have changed.

A request is a request to the rate limit all the same, but a list that is as it was need not be sent
again. What is remembered is the body as it came; it is read anew each time, since "as it was" is
news: it is confirmed now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of all bodies remembered; what was not asked for for longest is forgotten first."""


class _Remembered(Struct, frozen=True):
    conditions: Mapping[str, str]
    body: bytes


class Validators:
    """The bodies of one client that can be asked for under a condition, by what was asked."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    def conditions(self, url: str) -> Mapping[str, str]:
        """Return the headers to ask with for a URL, query included: none if nothing is known."""
        known = self._known.get(url)
        return {} if known is None else known.conditions

    def unchanged(self, url: str) -> bytes | None:
        """Return the body that the server says is still right; None if it was never told one."""
        known = self._known.get(url)
        if known is None:
            return None
        self._known.move_to_end(url)
        return known.body

    def remember(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Keep a body, if its headers let it be asked for under a condition."""
        before = self._known.pop(url, None)
        if before is not None:
            self._bytes -= len(before.body)
        conditions = _conditions(headers)
        if not conditions or len(body) > self._most_bytes:
            return
        self._known[url] = _Remembered(conditions, body)
        self._bytes += len(body)
        while self._bytes > self._most_bytes:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest.body)


def _conditions(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return what turns an answer's validators into conditions (RFC 9110, 13.1).

    A date tells seconds only, so that a change within the same second would go unseen: where there
    is no tag, nothing is asked under a condition.
    """
    tag = headers.get("etag")
    return {} if tag is None else {"If-None-Match": tag}
