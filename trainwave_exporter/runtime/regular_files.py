"""Reading files that others name: nothing that could keep the reader waiting, or never end."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Final

LARGEST_FILE: Final = 1 << 20
"""Bytes that `read_regular` reads at most, unless another number is given."""


class NotRegularError(OSError):
    """What is there is a folder, a FIFO, a device or a socket."""


def open_regular(path: Path) -> FileIO:
    """Open a file for reading; raise `NotRegularError` at once unless it is a regular one.

    To open a FIFO waits until somebody writes to it; to read one, or a device, may never end.
    Raises `OSError` where it cannot be opened.
    """
    file = FileIO(path, opener=_without_waiting)
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode):
        return file
    file.close()
    raise NotRegularError(errno.EINVAL, "not a regular file")


def read_regular(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """Return what a regular file holds; raise `OSError` for another one, and for a larger one."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise OSError(errno.EFBIG, f"larger than {largest} bytes")
        return file.read(largest)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
