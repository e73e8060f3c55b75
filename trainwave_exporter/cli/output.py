"""What commands print."""

from __future__ import annotations

import os
import sys


class OutputError(Exception):
    """Standard output cannot be written to; the text says why in one line."""


def write(text: str) -> None:
    """Print a text at once. A reader that closes the pipe early, such as ``head``, is no error.

    Raises `OutputError` where it cannot be written, such as on a full disk.
    """
    try:
        if text:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _discard()
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"standard output cannot be written to: {reason}") from None


def _discard() -> None:
    """Drop what is still buffered, which must not fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
