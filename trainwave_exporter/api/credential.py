"""The API key, as one request needs it: fetched anew each time, sent in one header, shown never."""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from urllib.parse import quote

from trainwave_exporter.api.errors import InvalidKey

_HEADER = "X-API-KEY"
_REDACTED = "[redacted]"
_MOST_REMEMBERED = 8
_LONGEST_TEXT = 200
_LONGEST_LOOKED_AT = 4_096


class Credential:
    """A key that only its header gets to see.

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

        The key goes first: cut or cleaned before, a piece of it might remain.
        """
        for key in {*self._sent, self._fetch()}:
            for spelling in _spellings(key):
                text = text.replace(spelling, _REDACTED)
        printable = (c if c.isprintable() else " " for c in text[:_LONGEST_LOOKED_AT])
        tidied = " ".join("".join(printable).split())
        return tidied if len(tidied) <= _LONGEST_TEXT else f"{tidied[: _LONGEST_TEXT - 1]}…"


def _spellings(key: str) -> tuple[str, ...]:
    """Return a key as it stands in plain text, in JSON and in URLs, longest first."""
    in_json = json.dumps(key)[1:-1]
    spellings = {key, in_json, in_json.replace("/", "\\/"), quote(key, safe="")} - {""}
    return tuple(sorted(spellings, key=len, reverse=True))


def _fit_for_header(key: str) -> bool:
    return key != "" and key.isascii() and key.isprintable() and " " not in key
