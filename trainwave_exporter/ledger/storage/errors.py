"""Errors of the ledger's store.

::

    StoreError            it cannot be used now; what was committed is safe
    ├── LostStoreError    another program removed, replaced or overwrote the file in use
    └── UnfitStoreError   it must not be used at all: damaged, not ours, or of a newer version
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be read or written now (full, read-only, locked); trying again may help."""


class LostStoreError(StoreError):
    """The files in use are not those that were last written; nothing is written to them any more.

    ``on_disk``: the file that is there now holds all that was written, and can be opened anew.
    ``readable``: it does not, but whoever has it open still reads all that was written.
    """

    def __init__(self, text: str, *, on_disk: bool = False, readable: bool = False) -> None:
        """``text``: which file is lost, and how."""
        super().__init__(text)
        self.on_disk = on_disk
        self.readable = readable


class UnfitStoreError(StoreError):
    """The file is damaged, no ledger, in use, or of a newer version; the text says what to do."""
