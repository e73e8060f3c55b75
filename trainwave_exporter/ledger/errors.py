"""What can go wrong with the ledger's store.

::

    StoreError            it cannot be used now; what was committed is safe
    └── UnfitStoreError   it must not be used at all: damaged, not ours, or of a newer version
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be read or written now (full, read-only, locked); trying again may help."""


class UnfitStoreError(StoreError):
    """The file is damaged, no ledger, in use, or of a newer version; the text says what to do."""
