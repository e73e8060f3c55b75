"""What commands print."""

from __future__ import annotations

import os
import sys


def write(text: str) -> None:
    """Print a text at once. A reader that closes the pipe early, such as ``head``, is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # what is still buffered must not fail once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
