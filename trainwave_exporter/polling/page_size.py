"""Chooses the page size of lists: as large as the service grants, since each page is a request.

No source says how large a page may be. The first request is for the configured size; as long as
pages come full and do not hold the whole list, the next is for twice as many. A page that is
shorter than requested shows what is granted; a refusal ends the trying.
"""

from __future__ import annotations

from typing import Final

LARGEST: Final = 1000
"""Jobs in a page; larger ones would take long to come and to read."""


class PageSize:
    """Page size of one list."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._granted = 0
        self._limit = LARGEST
        self.ask = first
        """Jobs to request in the next page."""

    def came(self, asked: int, size: int, *, last: bool) -> None:
        """Note that a page came with ``size`` jobs where ``asked`` were requested."""
        if last or size == 0:
            return
        self._granted = max(self._granted, min(asked, size))
        if size < asked:
            self._limit = min(self._limit, max(size, self._first))
            self.ask = min(self.ask, self._limit)
        elif self.ask <= asked:
            self.ask = max(self._first, min(2 * asked, self._limit))

    def refused(self, asked: int) -> bool:
        """Note that ``asked`` jobs were refused; return whether fewer might be granted."""
        if asked <= max(self._first, self._granted):
            return False
        self._limit = self.ask = max(self._first, self._granted)
        return True
