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
        self.next = first
        """Jobs to request in the next page."""

    def came(self, requested: int, received: int, *, last: bool) -> None:
        """Note that a page came with so many jobs."""
        if last or received == 0:
            return
        self._granted = max(self._granted, min(requested, received))
        if received < requested:
            self._limit = min(self._limit, max(received, self._first))
            self.next = min(self.next, self._limit)
        elif self.next <= requested:
            self.next = max(self._first, min(2 * requested, self._limit))

    def refused(self, requested: int) -> bool:
        """Note that so many jobs were refused; return whether fewer might be granted."""
        if requested <= max(self._first, self._granted):
            return False
        self._limit = self.next = max(self._first, self._granted)
        return True
