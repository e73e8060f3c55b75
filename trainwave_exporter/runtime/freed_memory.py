"""Returns memory that is free again to the system, where the C library would keep it.

glibc keeps what is as large as the largest block that was ever freed: after an answer of 32 MB that
is nearly everything. Other C libraries do not, and have neither of these functions.
"""

from __future__ import annotations

import ctypes
from typing import Final

LARGE: Final = 256 * 1024
"""Bytes from which on a block is returned at once."""

_M_MMAP_THRESHOLD: Final = -3
"""As in ``malloc.h``."""

_LIBRARY: Final = ctypes.CDLL(None)


def return_large_blocks() -> None:
    """Have large blocks returned as soon as they are free."""
    if hasattr(_LIBRARY, "mallopt"):
        _LIBRARY.mallopt(_M_MMAP_THRESHOLD, LARGE)


def return_small_blocks() -> None:
    """Return what is free of smaller blocks, where that is whole pages: a millisecond's work."""
    if hasattr(_LIBRARY, "malloc_trim"):
        _LIBRARY.malloc_trim(0)
