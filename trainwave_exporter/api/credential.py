"""The API key: read anew for each request, sent in one header, never shown."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from urllib.parse import quote

from trainwave_exporter.api.errors import InvalidKey
from trainwave_exporter.api.redaction import REDACTED, Redaction

_HEADER = "X-API-KEY"
_MOST_REMEMBERED = 8
_LONGEST_TEXT = 200
_LONGEST_LOOKED_AT = 4_096
_SHORTEST_IN_DATA = 8
"""Length of the shortest key that is looked for in data: a shorter one may be part of words."""


class Credential:
    """A key that appears in its header only.

    ``fetch`` returns the present key (it may change between requests) and must not raise.
    """

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch
        self._sent: dict[str, None] = {}
        """The keys sent last: an answer may repeat one that was replaced meanwhile."""

    def authorize(self, headers: MutableMapping[str, str]) -> None:
        """Put the key into ``headers``. Raises `InvalidKey` for one that no header can carry."""
        key = self._fetch()
        if key != next(reversed(self._sent), None):
            self._remember(key)
        headers[_HEADER] = key

    def _remember(self, key: str) -> None:
        if not _fit_for_header(key):
            raise InvalidKey(
                None, None, "the API key is empty or holds spaces or characters beyond ASCII"
            )
        self._sent.pop(key, None)
        self._sent[key] = None
        while len(self._sent) > _MOST_REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def tidy(self, text: str) -> str:
        """Return text of the API as it may stand in a message: short, printable, without the key.

        The key is removed first: after the text was cut, a piece of it might remain.
        """
        for key in {*self._sent, self._fetch()}:
            for spelling in _spellings(key):
                text = text.replace(spelling, REDACTED)
        printable = (c if c.isprintable() else " " for c in text[:_LONGEST_LOOKED_AT])
        tidied = " ".join("".join(printable).split())
        return tidied if len(tidied) <= _LONGEST_TEXT else f"{tidied[: _LONGEST_TEXT - 1]}…"

    def redaction(self) -> Redaction:
        """Return what removes the known keys from the data of an answer."""
        keys = {key for key in {*self._sent, self._fetch()} if len(key) >= _SHORTEST_IN_DATA}
        spellings = {spelling for key in keys for spelling in _spellings(key)}
        return Redaction(tuple(sorted(spellings, key=len, reverse=True)))


@lru_cache(maxsize=4 * _MOST_REMEMBERED)
def _spellings(key: str) -> tuple[str, ...]:
    """Return a key as it stands in plain text, in JSON and in URLs, longest first."""
    in_json = json.dumps(key)[1:-1]
    in_urls = {quote(key), quote(key, safe="")}
    spellings = {key, in_json, in_json.replace("/", "\\/"), *in_urls} - {""}
    return tuple(sorted(spellings, key=len, reverse=True))


def _fit_for_header(key: str) -> bool:
    return key != "" and key.isascii() and key.isprintable() and " " not in key
